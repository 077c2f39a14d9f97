"""The packed forward pass as an ordinary torch module, so that wrappers of modules (devices, processes) accept it."""

from __future__ import annotations

from collections.abc import Sequence

from chgnet.model import CHGNet
from torch import Tensor, nn

from uprung.potential.packed import PackedBatch, packed_forward


class Packed(nn.Module):
    """A CHGNet whose forward pass is the packed one, so that wrappers of modules see an ordinary module."""

    def __init__(self, chgnet: CHGNet, targets: Sequence[str]) -> None:
        """Hold the network and which quantities it predicts."""
        super().__init__()
        self.chgnet, self.targets = chgnet, frozenset(targets)

    def forward(self, batch: PackedBatch) -> dict[str, Tensor]:
        """Predict the targets, and `network`, the energy without references; differentiable in training mode.

        A plain dictionary of tensors, because wrappers for several devices look through it.
        """
        found = packed_forward(
            self.chgnet,
            batch,
            forces="force" in self.targets,
            stress="stress" in self.targets,
            magmom="magmom" in self.targets,
            create_graph=self.training,
        )
        named = {
            "energy": found.energy,
            "network": found.energy_gnn,
            "force": found.forces,
            "stress": found.stress,
            "magmom": found.magmom,
        }
        return {name: values for name, values in named.items() if values is not None}
