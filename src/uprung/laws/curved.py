"""Fits of laws with nonlinear parameters, and intervals from the whole region of parameters that fit as well.

Wald intervals fail where a floor or a shift may as well be zero, so intervals are profiles: the extremes of a quantity
over all parameters whose sum of squares exceeds the smallest by at most t²·s² (Bates & Watts, Nonlinear Regression
Analysis and Its Applications, ch. 6). Given the nonlinear parameters a law is linear in the others, so the region is
known exactly on a grid of the former.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from uprung.laws.fitted import Band, FittedLaw, widened
from uprung.laws.forms import FORMS, Form, Quantity
from uprung.laws.points import (
    CONFIDENCE,
    FloatArray,
    LogPoints,
    Scatter,
    huber_weights,
    refuse_below,
    scatter,
    student_t,
)
from uprung.laws.search import Profile, best_fit, line, merged, region


@dataclass(frozen=True)
class CurvedLaw(FittedLaw):
    """A fitted law with nonlinear parameters; `region` holds all that fit as well, row 0 the best."""

    form: Form
    points: LogPoints
    region: Profile
    spread: Scatter
    tangent: FloatArray
    r2: float
    confidence: float = CONFIDENCE

    @property
    def name(self) -> str:
        """Name of the form."""
        return self.form.name

    @property
    def df(self) -> int:
        """Degrees of freedom of the scatter."""
        return self.spread.df

    @property
    def n_min(self) -> float:
        """Smallest training size fitted."""
        return float(np.exp(self.points.x.min()))

    @property
    def n_max(self) -> float:
        """Largest training size fitted."""
        return float(np.exp(self.points.x.max()))

    @property
    def residual(self) -> FloatArray:
        """Return ln MAE minus the law, (runs,)."""
        return self.points.y - line(self.form, self.region, self.points.x)

    def parameters(self) -> dict[str, tuple[float, float, float]]:
        """Return name -> value and interval, open where an end is infinite."""
        found: dict[str, tuple[float, float, float]] = {}
        for name, quantity in self.form.quantities(self.region.psi).items():
            value, low, high = self._interval(quantity, name)
            found[name] = (_exp(value), _exp(low), _exp(high)) if quantity[2] else (value, low, high)
        return found

    def band(self, x: FloatArray) -> Band:
        """Return ln MAE at x = ln N (n,) and its band from the scatter alone."""
        offset, h = self.form.shape(x, self.region.psi)
        centre = offset + np.einsum("gnk,gk->gn", h, self.region.beta)
        half = np.sqrt(self._room()[:, None] * np.einsum("gnk,gkl,gnl->gn", h, self.region.inverse, h, optimize=True))
        return centre[0], (centre - half).min(axis=0), (centre + half).max(axis=0)

    def directions(self, x: FloatArray) -> FloatArray:
        """Return the derivatives of ln MAE at x (n,) by the parameters, (n, parameters)."""
        return tangent(self.form, x, self.region.psi[0], self.region.beta[0])

    def solve(self) -> FloatArray:
        """Return what takes small changes of ln MAE of the runs to those of the parameters, (parameters, runs)."""
        root = np.sqrt(self.points.weights)
        return np.asarray(np.linalg.pinv(root[:, None] * self.tangent) * root)

    @property
    def shown(self) -> float:
        """Variance of one run that the test materials put into the scatter about the law."""
        return self.spread.test

    def _room(self) -> FloatArray:
        """Return how far the linear parameters may move at every point of the region, as a sum of squares."""
        limit = student_t(self.confidence, self.df) ** 2 * self.spread.variance
        return np.asarray(np.maximum(self.region.ss[0] + limit - self.region.ss, 0.0))

    def _interval(self, quantity: Quantity, name: str) -> tuple[float, float, float]:
        offset, h, _ = quantity
        centre = offset + np.einsum("gk,gk->g", h, self.region.beta)
        half = np.sqrt(self._room() * np.einsum("gk,gkl,gl->g", h, self.region.inverse, h))
        value, low, high = float(centre[0]), float((centre - half).min()), float((centre + half).max())
        if self.noise is not None and np.isfinite(value):
            ends = (np.array([each]) for each in (value, low, high))
            wider = widened(tuple(ends), self.noise, self._gradient(name)[None], self.confidence)  # type: ignore[arg-type]
            low, high = float(wider[1][0]), float(wider[2][0])
        return value, *self._opened(name, low, high)

    def _opened(self, name: str, low: float, high: float) -> tuple[float, float]:
        """Return an interval that is open where the region ends at a bound of the search."""
        bounds = self.form.bounds()
        for i, _ in self.form.open_ends():
            if self.region.psi[:, i].max() >= bounds[i][1] - 1e-9:
                high = np.inf if name in ("exponent", "shift", "prefactor") else high
        return low, high

    def _gradient(self, name: str) -> FloatArray:
        """Return the derivatives of a parameter by the linear, then the nonlinear ones."""

        def value(psi: FloatArray) -> FloatArray:
            offset, h, _ = self.form.quantities(psi[None])[name]
            return np.asarray(offset[0] + h[0] @ self.region.beta[0])

        _, h, _ = self.form.quantities(self.region.psi[:1])[name]
        return np.concatenate([h[0], _slopes(value, self.region.psi[0], self.form.bounds())])


def _exp(value: float) -> float:
    with np.errstate(over="ignore"):
        return float(np.exp(value))


def _slopes(
    function: Callable[[FloatArray], FloatArray], psi: FloatArray, bounds: Sequence[tuple[float, float]]
) -> FloatArray:
    """Return numerical derivatives by the nonlinear parameters, inside their bounds, (d, ...)."""
    columns = []
    for i, (low, high) in enumerate(bounds):
        step = 1e-4 * (high - low)
        up, down = psi.copy(), psi.copy()
        up[i], down[i] = min(psi[i] + step, high), max(psi[i] - step, low)
        with np.errstate(invalid="ignore"):
            columns.append((function(up) - function(down)) / (up[i] - down[i]))
    return np.array(columns)


def tangent(form: Form, x: FloatArray, psi: FloatArray, beta: FloatArray) -> FloatArray:
    """Return derivatives of ln MAE at x by the linear, then the nonlinear parameters, (n, parameters)."""

    def line(at: FloatArray) -> FloatArray:
        offset, h = form.shape(x, at[None])
        return np.asarray(offset[0] + h[0] @ beta)

    _, h = form.shape(x, psi[None])
    return np.concatenate([h[0], _slopes(line, psi, form.bounds()).T.reshape(len(x), -1)], axis=1)


def fit_curved(points: LogPoints, law: str, *, robust: bool = False, confidence: float = CONFIDENCE) -> CurvedLaw:
    """Fit a law with nonlinear parameters by least squares in log space over all (size, seed) points.

    Args:
        points: the runs.
        law: name of the form, a key of `FORMS`.
        robust: Huber's loss in place of squares.
        confidence: of its intervals.

    Raises:
        LawRefused: too few distinct sizes.
    """
    kind = FORMS[law]
    refuse_below(points, kind.min_sizes(), f"{law} law")
    form = kind.of(points)
    best = best_fit(form, points)
    residual = points.y - line(form, best, points.x)
    for _ in range(10 if robust else 0):
        points = points.weighted(huber_weights(residual))
        best = best_fit(form, points)
        residual = points.y - line(form, best, points.x)
    slopes = tangent(form, points.x, best.psi[0], best.beta[0])
    spread = spread_of(points, residual, slopes)
    limit = float(best.ss[0]) + student_t(confidence, spread.df) ** 2 * spread.variance
    dy = points.y - points.weights @ points.y / points.weights.sum()
    syy = float(points.weights @ dy**2)
    return CurvedLaw(
        form=form,
        points=points,
        region=region(form, merged(points), best, limit),
        spread=spread,
        tangent=slopes,
        r2=1 - float(points.weights @ residual**2) / syy if syy > 0 else float("nan"),
        confidence=confidence,
    )


def spread_of(points: LogPoints, residual: FloatArray, slopes: FloatArray) -> Scatter:
    """Return the scatter about a curved law: of the size means, or of all runs where these leave too little."""
    by_sizes = scatter(points, residual, slopes)
    if len(points.x) == points.n_sizes or by_sizes.df > 2:
        return by_sizes
    return scatter(points, residual, slopes, pooled=True)
