"""Crossings and data multipliers from measured curves, without laws."""

from __future__ import annotations

import numpy as np
import pandas as pd

from uprung.laws import FloatArray
from uprung.scaling.tables import PAIR_KEYS, check_curves, pairs, size_means

MULTIPLIER_COLUMNS = (
    *("size", "n_frames", "mae", "n_scratch", "multiplier", "multiplier_min", "multiplier_max"),
    *("bound", "n_seeds", "reason"),
)


def observed_crossing(scratch: pd.DataFrame, transfer: pd.DataFrame) -> dict[str, object]:
    """Return between which adjacent common sizes the mean errors of two curves last change order.

    Every point counts, converged or not, so this needs no law. `observed_converged` says whether the points at both
    ends are converged, `observed_every_seed` whether each of the `observed_seeds` that both arms have shows the same
    order there.
    """
    mine, other = size_means(scratch), size_means(transfer)
    common = [size for size in mine.index if size in set(other.index)]
    gap = np.array([mine.loc[s, "mae"] - other.loc[s, "mae"] for s in common], dtype=np.float64)
    sizes = [float(0.5 * (mine.loc[s, "n_frames"] + other.loc[s, "n_frames"])) for s in common]
    changes = [i for i in range(len(gap) - 1) if (gap[i] > 0) != (gap[i + 1] > 0)]
    row: dict[str, object] = {"observed_between_low": float("nan"), "observed_between_high": float("nan")}
    row |= {"observed_better_above": "", "observed_changes": len(changes)}
    row |= {"observed_seeds": len(set(scratch["seed"]) & set(transfer["seed"]))}
    row |= {"observed_converged": None, "observed_every_seed": None}
    if not changes:
        which = "no size in common"
        if len(gap):
            where = "every" if len(gap) > 1 else "the only"
            which = f"{'transfer' if gap[0] > 0 else 'scratch'} is better at {where} common size"
        return row | {"observed_reason": which}
    i = changes[-1]
    paired = scratch.merge(transfer, on=["size", "seed"], suffixes=("_s", "_t"))
    agree = []
    for j in (i, i + 1):
        each = paired[paired["size"] == common[j]]
        agree.append(bool((((each["mae_s"] - each["mae_t"]) > 0) == (gap[j] > 0)).all() and len(each)))
    ends = common[i : i + 2]
    return row | {
        "observed_between_low": sizes[i],
        "observed_between_high": sizes[i + 1],
        "observed_better_above": "transfer" if gap[i + 1] > 0 else "scratch",
        "observed_converged": bool(mine.loc[ends, "converged"].all() and other.loc[ends, "converged"].all()),
        "observed_every_seed": all(agree),
        "observed_reason": "" if len(changes) == 1 else f"the order changes {len(changes)} times; the last",
    }


def matching_size(mae: float, n: FloatArray, errors: FloatArray) -> tuple[float, str]:
    """Return the training size at which a measured curve comes down to `mae` for good, by log–log interpolation.

    `n` (increasing) and `errors` are the curve. Where the curve never comes down to `mae` the result is the largest
    size and the bound 'at least'; where it starts below, the smallest size and 'at most'; else the bound is ''.
    """
    over = np.flatnonzero(errors > mae)
    if not len(over):
        return float(n[0]), "at most"
    i = int(over[-1])
    if i == len(n) - 1:
        return float(n[-1]), "at least"
    part = np.log(errors[i] / mae) / np.log(errors[i] / errors[i + 1])
    return float(n[i] * (n[i + 1] / n[i]) ** part), ""


def data_multiplier(curves: pd.DataFrame, *, scratch: str | None) -> pd.DataFrame:
    """Return how many times more labels `scratch` needs for the error that another arm has at each size.

    One row per budget, fidelity, target, arm and size: n_frames and mae of the arm (means over seeds), n_scratch
    and `multiplier` = n_scratch / n_frames, NaN with a `reason` where the scratch curve does not bracket the error
    (`bound` is then the one-sided statement) or a run of the arm is not converged; multiplier_min and
    multiplier_max over the seeds that both arms have, NaN unless each of them gives a value. The scratch curve
    consists of the sizes at which every seed is converged.
    """
    if scratch is None:
        return pd.DataFrame(columns=[*PAIR_KEYS, *MULTIPLIER_COLUMNS])
    rows = []
    for key, base, part in pairs(check_curves(curves), scratch):
        good = base[base.groupby("size")["converged"].transform("all")]
        for size, point in size_means(part).iterrows():
            row: dict[str, object] = {**key, "size": size, "n_frames": point["n_frames"], "mae": point["mae"]}
            value, bound, reason = _multiplier(point, size_means(good))
            row |= {"n_scratch": value * point["n_frames"], "multiplier": value, "bound": bound}
            runs = part[(part["size"] == size) & part["seed"].isin(base["seed"])]
            each = [_multiplier(run, size_means(good[good["seed"] == run["seed"]]))[0] for _, run in runs.iterrows()]
            ends = np.array(each if each and np.isfinite(value) else [np.nan], dtype=np.float64)
            row |= {"multiplier_min": float(ends.min()), "multiplier_max": float(ends.max())}
            rows.append(row | {"n_seeds": len(each), "reason": reason})
    return pd.DataFrame(rows, columns=[*PAIR_KEYS, *MULTIPLIER_COLUMNS])


def _multiplier(point: pd.Series, curve: pd.DataFrame) -> tuple[float, str, str]:
    """Return (multiplier or NaN, one-sided bound or '', reason or '') for one point against a mean curve."""
    nan = float("nan")
    if not bool(point["converged"]):
        return nan, "", "a run of the arm is kept out of laws at this size"
    if len(curve) < 2:
        return nan, "", f"scratch has {len(curve)} converged size(s); interpolation needs 2"
    errors = curve["mae"].to_numpy(dtype=np.float64)
    n, bound = matching_size(float(point["mae"]), curve["n_frames"].to_numpy(dtype=np.float64), errors)
    ratio = n / float(point["n_frames"])
    if not bound:
        return ratio, "", ""
    if bound == "at least":
        return nan, f"> {ratio:.3g}", f"scratch does not come down to this error by {n:,.0f}, its largest size"
    return nan, f"< {ratio:.3g}", f"scratch is below this error from {n:,.0f}, its smallest converged size"
