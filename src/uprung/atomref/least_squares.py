"""Ordinary least squares for elemental reference energies."""

from __future__ import annotations

from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from uprung.atomref.base import CompositionModel
from uprung.atomref.errors import effective, near_null_stderr, rests_on_one_group, sandwich


class LeastSquares(CompositionModel):
    """Ordinary least squares in float64 with rank-aware diagnostics.

    Minimum norm on the columns seen. Standard errors are the sandwich estimator CR2, clustered by group (HC2 when no
    groups are given), times the t quantile of Satterthwaite's degrees of freedom over 1.96, so that 1.96 of them hold
    95 % (`uprung.atomref.errors`). They are nan for an element whose value rests on a single group (or structure): its
    residuals vanish there by construction, and the sandwich would report a standard error near zero.
    """

    name = "least-squares"

    def fit(
        self, X: ArrayLike, y: ArrayLike, groups: ArrayLike | None = None, together: ArrayLike | None = None
    ) -> Self:
        """Fit references to energies per atom, as `CompositionModel.fit` says; there is no strength to choose."""
        X, y, codes, design = self._begin(X, y, groups)
        U, to_coef = design.U, design.to_coef
        self.coef_ = design.spread(to_coef @ (U.T @ y))
        residual = y - U @ (U.T @ y)
        stderr = effective(*sandwich(U, to_coef, residual, codes, clustered=groups is not None))
        self.near_null_ = design.near_null
        self.near_null_stderr_ = near_null_stderr(design, residual, codes, clustered=groups is not None)
        stderr[rests_on_one_group(U, to_coef, codes)] = np.nan
        self.stderr_ = np.where(design.determined, design.spread(stderr), np.nan)
        return self
