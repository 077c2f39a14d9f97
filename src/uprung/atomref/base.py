"""Base of the estimators of elemental reference energies: model, checks of input, design, diagnostics."""

from __future__ import annotations

import copy
import inspect
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
from ase.data import chemical_symbols
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

N_ELEMENTS = 94
#: Singular values below this share of the largest count as zero.
RANK_TOLERANCE = 1e-10
#: How near to 1 a leverage, or a share of a unit vector, has to be to count as 1.
UNIT_TOLERANCE = 1e-8
#: Condition index beyond which columns of equal length are near-collinear (Belsley, Kuh, Welsch, Regression
#: Diagnostics (1980), section 3.2).
CONDITION_INDEX = 30.0
#: Share of a unit direction below which an element does not take part in it.
TAKES_PART = 0.05


class UnseenElementError(ValueError):
    """A composition contains elements that the reference has no value for."""


def symbols(Z: Iterable[int]) -> str:
    """Return atomic numbers as a readable list of element symbols, e.g. 'O, Fe'."""
    return ", ".join(chemical_symbols[int(z)] for z in Z)


def check_composition(X: ArrayLike) -> Floats:
    """Return X as float64, (n, 94).

    Raises:
        ValueError: a row is not finite, has a negative entry, or does not sum to 1: counts of atoms instead of
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
    """Return y as float64, (n,).

    Raises:
        ValueError: another shape, or a value that is not finite.
    """
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


def check_elements(values: ArrayLike, name: str) -> Floats:
    """Return values of the elements as float64, (94,), nan where there is none.

    Raises:
        ValueError: another shape.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.shape != (N_ELEMENTS,):
        raise ValueError(f"{name}: shape {array.shape}, expected ({N_ELEMENTS},), one value per element")
    return array


@dataclass(frozen=True, eq=False)
class Design:
    """The compositions of a fit, X[:, seen] = U · diag(s) · row_space, without the directions that do not occur.

    Attributes:
        U: (n, rank).
        s: singular values, (rank,), falling.
        row_space: (rank, n_seen).
        null: orthonormal directions that do not occur, (n_seen − rank, n_seen).
        seen: elements that occur, (94,).
    """

    U: Floats
    s: Floats
    row_space: Floats
    null: Floats
    seen: Bools

    @property
    def rank(self) -> int:
        """Number of directions that the compositions span."""
        return len(self.s)

    @property
    def to_coef(self) -> Floats:
        """From the coordinates Uᵀy to minimum-norm coefficients of the seen elements, (n_seen, rank)."""
        return np.asarray(self.row_space.T / self.s)

    @property
    def leverage(self) -> Floats:
        """Diagonal of the hat matrix of least squares, (n,)."""
        return np.asarray((self.U**2).sum(axis=1))

    @property
    def determined(self) -> Bools:
        """Whether the data fix the value of an element by itself, (94,)."""
        return self.spread((self.row_space**2).sum(axis=0)) > 1 - UNIT_TOLERANCE  # a comparison with nan is False

    @property
    def null_space(self) -> Floats:
        """Orthonormal directions in which seen references move without changing a fitted energy, (94, d)."""
        full = np.zeros((N_ELEMENTS, len(self.null)))
        full[self.seen] = self.null.T
        return full

    @property
    def near_null(self) -> Floats:
        """Orthonormal directions in which references move almost without changing a fitted energy, (94, d).

        Columns are scaled to equal length first, so that an element with few structures alone is none of them.
        """
        columns = self.s[:, None] * self.row_space  # U, being orthonormal, changes neither lengths nor angles
        length = np.sqrt((columns**2).sum(axis=0))
        _, size, right = np.linalg.svd(columns / length, full_matrices=False)
        weak = (size > RANK_TOLERANCE * size[0]) & (size < size[0] / CONDITION_INDEX)
        own = (right[weak] / length).T
        own /= np.sqrt((own**2).sum(axis=0))
        own[np.abs(own) < TAKES_PART] = 0.0  # others stay as they are
        own, _ = np.linalg.qr(own - self.null.T @ (self.null @ own))
        full = np.zeros((N_ELEMENTS, own.shape[1]))
        full[self.seen] = own
        return full

    def spread(self, values: Floats) -> Floats:
        """Return values of the seen elements as (94,), nan elsewhere."""
        full = np.full(N_ELEMENTS, np.nan)
        full[self.seen] = values
        return full


def design_of(X: Floats) -> Design:
    """Return the design of compositions X (n, 94), with the rank that singular values above `RANK_TOLERANCE` give."""
    seen: Bools = np.asarray((X > 0).any(axis=0))
    U, s, Vt = np.linalg.svd(X[:, seen], full_matrices=len(X) < seen.sum())
    rank = int((s > RANK_TOLERANCE * s[0]).sum())
    return Design(U[:, :rank], s[:rank], Vt[:rank], Vt[rank:], seen)


