"""Training-set sizes: the nested subset that each size takes of a training order.

Imports little, because Snakemake asks it how much memory and time a run needs before anything runs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd


class SizeError(ValueError):
    """A training-set size asks for more than the data hold."""


def subset(order: pd.DataFrame, size: str) -> pd.DataFrame:
    """Return the frames of a size: the shortest prefix of whole units that reaches it.

    Args:
        order: what `uprung.datasets.splits.training_order` returns.
        size: a number of frames, a share of the training units ('0.1%'), or 'all'.

    Raises:
        SizeError: the size is larger than the training split.
    """
    units = int(order["unit_rank"].max()) + 1 if len(order) else 0
    if size == "all":
        return order
    if size.endswith("%"):
        share = float(size[:-1])
        if share > 100:
            raise SizeError(f"sizes: {size} is more than all training materials")
        wanted = max(1, math.ceil(units * share / 100))
        return order[order["unit_rank"] < wanted]
    if int(size) > len(order):
        raise SizeError(f"sizes: {size} frames asked for, but the training split has {len(order)} (largest: 'all')")
    reached = int(order["unit_rank"].to_numpy()[order["n_frames"].to_numpy() >= int(size)][0])
    return order[order["unit_rank"] <= reached]


def _by_source(chosen: pd.DataFrame) -> dict[str, int]:
    """Return source -> frames, where the order mixes sources."""
    return dict(chosen["source"].value_counts().sort_index()) if "source" in chosen else {}


def resolve_sizes(
    orders: dict[int, pd.DataFrame], sizes: Sequence[str], elements: dict[str, frozenset[int]]
) -> pd.DataFrame:
    """Return what every size holds for every seed: n_frames, n_units, n_materials, n_elements.

    Args:
        orders: seed -> training order.
        sizes: size tokens.
        elements: frame_id -> atomic numbers.

    Raises:
        SizeError: a size is larger than the training split, or two sizes resolve to the same frames.
    """
    rows = []
    for seed, order in orders.items():
        for size in sizes:
            chosen = subset(order, size)
            seen = frozenset[int]().union(*(elements[name] for name in chosen["frame_id"]))
            rows.append(
                {
                    "size": size,
                    "seed": seed,
                    "n_frames": len(chosen),
                    "n_units": int(chosen["unit"].nunique()),
                    "n_materials": int(chosen["material_id"].nunique()),
                    "n_elements": len(seen),
                    **{f"n_{name}": int(count) for name, count in _by_source(chosen).items()},
                }
            )
    table = pd.DataFrame(rows)
    double = table[table.duplicated(["seed", "n_frames"], keep=False)]
    if len(double):
        names = " and ".join(double["size"].unique())
        raise SizeError(f"sizes: {names} are the same {double['n_frames'].to_numpy()[0]} frames")
    return table
