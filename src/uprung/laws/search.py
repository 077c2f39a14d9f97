"""Searches over the nonlinear parameters of a law: the best ones, and all that fit as well."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt

from uprung.laws.forms import Form
from uprung.laws.points import FloatArray, LogPoints

GRID = {1: 101, 2: 31}  # points per nonlinear parameter of a region
COARSE = {1: 21, 2: 15}  # of a search for the best one
INNER = 13  # of a search along the second parameter
REFINEMENTS = 3
SEARCHES = 6
MARGIN = 1.5  # a slice of a region is looked for this much beyond the end that a parabola gives


@dataclass(frozen=True)
class Profile:
    """Best linear parameters for every point of a grid of nonlinear ones."""

    psi: FloatArray  # (G, d)
    ss: FloatArray  # (G,) weighted sum of squares
    beta: FloatArray  # (G, k)
    inverse: FloatArray  # (G, k, k)

    def rows(self, which: npt.NDArray[np.int64] | npt.NDArray[np.bool_]) -> Profile:
        """Return some of the rows."""
        return Profile(self.psi[which], self.ss[which], self.beta[which], self.inverse[which])


def profile(form: Form, points: LogPoints, psi: FloatArray) -> Profile:
    """Return the least-squares linear parameters for every row of psi (G, d)."""
    weights = points.weights
    offset, h = form.shape(points.x, psi)
    weighted = h * weights[:, None]
    gram = np.einsum("gnk,gnl->gkl", weighted, h)
    gram += 1e-13 * np.einsum("gkk->g", gram)[:, None, None] * np.eye(gram.shape[1])
    inverse = np.linalg.inv(gram)
    target = points.y - offset
    beta = np.einsum("gkl,gl->gk", inverse, np.einsum("gnl,gn->gl", weighted, target))
    ss = np.asarray((target - np.einsum("gnk,gk->gn", h, beta)) ** 2 @ weights)
    return Profile(psi, ss, beta, inverse)


def merged(points: LogPoints) -> LogPoints:
    """Return one point per distinct training size: the same best fit, and the same differences of squares."""
    x, place = np.unique(points.x, return_inverse=True)
    weights = np.asarray(np.bincount(place, weights=points.weights), dtype=np.float64)
    y = np.bincount(place, weights=points.weights * points.y) / weights
    return LogPoints(x, y, np.arange(len(x), dtype=np.int64), tuple(map(str, x)), weights)


def line(form: Form, best: Profile, x: FloatArray) -> FloatArray:
    """Return ln MAE at x for the first row of a profile."""
    offset, h = form.shape(x, best.psi[:1])
    return np.asarray(offset[0] + h[0] @ best.beta[0])


def best_fit(form: Form, points: LogPoints) -> Profile:
    """Return the best parameters as a profile of one row, by repeatedly refining a grid around its best point."""
    points = merged(points)
    bounds = form.bounds()
    box, count = list(bounds), COARSE[len(bounds)]
    for _ in range(SEARCHES):
        found = profile(form, points, _grid(box, count))
        best = found.rows(np.array([found.ss.argmin()]))
        box = _box(best.psi, box, count, bounds)
    return best


def region(form: Form, points: LogPoints, best: Profile, limit: float) -> Profile:
    """Return all parameters with a sum of squares below the limit, on a grid fitted to them; the best ones first.

    Args:
        form: of the law.
        points: one per size; see `merged`.
        best: profile of one row.
        limit: largest sum of squares.
    """
    bounds = form.bounds()
    box, count = list(bounds[:1]), GRID[len(bounds)]
    for _ in range(REFINEMENTS):
        first = _grid(box, count)
        found = profile(form, points, first) if len(bounds) == 1 else _lowest(form, points, first, bounds[1])
        inside = found.rows(found.ss <= limit)
        box = _box(np.concatenate([inside.psi[:, :1], best.psi[:, :1]]), box, count, bounds)
    if len(bounds) > 1:
        found = profile(form, points, _slices(form, points, inside, limit, bounds[1]))
        inside = found.rows(found.ss <= limit)
    parts = [(getattr(best, name), getattr(inside, name)) for name in ("psi", "ss", "beta", "inverse")]
    return Profile(*(np.concatenate(pair) for pair in parts))


def _lowest(form: Form, points: LogPoints, first: FloatArray, bounds: tuple[float, float]) -> Profile:
    """Return, for every value of the first parameter (G, 1), the profile at the best value of the second."""
    low, high = np.full(len(first), bounds[0]), np.full(len(first), bounds[1])
    unit = np.linspace(0.0, 1.0, INNER)
    for _ in range(SEARCHES):
        second = low[:, None] + (high - low)[:, None] * unit
        psi = np.stack([np.broadcast_to(first, second.shape), second], axis=-1).reshape(-1, 2)
        found = profile(form, points, psi)
        best = found.ss.reshape(second.shape).argmin(axis=1) + np.arange(len(first)) * INNER
        step = (high - low) / (INNER - 1)
        low, high = np.maximum(psi[best, 1] - step, bounds[0]), np.minimum(psi[best, 1] + step, bounds[1])
    return found.rows(best)


def _slices(form: Form, points: LogPoints, lowest: Profile, limit: float, bounds: tuple[float, float]) -> FloatArray:
    """Return parameters that cover the part of every slice below the limit, given the lowest point of each slice."""
    step = 1e-3 * (bounds[1] - bounds[0])
    inward = np.where(lowest.psi[:, 1] + step > bounds[1], -step, step)
    beside = profile(form, points, lowest.psi + np.stack([np.zeros_like(inward), inward], axis=1))
    curvature = np.maximum((beside.ss - lowest.ss) / step**2, 1e-12)
    half = MARGIN * np.sqrt(np.maximum(limit - lowest.ss, 0.0) / curvature)
    second = lowest.psi[:, 1:] + half[:, None] * np.linspace(-1.0, 1.0, GRID[2])
    second = np.clip(second, *bounds)
    return np.stack([np.broadcast_to(lowest.psi[:, :1], second.shape), second], axis=-1).reshape(-1, 2)


def _grid(box: Sequence[tuple[float, float]], count: int) -> FloatArray:
    axes = [np.linspace(low, high, count) for low, high in box]
    return np.array(list(product(*axes))) if len(axes) > 1 else axes[0][:, None]


def _box(
    inside: FloatArray, box: Sequence[tuple[float, float]], count: int, bounds: Sequence[tuple[float, float]]
) -> list[tuple[float, float]]:
    """Return the box of some grid points of a box, a step wider on every side."""
    step = np.array([(high - low) / (count - 1) for low, high in box])
    low, high = inside.min(axis=0) - step, inside.max(axis=0) + step
    return [(max(a, lo), min(b, hi)) for a, b, (lo, hi) in zip(low, high, bounds, strict=False)]
