"""Elemental reference energies: fits of energy per atom on composition, and the values handed to training.

The model is E/atom = X · e with X (n, 94) the composition fractions (column Z − 1) and e (94,) the
references in eV/atom, without an intercept: Eq. 2 of Huang et al., npj Comput. Mater. 11, 313 (2025).
`LeastSquares` estimates e where the data say something about it; `complete` decides explicitly, element by
element, what stands where they do not.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, Self

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
        return _dot(check_composition(X), self.coef_, "the reference fit")

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


def _dot(X: Floats, values: Floats, what: str) -> Floats:
    missing = np.isnan(values)
    absent = missing & (X > 0).any(axis=0)
    if absent.any():
        count = int((X[:, absent] > 0).any(axis=1).sum())
        raise UnseenElementError(
            f"{what} has no value for {symbols(np.flatnonzero(absent) + 1)} ({count} of {len(X)} structures); "
            "fit on structures that contain them, or complete the reference with the policy 'prior'"
        )
    return np.asarray(X @ np.where(missing, 0.0, values))


@dataclass(frozen=True, eq=False)
class Reference:
    """Elemental reference energies as used in training.

    values, stderr (94,) eV/atom, nan where there is none; n_structures (94,); origin (94,) is 'fit' where the
    data determine the value, 'prior' where the prior decides it, '' where there is no value; estimator is
    the name of the fit.
    """

    values: Floats
    stderr: Floats
    n_structures: NDArray[np.int64]
    origin: NDArray[np.str_]
    estimator: str

    def __post_init__(self) -> None:
        """Raise ValueError on arrays that contradict each other."""
        for name in ("values", "stderr", "n_structures", "origin"):
            if getattr(self, name).shape != (N_ELEMENTS,):
                raise ValueError(f"reference {name}: shape {getattr(self, name).shape}, expected (94,)")
        if not np.array_equal(np.isfinite(self.values), self.origin != ""):
            raise ValueError("reference: every value needs an origin ('fit' or 'prior') and every origin a value")
        if not set(self.origin) <= {"fit", "prior", ""}:
            raise ValueError(f"reference origin: {sorted(set(self.origin))}, allowed are 'fit' and 'prior'")

    def predict(self, X: ArrayLike) -> Floats:
        """Return the reference energy per atom (n,), eV/atom; raises UnseenElementError."""
        return _dot(check_composition(X), self.values, "the reference")

    def to_frame(self) -> pd.DataFrame:
        """Return one row per element with a value: Z, element, value, stderr, n_structures, origin, estimator."""
        Z = np.flatnonzero(self.origin != "") + 1
        at = Z - 1
        return pd.DataFrame(
            {
                "Z": Z,
                "element": [chemical_symbols[z] for z in Z],
                "value": self.values[at],
                "stderr": self.stderr[at],
                "n_structures": self.n_structures[at],
                "origin": self.origin[at],
                "estimator": self.estimator,
            }
        )

    @classmethod
    def from_frame(cls, table: pd.DataFrame) -> Reference:
        """Return the reference written by `to_frame`; raises ValueError naming what the table lacks."""
        columns = ["Z", "value", "stderr", "n_structures", "origin", "estimator"]
        lacking = [name for name in columns if name not in table]
        if lacking:
            raise ValueError(f"reference table: no column {', '.join(lacking)}; expected {', '.join(columns)}")
        Z = table["Z"].to_numpy(dtype=np.int64)
        if len(Z) == 0 or len(set(Z)) < len(Z) or Z.min() < 1 or Z.max() > N_ELEMENTS:
            raise ValueError("reference table: Z must hold at least one number in 1..94, each at most once")
        estimators = sorted({str(name) for name in table["estimator"]})
        if len(estimators) > 1:
            raise ValueError(f"reference table: one estimator expected, got {', '.join(estimators)}")

        n_structures = np.zeros(N_ELEMENTS, dtype=np.int64)
        n_structures[Z - 1] = table["n_structures"]
        origin = np.full(N_ELEMENTS, "", dtype="<U5")
        origin[Z - 1] = table["origin"].astype(str)
        values, stderr = np.full((2, N_ELEMENTS), np.nan)
        values[Z - 1], stderr[Z - 1] = table["value"], table["stderr"]
        return cls(values, stderr, n_structures, origin, estimators[0])


def complete(
    fit: CompositionModel,
    *,
    policy: Literal["prior", "error"],
    source: ArrayLike | None,
    needed: ArrayLike,
) -> Reference:
    """Return the references of a fit with an explicit value, or an error, for what it does not determine.

    policy 'prior': an element not seen gets source[Z] + shift(Z), where the shift is a polynomial in Z
    fitted to (fit − source) over the elements that the fit determines; its standard error is the
    leave-one-out root-mean-square error of that polynomial. Elements seen only in fixed proportion to others
    keep every energy the data do determine, and the prior decides the rest (origin 'prior').
    policy 'error': refuse if an element that is needed is not determined.

    source (94,) eV/atom, nan where there is none: references of the low side on the label scale of the
    pretrained model. needed (94,) whether an element must have a value. Elements neither needed nor fitted stay
    nan. Raises ValueError naming the elements and what can be done.
    """
    needed = np.asarray(needed, dtype=bool)
    if needed.shape != (N_ELEMENTS,):
        raise ValueError(f"needed: shape {needed.shape}, expected ({N_ELEMENTS},)")
    if policy not in ("prior", "error"):
        raise ValueError(f"reference policy {policy!r}: allowed are 'prior' and 'error'")
    fitted = fit.determined_
    missing = needed & ~fitted
    if policy == "error" and missing.any():
        raise ValueError(
            f"reference fit: {symbols(np.flatnonzero(missing) + 1)} occur in the study, but the structures "
            "fitted do not determine them and the policy is 'error'; fit on more structures, or set the "
            "policy to 'prior'"
        )
    values = np.where(fitted, fit.coef_, np.nan)
    stderr = np.where(fitted, fit.stderr_, np.nan)
    if policy == "prior" and not fitted.all():
        prior, error = _prior(fit, source, missing)
        null = fit.null_space_
        at_hand = np.where(fit.seen_, np.nan_to_num(prior - fit.coef_), 0.0)
        adjusted = np.where(fit.seen_, fit.coef_ + null @ (null.T @ at_hand), prior)
        # A seen element without a prior has nothing to lean on: no value, rather than the minimum-norm one.
        adjusted[_touching(null, fit.seen_ & np.isnan(prior))] = np.nan
        adjusted[~(fit.seen_ | needed)] = np.nan  # nothing in the study asks for these
        values = np.where(fitted, values, adjusted)
        stderr = np.where(fitted, stderr, np.where(np.isnan(adjusted), np.nan, error))
        lost = needed & np.isnan(values)
        if lost.any():
            raise ValueError(_no_prior(lost))
    origin = np.where(np.isnan(values), "", np.where(fitted, "fit", "prior")).astype("<U5")
    return Reference(values, stderr, fit.n_structures_.copy(), origin, fit.name)


def _touching(null: Floats, elements: Bools) -> Bools:
    """Return the elements whose undetermined part is tied to the undetermined part of `elements`."""
    projector = np.abs(null @ null.T) > UNIT_TOLERANCE
    tied = elements & projector.any(axis=1)
    while not np.array_equal(tied, reached := tied | projector[tied].any(axis=0)):
        tied = reached
    return tied


def _no_prior(elements: Bools) -> str:
    return (
        f"reference fit: no value for {symbols(np.flatnonzero(elements) + 1)}: the structures fitted do not "
        "determine it and the source references have none either; fit on structures that contain it, or give "
        "source references that do"
    )


def _prior(fit: CompositionModel, source: ArrayLike | None, missing: Bools) -> tuple[Floats, float]:
    """Return the prior (94,), nan where the source has no value, and its leave-one-out error, eV/atom."""
    if source is None:
        if missing.any():
            raise ValueError(_no_prior(missing))
        return np.full(N_ELEMENTS, np.nan), np.nan
    source = np.asarray(source, dtype=np.float64)
    if source.shape != (N_ELEMENTS,):
        raise ValueError(f"source references: shape {source.shape}, expected ({N_ELEMENTS},)")
    lost = missing & ~np.isfinite(source)
    if lost.any():
        raise ValueError(_no_prior(lost))
    anchors = fit.determined_ & np.isfinite(source)
    if not anchors.any():
        if missing.any():
            raise ValueError(
                f"reference fit: no prior for {symbols(np.flatnonzero(missing) + 1)}: no element is both "
                "determined by the fit and in the source references, so the shift between them is unknown; "
                "fit on more structures, or give source references of the elements fitted"
            )
        return np.full(N_ELEMENTS, np.nan), np.nan
    Z = np.flatnonzero(anchors) + 1
    shift, error = smooth_shift(Z, (fit.coef_ - source)[anchors])
    return np.where(np.isfinite(source), source + shift, np.nan), error


def smooth_shift(Z: ArrayLike, shift: ArrayLike) -> tuple[Floats, float]:
    """Fit a polynomial in Z to a shift of references and return it at Z = 1..94 with its error.

    The degree grows with the number m of elements: 0 below 4, 1 below 8, 2 below 12, then 3 (a cubic follows
    the published r²SCAN − GGA shift to 1.6 eV root-mean-square over a range of 73 eV). The error is the
    leave-one-out root-mean-square error, eV/atom; nan for a single element.
    """
    Z, shift = np.asarray(Z, dtype=np.float64), np.asarray(shift, dtype=np.float64)
    degree = min(3, len(Z) // 4)
    # Scaling Z to [-1, 1] keeps the polynomial well conditioned.
    basis = np.vander(_scaled(Z), degree + 1)
    coefficients, *_ = np.linalg.lstsq(basis, shift, rcond=None)
    curve = np.vander(_scaled(np.arange(1, N_ELEMENTS + 1)), degree + 1) @ coefficients
    if len(Z) < 2:
        return curve, np.nan
    Q, _ = np.linalg.qr(basis)
    left_out = (shift - basis @ coefficients) / (1 - (Q**2).sum(axis=1))
    return curve, float(np.sqrt((left_out**2).mean()))


def _scaled(Z: ArrayLike) -> Floats:
    return np.asarray(2 * (np.asarray(Z, dtype=np.float64) - 1) / (N_ELEMENTS - 1) - 1)
