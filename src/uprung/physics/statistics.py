"""How far a network's values are from published ones, by set and quantity, with intervals over materials."""

from __future__ import annotations

import numpy as np
import pandas as pd

from uprung.frames.schema import Floats
from uprung.physics.compute import NO_RATIO
from uprung.softening.models import MODEL
from uprung.softening.slopes import CONFIDENCE, reading, statistics

GROUP = [*MODEL, "set", "quantity", "unit"]
FEWEST = 3  # materials for an interval
STATISTICS = ("ratio", "multiplier", "bias", "mae", "below")
#: Reading of a quantity that has no ratio.
NO_READING = "no ratio: the quantity may be zero"


def summary(values: pd.DataFrame, *, resamples: int, seed: int) -> pd.DataFrame:
    """Return one row per network, set and quantity.

    Unconverged values count, since the search for a minimum has an end for every network; how many there are stands beside.

    Args:
        values: of `uprung.physics.networks.network_tables`, with the columns model, budget, arm, size, seed.
        resamples: of the bootstrap over materials; all values of a material are drawn together.
        seed: of the bootstrap.

    Returns:
        Columns `GROUP`, materials and values (that have both numbers), failed, unconverged, and with 95 % intervals
        `<s>_low`, `<s>_high` (NaN with fewer than three materials): ratio, Σxy/Σx² of predicted y on published x, below
        1 for a network that is too soft; multiplier, Σxy/Σy²; bias, the mean of y − x; mae, the mean of |y − x|; below, the
        share of values with |y| < |x|. reading: what the ratio says.
    """
    rows = []
    for names, own in values.groupby(GROUP, sort=False, dropna=False):
        here = own.dropna(subset=["reference", "predicted"])
        x, y = (here[side].to_numpy(dtype=np.float64) for side in ("reference", "predicted"))
        material = pd.factorize(here["material"])[0]
        row: dict[str, object] = dict(zip(GROUP, names, strict=True))
        row |= {"materials": len(np.unique(material)), "values": len(here)}
        row |= {"failed": int(own["predicted"].isna().sum())}
        row |= {"unconverged": int((~own["converged"].astype(bool) & own["predicted"].notna()).sum())}
        found, intervals = compared(x, y), intervals_of(x, y, material, resamples=resamples, seed=seed)
        ratio = row["quantity"] not in NO_RATIO
        for name in STATISTICS:
            low, high = intervals[name]
            shown = ratio or name in ("bias", "mae")
            row |= {name: found[name] if shown else np.nan}
            row |= {f"{name}_low": low if shown else np.nan, f"{name}_high": high if shown else np.nan}
        said = reading({"slope": found["ratio"]}, {"slope": intervals["ratio"], "multiplier": intervals["multiplier"]})
        row["reading"] = said.replace("slope", "ratio").replace("frames, trajectories or materials", "materials")
        if not ratio:
            row["reading"] = NO_READING
        rows.append(row)
    return pd.DataFrame(rows)


def compared(x: Floats, y: Floats) -> dict[str, float]:
    """Return the statistics of predicted y (n,) against published x (n,); NaN where there are none."""
    if not len(x):
        return dict.fromkeys(STATISTICS, float("nan"))
    found = statistics(x, y)
    below = float((np.abs(y) < np.abs(x)).mean())
    return {
        "ratio": found["slope"],
        "multiplier": found["multiplier"],
        "bias": float((y - x).mean()),
        "mae": found["mae"],
        "below": below,
    }


def intervals_of(x: Floats, y: Floats, material: Floats, *, resamples: int, seed: int) -> dict[str, tuple[float, float]]:
    """Return 95 % percentile intervals of the statistics, materials drawn with replacement.

    Args:
        x: (n,) published values.
        y: (n,) predicted ones.
        material: (n,) number of the material of each, from 0.
        resamples: how many.
        seed: of the draws.
    """
    count = len(np.unique(material))
    if count < FEWEST:
        return dict.fromkeys(STATISTICS, (float("nan"), float("nan")))
    members = [np.flatnonzero(material == k) for k in range(count)]
    rng, found = np.random.default_rng(seed), dict[str, list[float]]()
    for drawn in rng.integers(count, size=(resamples, count)):
        rows = np.concatenate([members[k] for k in drawn])
        for name, value in compared(x[rows], y[rows]).items():
            found.setdefault(name, []).append(value)
    tail = 50 * (1 - CONFIDENCE)
    ends = {name: np.nanpercentile(values, [tail, 100 - tail]) for name, values in found.items()}
    return {name: (float(low), float(high)) for name, (low, high) in ends.items()}
