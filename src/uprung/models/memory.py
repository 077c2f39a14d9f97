"""Recovery from lack of memory: the same sum in smaller parts."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch

from uprung.datasets.store import Rows

LOG = logging.getLogger(__name__)
Result = TypeVar("Result")
#: How PyTorch says it where it has no error class for it: the allocator of the CPU, cuBLAS, cuDNN.
_WORDS = ("can't allocate memory", "not enough memory", "CUDA out of memory", "_STATUS_ALLOC_FAILED")


class OutOfMemoryError(RuntimeError):
    """A single structure does not fit into memory; the message says which one and what to do."""


@dataclass(frozen=True)
class Shortage:
    """Memory ran out."""

    reason: str  # first line of what PyTorch said


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that memory ran out, on a GPU or on the CPU."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _WORDS)


def if_it_fits(compute: Callable[[], Result]) -> Result | Shortage:
    """Return what a function returns, or that memory ran out; then nothing that it held is held any longer."""
    try:
        return compute()
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        short = Shortage(next(iter(str(error).splitlines()), type(error).__name__))
    # Not before the error is gone: its traceback holds every tensor of the failed part.
    torch.cuda.empty_cache()  # nothing without a GPU
    return short


class CostLimit:
    """Edges + angles that are computed at once, lowered when memory runs out and never raised again."""

    def __init__(self, value: int) -> None:
        """Begin with what the study file says."""
        self.value = value

    def lower(self, parts: Sequence[Rows], short: Shortage) -> None:
        """Halve the limit after parts of a batch did not fit.

        Raises:
            OutOfMemoryError: every part is a single structure already.
        """
        costs = [int(part.costs.sum()) for part in parts]
        k = max(range(len(parts)), key=costs.__getitem__)
        if all(len(part.rows) == 1 for part in parts):
            name = parts[k].dataset.keys[parts[k].rows[0]]
            raise OutOfMemoryError(
                f"memory does not even hold one structure at a time ({short.reason}); the largest is {name} with "
                f"{costs[k]} edges + angles. Use a device with more memory, fewer `training.threads` on a CPU, "
                "or leave structures of that size out of the data"
            )
        before, self.value = self.value, max(1, min(self.value, costs[k]) // 2)
        LOG.warning(
            "out of memory with %d edges + angles at once (%s); from here on at most about %d instead of %d. "
            "What is added up, the optimiser batch for one, stays the same",
            costs[k],
            short.reason,
            self.value,
            before,
        )
