"""The plain power law of a learning curve, MAE = C·N^-a, in closed form.

Intervals. The points of one size share their test set and, seed by seed, most of their training frames, and
no learning curve is an exact power law. More seeds therefore do not make more evidence about the slope:
the scatter of the *size means* about the line is the error that counts, and it has (sizes − 2) degrees of
freedom. It contains the seed scatter of a mean as well, so it covers whichever of the two dominates.

All runs are judged on the same test materials. What that does to all sizes alike (level) or smoothly (slope) leaves no
scatter; where predictions allow a bootstrap over the materials, its covariance is added, less the part that the
scatter shows already.

docs/laws.md has the coverage of all intervals in simulated studies (benchmarks/law_coverage.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from uprung.laws.points import (
    CONFIDENCE,
    MIN_SIZES,
    FloatArray,
    LogPoints,
    huber_weights,
    log_points,
    refuse_below,
    scatter,
    student_t,
)


@dataclass(frozen=True)
class PowerLaw:
    """MAE = C·N^-a, held by its value at the centre of the sizes, where slope and level are uncorrelated.

    `log_n` is the mean of ln N over the points, `log_mae` the fitted ln MAE there; `se_*` are standard
    errors with `df` degrees of freedom from the scatter; `test_*` are the variances of exponent and level, and their
    covariance, that the choice of the test materials adds; `n_min` and `n_max` bound the training sizes fitted.
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
    test_exponent: float = 0.0
    test_log_mae: float = 0.0
    test_both: float = 0.0
    points: LogPoints | None = field(default=None, repr=False, compare=False)

    @property
    def prefactor(self) -> float:
        """C, the error that the line gives at N = 1, in the unit of the MAE."""
        return float(np.exp(self.log_mae + self.exponent * self.log_n))

    def exponent_interval(self, confidence: float = CONFIDENCE) -> tuple[float, float]:
        """Return the t interval of a."""
        half = float(half_width(self.se_exponent**2, self.test_exponent, self.df, confidence))
        return self.exponent - half, self.exponent + half

    def prefactor_interval(self, confidence: float = CONFIDENCE) -> tuple[float, float]:
        """Return the t interval of C (symmetric in ln C)."""
        _, low, high = self.predict(1.0, confidence=confidence)
        return float(low), float(high)

    def parameters(self, confidence: float = CONFIDENCE) -> dict[str, tuple[float, float, float]]:
        """Return name -> value and interval."""
        return {
            "exponent": (self.exponent, *self.exponent_interval(confidence)),
            "prefactor": (self.prefactor, *self.prefactor_interval(confidence)),
        }

    def predict(
        self, n: float | Sequence[float] | FloatArray, *, confidence: float = CONFIDENCE
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return the fitted MAE at training sizes `n` and the pointwise confidence band of the line."""
        x = np.log(np.asarray(n, dtype=np.float64)) - self.log_n
        log_mae = self.log_mae - self.exponent * x
        seen = self.se_log_mae**2 + (self.se_exponent * x) ** 2
        test = self.test_log_mae + self.test_exponent * x**2 - 2 * self.test_both * x
        half = half_width(seen, test, self.df, confidence)
        with np.errstate(over="ignore"):
            return np.exp(log_mae), np.exp(log_mae - half), np.exp(log_mae + half)

    def band(self, x: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return ln MAE at x = ln N (n,) and its 95 % band from the scatter alone."""
        dx = np.asarray(x - self.log_n)
        value = self.log_mae - self.exponent * dx
        half = student_t(CONFIDENCE, self.df) * np.hypot(self.se_log_mae, self.se_exponent * dx)
        return value, value - half, value + half

    def pull(self, x: FloatArray) -> FloatArray:
        """Return by how much ln MAE at x (n,) moves with that of every run, (n, runs)."""
        points = self._known_points()
        return np.asarray(np.stack([np.ones_like(x), self.log_n - x], axis=1) @ projector(points))

    def seen(self, pull: FloatArray) -> FloatArray:
        """Return the part of the test materials' variance of pulled quantities (n,) that the scatter shows already."""
        points = self._known_points()
        return np.asarray(pull**2 @ (1 / points.weights) * scatter(points, *_line(points)[1:]).test)

    def _known_points(self) -> LogPoints:
        if self.points is None:
            raise ValueError("this power law was made from its numbers: the runs behind it are unknown")
        return self.points


def half_width(
    seen: float | FloatArray, test: float | FloatArray, df: float, confidence: float
) -> npt.NDArray[np.float64]:
    """Return the half-width of an interval from the variance of the scatter and that of the test materials.

    The degrees of freedom are Welch and Satterthwaite's, `df` for the scatter and many for the test materials.
    """
    first, second = np.broadcast_arrays(np.asarray(seen, np.float64), np.maximum(np.asarray(test, np.float64), 0.0))
    total = first + second
    with np.errstate(divide="ignore", invalid="ignore"):
        effective = np.where(first > 0, df * (total / first) ** 2, df)
    return np.asarray(_student_t(confidence, np.minimum(effective, 1e6)) * np.sqrt(total))


def _student_t(confidence: float, df: FloatArray) -> FloatArray:
    distinct, place = np.unique(df, return_inverse=True)
    return np.array([student_t(confidence, v) for v in distinct])[place].reshape(df.shape)


def power_law(
    n: Sequence[float] | FloatArray,
    mae: Sequence[float] | FloatArray,
    *,
    sizes: Sequence[str] | npt.NDArray[np.object_] | None = None,
    test: FloatArray | None = None,
    robust: bool = False,
) -> PowerLaw:
    """Fit MAE = C·N^-a by least squares in log–log over all (size, seed) points.

    Args:
        n: training sizes, one per run.
        mae: errors.
        sizes: which runs share a size; see `log_points`.
        test: (runs, runs) covariance of ln MAE from the test materials.
        robust: Huber's loss in place of squares.

    Raises:
        ValueError: unequal lengths; sizes or errors that are not positive and finite.
        LawRefused: fewer than three distinct sizes.
    """
    return fit_power(log_points(n, mae, sizes=sizes, test=test), robust=robust)


def fit_power(points: LogPoints, *, robust: bool = False) -> PowerLaw:
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
    noise = np.zeros((2, 2)) if points.test is None else added_covariance([points], points.test)
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
        test_log_mae=float(noise[0, 0]),
        test_exponent=float(noise[1, 1]),
        test_both=float(noise[0, 1]),
        points=points,
    )


