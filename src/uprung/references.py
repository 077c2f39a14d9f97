"""The reference energies of a run: which energies are fitted, on which frames, and what fills the gaps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from ase.data import chemical_symbols
from numpy.typing import ArrayLike, NDArray

from uprung.atomref import (
    N_ELEMENTS,
    UNIT_TOLERANCE,
    Bools,
    CompositionModel,
    Floats,
    LeastSquares,
    check_composition,
    reference_energy,
    symbols,
)


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
        return reference_energy(check_composition(X), self.values, "the reference")

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


def fit_reference(
    labels: Literal["target", "source", "residual"],
    *,
    X: Floats,
    y: Floats,
    groups: NDArray[np.str_],
    source: tuple[Floats, Floats, NDArray[np.str_]],
    residual: tuple[Floats, Floats] | None = None,
    policy: Literal["prior", "error"] = "prior",
    needed: NDArray[np.bool_],
) -> Reference:
    """Fit one set of elemental reference energies.

    Args:
        labels: `target` regresses the target energies on composition (Huang et al., npj Comput. Mater. 11, 313
            (2025), M4); `source` the low-fidelity energies; `residual` what the pretrained network leaves
            unexplained, so that the network and its references are right together.
        X: composition fractions of the target frames fitted, (n, 94).
        y: their energies, (n,) eV/atom.
        groups: their materials, (n,), for standard errors.
        source: the same three for the low-fidelity training frames.
        residual: prediction of the pretrained network without its references, (n,) eV/atom, and those references,
            (94,) eV/atom; only for `residual`.
        policy: what happens to needed elements without training structures.
        needed: elements that occur in the study, (94,).

    Raises:
        ValueError: `residual` without a prediction, or an element that neither fit nor prior can give.
    """
    if labels == "residual":
        if residual is None:
            raise ValueError("a residual reference needs the prediction of the pretrained network")
        network, checkpoint = residual
        fit = LeastSquares().fit(X, y - network, groups)
        return complete(fit, policy=policy, source=checkpoint, needed=needed)
    low = LeastSquares().fit(*source)
    low_values = np.where(low.determined_, low.coef_, np.nan)
    if labels == "source":
        return complete(low, policy="error", source=None, needed=needed)
    return complete(LeastSquares().fit(X, y, groups), policy=policy, source=low_values, needed=needed)
