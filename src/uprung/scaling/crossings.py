"""Crossings of two curves: of their fitted laws, and of their measured means."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields, replace

import numpy as np
import pandas as pd

from uprung.laws import CONFIDENCE, Crossover, crossover
from uprung.scaling.fits import FittedCurve, joint_materials, simultaneous
from uprung.scaling.materials import MaterialErrors
from uprung.scaling.observed import observed_crossing
from uprung.scaling.tables import CURVE_KEYS, PAIR_KEYS, check_curves, pairs

CROSSOVER_COLUMNS = (
    *(field.name for field in fields(Crossover)),
    *("low_all", "high_all", "mae", "law_scratch", "law_transfer"),
    *("observed_between_low", "observed_between_high", "observed_better_above", "observed_changes"),
    *("observed_converged", "observed_every_seed", "observed_seeds", "observed_reason"),
)


def crossovers(
    curves: pd.DataFrame,
    fits: Sequence[FittedCurve],
    *,
    scratch: str | None,
    materials: MaterialErrors | None = None,
) -> pd.DataFrame:
    """Return where each other arm's law meets that of `scratch`, and where the measured curves change order.

    One row per budget, fidelity, target and arm: the fields of `Crossover` (`better_above` as the arm's name), the
    interval `*_all` that holds together with those of all rows, the error there, the names of both laws, and the
    fields of `observed_crossing`. A refused law and one that may not fall give kind 'none' with the reason, and so does
    a crossing out of the reach of a law ('refused'); without a scratch arm there are no rows. Raises ValueError for an
    unknown one.
    """
    if scratch is None:
        return pd.DataFrame(columns=[*PAIR_KEYS, *CROSSOVER_COLUMNS])
    rows, confidence = [], simultaneous([fit for fit in fits if fit.key["arm"] != scratch])
    for key, base, part in pairs(check_curves(curves), scratch):
        names = {"scratch": scratch, "transfer": key["transfer"], "": ""}
        found = _within_reach(fits, key, _crossover(fits, key, materials, CONFIDENCE))
        wide = _crossover(fits, key, materials, confidence)
        result = dict(vars(found)) | {"low_all": wide.low, "high_all": wide.high}
        result = result | {"better_above": names[found.better_above], "mae": float("nan")}
        two = curve_of(fits, key, key["transfer"])
        if two is not None and two.law is not None and np.isfinite(found.n):
            result["mae"] = float(two.law.predict(found.n)[0])
        for role in ("scratch", "transfer"):
            fit = curve_of(fits, key, names[role])
            result[f"law_{role}"] = fit.chosen if fit is not None and fit.law is not None else ""
        seen = observed_crossing(base, part)
        seen["observed_better_above"] = names[str(seen["observed_better_above"])]
        rows.append(key | result | seen)
    return pd.DataFrame(rows, columns=[*PAIR_KEYS, *CROSSOVER_COLUMNS])


def curve_of(fits: Sequence[FittedCurve], key: dict[str, str], arm: str) -> FittedCurve | None:
    """Return the fitted curve of an arm that has the other keys of a pair."""
    wanted = key | {"arm": arm}
    return next((fit for fit in fits if all(fit.key[k] == wanted[k] for k in CURVE_KEYS)), None)


def _within_reach(fits: Sequence[FittedCurve], key: dict[str, str], found: Crossover) -> Crossover:
    """Return a crossing, 'refused' where it is out of the reach of one of the laws."""
    if found.kind != "extrapolated":
        return found
    curves = (curve_of(fits, key, key[role]) for role in ("scratch", "transfer"))
    reasons = (fit.out_of_reach(fit.chosen, found.n) for fit in curves if fit is not None)
    reason = next((each for each in reasons if each), "")
    if not reason:
        return found
    why = f"refused: the laws as fitted meet at {found.n:,.0f}, {reason}"
    return replace(found, n=float("nan"), high=float("inf"), kind="refused", reason=why)


def _crossover(
    fits: Sequence[FittedCurve], key: dict[str, str], materials: MaterialErrors | None, confidence: float
) -> Crossover:
    one, two = (curve_of(fits, key, key[role]) for role in ("scratch", "transfer"))
    if one is not None and two is not None and one.falling_law is not None and two.falling_law is not None:
        first, second = one.at(confidence), two.at(confidence)
        if first is not None and second is not None:
            return crossover(first, second, test=joint_materials(one, two, materials))
    missing = [
        f"no law for {key[role]}: {_why_no_law(fit)}"
        for role, fit in (("scratch", one), ("transfer", two))
        if fit is None or fit.falling_law is None
    ]
    nan = float("nan")
    return Crossover(nan, nan, nan, "none", "", nan, "; ".join(missing))


def _why_no_law(fit: FittedCurve | None) -> str:
    if fit is None:
        return "no curve"
    return fit.refused[fit.chosen] if fit.law is None else "its exponent may be zero"


def fitted_pairs(
    fits: Sequence[FittedCurve], scratch: str | None
) -> Iterator[tuple[dict[str, str], FittedCurve, FittedCurve]]:
    """Yield (keys, scratch curve, other curve) where both have a law that falls."""
    for two in fits:
        if scratch is None or two.key["arm"] == scratch or two.falling_law is None:
            continue
        one = curve_of(fits, dict(two.key), scratch)
        if one is not None and one.falling_law is not None:
            key = {k: two.key[k] for k in CURVE_KEYS if k != "arm"}
            yield key | {"scratch": scratch, "transfer": two.key["arm"]}, one, two
