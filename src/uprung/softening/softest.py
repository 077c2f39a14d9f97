"""Which materials of an evaluation set are named and shown: the softest, and those that a correction makes worse."""

from __future__ import annotations

import pandas as pd

from uprung.softening.slopes import POOLED

MOST = 10


def of_checkpoints(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of checkpoints by material, all components of the forces.

    Args:
        table: of `uprung.softening.slopes.softening_table` with the column model.
    """
    return table[(table["subset"] == "all") & (table["material"] != POOLED) & (table["model"] != "run")]


def made_worse(own: pd.DataFrame) -> pd.DataFrame:
    """Return the materials of one checkpoint whose error grows by division by the slope, the largest error first."""
    return own[own["cmae"] > own["mae"]].sort_values("cmae", ascending=False)


def shown_materials(table: pd.DataFrame, most: int = MOST) -> pd.DataFrame:
    """Return the materials that are shown, the softest first: those that the report names, and the softest beside them.

    Returns:
        Columns material, model, slope: the smallest slope of a checkpoint and which one has it.
    """
    here = of_checkpoints(table).dropna(subset=["slope"])
    lowest = here.sort_values("slope", kind="stable").drop_duplicates("material")[["material", "model", "slope"]]
    worse = [made_worse(own)["material"].head(1) for _, own in here.groupby("model", sort=False)]
    named = set(pd.concat(worse)) if worse else set()
    others = lowest[~lowest["material"].isin(named)].head(max(most - len(named), 0))
    return lowest[lowest["material"].isin({*named, *others["material"]})].reset_index(drop=True)
