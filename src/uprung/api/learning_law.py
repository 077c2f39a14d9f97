"""Scaling laws of a learning curve of one's own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from uprung.laws import Law, LawRefused, Size, size_for_error
from uprung.scaling.fits import FittedCurve, comparison_table, fit_curves, laws_table, parameters_table
from uprung.scaling.points import points_of
from uprung.scaling.tables import CURVE_KEYS

Values = Sequence[float] | NDArray[np.floating] | pd.Series


class PredictedError(NamedTuple):
    """An error with its 95 % interval, and why it should not be trusted, '' where it may be."""

    value: float
    low: float
    high: float
    reason: str


@dataclass(frozen=True, repr=False)
class LearningLaw:
    """The law that a learning curve supports.

    Attributes:
        fit: the curve with every law that its points support.
        table: exponent, prefactor and their 95 % intervals, or why there is no law; one row.
        parameters: of every law.
        comparison: how well every law describes the points.
    """

    fit: FittedCurve
    table: pd.DataFrame
    parameters: pd.DataFrame
    comparison: pd.DataFrame

    @property
    def exponent(self) -> tuple[float, float, float]:
        """Exponent and its 95 % interval."""
        row = self.table.iloc[0]
        return float(row["exponent"]), float(row["exponent_low"]), float(row["exponent_high"])

    def predict(self, n: float) -> PredictedError:
        """Return the error at a training size.

        Raises:
            LawRefused: the points support no law.
        """
        value, low, high = (float(one) for one in self._law().predict(n))
        return PredictedError(value, low, high, self.fit.out_of_reach(self.fit.chosen, n))

    def size_for(self, error: float) -> Size:
        """Return the training size at which the error is reached; NaN where it never is.

        Raises:
            LawRefused: the points support no law.
        """
        return size_for_error(self._law(), error)

    def _law(self) -> Law:
        if self.fit.law is None:
            raise LawRefused(self.fit.refused.get(self.fit.chosen, "no law"))
        return self.fit.law

    def __repr__(self) -> str:
        """Return the law in a line."""
        row = self.table.iloc[0]
        if not row["fitted"]:
            return f"no law: {row['reason']}"
        value, low, high = self.exponent
        law = (
            f"{row['title']}: exponent {value:.3f} ({low:.3f} to {high:.3f}) from {row['n_points']} runs at "
            f"{row['n_sizes']} sizes, {row['n_min']:g} to {row['n_max']:g}; R² {row['r2']:.3f}"
        )
        return f"{law}; the points show no law: the exponent's interval holds zero" if low <= 0 <= high else law


def law(n: Values, mae: Values, *, law: str = "auto", robust: bool = False) -> LearningLaw:
    """Fit a scaling law to a learning curve, as the workflow fits its own.

    Args:
        n: training sizes, one per run; equal sizes are runs with other seeds.
        mae: errors of the runs, in any unit.
        law: a name in `uprung.laws.LAWS`, or `auto`: the power law C·N⁻ᵃ unless a curved one is clearly better.
        robust: Huber's loss in place of squares.

    Raises:
        ValueError: unequal lengths, sizes or errors that are not positive, or fewer than three sizes.
    """
    sizes, errors = (np.asarray(values, dtype=np.float64).reshape(-1) for values in (n, mae))
    if len(sizes) != len(errors):
        raise ValueError(f"law: {len(sizes)} sizes and {len(errors)} errors; give one error for each size")
    seen, seeds = Counter[float](), []
    for size in sizes:
        seeds.append(seen[size])
        seen[size] += 1
    table = pd.DataFrame(
        {
            "n": [f"{size:.17g}" for size in sizes],
            "mae": [f"{error:.17g}" for error in errors],
            "seed": list(map(str, seeds)),
            "arm": "curve",
            "target": "energy",
            "line": [f"{k + 1}" for k in range(len(sizes))],
        }
    )
    (fit,) = fit_curves(points_of(table, "law").curves, law=law, robust=robust)
    tables = (
        each.drop(columns=CURVE_KEYS) for each in (laws_table([fit]), parameters_table([fit]), comparison_table([fit]))
    )
    return LearningLaw(fit, *tables)
