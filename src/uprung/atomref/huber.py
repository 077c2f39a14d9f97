"""Huber's estimator of elemental reference energies: least squares for most structures, a limited pull for the rest."""

from __future__ import annotations

from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from uprung.atomref.base import UNIT_TOLERANCE, CompositionModel, Design, Floats
from uprung.atomref.errors import effective, near_null_stderr, rests_on_one_group, sandwich

#: Median absolute deviation of a standard normal variable.
MAD_OF_NORMAL = 0.6744897501960817
SCALE_ROUNDS, ROUNDS = 50, 5_000


class Huber(CompositionModel):
    """Huber's M-estimator: residuals beyond threshold × scale count linearly (Huber, Ann. Math. Stat. 35, 73 (1964)).

    The scale is the median absolute residual, each divided by √(1 − leverage), of the structures whose leverage is
    below 1: scikit-learn's and SciPy's estimators do not count degrees of freedom, and small subsets, where many
    elements occur in one structure, then look far more precise than they are. With the scale fixed the problem is
    convex; it is solved by reweighting in coordinates in which the design is orthonormal.

    Standard errors are the sandwich of the M-estimator, clustered as for least squares. They are nan where these are,
    and for elements of which no structure is within the threshold.

    Attributes:
        threshold: in scales; 1.345 keeps 95 % of the efficiency of least squares for normal errors.
        scale_: scale of the residuals, eV/atom; 0 for an exact fit.
        weights_: weight of every structure, (n,), 1 within the threshold.
    """

    name = "huber"
    scale_: float
    weights_: Floats

    def __init__(self, threshold: float = 1.345) -> None:
        """Take the threshold, in scales of the residuals."""
        self.threshold = threshold

    def fit(
        self, X: ArrayLike, y: ArrayLike, groups: ArrayLike | None = None, together: ArrayLike | None = None
    ) -> Self:
        """Fit references to energies per atom (see `CompositionModel.fit`); there is no strength to choose.

        Raises:
            ValueError: unusable input, or a threshold that is not positive.
        """
        if not self.threshold > 0:
            raise ValueError(f"huber: threshold {self.threshold}; it has to be positive")
        X, y, codes, design = self._begin(X, y, groups)
        U = design.U
        at, self.scale_ = _solve(design, y, self.threshold)
        self.coef_ = design.spread(design.to_coef @ at)
        residual = y - U @ at
        self.weights_ = _weights(residual, self.threshold * self.scale_)
        # The derivative of the score: structures beyond the threshold do not hold their element any more.
        inside = self.weights_ == 1
        values, vectors = np.linalg.eigh((U * inside[:, None]).T @ U)
        held = values > UNIT_TOLERANCE
        bread = vectors[:, held] / values[held] @ vectors[:, held].T
        pulls = self.weights_ * residual
        stderr = effective(*sandwich(U, design.to_coef @ bread, pulls, codes, clustered=groups is not None))
        self.near_null_ = design.near_null
        self.near_null_stderr_ = near_null_stderr(design, pulls, codes, clustered=groups is not None)
        lost = np.abs(design.to_coef @ vectors[:, ~held]) > 1e-6
        stderr[lost.any(axis=1) | rests_on_one_group(U, design.to_coef, codes)] = np.nan
        self.stderr_ = np.where(design.determined, design.spread(stderr), np.nan)
        return self


def _weights(residual: Floats, limit: float) -> Floats:
    """Return limit/|residual| (n,), at most 1; all 1 for a limit of 0, an exact fit."""
    if limit == 0:
        return np.ones_like(residual)
    return np.minimum(1.0, limit / np.maximum(np.abs(residual), limit))


def _scale(residual: Floats, leverage: Floats) -> float:
    """Return a robust standard deviation of the errors, eV/atom; 0 where every structure is fitted exactly."""
    free = leverage < 1 - UNIT_TOLERANCE
    if not free.any():
        return 0.0
    return float(np.median(np.abs(residual[free]) / np.sqrt(1 - leverage[free])) / MAD_OF_NORMAL)


def _solve(design: Design, y: Floats, threshold: float) -> tuple[Floats, float]:
    """Return the coordinates of the fit in the columns of U, and the scale of the errors."""
    U, leverage = design.U, design.leverage
    at = U.T @ y
    exact = 1e-12 * max(1.0, float(np.abs(y).max()))
    scale = _scale(y - U @ at, leverage)
    for k in range(ROUNDS):
        if scale <= exact:
            return at, 0.0
        residual = y - U @ at
        weighted = U * _weights(residual, threshold * scale)[:, None]
        step = np.linalg.solve(weighted.T @ U, weighted.T @ residual)
        at = at + step
        settled = float(np.abs(step).max()) <= 1e-10 * scale
        if k < SCALE_ROUNDS and not settled:  # later the scale stands still, and the problem is convex
            scale = _scale(y - U @ at, leverage)
        elif settled:
            return at, scale
    raise ValueError(f"huber: no convergence in {ROUNDS} rounds of reweighting (threshold {threshold})")
