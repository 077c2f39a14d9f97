"""Elemental reference energies: fits of energy per atom on composition.

The model is E/atom = X · e with X (n, 94) the composition fractions (column Z − 1) and e (94,) the
references in eV/atom, without an intercept: Eq. 2 of Huang et al., npj Comput. Mater. 11, 313 (2025).
`LeastSquares` estimates e where the data say something about it; `references.complete` decides explicitly, element by
element, what stands where they do not.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self

import numpy as np
import pandas as pd
from ase.data import chemical_symbols
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, RegressorMixin

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

N_ELEMENTS = 94
#: Singular values below this share of the largest count as zero.
RANK_TOLERANCE = 1e-10
#: How near to 1 a leverage, or a share of a unit vector, has to be to count as 1.
UNIT_TOLERANCE = 1e-8


class UnseenElementError(ValueError):
    """A composition contains elements that the reference has no value for."""


def symbols(Z: Iterable[int]) -> str:
    """Return atomic numbers as a readable list of element symbols, e.g. 'O, Fe'."""
    return ", ".join(chemical_symbols[int(z)] for z in Z)


def check_composition(X: ArrayLike) -> Floats:
    """Return X as float64 (n, 94).

    Raises ValueError unless each row is finite, non-negative and sums to 1: counts of atoms instead of
    fractions would fit without complaint and mean something else.
    """
    array = np.asarray(X, dtype=np.float64)
    if array.ndim != 2 or array.shape[1] != N_ELEMENTS:
        raise ValueError(f"composition: shape {array.shape}, expected (n, {N_ELEMENTS}) with column Z - 1")
    bad = ~np.isfinite(array).all(axis=1) | (array < 0).any(axis=1) | (np.abs(array.sum(axis=1) - 1) > 1e-4)
    if bad.any():
        raise ValueError(
            f"composition: {bad.sum()} of {len(array)} rows (first: row {np.flatnonzero(bad)[0]}) are not "
            "fractions; each row must be non-negative, finite and sum to 1"
        )
    return array


def check_values(y: ArrayLike, n: int, name: str = "y") -> Floats:
    """Return y as float64 (n,); raises ValueError on another shape or a value that is not finite."""
    array = np.asarray(y, dtype=np.float64)
    if array.shape != (n,):
        raise ValueError(f"{name}: shape {array.shape}, expected ({n},), one value per structure")
    bad = ~np.isfinite(array)
    if bad.any():
        raise ValueError(
            f"{name}: {bad.sum()} of {n} values are not finite (first: row {np.flatnonzero(bad)[0]}); "
            "remove those structures before the fit"
        )
    return array


class CompositionModel(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Base of the reference estimators: energy per atom linear in composition fractions.

    A subclass implements `fit(X, y, groups=None)` and sets

    - coef_ (94,) references, eV/atom, nan for elements never seen;
    - stderr_ (94,) standard errors, eV/atom, nan where they cannot be estimated;
    - n_structures_ (94,) structures that contain the element;
    - seen_ (94,) the element occurs in the data;
    - determined_ (94,) the data fix the value of this element by itself;
    - null_space_ (94, d) orthonormal directions in which the references of seen elements can move without
      changing a fitted energy (d = 0 where everything is determined).
    """

    coef_: Floats
    stderr_: Floats
    n_structures_: NDArray[np.int64]
    seen_: Bools
    determined_: Bools
    null_space_: Floats
    n_features_in_: int = N_ELEMENTS

    @property
    def name(self) -> str:
        """Short name of the estimator, as written into tables."""
        raise NotImplementedError

    def predict(self, X: ArrayLike) -> Floats:
        """Return X · coef_ (n,), eV/atom; raises UnseenElementError naming the elements without a value."""
        return reference_energy(check_composition(X), self.coef_, "the reference fit")

    def estimable(self, X: ArrayLike) -> Bools:
        """Return (n,) whether the data determine the energy of each composition.

        False where an element was never seen, or where the composition needs the value of an element that
        was only ever seen in fixed proportion to others; `predict` then returns the minimum-norm value.
        """
        X = check_composition(X)
        seen = ~(X[:, ~self.seen_] > 0).any(axis=1)
        return np.asarray(seen & (np.abs(X @ self.null_space_) < 1e-7).all(axis=1))


