"""Whether a curve has the shape of a learning curve at all: it falls, and ever more slowly, within its noise.

Curves that rise, or fall faster and faster, are known from practice (Viering & Loog, IEEE TPAMI 45, 7799 (2023)); a
law with a negative or an average exponent would hide them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from uprung.laws.points import FloatArray, LogPoints

LEVEL = 0.01  # probability of a false alarm over all steps of a curve


@dataclass(frozen=True)
class Shape:
    """What the size means say: `monotone` and `convex` are None where the noise is unknown, for lack of seeds.

    `rises` are the steps (smaller size, larger size) at which the mean rises, beyond noise where that is known.
    """

    monotone: bool | None
    convex: bool | None
    rises: tuple[tuple[float, float], ...]

    @property
    def words(self) -> str:
        """Return what was found, in words."""
        where = ", ".join(f"n = {a:,.0f} to {b:,.0f}" for a, b in self.rises)
        if self.monotone is None:
            return f"noise unknown (one seed); rises from {where}" if where else "noise unknown (one seed)"
        if not self.monotone:
            return f"rises from {where} beyond noise"
        return "falls, ever more slowly, within noise" if self.convex else "falls, but faster and faster beyond noise"


def shape_of(points: LogPoints) -> Shape:
    """Return the shape of a curve: t tests of all steps between the size means, of those of slopes in N, Bonferroni.

    Args:
        points: the runs; several seeds, else the noise is unknown.
    """
    if points.n_sizes < 2:
        return Shape(None, None, ())
    n, y = np.exp(points.mean(points.x)), points.mean(points.y)
    order = np.argsort(n)
    n, y = n[order], y[order]
    steps = np.diff(np.eye(len(n)), axis=0)  # (sizes - 1, sizes)
    rise = steps @ y
    covariance, df = _noise(points)
    if df == 0:
        return Shape(None, None, tuple((n[i], n[i + 1]) for i in np.flatnonzero(rise > 0)))
    covariance = covariance[np.ix_(order, order)]
    up = _beyond(rise, steps, covariance, df)
    mae = np.exp(y)
    bends = np.diff(steps / np.diff(n)[:, None], axis=0) * mae  # derivatives of the changes of slope by ln MAE
    down = _beyond(-np.diff(np.diff(mae) / np.diff(n)), bends, covariance, df)
    return Shape(not up.any(), not down.any(), tuple((n[i], n[i + 1]) for i in np.flatnonzero(up)))


def _noise(points: LogPoints) -> tuple[FloatArray, int]:
    """Return the covariance of the size means from seeds and test materials, and its degrees of freedom."""
    member = np.asarray(points.group[:, None] == np.arange(points.n_sizes), dtype=np.float64)
    counts = member.sum(axis=0)
    df = len(points.x) - points.n_sizes
    within = points.y - (member @ (member.T @ points.y / counts))
    covariance = np.diag(float(within @ within) / max(df, 1) / counts)
    if points.test is not None:
        mean = member / counts
        covariance = covariance + mean.T @ points.test.covariance @ mean
    return covariance, df


def _beyond(values: FloatArray, ways: FloatArray, covariance: FloatArray, df: int) -> FloatArray:
    """Return which values exceed zero by more than their noise."""
    if not len(values):
        return np.zeros(0, dtype=bool)
    se = np.sqrt(np.maximum(np.einsum("ki,ij,kj->k", ways, covariance, ways), 0.0))
    return np.asarray(values > max(float(stats.t.isf(LEVEL / len(values), df)), 0.0) * se + 1e-12)
