"""Ratios and errors of properties after a repair, with intervals over materials and draws, and what they say."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from uprung.physics.paired import STATISTICS, Resampling, compared
from uprung.physics.repair import UNTOUCHED
from uprung.physics.results import NO_RATIO

GROUP = ["model", "pool", "test", "functional", "set", "quantity", "unit", "way", "shots"]
#: Columns of names and sentences.
TEXT = ("model", "pool", "test", "functional", "set", "quantity", "unit", "way", "reading", "reason")
WORSE, BETTER, UNSETTLED, SOUND = "worse", "better", "not settled", "nothing to repair"


def repair_table(values: pd.DataFrame, *, resamples: int, seed: int, tolerance: float, shared: bool) -> pd.DataFrame:
    """Return one row per network, set, quantity, way of repair and k; k = 0 is the untouched network.

    Args:
        values: of `uprung.physics.repair`, with the columns model, pool, test and functional.
        resamples: of the bootstrap.
        seed: of the bootstrap.
        tolerance: how near to 1 the whole interval of a ratio has to lie for k labels to be enough.
        shared: whether a draw is judged on all materials.

    Returns:
        Columns `GROUP`, materials, draws, values (with all numbers), failed (rows without one), the `STATISTICS` of
        `uprung.physics.paired` with intervals, none with fewer than three materials or three draws; the changes are
        those against the untouched network on the same values. reading: what the intervals say; reason: why there is
        no number.
    """
    rows = []
    for names, own in values.groupby(GROUP, sort=False, dropna=False):
        row: dict[str, object] = dict(zip(GROUP, names, strict=True))
        here = own.dropna(subset=["reference", "untouched", "predicted"])
        how = Resampling(resamples, seed, shared=shared, draws_needed=row["way"] != UNTOUCHED)
        found = compared(here.rename(columns={"untouched": "before", "predicted": "after"}), how)
        if row["quantity"] in NO_RATIO:
            found |= {name: np.nan for name in found if name.startswith("ratio")}
        lost = own.loc[own["predicted"].isna(), "reason"]
        row |= found | {"failed": len(lost)}
        row["reason"] = "" if len(here) or lost.empty else str(lost.iloc[0])
        row["reading"] = reading(found, int(str(row["shots"])), tolerance)
        rows.append(row)
    about = ["materials", "draws", "values", "failed"]
    spread = [f"{name}{end}" for name in STATISTICS for end in ("", "_low", "_high")]
    table = pd.DataFrame(rows, columns=[*GROUP, *about, *spread, "reading", "reason"])
    return table.sort_values("shots", kind="stable", ignore_index=True)


def reading(found: Mapping[str, float], k: int, tolerance: float) -> str:
    """Return what intervals say of k labels.

    They are enough where the error has fallen and the ratio lies within the tolerance of 1, both by their whole
    intervals. Nothing is said without an interval.

    Args:
        found: of `uprung.physics.paired.compared`.
        k: labels; 0 for the untouched network.
        tolerance: of the ratio.
    """
    low, high = found["ratio_low"] - 1, found["ratio_high"] - 1
    within = -tolerance <= low and high <= tolerance
    if k == 0:
        outside = high < -tolerance or low > tolerance
        return SOUND if within else "to be repaired" if outside else UNSETTLED
    if found["mae_change_low"] > 0:
        return WORSE
    if not found["mae_change_high"] < 0:
        return UNSETTLED
    labels = "one label" if k == 1 else f"{k} labels"
    if within:
        return f"{labels} {'is' if k == 1 else 'are'} enough"
    if high < -tolerance or low > tolerance:
        return f"{BETTER}, but {labels} {'is' if k == 1 else 'are'} not enough"
    return f"{BETTER}, {UNSETTLED} whether enough"
