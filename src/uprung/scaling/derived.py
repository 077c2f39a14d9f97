"""Bands, extrapolations, labels for an error and data multipliers of fitted laws, with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from uprung.laws import TITLES, equal_error_size, size_for_error
from uprung.scaling.crossings import fitted_pairs
from uprung.scaling.fits import FittedCurve, joint_materials
from uprung.scaling.materials import MaterialErrors
from uprung.scaling.tables import CURVE_KEYS, PAIR_KEYS

BAND_COLUMNS = ("law", "chosen", "n", "mae", "low", "high", "run_low", "run_high")
EXTRAPOLATION_COLUMNS = ("law", "title", "chosen", "n", "mae", "low", "high", "decades", "reason")
LABEL_COLUMNS = ("law", "error", "n", "low", "high", "largest", "more", "more_low", "more_high", "decades", "reason")
RATIO_COLUMNS = ("n", "n_scratch", "multiplier", "low", "high", "decades", "law_scratch", "law_transfer", "reason")
BAND_POINTS, RATIO_POINTS = 60, 13
#: Errors whose labels are counted when none are asked for: shares of the lowest measured one.
SHARES = (1.0, 0.75, 0.5, 0.25)


def bands(fits: Sequence[FittedCurve]) -> pd.DataFrame:
    """Return the line and 95 % band of every fitted law over the sizes that it was fitted to.

    `run_low` and `run_high` hold one new run on the same test (95 %).
    """
    parts = []
    for fit in fits:
        for name, law in fit.laws.items():
            n = np.geomspace(law.n_min, law.n_max, BAND_POINTS)
            mae, low, high = law.predict(n)
            _, run_low, run_high = law.predict_run(n)
            columns = {"law": name, "chosen": name == fit.chosen, "n": n, "mae": mae, "low": low, "high": high}
            parts.append(pd.DataFrame({**fit.key, **columns, "run_low": run_low, "run_high": run_high}))
    return _joined(parts, [*CURVE_KEYS, *BAND_COLUMNS])


def falling(table: pd.DataFrame, laws: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of curves whose exponent is above zero by its interval: a law that need not fall is not drawn.

    Args:
        table: with the columns of `CURVE_KEYS`, as from `bands`.
        laws: of `uprung.scaling.laws_table`.
    """
    if table.empty:
        return table  # without columns where no curve has a law
    keys = list(CURVE_KEYS)
    known = set(laws.loc[laws["exponent_low"] > 0, keys].itertuples(index=False, name=None))
    return table[[key in known for key in table[keys].itertuples(index=False, name=None)]]


def extrapolations(fits: Sequence[FittedCurve], sizes: Sequence[float]) -> pd.DataFrame:
    """Return the error of every fitted law at given sizes with its 95 % interval.

    `decades` is how far a size lies outside those that the law was fitted to, in powers of ten; the interval holds only
    as far as the law does. Without evidence against a floor (`uprung.laws.out_of_reach`) there is a `reason` instead.
    """
    parts = []
    n = np.array(sorted(sizes), dtype=np.float64)
    for fit in fits if len(n) else ():
        for name, law in fit.laws.items():
            mae, low, high = law.predict(n)
            decades = np.maximum(np.maximum(np.log10(n / law.n_max), np.log10(law.n_min / n)), 0.0)
            reasons = [fit.out_of_reach(name, float(size)) for size in n]
            said = np.array([not reason for reason in reasons])
            columns = {"law": name, "title": TITLES[name], "chosen": name == fit.chosen, "n": n}
            columns |= {k: np.where(said, v, np.nan) for k, v in (("mae", mae), ("low", low), ("high", high))}
            parts.append(pd.DataFrame({**fit.key, **columns, "decades": decades, "reason": reasons}))
    return _joined(parts, [*CURVE_KEYS, *EXTRAPOLATION_COLUMNS])


