"""MACE as a `Potential`. Its second fidelity is a second head, as in MACE's own training on several data sets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call

from uprung.datasets.store import Inputs, Side
from uprung.models.interface import EMBEDDINGS, N_ELEMENTS, READOUT
from uprung.models.mace.card import CARD
from uprung.models.mace.files import Head, MaceNetwork, save
from uprung.models.pair_potential import PairBatch, PairPotential

_BLOCKS = ("interactions", "products")


class MacePotential(PairPotential):
    """A MACE of one head, or of two: the source's reads the same features with weights of its own.

    These are weights of the target's readouts plus an offset that begins at zero (`PairPotential.shifted`).
    """

    row_of: Tensor  # atomic number -> row of the network's elements

    def __init__(self, network: MaceNetwork) -> None:
        """Hold a network."""
        super().__init__(CARD, network.model, network.references)
        self.held = network
        numbers = network.arguments["atomic_numbers"]
        rows = torch.full((N_ELEMENTS + 1,), -1)
        rows[numbers] = torch.arange(len(numbers))
        self.register_buffer("row_of", rows, persistent=False)

    @property
    def elements(self) -> frozenset[int]:
        """See `Potential.elements`."""
        return frozenset(self.held.arguments["atomic_numbers"])

    @property
    def _layers(self) -> Any:
        return self.network

    def _readout_weights(self) -> Iterator[tuple[str, nn.Parameter]]:
        for name, parameter in self.network.named_parameters():
            if self.layer_of(name) == READOUT:
                yield name, parameter

    @property
    def embedding_width(self) -> int:
        """Number of weights of the readouts, which is how long the source's offset is."""
        return sum(parameter.numel() for _, parameter in self._readout_weights())

    def add_to_embedding(self, shift: Tensor) -> None:
        """Add an offset to the weights of the readouts, for good."""
        with torch.no_grad():
            for (_, parameter), value in zip(self._readout_weights(), self._moved(shift).values(), strict=True):
                parameter.copy_(value)

    def _moved(self, shift: Tensor | None) -> dict[str, Tensor]:
        """Return the weights of the readouts by name, with an offset."""
        named = dict(self._readout_weights())
        if shift is None:
            return dict(named)
        parts = torch.split(shift, [parameter.numel() for parameter in named.values()])
        return {name: own + part.view_as(own) for (name, own), part in zip(named.items(), parts, strict=True)}

    def batch(self, inputs: Inputs, rows: NDArray[np.int64]) -> PairBatch:
        """See `Potential.batch`; raises ValueError for an element that the network does not know."""
        found = super().batch(inputs, rows)
        if bool((self.row_of[found.numbers] < 0).any()):
            unknown = sorted({*found.numbers.tolist()} - self.elements)
            raise ValueError(f"this MACE does not know the elements Z = {unknown}")
        return found

    def network_energies(self, batch: PairBatch, side: Side) -> Tensor:
        """See `PairPotential.network_energies`; the layers are called as in `ScaleShiftMACE.forward`."""
        layers, numbers = self._layers, self._layers.atomic_numbers
        attributes = nn.functional.one_hot(self.row_of[batch.numbers], len(numbers)).to(batch.positions)
        vectors = batch.vectors()
        near = torch.nonzero(vectors.detach().square().sum(dim=1) < float(self.held.arguments["r_max"]) ** 2).squeeze(1)
        vectors, edge = vectors[near], batch.edge[:, near]
        lengths = torch.linalg.vector_norm(vectors, dim=1, keepdim=True)
        radial, cutoff = layers.radial_embedding(lengths, attributes, edge, numbers)
        angular = layers.spherical_harmonics(vectors)
        energies = batch.positions.new_zeros(len(batch.positions))
        if hasattr(layers, "pair_repulsion_fn"):
            energies = energies + layers.pair_repulsion_fn(lengths, attributes, edge, numbers)
        atoms, found = layers.node_embedding(attributes), []
        for interaction, product in zip(layers.interactions, layers.products, strict=True):
            atoms, skipped = interaction(
                node_attrs=attributes,
                node_feats=atoms,
                edge_attrs=angular,
                edge_feats=radial,
                edge_index=edge,
                cutoff=cutoff,
            )
            atoms = product(node_feats=atoms, sc=skipped, node_attrs=attributes)
            found.append(atoms)
        weights = self._moved(self._shift)
        for k, (readout, atoms) in enumerate(zip(layers.readouts, found[-len(layers.readouts) :], strict=True)):
            above = f"readouts.{k}."
            own = {name.removeprefix(above): value for name, value in weights.items() if name.startswith(above)}
            energies = energies + functional_call(readout, own, (atoms,)).squeeze(1)
        sums = batch.volume.new_zeros(len(batch.n_atoms)).index_add(0, batch.owner, energies)
        scale: Tensor = layers.scale_shift.scale
        return scale * sums

    def layer_of(self, name: str) -> str:
        """See `PairPotential.layer_of`."""
        first, number, *_ = name.split(".")
        return f"block{int(number) + 1}" if first in _BLOCKS else READOUT if first == "readouts" else EMBEDDINGS

    def zero_output(self) -> None:
        """See `Potential.zero_output`; every readout adds to the energy."""
        for name, parameter in self._readout_weights():
            if not name.endswith("linear_1.weight"):
                nn.init.zeros_(parameter)

    def saved(self) -> dict[str, Any]:
        """Refuse: `save` writes files of MACE's own."""
        raise TypeError("a MACE is saved as a file of its own package")

    def save(self, path: str | Path, *, target: str, source: str, corrects: str | None) -> None:
        """See `Potential.save`; a network of two fidelities has a head for each, with its name."""
        heads = {"Default": Head(self.references, self._moved(None))}
        if self.source is not None and self.source.shift.requires_grad:
            references = self.source.references.detach().double().cpu().numpy()
            heads = {target: heads["Default"], source: Head(references, self._moved(self.source.shift))}
        save(self.held, path, heads)
