"""CHGNet as a `Potential`: the packed forward pass, layers by name, references, a second fidelity, files."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from uprung.datasets.store import Inputs, Side
from uprung.models.chgnet import padding
from uprung.models.chgnet.batch import PackedBatch
from uprung.models.chgnet.card import CARD
from uprung.models.chgnet.checkpoint import atomref, save_chgnet, set_atomref
from uprung.models.chgnet.compiled import described
from uprung.models.chgnet.network import Network
from uprung.models.chgnet.packed import forces_by_element, packed_forward
from uprung.models.interface import EMBEDDINGS, READOUT, REFERENCES, Potential
from uprung.models.second_fidelity import SourceSide

if TYPE_CHECKING:
    from chgnet.model import CHGNet

_READOUT = ("readout_norm", "mlp", "site_wise")
_BLOCKS = ("atom_conv_layers", "bond_conv_layers", "angle_layers")


def layer_of(name: str) -> str:
    """Return the layer of a parameter of a CHGNet by its name: references, embeddings, block1 ..., readout.

    A block is one round of atom convolution, bond convolution and angle update.
    """
    first, *rest = name.split(".")
    if first == "composition_model":
        return REFERENCES
    if first in _BLOCKS:
        return f"block{int(rest[0]) + 1}"
    return READOUT if first in _READOUT else EMBEDDINGS


class CHGNetPotential(Potential):
    """A CHGNet whose forward pass is the packed one."""

    card = CARD
    # Edges + angles. Fewer at once leave a CPU more of Python, more do not make it faster; a GPU needs many (8 GB in
    # training).
    predicted_at_once: Mapping[str, int] = {"cpu": 12_000, "cuda": 200_000}
    trained_at_once: Mapping[str, int] = {"cpu": 12_000, "cuda": 200_000}
    shapes = padding

    def __init__(self, chgnet: Network | CHGNet) -> None:
        """Hold the network."""
        super().__init__()
        self.chgnet = chgnet
        self.source: SourceSide | None = None

    def batch(self, inputs: Inputs, rows: NDArray[np.int64]) -> PackedBatch:
        """See `Potential.batch`."""
        parameter = next(self.parameters())
        return PackedBatch.from_arrays(inputs.pack(rows), parameter.device, parameter.dtype)

    def forward(self, batch: PackedBatch, targets: Collection[str], side: Side = "target") -> dict[str, Tensor]:
        """See `Potential.forward`."""
        if side == "source" and self.source is None:
            raise ValueError("this network knows the target fidelity only")
        other = self.source if side == "source" else None
        found = packed_forward(
            self.chgnet,
            batch,
            forces="force" in targets,
            stress="stress" in targets,
            magmom="magmom" in targets,
            create_graph=self.training,
            shift=other.shift if other is not None else None,
            references=other.references if other is not None else None,
        )
        named = {
            "energy": found.energy,
            "network": found.energy_gnn,
            "force": found.forces,
            "stress": found.stress,
            "magmom": found.magmom,
        }
        return {name: values for name, values in named.items() if values is not None}

    @property
    def versions(self) -> dict[str, str]:
        """See `Potential.versions`."""
        return super().versions | {"kernels": described(next(self.parameters()))}

    @property
    def references(self) -> NDArray[np.float64]:
        """See `Potential.references`."""
        return atomref(self.chgnet)

    def set_references(self, values: NDArray[np.float64], *, trainable: bool) -> None:
        """See `Potential.set_references`."""
        set_atomref(self.chgnet, values, trainable=trainable)

    def layers(self) -> Mapping[str, Sequence[nn.Parameter]]:
        """See `Potential.layers`."""
        found: dict[str, list[nn.Parameter]] = {}
        for name, parameter in self.chgnet.named_parameters():
            found.setdefault(layer_of(name), []).append(parameter)
        return found

    def zero_output(self) -> None:
        """See `Potential.zero_output`."""
        for parameter in self.chgnet.mlp.layers[-1].parameters():
            nn.init.zeros_(parameter)

    def add_source(self, references: NDArray[np.float64], *, embedding: bool) -> None:
        """See `Potential.add_source`."""
        width = self.chgnet.atom_embedding.embedding.weight.shape[1]
        self.source = SourceSide(references, width, embedding=embedding)

    def forces_by_element(self, batch: PackedBatch) -> list[tuple[Tensor, Tensor]]:
        """See `Potential.forces_by_element`."""
        return forces_by_element(self.chgnet, batch)

    def save(self, path: str | Path, *, target: str, source: str, corrects: str | None) -> None:
        """See `Potential.save`; the file is one of `CHGNet.from_file`, with more entries for a second fidelity."""
        if corrects is not None:
            save_chgnet(self.chgnet, path, key="correction", beside={"corrects": corrects})
            return
        other: dict[str, Any] = {}
        if self.source is not None and self.source.shift.requires_grad:
            found = {name: value.detach().cpu().clone() for name, value in self.source.state_dict().items()}
            other = {"fidelities": {target: {}, source: found}}
        save_chgnet(self.chgnet, path, beside=other)