def wanted_errors(fits: Sequence[FittedCurve], asked: Mapping[str, Sequence[float]]) -> dict[str, list[float]]:
    """Return target -> errors whose labels are counted: those asked for, else shares of the lowest mean error."""
    found = {}
    for target in dict.fromkeys(fit.key["target"] for fit in fits):
        if asked.get(target):
            found[target] = [float(v) for v in asked[target]]
            continue
        means = [fit.good.groupby("size")["mae"].mean().min() for fit in fits if fit.key["target"] == target]
        lowest = min((float(v) for v in means if np.isfinite(v)), default=float("nan"))
        if np.isfinite(lowest):
            found[target] = [float(f"{share * lowest:.2g}") for share in SHARES]
    return found


def labels_for_errors(fits: Sequence[FittedCurve], errors: Mapping[str, Sequence[float]]) -> pd.DataFrame:
    """Return how many labels the chosen law of each arm needs for some errors, and how many more than it has had.

    `n` is NaN with a `reason` where the law never comes down to the error, or not within its reach; `low` and `high`
    bound it, 0 and infinity where they are open. `more` = n − largest size, at least 0.
    """
    rows = []
    for fit in fits:
        for error in errors.get(fit.key["target"], ()) if fit.law is not None else ():
            assert fit.law is not None
            size = size_for_error(fit.law, error)
            reason = "" if np.isfinite(size.n) else "the law as fitted does not reach this error"
            far = fit.out_of_reach(fit.chosen, size.n) if np.isfinite(size.n) else ""
            ends = np.array([np.nan if far else size.n, size.low, np.inf if far else size.high])
            more = np.maximum(ends - fit.law.n_max, 0.0)
            row: dict[str, object] = {**fit.key, "law": fit.chosen, "error": error, "largest": fit.law.n_max}
            row |= dict(zip(("n", "low", "high"), ends, strict=True))
            row |= dict(zip(("more", "more_low", "more_high"), np.where(np.isnan(ends), np.nan, more), strict=True))
            row["decades"] = max(0.0, float(np.log10(size.n / fit.law.n_max))) if np.isfinite(size.n) else np.nan
            row["reason"] = f"the law as fitted reaches it at {far}" if far else reason
            rows.append(row)
    return pd.DataFrame(rows, columns=[*CURVE_KEYS, *LABEL_COLUMNS])


def multiplier_curves(
    fits: Sequence[FittedCurve], *, scratch: str | None, materials: MaterialErrors | None = None
) -> pd.DataFrame:
    """Return how many times more labels the law of `scratch` needs for the error of each other arm, as a function of n.

    One row per pair and size n of the other arm within its measured sizes: n_scratch, multiplier = n_scratch / n with
    its 95 % interval (0 or infinite where open), and by how many powers of ten n_scratch lies outside the sizes that
    scratch was measured at. Out of the reach of the law of scratch there is a `reason` in place of a multiplier.
    """
    rows = []
    for key, one, two in fitted_pairs(fits, scratch):
        assert one.law is not None
        assert two.law is not None
        test = joint_materials(one, two, materials)
        for n in np.geomspace(two.law.n_min, two.law.n_max, RATIO_POINTS):
            size = equal_error_size(one.law, two.law, float(n), test=test)
            outside = max(np.log10(size.n / one.law.n_max), np.log10(one.law.n_min / size.n), 0.0)
            reason = one.out_of_reach(one.chosen, size.n) if np.isfinite(size.n) else ""
            ends = np.array([size.n, size.low, size.high]) / (np.nan if reason else 1.0)
            row: dict[str, object] = dict(zip(("multiplier", "low", "high"), ends / n, strict=True))
            row |= {"n": n, "n_scratch": ends[0], "reason": reason}
            names = {"law_scratch": one.chosen, "law_transfer": two.chosen}
            rows.append({**key, **row, "decades": outside if np.isfinite(size.n) else np.nan, **names})
    return pd.DataFrame(rows, columns=[*PAIR_KEYS, *RATIO_COLUMNS])


def _joined(parts: Sequence[pd.DataFrame], columns: Sequence[str]) -> pd.DataFrame:
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=list(columns))