def projector(points: LogPoints) -> FloatArray:
    """Return (2, runs), which takes ln MAE of the runs to level at the centre and exponent of the fitted line."""
    x, weights = points.x, points.weights
    dx = x - weights @ x / weights.sum()
    return np.stack([weights / weights.sum(), -weights * dx / (weights @ dx**2)])


def added_covariance(curves: Sequence[LogPoints], covariance: FloatArray) -> FloatArray:
    """Return what the test materials add to the covariance of (level, exponent) of the lines through some curves.

    The part that the scatter about the lines shows already is taken off.

    Args:
        curves: points of one or two curves, whose levels are at their own centres.
        covariance: of ln MAE from the test materials, of all runs of the curves one after the other.
    """
    solve, seen, start = np.zeros((2 * len(curves), len(covariance))), np.zeros(2 * len(curves)), 0
    for i, points in enumerate(curves):
        end = start + len(points.x)
        mine = replace(points, test=covariance[start:end, start:end])
        _, residual, tangent = _line(mine)
        total, dx = float(mine.weights.sum()), tangent[:, 1]
        solve[2 * i : 2 * i + 2, start:end] = projector(mine)
        seen[2 * i : 2 * i + 2] = scatter(mine, residual, tangent).test / np.array([total, float(mine.weights @ dx**2)])
        start = end
    return positive_part(solve @ covariance @ solve.T - np.diag(seen))


def positive_part(matrix: FloatArray) -> FloatArray:
    """Return the nearest covariance matrix: negative eigenvalues, which are noise of the estimate, become 0."""
    values, vectors = np.linalg.eigh(0.5 * (matrix + matrix.T))
    return np.asarray(vectors * np.maximum(values, 0.0) @ vectors.T)


def _line(points: LogPoints) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return (level, exponent), the residuals and the derivatives by level and exponent."""
    coefficients = projector(points) @ points.y
    dx = points.x - points.weights @ points.x / points.weights.sum()
    tangent = np.stack([np.ones_like(dx), -dx], axis=1)
    return coefficients, points.y - tangent @ coefficients, tangent
