"""The processes that share a run: one alone, or one per device."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor, nn


class Processes(Protocol):
    """What a run asks of them; `lightning.fabric.Fabric` has it for several."""

    @property
    def device(self) -> torch.device:
        """Device of this process."""

    @property
    def world_size(self) -> int:
        """Number of processes."""

    @property
    def global_rank(self) -> int:
        """Number of this one, from 0."""

    @property
    def is_global_zero(self) -> bool:
        """Whether this is the first one."""

    def to_device(self, obj: nn.Module) -> Any:
        """Move a module to the device of this process."""

    def all_reduce(self, data: Tensor, *, reduce_op: str) -> Any:
        """Return the sum of a tensor over the processes, on every one of them."""


class Alone:
    """A run in one process."""

    world_size, global_rank, is_global_zero = 1, 0, True

    def __init__(self, device: str) -> None:
        """Take a device: `cpu`, or the first one of `cuda`."""
        self.device = torch.device(device, 0) if device == "cuda" else torch.device(device)

    def to_device(self, obj: nn.Module) -> nn.Module:
        """See `Processes.to_device`."""
        return obj.to(self.device)

    def all_reduce(self, data: Tensor, *, reduce_op: str) -> Tensor:
        """See `Processes.all_reduce`."""
        return data