class CompositionModel(ABC):
    """Base of the reference estimators: energy per atom linear in composition fractions, without an intercept.

    A subclass implements `fit`. After it there are:

    Attributes:
        coef_: references, (94,) eV/atom, nan for elements without a value.
        stderr_: standard errors, (94,) eV/atom, nan where they cannot be estimated.
        n_structures_: structures that contain the element, (94,).
        seen_: whether the estimator has a value for the element, (94,).
        determined_: whether the value stands by itself, not only in a sum with others, (94,).
        null_space_: orthonormal directions in which the references of seen elements can move without changing a
            fitted energy, (94, d); d = 0 where everything is determined.
        near_null_: orthonormal directions in which they move almost without changing one, (94, d), of estimators that
            do nothing about it.
        near_null_stderr_: standard errors along these, (d,) eV/atom.
        leverage_: diagonal of the hat matrix, ∂(fitted energy)/∂(its own label), (n,).
        rank_: of the compositions.
        condition_: ratio of the largest to the smallest singular value kept.
        n_samples_: structures.
        n_groups_: groups.
        prior_: what an estimator with a prior expects of elements that it has not seen, (94,) eV/atom, or None.
        prior_stderr_: its standard errors, (94,) eV/atom, or None.
    """

    #: What `Reference.origin` calls the values: fitted to the labels, or taken from elemental energies.
    origin: str = "fit"

    coef_: Floats
    stderr_: Floats
    n_structures_: Ints
    seen_: Bools
    determined_: Bools
    null_space_: Floats
    near_null_: Floats
    near_null_stderr_: Floats
    leverage_: Floats
    rank_: int
    condition_: float
    n_samples_: int
    n_groups_: int
    prior_: Floats | None = None
    prior_stderr_: Floats | None = None
    n_features_in_: int = N_ELEMENTS

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the arguments that the estimator was made with, by name, as `sklearn.base.clone` asks for them."""
        names = inspect.signature(type(self)).parameters
        return {name: getattr(self, name) for name in names}

    def set_params(self, **params: Any) -> Self:
        """Set arguments by name.

        Raises:
            ValueError: there is no such argument.
        """
        unknown = params.keys() - self.get_params().keys()
        if unknown:
            raise ValueError(f"{type(self).__name__}: no parameter {sorted(unknown)[0]!r}")
        for name, value in params.items():
            setattr(self, name, value)
        return self

    def score(self, X: ArrayLike, y: ArrayLike) -> float:
        """Return R² of the predictions, as scikit-learn's regressors do."""
        X = check_composition(X)
        y = check_values(y, len(X))
        off = y - reference_energy(X, self.coef_, "the reference fit")
        return float(1 - off @ off / ((y - y.mean()) @ (y - y.mean())))

    def fresh(self) -> Self:
        """Return an estimator with the same arguments that is not fitted."""
        return type(self)(**copy.deepcopy(self.get_params()))

    @property
    @abstractmethod
    def name(self) -> str:
        """Short name of the estimator, as written into tables and study files."""

    @abstractmethod
    def fit(
        self, X: ArrayLike, y: ArrayLike, groups: ArrayLike | None = None, together: ArrayLike | None = None
    ) -> Self:
        """Fit references to energies per atom.

        Args:
            X: composition fractions, (n, 94).
            y: energies, (n,) eV/atom.
            groups: labels (usually materials) within which residuals may be correlated, (n,).
            together: labels of what is left out at once where a strength is chosen, (n,).
        """

    def _begin(self, X: ArrayLike, y: ArrayLike, groups: ArrayLike | None) -> tuple[Floats, Floats, Ints, Design]:
        """Check the input, note what the design says, and return X, y, integer codes of the groups and the design.

        Raises:
            ValueError: empty, mis-shaped or non-finite input.
        """
        X = check_composition(X)
        if len(X) == 0:
            raise ValueError("reference fit: no structures; at least one is needed")
        y = check_values(y, len(X))
        codes = group_codes(groups, len(X))
        design = design_of(X)
        self.n_features_in_ = N_ELEMENTS
        self.n_samples_, self.n_groups_ = len(X), int(codes.max()) + 1
        self.n_structures_ = (X > 0).sum(axis=0)
        self.seen_, self.determined_ = design.seen, design.determined
        self.null_space_, self.leverage_ = design.null_space, design.leverage
        self.near_null_, self.near_null_stderr_ = np.zeros((N_ELEMENTS, 0)), np.zeros(0)
        self.rank_, self.condition_ = design.rank, float(design.s[0] / design.s[-1])
        return X, y, codes, design

    def predict(self, X: ArrayLike) -> Floats:
        """Return X · coef_, (n,) eV/atom.

        Raises:
            UnseenElementError: an element has no value; the message names it.
        """
        return reference_energy(check_composition(X), self.coef_, "the reference fit")


def group_codes(groups: ArrayLike | None, n: int) -> Ints:
    """Return integer codes 0..G−1 of the group labels, (n,); every row is its own group when None.

    Raises:
        ValueError: a wrong length, or a missing label.
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


def group_sums(values: Floats, codes: Ints) -> Floats:
    """Return sums over the rows of each group, (n, k) -> (G, k)."""
    order = np.argsort(codes, kind="stable")
    starts = np.searchsorted(codes[order], np.arange(int(codes.max()) + 1))
    return np.asarray(np.add.reduceat(values[order], starts, axis=0))


def reference_energy(X: Floats, values: Floats, what: str) -> Floats:
    """Return X · values, (n,) eV/atom.

    Args:
        X: composition fractions, (n, 94).
        values: of the elements, (94,) eV/atom, nan where there is none.
        what: names the values in the message.

    Raises:
        UnseenElementError: a value is missing.
    """
    missing = np.isnan(values)
    absent = missing & (X > 0).any(axis=0)
    if absent.any():
        count = int((X[:, absent] > 0).any(axis=1).sum())
        raise UnseenElementError(
            f"{what} has no value for {symbols(np.flatnonzero(absent) + 1)} ({count} of {len(X)} structures); "
            "fit on structures that contain them, or complete the reference with the policy 'prior'"
        )
    return np.asarray(X @ np.where(missing, 0.0, values))
