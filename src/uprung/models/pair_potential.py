"""What every network of neighbour pairs shares: batches, derivatives, references, a second fidelity, files.

An architecture of this kind adds the energy of its own network and how that is written to a file.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase.units import GPa
from numpy.typing import NDArray
from torch import Tensor, nn

from uprung.datasets.store import Inputs, Side
from uprung.models.cards import ArchitectureCard
from uprung.models.interface import REFERENCES, Potential, check_references
from uprung.models.pairs import PackedPairs
from uprung.models.second_fidelity import SourceSide
from uprung.models.torch_files import write_tensors


@dataclass(frozen=True)
class PairBatch:
    """B crystals with A atoms and E pairs, both directions, sorted by the first atom, on one device.

    `numbers` (A,); `owner` (A,) crystal of an atom; `n_atoms` (B,); `volume` (B,) Å³; `edge` (2, E) atoms;
    `edge_owner` (E,); `positions` (A, 3) Å; `shifts` (E, 3) Å, added to the position of the second atom of a pair.
    """

    numbers: Tensor
    owner: Tensor
    n_atoms: Tensor
    volume: Tensor
    edge: Tensor
    edge_owner: Tensor
    positions: Tensor
    shifts: Tensor

    @classmethod
    def from_arrays(cls, arrays: PackedPairs, like: Tensor) -> PairBatch:
        """Return a packed batch as tensors like another one; positions are computed in float64 and then rounded."""

        def integer(values: NDArray[np.int64]) -> Tensor:
            return torch.from_numpy(np.ascontiguousarray(values)).to(like.device)

        def real(values: NDArray[np.float64]) -> Tensor:
            return torch.from_numpy(np.ascontiguousarray(values)).to(like.device, like.dtype)

        return cls(
            numbers=integer(arrays.numbers),
            owner=integer(arrays.owner),
            n_atoms=integer(arrays.n_atoms),
            volume=real(np.abs(np.linalg.det(arrays.lattice))),
            edge=integer(arrays.edge.T),
            edge_owner=integer(arrays.edge_owner),
            positions=real(arrays.positions()),
            shifts=real(arrays.shifts()),
        )

    def vectors(self) -> Tensor:
        """Return the vectors from the first to the second atom of every pair, (E, 3) Å."""
        first, second = self.edge
        return self.positions[second] + self.shifts - self.positions[first]


class PairPotential(Potential):
    """A network whose energy depends on neighbour pairs, and references of its own beside it."""

    # Pairs and triplets; not tuned.
    predicted_at_once: Mapping[str, int] = {"cpu": 20_000, "cuda": 400_000}
    trained_at_once: Mapping[str, int] = {"cpu": 40_000, "cuda": 400_000}

    def __init__(self, card: ArchitectureCard, network: nn.Module, references: NDArray[np.float64]) -> None:
        """Hold a network.

        Args:
            card: of the architecture.
            network: without reference energies.
            references: (94,) eV/atom.
        """
        super().__init__()
        self.card = card
        self.network = network
        self.atoms = nn.Parameter(torch.from_numpy(references).float(), requires_grad=False)
        self.source: SourceSide | None = None
        self._shift: Tensor | None = None  # added to the embeddings of the atoms while the source is computed

    @abstractmethod
    def network_energies(self, batch: PairBatch, side: Side) -> Tensor:
        """Return the energies of the network without references, (B,) eV."""

    @property
    @abstractmethod
    def embedding_width(self) -> int:
        """Length of the embedding of an atom."""

    @abstractmethod
    def add_to_embedding(self, shift: Tensor) -> None:
        """Add an offset to the embeddings of all elements, for good."""

    @abstractmethod
    def layer_of(self, name: str) -> str:
        """Return the layer of a parameter of the network by its name: embeddings, block1 ..., readout."""

    @abstractmethod
    def saved(self) -> dict[str, Any]:
        """Return the network with its references as tensors and plain values."""

    def shifted(self, embedding: Tensor) -> Tensor:
        """Return embeddings of atoms with the offset of the source while that is computed."""
        return embedding if self._shift is None else embedding + self._shift

    def batch(self, inputs: Inputs, rows: NDArray[np.int64]) -> PairBatch:
        """See `Potential.batch`."""
        return PairBatch.from_arrays(inputs.pack(rows), self.atoms)

    def forward(self, batch: PairBatch, targets: Collection[str], side: Side = "target") -> dict[str, Tensor]:
        """See `Potential.forward`."""
        if side == "source" and self.source is None:
            raise ValueError("this network knows the target fidelity only")
        other = self.source if side == "source" else None
        self._shift = other.shift if other is not None else None
        try:
            found = self._derivatives(batch, [name for name in ("force", "stress") if name in targets], side)
        finally:
            self._shift = None
        references = other.references if other is not None else self.atoms
        sums = batch.volume.new_zeros(len(batch.n_atoms)).index_add(0, batch.owner, references[batch.numbers - 1])
        return {"energy": found["network"] + sums / batch.n_atoms, **found}

    def _derivatives(self, batch: PairBatch, derive: Sequence[str], side: Side) -> dict[str, Tensor]:
        """Return `network` in eV/atom and its derivatives.

        Stress is dE/dε / V with x → x (1 + ε), ε symmetric (Knuth et al., Comput. Phys. Commun. 190, 33 (2015)).
        """
        positions = batch.positions.detach().requires_grad_("force" in derive)
        strain = positions.new_zeros(len(batch.n_atoms), 3, 3).requires_grad_("stress" in derive)
        even = (strain + strain.transpose(1, 2)) / 2
        with torch.set_grad_enabled(bool(derive) or self.training):
            moved = replace(
                batch,
                positions=positions + torch.einsum("ak,akl->al", positions, even[batch.owner]),
                shifts=batch.shifts + torch.einsum("ek,ekl->el", batch.shifts, even[batch.edge_owner]),
            )
            energy = self.network_energies(moved, side)
            found = {"network": energy / batch.n_atoms}
            if derive:
                by = {"force": positions, "stress": strain}
                gradients = torch.autograd.grad(energy.sum(), [by[name] for name in derive], create_graph=self.training)
                for name, gradient in zip(derive, gradients, strict=True):
                    found[name] = -gradient if name == "force" else gradient / batch.volume[:, None, None] / GPa
        return found if self.training else {name: value.detach() for name, value in found.items()}

    @property
    def references(self) -> NDArray[np.float64]:
        """See `Potential.references`."""
        return self.atoms.detach().to("cpu", torch.float64).numpy().copy()

    def set_references(self, values: NDArray[np.float64], *, trainable: bool) -> None:
        """See `Potential.set_references`."""
        with torch.no_grad():
            self.atoms.copy_(torch.from_numpy(check_references(values)))
        self.atoms.requires_grad_(trainable)

    def layers(self) -> Mapping[str, Sequence[nn.Parameter]]:
        """See `Potential.layers`."""
        found: dict[str, list[nn.Parameter]] = {REFERENCES: [self.atoms]}
        for name, parameter in self.network.named_parameters():
            found.setdefault(self.layer_of(name), []).append(parameter)
        return found

    def add_source(self, references: NDArray[np.float64], *, embedding: bool) -> None:
        """See `Potential.add_source`."""
        self.source = SourceSide(references, self.embedding_width, embedding=embedding).to(self.atoms)

    def adopt(self, other: Mapping[str, Tensor]) -> None:
        """Become the other fidelity of a network of two: its reference energies and its offset of the embedding."""
        self.add_to_embedding(other["shift"])
        self.set_references(other["references"].double().numpy(), trainable=False)

    def save(self, path: str | Path, *, target: str, source: str, corrects: str | None) -> None:
        """See `Potential.save` and `uprung.models.pair_architecture`."""
        facts = {"architecture": self.card.name}
        if corrects is not None:
            write_tensors(path, {**facts, "correction": self.saved(), "corrects": corrects})
            return
        content = {**facts, **self.saved()}
        if self.source is not None and self.source.shift.requires_grad:
            other = {name: value.detach().cpu().clone() for name, value in self.source.state_dict().items()}
            content["fidelities"] = {target: {}, source: other}
        write_tensors(path, content)
