"""Training subsets that hold several sources in stated shares, at every size."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd


def mixed(order: pd.DataFrame, source_of: Mapping[str, str], shares: Mapping[str, float]) -> pd.DataFrame:
    """Return a training order in which every prefix holds the sources in their shares, as near as whole units allow.

    The next unit is one of the source s with the smallest (frames so far + half a unit)/share (Sainte-Laguë). Units
    keep the order that they have within their source, so that subsets are nested, whatever the sampling. The order
    ends where the source whose turn it is has no unit left: beyond, the shares could not be held.

    Args:
        order: what `uprung.datasets.splits.training_order` returns. A unit with frames of several sources becomes one
            for each.
        source_of: frame_id -> source.
        shares: source -> share of the frames, above 0; they need not add up to 1. Others are left out.

    Returns:
        The same columns, and `source`; rows that no prefix can take are left out.
    """
    rows = order.assign(source=[source_of[name] for name in order["frame_id"]])
    waiting = {
        name: [part for _, part in own.groupby("unit_rank", sort=True)]
        for name, own in ((name, rows[rows["source"] == name]) for name in shares)
    }
    taken, places, chosen = dict.fromkeys(shares, 0), dict.fromkeys(shares, 0), list[pd.DataFrame]()

    def turn(name: str) -> float:
        left = waiting[name][places[name] :]
        return (taken[name] + (len(left[0]) if left else 1) / 2) / shares[name]

    while (name := min(shares, key=turn)) and places[name] < len(waiting[name]):
        part = waiting[name][places[name]]
        chosen.append(part.assign(unit_rank=len(chosen)))
        taken[name] += len(part)
        places[name] += 1
    if not chosen:
        return rows.iloc[:0]
    found = pd.concat(chosen, ignore_index=True)
    return found.assign(n_frames=np.cumsum(np.bincount(found["unit_rank"]))[found["unit_rank"]])


def mix_facts(
    order: pd.DataFrame, train: pd.DataFrame, source_of: Mapping[str, str], shares: Mapping[str, float]
) -> Any:
    """Return what a manifest says of a mixed order: frames of every source that it has and that it leaves out."""
    there = pd.Series([source_of[name] for name in train["frame_id"]]).value_counts()
    used = order["source"].value_counts()
    return {
        "shares": dict(shares),
        "frames": {name: int(used.get(name, 0)) for name in shares},
        "left_out": {str(name): int(count - used.get(name, 0)) for name, count in sorted(there.items())},
    }
