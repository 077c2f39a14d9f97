"""The packed forward pass as an ordinary torch module, so that wrappers of modules (devices, processes) accept it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from chgnet.model import CHGNet
from numpy.typing import NDArray
from torch import Tensor, nn

from uprung.datasets.store import Side
from uprung.models.chgnet.packed import PackedBatch, packed_forward


class SourceSide(nn.Module):
    """What a network for two fidelities has for the source: reference energies, and a shift of the atom embedding.

    The shift is the fidelity embedding of multi-fidelity networks (Chen et al., Nat. Comput. Sci. 1, 46 (2021)), zero
    for the target, so that at each fidelity the network is an ordinary CHGNet. It begins at zero.
    """

    shift: Tensor
    references: Tensor

    def __init__(self, references: NDArray[np.float64], *, embedding: bool) -> None:
        """Hold (94,) reference energies in eV/atom; without `embedding` the shift stays zero."""
        super().__init__()
        self.register_buffer("references", torch.from_numpy(references).float())
        shift = torch.zeros(64)
        if embedding:
            self.shift = nn.Parameter(shift)
        else:
            self.register_buffer("shift", shift)


class Packed(nn.Module):
    """A CHGNet whose forward pass is the packed one, so that wrappers of modules see an ordinary module."""

    def __init__(self, chgnet: CHGNet, targets: Sequence[str], source: SourceSide | None = None) -> None:
        """Hold the network, which quantities it predicts, and what it has for frames of the source fidelity."""
        super().__init__()
        self.chgnet, self.targets, self.source = chgnet, frozenset(targets), source

    def forward(self, batch: PackedBatch, side: Side = "target") -> dict[str, Tensor]:
        """Predict the targets, and `network`, the energy without references; differentiable in training mode.

        A plain dictionary of tensors, because wrappers for several devices look through it.

        Raises:
            ValueError: frames of the source, for which this module has nothing.
        """
        if side == "source" and self.source is None:
            raise ValueError("this network knows the target fidelity only")
        other = self.source if side == "source" else None
        found = packed_forward(
            self.chgnet,
            batch,
            forces="force" in self.targets,
            stress="stress" in self.targets,
            magmom="magmom" in self.targets,
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
