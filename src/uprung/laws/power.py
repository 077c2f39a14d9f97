"""The plain power law of a learning curve, MAE = C·N^-a, in closed form.

Intervals. The points of one size share their test set and, seed by seed, most of their training frames, and
no learning curve is an exact power law. More seeds therefore do not make more evidence about the slope:
the scatter of the *size means* about the line is the error that counts, and it has (sizes − 2) degrees of
freedom. It contains the seed scatter of a mean as well, so it covers whichever of the two dominates.

All runs are judged on the same test materials. What that does to all sizes alike (level) or smoothly (slope) leaves no
scatter; where predictions allow a bootstrap over the materials, its quantiles are added, less the part that the
scatter shows already (`uprung.laws.materials`).

docs/laws.md has the coverage of all intervals in simulated studies (benchmarks/law_coverage.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from uprung.laws.fitted import Band, FittedLaw, widened
from uprung.laws.points import (
    CONFIDENCE,
    MIN_SIZES,
    FloatArray,
    LogPoints,
    Materials,
    huber_weights,
    log_points,
    refuse_below,
    scatter,
    student_t,
)


@dataclass(frozen=True)
class PowerLaw(FittedLaw):
    """MAE = C·N^-a, held by its value at the centre of the sizes, where slope and level are uncorrelated.

    `log_n` is the mean of ln N over the points, `log_mae` the fitted ln MAE there; `se_*` are standard
    errors with `df` degrees of freedom from the scatter; `n_min` and `n_max` bound the training sizes fitted.
    """

    name: ClassVar[str] = "power"

    exponent: float
    log_n: float
    log_mae: float
    se_exponent: float
    se_log_mae: float
    df: int
    r2: float
    n_points: int
    n_sizes: int
    n_min: float
    n_max: float
    confidence: float = CONFIDENCE
    points: LogPoints | None = field(default=None, repr=False, compare=False)

    @property
    def prefactor(self) -> float:
        """C, the error that the line gives at N = 1, in the unit of the MAE."""
        return float(np.exp(self.log_mae + self.exponent * self.log_n))

    def exponent_interval(self) -> tuple[float, float]:
        """Return the interval of a."""
        half = np.array([student_t(self.confidence, self.df) * self.se_exponent])
        value = np.array([self.exponent])
        band = widened((value, value - half, value + half), self.noise, np.array([[0.0, 1.0]]), self.confidence)
        return float(band[1][0]), float(band[2][0])

    def prefactor_interval(self) -> tuple[float, float]:
        """Return the interval of C."""
        _, low, high = self.predict(1.0)
        return float(low), float(high)

    def parameters(self) -> dict[str, tuple[float, float, float]]:
        """Return name -> value and interval."""
        return {
            "exponent": (self.exponent, *self.exponent_interval()),
            "prefactor": (self.prefactor, *self.prefactor_interval()),
        }

    def band(self, x: FloatArray) -> Band:
        """Return ln MAE at x = ln N (n,) and its band from the scatter alone."""
        dx = np.asarray(x - self.log_n)
        value = self.log_mae - self.exponent * dx
        half = student_t(self.confidence, self.df) * np.hypot(self.se_log_mae, self.se_exponent * dx)
        return value, value - half, value + half

    def directions(self, x: FloatArray) -> FloatArray:
        """Return the derivatives of ln MAE at x (n,) by level and exponent, (n, 2)."""
        return np.stack([np.ones_like(x), self.log_n - x], axis=1)

    def solve(self) -> FloatArray:
        """Return what takes ln MAE of the runs to level and exponent, (2, runs)."""
        return projector(self.known_points())

    @property
    def shown(self) -> float:
        """Variance of one run that the test materials put into the scatter about the law."""
        points = self.known_points()
        return scatter(points, *_line(points)[1:]).test


def power_law(
    n: Sequence[float] | FloatArray,
    mae: Sequence[float] | FloatArray,
    *,
    sizes: Sequence[str] | npt.NDArray[np.object_] | None = None,
    test: Materials | None = None,
    robust: bool = False,
) -> PowerLaw:
    """Fit MAE = C·N^-a by least squares in log–log over all (size, seed) points.

    Args:
        n: training sizes, one per run.
        mae: errors.
        sizes: which runs share a size; see `log_points`.
        test: errors of the runs on the test materials.
        robust: Huber's loss in place of squares.

    Raises:
        ValueError: unequal lengths; sizes or errors that are not positive and finite.
        LawRefused: fewer than three distinct sizes.
    """
    return fit_power(log_points(n, mae, sizes=sizes, test=test), robust=robust)


def fit_power(points: LogPoints, *, robust: bool = False, confidence: float = CONFIDENCE) -> PowerLaw:
    """Fit the power law to checked points; see `power_law`."""
    refuse_below(points, MIN_SIZES, "power law")
    for _ in range(20 if robust else 0):
        points = points.weighted(huber_weights(_line(points)[1]))
    coefficients, residual, tangent = _line(points)
    spread = scatter(points, residual, tangent)
    x, weights = points.x, points.weights
    centre = float(weights @ x / weights.sum())
    sxx, total = float(weights @ (x - centre) ** 2), float(weights.sum())
    dy = points.y - weights @ points.y / total
    syy = float(weights @ dy**2)
    return PowerLaw(
        exponent=float(coefficients[1]),
        log_n=centre,
        log_mae=float(coefficients[0]),
        se_exponent=float(np.sqrt(spread.variance / sxx)),
        se_log_mae=float(np.sqrt(spread.variance / total)),
        df=spread.df,
        r2=1 - float(weights @ residual**2) / syy if syy > 0 else float("nan"),
        n_points=len(x),
        n_sizes=points.n_sizes,
        n_min=float(np.exp(x.min())),
        n_max=float(np.exp(x.max())),
        confidence=confidence,
        points=points,
    )


def projector(points: LogPoints) -> FloatArray:
    """Return (2, runs), which takes ln MAE of the runs to level at the centre and exponent of the fitted line."""
    x, weights = points.x, points.weights
    dx = x - weights @ x / weights.sum()
    return np.stack([weights / weights.sum(), -weights * dx / (weights @ dx**2)])


def _line(points: LogPoints) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return (level, exponent), the residuals and the derivatives by level and exponent."""
    coefficients = projector(points) @ points.y
    dx = points.x - points.weights @ points.x / points.weights.sum()
    tangent = np.stack([np.ones_like(dx), -dx], axis=1)
    return coefficients, points.y - tangent @ coefficients, tangent
