"""How far a study's laws can be trusted: without a size at either end, and against a size that was held back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from uprung.laws import CONFIDENCE, LawRefused, LogPoints, back_test, fit_law
from uprung.scaling.fits import FittedCurve
from uprung.scaling.tables import CURVE_KEYS

SENSITIVITY_COLUMNS = ("law", "region", "exponent", "low", "high", "outside", "reason")
BACK_TEST_COLUMNS = ("law", "n", "predicted", "low", "high", "measured", "factor", "hit", "reason")


def sensitivity(fits: Sequence[FittedCurve]) -> pd.DataFrame:
    """Return the exponent of the chosen law of each curve with all sizes, without the smallest, without the largest.

    `outside` says whether it lies outside the 95 % interval of the law through all sizes.
    """
    rows = []
    for fit in fits:
        if fit.law is None:
            continue
        _, low, high = fit.law.parameters()["exponent"]
        for region, points in _regions(fit.points):
            row: dict[str, object] = {**fit.key, "law": fit.chosen, "region": region, "reason": ""}
            try:
                found = fit_law(points, fit.chosen, robust=fit.robust).parameters()["exponent"]
                row |= dict(zip(("exponent", "low", "high"), found, strict=True))
                row["outside"] = not low <= found[0] <= high
            except LawRefused as refusal:
                row |= {"outside": False, "reason": str(refusal)}
            rows.append(row)
    return pd.DataFrame(rows, columns=[*CURVE_KEYS, *SENSITIVITY_COLUMNS])


def _regions(points: LogPoints) -> Iterator[tuple[str, LogPoints]]:
    order = np.argsort(points.mean(points.x))
    yield "all", points
    yield "without the smallest", points.without(int(order[0]))
    yield "without the largest", points.without(int(order[-1]))


def back_tests(fits: Sequence[FittedCurve]) -> pd.DataFrame:
    """Return how the mean error at the largest size of each curve is predicted from the others; see `uprung.laws`.

    `factor` is measured over predicted, `hit` whether the 95 % prediction interval holds the measured mean.
    """
    rows = []
    for fit in fits:
        row: dict[str, object] = {**fit.key, "law": "", "hit": False, "reason": fit.refused.get(fit.chosen, "")}
        if fit.law is not None:
            try:
                found = back_test(fit.points)
                row |= vars(found) | {"factor": found.measured / found.predicted, "hit": found.hit}
            except LawRefused as refusal:
                row["reason"] = f"without the largest size: {refusal}"
        rows.append(row)
    return pd.DataFrame(rows, columns=[*CURVE_KEYS, *BACK_TEST_COLUMNS])


def hit_rate(tests: pd.DataFrame) -> tuple[int, int, float, float]:
    """Return hits, tests made, and the exact 95 % interval of the rate (NaN without a test)."""
    made = tests[tests["predicted"].notna()]
    hits = int(made["hit"].astype(bool).sum())
    if made.empty:
        return 0, 0, float("nan"), float("nan")
    from scipy.stats import binomtest  # half a second, which figures do not need

    interval = binomtest(hits, len(made)).proportion_ci(CONFIDENCE, method="exact")
    return hits, len(made), float(interval.low), float(interval.high)
