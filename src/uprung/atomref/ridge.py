"""Ridge estimators of elemental reference energies: least squares that is pulled towards an expectation.

The references are e = c + T·b + d: c known values, T a few smooth functions of the element whose coefficients b are
free, and d the element's own deviation, penalised by strength·|d|². In Bayes' words d is normal with variance
σ²/strength, σ² being the variance of an energy about its reference energy; so a strength is the number of structures
of the pure element that weigh as much as the expectation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from uprung.atomref.base import (
    N_ELEMENTS,
    RANK_TOLERANCE,
    UNIT_TOLERANCE,
    Bools,
    CompositionModel,
    Floats,
    Ints,
    check_elements,
    group_codes,
)
from uprung.atomref.errors import effective, rests_on_one_group, sandwich
from uprung.atomref.left_out import left_out_residuals
from uprung.atomref.prior import beyond, degree_for, powers

#: Strengths tried, four per decade.
STRENGTHS = np.logspace(-4, 4, 33)


class Ridge(CompositionModel):
    """Least squares pulled towards one energy that all elements share, and that is fitted as well.

    That is scikit-learn's `Ridge` with an intercept: compositions sum to 1, so an intercept is a common reference. A
    pull towards zero, as elsewhere, would depend on where the scale of energies has its zero.

    Where no strength is given, it is the one of `STRENGTHS` with the smallest mean squared error on what is left out:
    what `together` names at once, else every row by itself. Exact, in closed form, with everything but the strength
    fitted anew; groups that alone hold an unpenalised direction are not scored.

    Standard errors add the clustered sampling variance, as of least squares, and the variance of the deviations that
    the pull hides, σ²/strength each. For independent errors that is the posterior variance. They are nan where the
    value rests on a single group.

    Attributes:
        strength: of the pull, in structures of the pure element; None to choose it.
        strength_: the strength used.
        scores_: mean squared left-out error of every strength tried, (eV/atom)²; empty for a given one.
        n_scored_: structures in that mean.
        expected_: what the references are pulled to, (94,) eV/atom.
        expected_stderr_: by how much an element without data may miss it, (94,) eV/atom.
    """

    name = "ridge"
    strength_: float
    expected_: Floats
    expected_stderr_: Floats
    scores_: Floats
    n_scored_: int

    def __init__(self, strength: float | None = None) -> None:
        """Take the strength of the pull, None to choose it."""
        self.strength = strength

    def _expectation(self, seen: Bools) -> tuple[Floats, Floats, Bools]:
        """Return c (94,), T (94, q), and which elements have an expectation (94,); the others are not pulled."""
        return np.zeros(N_ELEMENTS), np.ones((N_ELEMENTS, 1)), np.ones(N_ELEMENTS, dtype=bool)

    def fit(
        self, X: ArrayLike, y: ArrayLike, groups: ArrayLike | None = None, together: ArrayLike | None = None
    ) -> Self:
        """Fit references to energies per atom (see `CompositionModel.fit`).

        Raises:
            ValueError: unusable input, a strength that is not positive, or nothing to choose a strength from.
        """
        if self.strength is not None and not self.strength > 0:
            raise ValueError(f"{self.name}: strength {self.strength}; it has to be positive")
        X, y, codes, design = self._begin(X, y, groups)
        centre, trend, pulled = self._expectation(design.seen)
        problem = _reduce(X, y - X @ centre, trend, pulled)
        self.scores_, self.n_scored_, self.strength_ = np.zeros(0), 0, self.strength or np.nan
        if self.strength is None:
            self._choose(problem, group_codes(together, len(X)))

        shrunk = problem.s**2 / (problem.s**2 + self.strength_)
        to_values = problem.to_values(trend, self.strength_)
        values = centre + to_values @ (problem.basis.T @ problem.y)
        self.coef_ = np.where(design.seen, values, np.nan)
        trend_only = centre + trend @ (problem.to_trend(self.strength_) @ (problem.basis.T @ problem.y))
        self.expected_ = np.where(pulled, trend_only, np.nan)
        self.leverage_ = (problem.Q**2).sum(axis=1) + (problem.U**2 * shrunk).sum(axis=1)

        residual = problem.residual(shrunk)
        used = problem.Q.shape[1] + float(shrunk.sum())
        shares = np.concatenate([np.ones(problem.Q.shape[1]), shrunk])
        clustered = groups is not None
        sampling, freedom = sandwich(problem.basis, to_values, residual, codes, clustered=clustered, shares=shares)
        hidden = np.eye(N_ELEMENTS) - to_values @ (problem.basis.T @ X)
        spread = residual @ residual / (len(X) - used) / self.strength_ if len(X) > used else np.nan
        groups_left = max(self.n_groups_ - used, 1.0)  # of what the spread of the deviations is known from
        away = effective(np.sqrt(spread * (hidden[:, pulled] ** 2).sum(axis=1)), np.full(N_ELEMENTS, groups_left))
        stderr = np.sqrt(effective(sampling, np.maximum(freedom, 1.0)) ** 2 + away**2)
        self.expected_stderr_ = np.where(pulled, stderr, np.nan)
        alone = np.zeros(N_ELEMENTS, dtype=bool)
        alone[design.seen] = rests_on_one_group(design.U, design.to_coef, codes)
        self.stderr_ = np.where(design.determined & ~alone, stderr, np.nan)
        return self

    def _choose(self, problem: _Problem, together: Ints) -> None:
        """Set strength_, scores_ and n_scored_ from the errors on what is left out."""
        scored = ~np.isin(together, _indispensable(problem.Q, together))
        if not scored.any() or int(together.max()) < 1:
            raise ValueError(
                f"{self.name}: no strength can be chosen, for the fit needs each of the {int(together.max()) + 1} "
                "groups that would be left out; give `strength`, or fit on more of them"
            )
        _, numbers = np.unique(together[scored], return_inverse=True)
        scores = []
        for strength in STRENGTHS:
            shrunk = problem.s**2 / (problem.s**2 + strength)
            L = np.hstack([problem.Q, problem.U * np.sqrt(shrunk)])
            left_out = left_out_residuals(L[scored], problem.residual(shrunk)[scored], numbers)
            scores.append(float((left_out**2).mean()))
        self.scores_, self.n_scored_ = np.array(scores), int(scored.sum())
        self.strength_ = float(STRENGTHS[int(np.argmin(scores))])


class PriorRidge(Ridge):
    """Least squares pulled towards source references plus a shift smooth in Z, which is fitted at the same time.

    The shift is a polynomial in Z of the degree that `degree_for` gives to the number of elements that are seen and
    in the source. An element without a source value is fitted freely. `prior_` is the source plus the shift for every
    element of the source, seen or not.

    Attributes:
        source: source references, (94,) eV/atom, nan where there is none.
        strength: as in `Ridge`.
    """

    name = "prior-ridge"

    def __init__(self, source: ArrayLike, strength: float | None = None) -> None:
        """Take the source references and the strength of the pull."""
        super().__init__(strength)
        self.source = source

    def fit(
        self, X: ArrayLike, y: ArrayLike, groups: ArrayLike | None = None, together: ArrayLike | None = None
    ) -> Self:
        """Fit references to energies per atom (see `Ridge.fit`).

        Raises:
            ValueError: as `Ridge.fit`, or no element fitted has a source value.
        """
        super().fit(X, y, groups, together)
        source = check_elements(self.source, "source references")
        at = np.flatnonzero(self.determined_ & np.isfinite(source))
        self.prior_ = self.expected_
        self.prior_stderr_ = np.hypot(self.expected_stderr_, beyond(at + 1, (self.coef_ - source)[at]))
        return self

    def _expectation(self, seen: Bools) -> tuple[Floats, Floats, Bools]:
        """Return the source, the polynomial beside a free value for each element without source, and who has one."""
        source = check_elements(self.source, "source references")
        known = np.isfinite(source)
        if not (seen & known).any():
            raise ValueError(
                "prior-ridge: none of the elements fitted is in the source references, so there is nothing to lean on"
            )
        smooth = powers(np.arange(1, N_ELEMENTS + 1), degree_for(int((seen & known).sum())))
        free = np.eye(N_ELEMENTS)[:, seen & ~known]
        return np.where(known, source, 0.0), np.hstack([smooth * known[:, None], free]), known


@dataclass(frozen=True, eq=False)
class _Problem:
    """A ridge problem after the free part, X·T·b, has been projected out: y = Q(Qᵀy) + U(Uᵀy) + residual.

    Attributes:
        y: energies less c, (n,) eV/atom.
        Q: orthonormal basis of X·T, (n, r).
        free: from Qᵀy to b, (q, r).
        U: with s and V, the compositions of pulled elements less their part in Q are U · diag(s) · V, (n, k).
        s: (k,).
        V: (k, 94).
        along: Qᵀ X Vᵀ, (r, k), what a deviation takes away from the free part.
    """

    y: Floats
    Q: Floats
    free: Floats
    U: Floats
    s: Floats
    V: Floats
    along: Floats

    @property
    def basis(self) -> Floats:
        """All directions that the fit uses, (n, r + k)."""
        return np.hstack([self.Q, self.U])

    def residual(self, shrunk: Floats) -> Floats:
        """Return energy minus fitted energy (n,) when the directions U are taken by the shares `shrunk` (k,)."""
        return np.asarray(self.y - self.Q @ (self.Q.T @ self.y) - self.U @ (shrunk * (self.U.T @ self.y)))

    def to_trend(self, strength: float) -> Floats:
        """Return the matrix (q, r + k) from the coordinates basisᵀ·y to the coefficients b."""
        gain = self.s / (self.s**2 + strength)
        return np.hstack([self.free, -self.free @ (self.along * gain)])

    def to_values(self, trend: Floats, strength: float) -> Floats:
        """Return the matrix (94, r + k) from the coordinates basisᵀ·y to the references less c."""
        gain = self.s / (self.s**2 + strength)
        own = np.hstack([np.zeros((N_ELEMENTS, self.Q.shape[1])), self.V.T * gain])
        return np.asarray(trend @ self.to_trend(strength) + own)


def _reduce(X: Floats, y: Floats, trend: Floats, pulled: Bools) -> _Problem:
    """Return the problem of X (n, 94), y (n,) less c, T (94, q) and the pulled elements (94,)."""
    Q, size, free = np.linalg.svd(X @ trend, full_matrices=False)
    keep = size > RANK_TOLERANCE * size[0]
    Q, free = Q[:, keep], free[keep].T / size[keep]
    own = X * pulled
    U, s, V = np.linalg.svd(own - Q @ (Q.T @ own), full_matrices=False)
    keep = s > RANK_TOLERANCE * np.sqrt(len(X))
    U, s, V = U[:, keep], s[keep], V[keep]
    return _Problem(y, Q, free, U, s, V, Q.T @ own @ V.T)


def _indispensable(Q: Floats, codes: Ints) -> Ints:
    """Return the groups without which a free direction would not be determined (see `rests_on_one_group`)."""
    trace = np.bincount(codes, weights=(Q**2).sum(axis=1))
    suspects = np.flatnonzero(trace > 1 - UNIT_TOLERANCE)
    return np.array(
        [g for g in suspects if np.linalg.eigvalsh(Q[codes == g].T @ Q[codes == g])[-1] > 1 - UNIT_TOLERANCE],
        dtype=np.int64,
    )
