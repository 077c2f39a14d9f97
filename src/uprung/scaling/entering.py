"""Which runs enter laws: decided size by size and on validation, so that no test error selects itself.

Runs that are kept for a low test error make a curve too low where it is near the baseline, and its exponent too small:
0.47, 0.42 and 0.23 where 0.5, 0.5 and 0.4 are true. So a line through the validation errors of all sizes, not the error
of a size itself, decides whether the size is better than learning nothing (benchmarks/law_coverage.py).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from uprung.laws.points import CONFIDENCE, FloatArray
from uprung.scaling.tables import groups

KEYS = ["budget", "arm", "target"]
#: A validation error above this many baselines is no learning curve's: the run is out by itself.
BLOWN_UP = 2.0
#: A size whose median run is above this many baselines is out whatever the line says.
CLEARLY_WORSE = 1.25
NO_BETTER = "validation errors of this size do not differ from the baseline"
FALLING = "validation error still falling at the end of the budget in most runs of this size"
BLOWN = f"validation error unknown or at least {BLOWN_UP:g} times the baseline"
FAILED_COLUMNS = ("runs", "failed", "share", "low", "high", "which")


def sizes_below_baseline(x: FloatArray, ratio: FloatArray) -> npt.NDArray[np.bool_]:
    """Return which sizes lie below the baseline by a line through all that do, unless they are clearly above it.

    Args:
        x: ln of the sizes.
        ratio: ln(validation error / baseline) of the sizes.
    """
    inside = np.asarray(ratio < np.log(CLEARLY_WORSE))
    while inside.sum() >= 2:
        slope, level = np.polyfit(x[inside], ratio[inside], 1)
        bad = inside & (slope * x + level >= 0)
        if not bad.any():
            return inside
        inside &= ~bad
    return inside & (ratio < 0)


def decide(runs: pd.DataFrame) -> pd.DataFrame:
    """Return a table of runs with `converged`, whether a run enters laws, and the `reason` where it does not.

    Args:
        runs: columns budget, arm, target, size, n_frames, val_ratio (validation error of the scored checkpoint over
            that of learning nothing) and falling (whether it fell to the end of the budget).
    """
    return pd.concat([_decide(part) for _, part in groups(runs, KEYS)]).sort_index()


def _decide(part: pd.DataFrame) -> pd.DataFrame:
    """Decide on the runs of one curve."""
    ratio = part["val_ratio"].to_numpy(dtype=np.float64)
    blown = ~(ratio < BLOWN_UP)
    logs = np.log(np.where(blown, BLOWN_UP, ratio))  # how much worse than nothing says nothing about other sizes
    sizes = part.assign(ln=logs, x=np.log(part["n_frames"].to_numpy(dtype=np.float64))).groupby("size", sort=False)
    x, middle = sizes["x"].mean(), sizes["ln"].median()
    better = pd.Series(sizes_below_baseline(x.to_numpy(), middle.to_numpy()), index=x.index)
    falling = sizes["falling"].mean() > 0.5
    reasons = [
        "; ".join(words for words, on in ((NO_BETTER, not better[s]), (FALLING, falling[s]), (BLOWN, bad)) if on)
        for s, bad in zip(part["size"], blown, strict=True)
    ]
    return part.assign(converged=[not reason for reason in reasons], reason=reasons)


def failed_runs(curves: pd.DataFrame) -> pd.DataFrame:
    """Return the share of runs whose validation error is not below the baseline, with its exact 95 % interval.

    One row per budget, arm and target; `which` names the runs. Curves without validation errors have no row.
    """
    rows = []
    known = curves[curves["val_ratio"].notna()] if "val_ratio" in curves else curves.iloc[:0]
    for key, part in groups(known.drop_duplicates([*KEYS, "size", "seed"]), KEYS):
        bad = part[~(part["val_ratio"] < 1)]
        interval = stats.binomtest(len(bad), len(part)).proportion_ci(CONFIDENCE, method="exact")
        which = "; ".join(f"n={s} seed {k}" for s, k in zip(bad["size"], bad["seed"], strict=True))
        share = len(bad) / len(part)
        found = (len(part), len(bad), share, float(interval.low), float(interval.high), which)
        rows.append(key | dict(zip(FAILED_COLUMNS, found, strict=True)))
    return pd.DataFrame(rows, columns=[*KEYS, *FAILED_COLUMNS])
