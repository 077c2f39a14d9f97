"""Reference energies of a run: what a fit determines, completed by priors."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Literal

import numpy as np
import pandas as pd
from ase.data import chemical_symbols
from numpy.typing import ArrayLike, NDArray

from uprung.atomref.base import (
    N_ELEMENTS,
    Bools,
    CompositionModel,
    Floats,
    check_composition,
    check_elements,
    reference_energy,
    symbols,
)
from uprung.atomref.combinations import combinations, tied_sets
from uprung.atomref.prior import prior_error, smooth_shift

Policy = Literal["prior", "source", "error"]
SHOWN = 8  # elements that the line about references names
#: Where the value of an element may come from.
ORIGINS = ("fit", "elements", "prior", "source")


@dataclass(frozen=True, eq=False, repr=False)
class ReferenceEnergies:
    """Elemental reference energies as used in training.

    Attributes:
        values: (94,) eV/atom, nan where there is none.
        stderr: (94,) eV/atom, nan where there is none.
        n_structures: structures fitted that contain the element, (94,).
        origin: 'fit' where the data determine the value, 'elements' where it is an energy of the element itself,
            'prior' where the prior decides it, 'source' where the source reference stands as it is, '' where there is
            no value, (94,).
        estimator: name of the fit.
        combination: for an element that the data determine in sums with others only, those sums (see
            `uprung.atomref.combinations`); '' elsewhere, (94,).
    """

    values: Floats
    stderr: Floats
    n_structures: NDArray[np.int64]
    origin: NDArray[np.str_]
    estimator: str
    combination: NDArray[np.str_] = field(default_factory=lambda: np.full(N_ELEMENTS, "", dtype="<U200"))

    def __post_init__(self) -> None:
        """Raise ValueError on arrays that contradict each other."""
        for name in ("values", "stderr", "n_structures", "origin"):
            if getattr(self, name).shape != (N_ELEMENTS,):
                raise ValueError(f"reference {name}: shape {getattr(self, name).shape}, expected (94,)")
        if not np.array_equal(np.isfinite(self.values), self.origin != ""):
            raise ValueError(f"reference: every value needs an origin ({', '.join(ORIGINS)}) and every origin a value")
        if not set(self.origin) <= {*ORIGINS, ""}:
            raise ValueError(f"reference origin: {sorted(set(self.origin))}, allowed are {', '.join(ORIGINS)}")

    def predict(self, X: ArrayLike) -> Floats:
        """Return the reference energy per atom, (n,) eV/atom; raises UnseenElementError without a value."""
        return reference_energy(check_composition(X), self.values, "the reference")

    def __repr__(self) -> str:
        """Return where the values come from, and the values, eV/atom."""
        origins = {name: int((self.origin == name).sum()) for name in ORIGINS}
        told = ", ".join(f"{count} {name}" for name, count in origins.items() if count)
        table = self.to_frame()
        pairs = zip(table["element"], table["value"], strict=True)
        values = ", ".join(f"{element} {value:.3f}" for element, value in islice(pairs, SHOWN))
        more = f", {len(table) - SHOWN} more" if len(table) > SHOWN else ""
        return f"references of {len(table)} elements by {self.estimator} ({told}), eV/atom: {values}{more}"

    def to_frame(self) -> pd.DataFrame:
        """Return one row per element with a value: Z, element, value, stderr, n_structures, origin, estimator,
        combination."""
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
                "combination": self.combination[at],
            }
        )

    @classmethod
    def from_frame(cls, table: pd.DataFrame) -> ReferenceEnergies:
        """Return the reference written by `to_frame`.

        Raises:
            ValueError: the table lacks something; the message names it.
        """
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
        origin = np.full(N_ELEMENTS, "", dtype="<U8")
        origin[Z - 1] = table["origin"].astype(str)
        values, stderr = np.full((2, N_ELEMENTS), np.nan)
        values[Z - 1], stderr[Z - 1] = table["value"], table["stderr"]
        combination = np.full(N_ELEMENTS, "", dtype="<U200")
        if "combination" in table:
            combination[Z - 1] = table["combination"].fillna("").astype(str)
        return cls(values, stderr, n_structures, origin, estimators[0], combination)


def complete(
    fit: CompositionModel,
    *,
    policy: Policy,
    source: ArrayLike | None,
    needed: ArrayLike,
) -> ReferenceEnergies:
    """Return the references of a fit with an explicit value, or an error, for what it does not determine.

    Elements seen only in fixed proportion to others keep every energy the data do determine, and the prior decides the
    rest (origin 'prior'). Where no element at all is both determined and in the source, as in a study of one compound,
    the shift is one energy for all: the one from which the combinations that the data determine deviate least.
    Of near-collinear elements (`Design.near_null`) the prior decides the direction in which they are known worse than
    by the prior; these count as 'prior', too. Elements neither needed nor fitted stay nan.

    Args:
        fit: a fitted estimator.
        policy: what an element not seen gets. `prior`: source[Z] + shift(Z), where the shift is a polynomial in Z
            fitted to (fit − source) over the elements that the fit determines, with the error of `prior_error`, which
            grows outside the range of Z; a fit that has a prior of its own (`PriorRidge`) uses that one. `source`: the
            same without a shift, with the root mean square of (fit − source). `error`: a refusal.
        source: references of the low side on the label scale of the pretrained model, (94,) eV/atom, nan where there
            is none.
        needed: whether an element must have a value, (94,).

    Raises:
        ValueError: a needed element has no value; the message names it and what can be done.
    """
    needed = np.asarray(needed, dtype=bool)
    if needed.shape != (N_ELEMENTS,):
        raise ValueError(f"needed: shape {needed.shape}, expected ({N_ELEMENTS},)")
    if policy not in ("prior", "source", "error"):
        raise ValueError(f"reference policy {policy!r}: allowed are 'prior', 'source' and 'error'")
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
    if policy != "error" and not fitted.all():
        prior, error = _prior(fit, source, missing, policy)
        null = fit.null_space_
        loose = _looser_than(fit, prior, error)
        null, fitted = np.hstack([null, loose]), fitted & ~(loose != 0).any(axis=1)
        at_hand = np.where(fit.seen_, np.nan_to_num(prior - fit.coef_), 0.0)
        adjusted = np.where(fit.seen_, fit.coef_ + null @ (null.T @ at_hand), prior)
        # A seen element without a prior has nothing to lean on: no value, rather than the minimum-norm one.
        adjusted[_touching(null, fit.seen_ & np.isnan(prior))] = np.nan
        adjusted[~(fit.seen_ | needed)] = np.nan  # nothing in the study asks for these
        values = np.where(fitted, values, adjusted)
        stderr = np.where(fitted, stderr, np.where(np.isnan(adjusted), np.nan, error))
        _require(needed & np.isnan(values))
    origin = np.where(np.isnan(values), "", np.where(fitted, fit.origin, policy)).astype("<U8")
    combination = np.where(np.isnan(values), "", combinations(fit.null_space_))
    return ReferenceEnergies(values, stderr, fit.n_structures_.copy(), origin, fit.name, combination)


def _looser_than(fit: CompositionModel, prior: Floats, error: Floats) -> Floats:
    """Return the near-null directions (94, d) of a fit along which the prior has the smaller error."""
    directions = fit.near_null_
    known = (directions == 0) | (np.isfinite(prior) & np.isfinite(error))[:, None]
    along = np.sqrt(((np.nan_to_num(error)[:, None] * directions) ** 2).sum(axis=0))
    return directions[:, known.all(axis=0) & (along < fit.near_null_stderr_)]


def complete_alone(fit: CompositionModel, *, needed: ArrayLike) -> ReferenceEnergies:
    """Return the references of a fit that has no source to lean on: elements tied to others lean on one energy.

    That energy, common to all, is the one from which the combinations that the data determine deviate least; the
    deviations have minimum norm. Unlike a minimum norm of the references themselves it does not depend on where the
    scale of energies has its zero. Such elements have the origin 'prior' and no
    standard error.

    Raises:
        ValueError: a needed element was not seen; the message names it.
    """
    tied = fit.seen_ & ~fit.determined_
    found = complete(fit, policy="error", source=None, needed=np.asarray(needed, dtype=bool) & ~tied)
    if not tied.any():
        return found
    values = np.where(tied, leaning(fit, np.zeros(N_ELEMENTS)), found.values)
    origin = np.where(tied, "prior", found.origin).astype("<U8")
    return replace(found, values=values, origin=origin, combination=combinations(fit.null_space_))


def common_shift(fit: CompositionModel, expected: Floats) -> float:
    """Return the energy δ for which expected + δ deviates least, in squares, from what the data determine, eV/atom.

    nan where no combination that the data determine has an expectation.
    """
    unknown = _touching(fit.null_space_, fit.seen_ & np.isnan(expected)) | np.isnan(expected)
    clean = fit.seen_ & ~unknown
    if not clean.any():
        return float("nan")
    null = fit.null_space_[clean]
    one, apart = np.ones(int(clean.sum())), (fit.coef_ - expected)[clean]
    one, apart = (values - null @ (null.T @ values) for values in (one, apart))
    return float(one @ apart / (one @ one))


def leaning(fit: CompositionModel, expected: Floats) -> Floats:
    """Return expected + one shift, corrected by what the data determine, (94,) eV/atom, nan for elements not seen."""
    apart = np.where(fit.seen_, expected + common_shift(fit, expected) - fit.coef_, 0.0)
    return np.where(fit.seen_, fit.coef_ + fit.null_space_ @ (fit.null_space_.T @ apart), np.nan)


def _touching(null: Floats, elements: Bools) -> Bools:
    """Return the elements whose undetermined part is tied to the undetermined part of `elements`."""
    tied = np.zeros(N_ELEMENTS, dtype=bool)
    for own in tied_sets(null):
        tied[own] = elements[own].any()
    return tied


def _no_prior(elements: Bools) -> str:
    return (
        f"reference fit: no value for {symbols(np.flatnonzero(elements) + 1)}: the structures fitted do not "
        "determine it and the source references have none either; fit on structures that contain it, or give "
        "source references that do"
    )


def _prior(fit: CompositionModel, source: ArrayLike | None, missing: Bools, policy: Policy) -> tuple[Floats, Floats]:
    """Return the prior (94,), nan where the source has no value, and its error (94,), eV/atom."""
    nothing = np.full(N_ELEMENTS, np.nan)
    if policy == "prior" and fit.prior_ is not None and fit.prior_stderr_ is not None:
        _require(missing & ~np.isfinite(fit.prior_))
        return fit.prior_, fit.prior_stderr_
    if source is None:
        _require(missing)
        return nothing, nothing
    source = check_elements(source, "source references")
    _require(missing & ~np.isfinite(source))
    anchors = fit.determined_ & np.isfinite(source) & ~(fit.near_null_ != 0).any(axis=1)
    if policy == "source":
        apart = (fit.coef_ - source)[anchors]
        return source, np.full(N_ELEMENTS, np.sqrt((apart**2).mean()) if len(apart) else np.nan)
    if not anchors.any():
        common = common_shift(fit, source)
        if np.isnan(common) and missing.any():
            raise ValueError(
                f"reference fit: no prior for {symbols(np.flatnonzero(missing) + 1)}: no element fitted is in the "
                "source references, so the shift between them is unknown; fit on more structures, or give source "
                "references of the elements fitted"
            )
        return source + common, nothing
    Z = np.flatnonzero(anchors) + 1
    apart = (fit.coef_ - source)[anchors]
    shift, _ = smooth_shift(Z, apart)
    return np.where(np.isfinite(source), source + shift, np.nan), prior_error(Z, apart)


def _require(lost: Bools) -> None:
    """Raise ValueError naming elements for which there is neither a fit nor a prior."""
    if lost.any():
        raise ValueError(_no_prior(lost))
