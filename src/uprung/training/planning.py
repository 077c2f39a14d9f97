"""Memory and run time to ask a scheduler for, from the number of training structures."""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import pandas as pd
import pyarrow as pa

from uprung.datasets.sizes import SizeError, subset

#: MB of memory per training structure beside what a run needs anyway (docs/performance.md: 178 MiB for 100,096).
MB_PER_STRUCTURE = 0.002
#: Share of the largest size's time that the smallest one asks for at least: starting and validating take time too.
SMALLEST_SHARE = 0.1


def run_memory(base_mb: int, order: str, size: str) -> int:
    """Return the memory in MB to ask for, for a run on one size.

    Args:
        base_mb: for a run on few structures.
        order: file of `uprung.datasets.splits.training_order`.
        size: as in the study file.

    Raises:
        FileNotFoundError: the order is not there yet, so that Snakemake asks again when it is.
    """
    return base_mb + math.ceil(MB_PER_STRUCTURE * structures(order, size))


def run_minutes(largest: int, order: str, size: str, sizes: Iterable[str], *, epochs: bool) -> int:
    """Return the run time in minutes to ask for, for a run on one size.

    Args:
        largest: for a run on the largest size.
        order: file of `uprung.datasets.splits.training_order`.
        size: as in the study file.
        sizes: all sizes of the study.
        epochs: whether a run's length grows with its size; in optimiser steps it does not.

    Raises:
        FileNotFoundError: the order is not there yet, so that Snakemake asks again when it is.
    """
    if not epochs:
        return largest
    share = structures(order, size) / max(1, *(structures(order, other) for other in sizes))
    return math.ceil(largest * max(share, SMALLEST_SHARE))


def structures(order: str, size: str) -> int:
    """Return how many structures a size comes to; all of them for one beyond the data.

    Raises:
        FileNotFoundError: there is no such file.
    """
    return _structures(order, Path(order).stat().st_mtime_ns, size)


@cache  # thousands of runs share a few orders and sizes
def _structures(order: str, mtime: int, size: str) -> int:
    try:
        found = _order(order, mtime)
    except (pa.ArrowException, OSError, ValueError):
        return 0  # damaged; the run itself refuses it
    try:
        return len(subset(found, size))
    except SizeError:
        return len(found)


@cache
def _order(order: str, mtime: int) -> pd.DataFrame:
    return pd.read_parquet(order, columns=["unit_rank", "n_frames"])
