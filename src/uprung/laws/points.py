"""The points that a law is fitted to, on logarithmic axes, and the error of a fit estimated from their scatter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy import stats

FloatArray = npt.NDArray[np.float64]

MIN_SIZES = 3
CONFIDENCE = 0.95
HUBER = 1.345  # residuals in units of their scale: 95 % efficiency for normal errors (Huber, Robust Statistics)


class LawRefused(ValueError):  # noqa: N818 (a refusal with its reason, not a failure)
    """The points cannot support the law; the message says why."""


@dataclass(frozen=True)
class Materials:
    """Errors of some runs on the test materials that they share, relative to their means.

    `errors` (materials, runs) are summed absolute errors and `labels` (materials,) the numbers of labels behind them,
    both over their means over the materials.
    """

    errors: FloatArray
    labels: FloatArray
    resamples: int = 1000

    @classmethod
    def of(cls, sums: FloatArray, counts: FloatArray, *, resamples: int = 1000) -> Materials:
        """Return the materials of summed absolute errors (materials, runs) and numbers of labels (materials,)."""
        return cls(sums / sums.mean(axis=0), counts / counts.mean(), resamples)

    @cached_property
    def covariance(self) -> FloatArray:
        """Covariance of ln MAE of the runs from the choice of the materials (delta method), (runs, runs)."""
        moved = self.errors - self.labels[:, None]
        return np.asarray(moved.T @ moved / (len(moved) * (len(moved) - 1)))

    def runs(self, keep: npt.NDArray[np.bool_] | slice) -> Materials:
        """Return the errors of some of the runs."""
        return replace(self, errors=self.errors[:, keep])


@dataclass(frozen=True)
class LogPoints:
    """Runs of one learning curve: x = ln n, y = ln MAE, which size each belongs to, and its weight in the fit.

    `test` holds the errors on the test materials, None where they are unknown.
    """

    x: FloatArray
    y: FloatArray
    group: npt.NDArray[np.int64]
    sizes: tuple[str, ...]
    weights: FloatArray
    test: Materials | None = None

    @property
    def n_sizes(self) -> int:
        """Number of distinct sizes."""
        return len(self.sizes)

    def mean(self, values: FloatArray) -> FloatArray:
        """Return the weighted mean over the runs of each size, (sizes, ...)."""
        total = np.bincount(self.group, weights=self.weights)
        return np.stack([self.weights[self.group == g] @ values[self.group == g] for g in range(self.n_sizes)]) / (
            total.reshape(-1, *[1] * (values.ndim - 1))
        )

    def without(self, size: int) -> LogPoints:
        """Return the points of all sizes but one, given by its number."""
        keep = self.group != size
        group = np.unique(self.group[keep], return_inverse=True)[1]
        sizes = tuple(s for i, s in enumerate(self.sizes) if i != size)
        test = None if self.test is None else self.test.runs(keep)
        return LogPoints(self.x[keep], self.y[keep], group, sizes, self.weights[keep], test)

    def weighted(self, weights: FloatArray) -> LogPoints:
        """Return the same points with other weights."""
        return replace(self, weights=weights)


def log_points(
    n: Sequence[float] | FloatArray,
    mae: Sequence[float] | FloatArray,
    *,
    sizes: Sequence[str] | npt.NDArray[np.object_] | None = None,
    test: Materials | None = None,
) -> LogPoints:
    """Return checked points, one per run.

    Args:
        n: training sizes.
        mae: errors, any unit.
        sizes: which runs share a size; by default those of equal `n` do (subsets drawn by material resolve to
            slightly different frame counts, so pass the size tokens).
        test: errors of the runs on the test materials.

    Raises:
        ValueError: unequal lengths; a size or an error that is not positive and finite.
    """
    x, y = np.asarray(n, dtype=np.float64), np.asarray(mae, dtype=np.float64)
    labels = x if sizes is None else np.asarray(sizes)
    if not x.shape == y.shape == labels.shape or x.ndim != 1:
        raise ValueError(f"a law needs n, mae and sizes of one length: got {x.shape}, {y.shape}, {labels.shape}")
    if test is not None and test.errors.shape[1] != len(x):
        raise ValueError(
            f"{len(x)} runs have {len(x)} columns of errors on the test materials: got {test.errors.shape}"
        )
    for name, values in (("training size", x), ("MAE", y)):
        if not np.all(np.isfinite(values) & (values > 0)):
            raise ValueError(f"a law needs a positive, finite {name} for every point: got {values}")
    distinct, group = np.unique(labels, return_inverse=True)
    names = tuple(f"{v:g}" if sizes is None else str(v) for v in distinct)
    return LogPoints(np.log(x), np.log(y), group.astype(np.int64), names, np.ones(len(x)), test)


def refuse_below(points: LogPoints, needed: int, law: str) -> None:
    """Raise LawRefused for fewer distinct sizes than a law needs."""
    if points.n_sizes < needed:
        listed = f" ({', '.join(points.sizes)})" if points.n_sizes else ""
        raise LawRefused(f"{points.n_sizes} distinct size(s){listed}; a {law} needs {needed}")


def student_t(confidence: float, df: float) -> float:
    """Return the two-sided quantile of Student's t."""
    return float(stats.t.ppf(0.5 + confidence / 2, df))


@dataclass(frozen=True)
class Scatter:
    """Variance of one run about a law, its degrees of freedom, and the share of it that is test noise."""

    variance: float
    df: int
    test: float  # what the noise of the test materials contributes to `variance` on average
    source: str  # 'sizes': of the size means about the law; 'runs': of all runs about the law


def scatter(points: LogPoints, residual: FloatArray, tangent: FloatArray, *, pooled: bool = False) -> Scatter:
    """Return the variance of one run about a fitted law.

    The scatter of the size means about the law is the error that counts (lack-of-fit mean square of a regression with
    replicates: Draper & Smith, Applied Regression Analysis, ch. 2): seeds of one size share whatever the law misses
    there. With `pooled` the scatter of the seeds about their means is added to it, for laws that leave the size means
    too few degrees of freedom.

    Args:
        points: the runs.
        residual: (runs,) ln MAE minus the law.
        tangent: (runs, parameters) derivatives of the law at its best fit.
        pooled: use all runs.
    """
    root = np.sqrt(points.weights)
    member = root[:, None] * (points.group[:, None] == np.arange(points.n_sizes))
    member /= np.linalg.norm(member, axis=0)
    seen = np.eye(len(root)) if pooled else member.T
    df = len(seen) - tangent.shape[1]
    test = 0.0
    if points.test is not None:
        q, _ = np.linalg.qr(root[:, None] * tangent)
        seen_residual = seen @ (np.eye(len(root)) - q @ q.T) * root
        test = float(np.einsum("ij,jk,ik", seen_residual, points.test.covariance, seen_residual)) / df
    return Scatter(float(np.sum((seen @ (root * residual)) ** 2)) / df, df, test, "runs" if pooled else "sizes")


def huber_weights(residual: FloatArray) -> FloatArray:
    """Return Huber's weights of residuals, scaled by their median absolute deviation; all 1 where that is 0."""
    scale = 1.4826 * float(np.median(np.abs(residual)))
    if scale <= 1e-12:
        return np.ones_like(residual)
    return np.minimum(1.0, HUBER * scale / np.maximum(np.abs(residual), 1e-300))
