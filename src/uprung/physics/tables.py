"""How far a network's values are from published ones, by set and quantity, with intervals over materials."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from uprung.frames.schema import Floats
from uprung.physics.results import NO_RATIO
from uprung.softening.models import MODEL
from uprung.softening.slopes import CONFIDENCE, reading, statistics

RUN = "run"  # `model` of a trained network
GROUP = [*MODEL, "set", "quantity", "unit"]
#: Columns of names and sentences of the tables of values and of their summary.
TEXT = ("model", "budget", "arm", "size", "set", "material", "key", "quantity", "unit", "reason", "reading")
FEWEST = 3  # materials for an interval
STATISTICS = ("ratio", "multiplier", "bias", "mae", "below")
#: Reading of a quantity that has no ratio.
NO_READING = "no ratio: the quantity may be zero"


def summary(values: pd.DataFrame, *, resamples: int, seed: int) -> pd.DataFrame:
    """Return one row per network, set and quantity.

    Unconverged values count; how many there are stands beside.

    Args:
        values: of `uprung.physics.networks.network_tables`, with the columns model, budget, arm, size, seed.
        resamples: of the bootstrap over materials; all values of a material are drawn together.
        seed: of the bootstrap.

    Returns:
        Columns `GROUP`, materials and values (that have both numbers), failed, unconverged, and with 95 % intervals
        `<s>_low`, `<s>_high` (NaN with fewer than three materials): ratio, Σxy/Σx² of predicted y on published x,
        below 1 where values are too low; multiplier, Σxy/Σy²; bias, the mean of y − x; mae, the mean of
        |y − x|; below, the share of values with |y| < |x|. reading: what the ratio says.
    """
    rows = []
    for names, own in values.groupby(GROUP, sort=False, dropna=False):
        here = own.dropna(subset=["reference", "predicted"])
        x, y = (here[side].to_numpy(dtype=np.float64) for side in ("reference", "predicted"))
        material = pd.factorize(here["material"])[0].astype(np.int64)
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
        row["reading"] = _of_properties(said) if ratio else NO_READING
        rows.append(row)
    return pd.DataFrame(rows)


#: Words about forces -> words about properties, which are large or small rather than soft or stiff.
_WORDS = {
    "slope": "ratio",
    "too soft": "too low",
    "too stiff": "too high",
    "forces": "values",
    "frames, trajectories or materials": "materials",
}


def _of_properties(said: str) -> str:
    for word, other in _WORDS.items():
        said = said.replace(word, other)
    return said


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


def intervals_of(
    x: Floats, y: Floats, material: NDArray[np.int64], *, resamples: int, seed: int
) -> dict[str, tuple[float, float]]:
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
    known = {name: np.array(values)[np.isfinite(values)] for name, values in found.items()}
    ends = {name: np.percentile(v, [tail, 100 - tail]) if len(v) else (np.nan, np.nan) for name, v in known.items()}
    return {name: (float(low), float(high)) for name, (low, high) in ends.items()}


def shown(table: pd.DataFrame, *, budget: str, labels: Mapping[str, str]) -> pd.DataFrame:
    """Return what figures show, with the column `name`: all checkpoints, and arms at the largest size, first seed.

    Args:
        table: of values, curves or their summary; sizes are in the order of the study.
        budget: of the runs.
        labels: arm -> name as printed.
    """
    trained = table["model"] == RUN
    runs = table[trained & (table["budget"] == budget)]
    last = runs[(runs["size"] == (runs["size"].iloc[-1] if len(runs) else "")) & (runs["seed"] == runs["seed"].min())]
    own: pd.DataFrame = pd.concat([table[~trained], last], ignore_index=True)
    names = [
        labels.get(arm, arm) if model == RUN else model for model, arm in zip(own["model"], own["arm"], strict=True)
    ]
    own["name"] = names
    return own