class LeastSquares(CompositionModel):
    """Ordinary least squares in float64 with rank-aware diagnostics.

    Minimum norm on the columns seen. Standard errors are the sandwich estimator, clustered by group with the
    factor G/(G−1)·(n−1)/(n−k), or HC1 with n/(n−k) when no groups are given. They are nan for an element
    whose value rests on a single group (or structure): its residuals vanish there by construction, and the
    sandwich would report a standard error near zero.

    Further attributes after `fit`: rank_; condition_, ratio of the largest to the smallest singular value
    kept; leverage_ (n,), diagonal of the hat matrix; n_samples_, n_groups_.
    """

    rank_: int
    condition_: float
    leverage_: Floats
    n_samples_: int
    n_groups_: int

    @property
    def name(self) -> str:
        """Short name of the estimator, as written into tables."""
        return "least-squares"

    def fit(self, X: ArrayLike, y: ArrayLike, groups: ArrayLike | None = None) -> Self:
        """Fit references to energies per atom.

        X (n, 94) composition fractions; y (n,) eV/atom; groups (n,) labels, usually materials, within which
        residuals may be correlated. Raises ValueError on empty, mis-shaped or non-finite input.
        """
        X = check_composition(X)
        if len(X) == 0:
            raise ValueError("reference fit: no structures; at least one is needed")
        y = check_values(y, len(X))
        codes = group_codes(groups, len(X))

        self.n_features_in_ = N_ELEMENTS
        self.n_samples_, self.n_groups_ = len(X), int(codes.max()) + 1
        self.n_structures_ = (X > 0).sum(axis=0)
        self.seen_ = self.n_structures_ > 0

        U, s, Vt = np.linalg.svd(X[:, self.seen_], full_matrices=len(X) < self.seen_.sum())
        self.rank_ = int((s > RANK_TOLERANCE * s[0]).sum())
        self.condition_ = float(s[0] / s[self.rank_ - 1])
        row_space, null = Vt[: self.rank_], Vt[self.rank_ :]
        U, s = U[:, : self.rank_], s[: self.rank_]
        to_coef = row_space.T / s  # (seen, rank): from the coordinates Uᵀy to coefficients

        self.coef_ = self._spread(to_coef @ (U.T @ y))
        self.determined_ = self.seen_.copy()
        self.determined_[self.seen_] = (row_space**2).sum(axis=0) > 1 - UNIT_TOLERANCE
        self.null_space_ = np.zeros((N_ELEMENTS, len(null)))
        self.null_space_[self.seen_] = null.T
        self.leverage_ = (U**2).sum(axis=1)

        residual = y - U @ (U.T @ y)
        clustered = groups is not None
        stderr = _sandwich(U, to_coef, residual, codes, clustered=clustered)
        stderr[_rests_on_one_group(U, to_coef, codes)] = np.nan
        self.stderr_ = self._spread(stderr)
        self.stderr_[~self.determined_] = np.nan
        return self

    def _spread(self, values: Floats) -> Floats:
        """Return values of the seen elements as (94,), nan elsewhere."""
        full = np.full(N_ELEMENTS, np.nan)
        full[self.seen_] = values
        return full


def group_codes(groups: ArrayLike | None, n: int) -> NDArray[np.int64]:
    """Return integer codes 0..G−1 (n,) of the group labels; every row is its own group when None.

    Raises ValueError on a wrong length or a missing label.
    """
    if groups is None:
        return np.arange(n)
    labels = np.asarray(groups)
    if labels.shape != (n,):
        raise ValueError(f"groups: shape {labels.shape}, expected ({n},), one label per structure")
    codes, _ = pd.factorize(labels)
    if (codes < 0).any():
        raise ValueError(f"groups: {(codes < 0).sum()} of {n} labels are missing; each structure needs one")
    return codes.astype(np.int64)


def group_sums(values: Floats, codes: NDArray[np.int64]) -> Floats:
    """Return sums over the rows of each group, (n, k) -> (G, k)."""
    order = np.argsort(codes, kind="stable")
    starts = np.searchsorted(codes[order], np.arange(int(codes.max()) + 1))
    return np.asarray(np.add.reduceat(values[order], starts, axis=0))


def _sandwich(U: Floats, to_coef: Floats, residual: Floats, codes: NDArray[np.int64], *, clustered: bool) -> Floats:
    """Return sandwich standard errors of the seen coefficients; all nan without degrees of freedom."""
    n, rank = U.shape
    n_groups = int(codes.max()) + 1
    if n <= rank or (clustered and n_groups < 2):
        return np.full(len(to_coef), np.nan)
    scores = group_sums(U * residual[:, None], codes)
    factor = n_groups / (n_groups - 1) * (n - 1) / (n - rank) if clustered else n / (n - rank)
    influence = scores @ to_coef.T
    return np.asarray(np.sqrt(factor * (influence**2).sum(axis=0)))


def _rests_on_one_group(U: Floats, to_coef: Floats, codes: NDArray[np.int64]) -> Bools:
    """Return, per seen element, whether leaving out some single group would make it undetermined.

    Leaving out group g loses a direction exactly where its block of the hat matrix, U_g U_gᵀ, has an
    eigenvalue 1, which is where U_gᵀ U_g has one; that direction says which elements are concerned.
    """
    alone = np.zeros(len(to_coef), dtype=bool)
    # A block with an eigenvalue 1 has a trace of at least 1, so at most `rank` groups need a closer look.
    trace = np.bincount(codes, weights=(U**2).sum(axis=1))
    for group in np.flatnonzero(trace > 1 - UNIT_TOLERANCE):
        block = U[codes == group]
        values, vectors = np.linalg.eigh(block.T @ block)
        lost = to_coef @ vectors[:, values > 1 - UNIT_TOLERANCE]
        alone |= (np.abs(lost) > 1e-6).any(axis=1)
    return alone


def reference_energy(X: Floats, values: Floats, what: str) -> Floats:
    """Return X · values (n,), eV/atom; `what` names the values if one of them is missing (UnseenElementError)."""
    missing = np.isnan(values)
    absent = missing & (X > 0).any(axis=0)
    if absent.any():
        count = int((X[:, absent] > 0).any(axis=1).sum())
        raise UnseenElementError(
            f"{what} has no value for {symbols(np.flatnonzero(absent) + 1)} ({count} of {len(X)} structures); "
            "fit on structures that contain them, or complete the reference with the policy 'prior'"
        )
    return np.asarray(X @ np.where(missing, 0.0, values))
