"""Laws of a learning curve, MAE as a function of training size, and where two of them meet.

Intervals. The points of one size share their test set and, seed by seed, most of their training frames, and
no learning curve is an exact power law. More seeds therefore do not make more evidence about the slope:
the scatter of the *size means* about the line is the error that counts, and it has (sizes − 2) degrees of
freedom (the lack-of-fit mean square of a regression with replicates: Draper & Smith, Applied Regression
Analysis, ch. 2). It contains the seed scatter of a mean as well, so it covers whichever of the two dominates.
In simulated studies of 3 to 6 sizes and 2, 3 or 5 seeds the interval of the exponent covers the truth in 93 to
97 %, with and without lack of fit; a fit that counts every run as an observation covers 66 to 95 %.

Two things lie outside these intervals. A shift common to all sizes (one test set; a seed that is lucky
everywhere) moves the level and not the slope: with seed shifts as large as the seed scatter, independent
between arms, the interval of a crossing covers 78 to 98 % (the fewer sizes, the more) and the band 73 to 92 %
at its centre. Errors of one seed that are correlated from one size to the next narrow everything: with a
correlation of 0.5, 88 to 95 % for the exponent and 85 to 98 % for a crossing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from scipy import stats

FloatArray = npt.NDArray[np.float64]

MIN_SIZES = 3
CONFIDENCE = 0.95


class LawRefused(ValueError):  # noqa: N818 (a refusal with its reason, not a failure)
    """The points cannot support the law; the message says why."""


@dataclass(frozen=True)
class PowerLaw:
    """MAE = C·N^-a, held by its value at the centre of the sizes, where slope and level are uncorrelated.

    `log_n` is the mean of ln N over the points, `log_mae` the fitted ln MAE there; `se_*` are standard
    errors with `df` degrees of freedom; `n_min` and `n_max` bound the training sizes fitted.
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

    def exponent_interval(self, confidence: float = CONFIDENCE) -> tuple[float, float]:
        """Return the t interval of a."""
        half = student_t(confidence, self.df) * self.se_exponent
        return self.exponent - half, self.exponent + half

    @property
    def prefactor(self) -> float:
        """C, the error that the line gives at N = 1, in the unit of the MAE."""
        return float(np.exp(self.log_mae + self.exponent * self.log_n))

    def prefactor_interval(self, confidence: float = CONFIDENCE) -> tuple[float, float]:
        """Return the t interval of C (symmetric in ln C)."""
        _, low, high = self.predict(1.0, confidence=confidence)
        return float(low), float(high)

    def predict(
        self, n: float | Sequence[float] | FloatArray, *, confidence: float = CONFIDENCE
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return the fitted MAE at training sizes `n` and the pointwise confidence band of the line."""
        x = np.log(np.asarray(n, dtype=np.float64)) - self.log_n
        log_mae = self.log_mae - self.exponent * x
        half = student_t(confidence, self.df) * np.hypot(self.se_log_mae, self.se_exponent * x)
        with np.errstate(over="ignore"):
            return np.exp(log_mae), np.exp(log_mae - half), np.exp(log_mae + half)


def student_t(confidence: float, df: float) -> float:
    """Return the two-sided quantile of Student's t."""
    return float(stats.t.ppf(0.5 + confidence / 2, df))


def power_law(
    n: Sequence[float] | FloatArray,
    mae: Sequence[float] | FloatArray,
    *,
    sizes: Sequence[str] | npt.NDArray[np.object_] | None = None,
) -> PowerLaw:
    """Fit MAE = C·N^-a by ordinary least squares in log–log over all (size, seed) points.

    `n` and `mae` have one entry per run. `sizes` says which runs share a size; by default those of equal
    `n` do (subsets drawn by material resolve to slightly different frame counts, so pass the size tokens).

    Raises ValueError for unequal lengths and for sizes or errors that are not positive and finite;
    LawRefused for fewer than three distinct sizes.
    """
    x, y = np.asarray(n, dtype=np.float64), np.asarray(mae, dtype=np.float64)
    labels = x if sizes is None else np.asarray(sizes)
    if not x.shape == y.shape == labels.shape or x.ndim != 1:
        raise ValueError(f"power_law needs n, mae and sizes of one length: got {x.shape}, {y.shape}, {labels.shape}")
    for name, values in (("training size", x), ("MAE", y)):
        if not np.all(np.isfinite(values) & (values > 0)):
            raise ValueError(f"power_law needs a positive, finite {name} for every point: got {values}")
    distinct, group = np.unique(labels, return_inverse=True)
    if len(distinct) < MIN_SIZES:
        listed = f" ({', '.join(f'{v:g}' if sizes is None else str(v) for v in distinct)})" if len(x) else ""
        raise LawRefused(f"{len(distinct)} distinct size(s){listed}; a power law needs {MIN_SIZES}")
    x, y = np.log(x), np.log(y)
    dx, dy = x - x.mean(), y - y.mean()
    sxx = float(dx @ dx)
    slope = float(dx @ dy) / sxx
    residual = dy - slope * dx
    count = np.bincount(group)
    of_means = np.bincount(group, weights=residual) / count
    df = len(distinct) - 2
    variance = float(count @ of_means**2) / df  # of one point; see the module's text on intervals
    total = float(dy @ dy)
    return PowerLaw(
        exponent=-slope,
        log_n=float(x.mean()),
        log_mae=float(y.mean()),
        se_exponent=float(np.sqrt(variance / sxx)),
        se_log_mae=float(np.sqrt(variance / len(x))),
        df=df,
        r2=1 - float(residual @ residual) / total if total > 0 else float("nan"),
        n_points=len(x),
        n_sizes=len(distinct),
        n_min=float(np.exp(x.min())),
        n_max=float(np.exp(x.max())),
    )


@dataclass(frozen=True)
class Crossover:
    """Where two fitted laws meet.

    `n` is the training size (NaN where `kind` is 'none'), `low` and `high` its interval, open where `low` is 0 or
    `high` is infinite; `kind` is 'in range' (of the sizes both laws were fitted to), 'extrapolated' (by
    `decades` powers of ten) or 'none'; `better_above` is the law with the smaller error beyond `n`.
    """

    n: float
    low: float
    high: float
    kind: str
    better_above: str
    decades: float
    reason: str


def crossover(scratch: PowerLaw, transfer: PowerLaw, *, confidence: float = CONFIDENCE) -> Crossover:
    """Return the training size at which two power laws meet, with its Fieller interval.

    The interval holds every size at which the two lines do not differ at the given confidence (Fieller,
    J. R. Stat. Soc. B 16, 175 (1954)); the laws count as independent, which is conservative where arms share
    subsets. Lines whose slopes do not differ by their interval are parallel within error: no crossing.
    """
    # Sizes are measured from z, between the centres of the laws: D(x) = d - s·(x - z), D = ln(scratch/transfer).
    z = 0.5 * (scratch.log_n + transfer.log_n)
    u, v = scratch.log_n - z, transfer.log_n - z
    s = scratch.exponent - transfer.exponent
    d = scratch.log_mae + scratch.exponent * u - transfer.log_mae - transfer.exponent * v
    var_a, var_b = scratch.se_exponent**2, transfer.se_exponent**2
    spread = var_a**2 / scratch.df + var_b**2 / transfer.df
    df = (var_a + var_b) ** 2 / spread if spread > 0 else scratch.df + transfer.df  # Welch-Satterthwaite
    t2 = student_t(confidence, df) ** 2
    var_level = scratch.se_log_mae**2 + transfer.se_log_mae**2
    a = s**2 - t2 * (var_a + var_b)
    b = d * s - t2 * (var_a * u + var_b * v)
    c = d**2 - t2 * (var_level + var_a * u**2 + var_b * v**2)
    root = np.sqrt(max(b**2 - a * c, 0.0))
    smallest = min(scratch.n_min, transfer.n_min)
    with np.errstate(over="ignore", divide="ignore"):
        n = float(np.exp(z + d / s)) if s else float("nan")
        ends = [float(np.exp(z + (b + sign * root) / a)) for sign in (-1, 1)] if a else [0.0, 0.0]
    if s == 0 or a <= 0:
        # A true crossing may lie anywhere outside the stretch in which the lines differ clearly.
        below, above = sorted(ends)
        low = above if b**2 > a * c and below <= smallest < above else 0.0
        half = np.sqrt(t2 * (var_a + var_b))
        why = f"slopes differ by {-s:+.3f} ± {half:.3f}: parallel within error"
        if s:
            why += f" (the lines as fitted meet at {_count(n)})"
        if low:
            why += f"; no crossing between the smallest size and {_count(low)}"
        return Crossover(float("nan"), low, float("inf"), "none", "", float("nan"), why)
    low, high = sorted(ends)
    better, worse = ("scratch", "transfer") if s > 0 else ("transfer", "scratch")
    if n < smallest:
        why = f"the lines meet at {_count(n)}, below the smallest size: {better} is better from there on"
        return Crossover(float("nan"), low, high, "none", better, float("nan"), why)
    first, last = max(scratch.n_min, transfer.n_min), min(scratch.n_max, transfer.n_max)
    decades = max(0.0, float(np.log10(n / last)), float(np.log10(first / n)))
    if decades < 1e-9:
        return Crossover(n, low, high, "in range", better, 0.0, "")
    side = "beyond the largest" if n > last else "below the smallest"
    why = f"{decades:.2f} decades {side} size that both laws were fitted to; {worse} is better before"
    return Crossover(n, low, high, "extrapolated", better, decades, why)


def _count(n: float) -> str:
    return f"{n:,.0f}" if 1 <= n < 1e9 else f"{n:.1e}"
