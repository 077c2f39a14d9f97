"""The split of a transfer: both fidelities together, with the sizes that a study asks of it checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from uprung.config.data import Select, Split
from uprung.datasets.sizes import resolve_sizes
from uprung.datasets.splits import (
    FidelityFrames,
    Reach,
    joined_groups,
    require_sides,
    split_counts,
    split_fidelities,
    training_order,
    twin_groups,
)
from uprung.frames.table import Frames


@dataclass(frozen=True)
class TransferSplit:
    """A split (`uprung.datasets.splits.split_fidelities`), and what its manifest says."""

    table: pd.DataFrame
    facts: dict[str, Any]


def split_transfer(
    frames: tuple[Frames, Frames],
    pairs: pd.DataFrame,
    *,
    names: tuple[str, str],
    labels: tuple[str, str],
    split: Split,
    select: Select,
    tolerance: float,
    reach: Reach,
    sizes: Sequence[str],
    seeds: Sequence[int],
) -> TransferSplit:
    """Split the frames of both fidelities into train, validation and test.

    Args:
        frames: source and target.
        pairs: of them, from `structures.pairs.match_frames`.
        names: of the fidelities.
        labels: their energy labels (see `Frames.label`).
        split: what is kept together, and the shares.
        select: which target frames take part.
        tolerance: largest root-mean-square displacement of equal geometries, Å.
        reach: what the networks can compute.
        sizes: training-set sizes, which the training split has to hold for
        seeds: all of these.

    Raises:
        SplitError: a side is empty.
        SizeError: a size is larger than the training split, or two are the same frames.
    """
    groups = twin_groups(*frames, pairs, split.group, tolerance)
    sides = [
        FidelityFrames(name, table, table.label(label), own)
        for name, table, label, own in zip(names, frames, labels, groups, strict=True)
    ]
    shares = (split.train, split.val, split.test)
    table = split_fidelities(sides, shares=shares, key=split.key, reach=reach, **select.model_dump())
    train = table[(table["fidelity"] == names[1]) & (table["split"] == "train")]
    orders = {seed: training_order(train, draw=split.draw, seed=seed, key=split.key) for seed in seeds}
    resolve_sizes(orders, list(sizes), dict.fromkeys(train["frame_id"], frozenset()))
    require_sides(table, names[1])
    return TransferSplit(table, {**split_counts(table), **joined_groups(sides, split.group)})
