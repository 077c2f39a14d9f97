"""What a network of two fidelities has for the other one."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn


class SourceSide(nn.Module):
    """What a network for two fidelities has for the source: reference energies, and an offset of the atom embedding.

    The offset is the fidelity embedding of multi-fidelity networks (Chen et al., Nat. Comput. Sci. 1, 46 (2021)), zero
    for the target, so that at each fidelity the network is an ordinary one of its architecture. It begins at zero.
    """

    shift: Tensor
    references: Tensor

    def __init__(self, references: NDArray[np.float64], width: int, *, embedding: bool) -> None:
        """Hold (94,) reference energies in eV/atom; without `embedding` the offset stays zero."""
        super().__init__()
        self.register_buffer("references", torch.from_numpy(references).float())
        shift = torch.zeros(width)
        if embedding:
            self.shift = nn.Parameter(shift)
        else:
            self.register_buffer("shift", shift)
