"""Energy shift between two fidelities by element, and the elements that decide their formation energies.

Arrays are of paired structures: row i of every array is the same geometry labelled twice.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from ase.data import chemical_symbols
from numpy.typing import ArrayLike, NDArray

from uprung.atomref.base import (
    Floats,
    check_composition,
    check_values,
    group_codes,
    group_sums,
)
from uprung.atomref.combinations import combinations
from uprung.atomref.least_squares import LeastSquares
from uprung.atomref.references import leaning

Ints = NDArray[np.int64]


IMPORTANCE_COLUMNS = (
    *("Z", "element", "importance", "impurity_importance", "n_atoms", "n_structures", "n_excluded", "reference"),
)
#: A spread of labels below this is rounding, not signal: residuals of a saturated reference fit, say.
ROUNDING = 1e-9


def element_shift(X: ArrayLike, y_low: ArrayLike, y_high: ArrayLike, groups: ArrayLike) -> pd.DataFrame:
    """Return the per-element energy shift high − low, eV/atom, one row per element seen.

    It is the least-squares fit of y_high − y_low on composition.

    Args:
        X: composition fractions, (n, 94).
        y_low: energies of the low fidelity, (n,) eV/atom.
        y_high: energies of the high fidelity, (n,) eV/atom.
        groups: by which standard errors are clustered, (n,).

    Returns:
        Columns Z, element, shift; stderr, clustered by group (nan where the value rests on a single group, as for one
        dimer curve per element); stderr_structures, with structures taken as independent (HC2); spread,
        root-mean-square residual of the structures that contain the element; n_structures, n_groups; determined
        (False: seen only in fixed proportion to others; the value is one shift for all elements, corrected by what is
        determined); low_reference, low_stderr, high_reference, high_stderr, the fit of each side on the same
        structures, by linearity shift is high_reference − low_reference; combination, the sums that are determined
        where the element is not.
    """
    X = check_composition(X)
    low, high = check_values(y_low, len(X), "y_low"), check_values(y_high, len(X), "y_high")
    fit = LeastSquares().fit(X, high - low, groups)
    fit_low, fit_high = LeastSquares().fit(X, low, groups), LeastSquares().fit(X, high, groups)
    residual = high - low - fit.predict(X)
    has = X > 0
    codes = group_codes(groups, len(X))
    n_groups = (group_sums(has.astype(np.float64), codes) > 0).sum(axis=0)
    with np.errstate(invalid="ignore"):
        spread = np.sqrt(residual**2 @ has / has.sum(axis=0))
    seen = fit.seen_
    Z = np.flatnonzero(seen) + 1
    columns = {
        "shift": _values(fit),
        "stderr": fit.stderr_,
        "stderr_structures": LeastSquares().fit(X, high - low).stderr_,
        "spread": spread,
        "n_structures": fit.n_structures_,
        "n_groups": n_groups,
        "determined": fit.determined_,
        "low_reference": _values(fit_low),
        "low_stderr": fit_low.stderr_,
        "high_reference": _values(fit_high),
        "high_stderr": fit_high.stderr_,
        "combination": combinations(fit.null_space_),
    }
    table = pd.DataFrame({"Z": Z, "element": [chemical_symbols[z] for z in Z]})
    return table.assign(**{name: values[seen] for name, values in columns.items()})


def _values(fit: LeastSquares) -> Floats:
    """Return references (94,); those that are not determined one by one lean on one energy of all elements."""
    return np.where(fit.determined_, fit.coef_, leaning(fit, np.zeros_like(fit.coef_)))


def referenced(X: ArrayLike, y: ArrayLike) -> Floats:
    """Return y minus its own least-squares elemental references, (n,) eV/atom."""
    return np.asarray(check_values(y, len(np.asarray(X))) - LeastSquares().fit(X, y).predict(X))


def formation_importance(
    X: ArrayLike,
    y_low: ArrayLike,
    y_high: ArrayLike,
    n_atoms: ArrayLike,
    *,
    elements_low: ArrayLike | None = None,
    elements_high: ArrayLike | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Return which elements decide where the formation energies of two fidelities differ.

    A regression tree on composition is fitted to ΔE_f(high) − ΔE_f(low), eV/atom. The impurity importance of an
    element is divided by its number of atoms in the data (Huang et al. 2025) and rescaled to sum 1, where the paper
    multiplies by constants of its own choice (9000 and 500): the order agrees, the sizes do not.

    Args:
        X: composition fractions, (n, 94).
        y_low: energies of the low fidelity, (n,) eV/atom.
        y_high: energies of the high fidelity, (n,) eV/atom.
        n_atoms: sites, (n,).
        elements_low: energies of the elemental solids on the label scale of y_low, (94,) eV/atom, nan where unknown.
            Without them references are fitted to the structures, and the target is what composition does not explain
            linearly.
        elements_high: the same on the label scale of y_high.
        seed: of the tree.

    Returns:
        One row per element, `IMPORTANCE_COLUMNS`; `reference` says which references were taken ('elemental' |
        'fitted'). Only structures with at least two elements enter, all of whose references are known; n_excluded
        counts the rest. Where nothing is left to explain there are no rows, and `attrs['reason']` says why.

    Raises:
        ValueError: unusable input, or elemental energies of one fidelity only.
    """
    X = check_composition(X)
    difference = check_values(y_high, len(X), "y_high") - check_values(y_low, len(X), "y_low")
    if (elements_low is None) != (elements_high is None):
        raise ValueError("formation_importance: give elemental energies of both fidelities, or of neither")
    mixed = (X > 0).sum(axis=1) > 1
    if not mixed.any():
        return _refused("every structure holds a single element, so that there is no formation energy")
    if elements_low is None or elements_high is None:
        kind, keep = "fitted", mixed
        target = referenced(X[keep], difference[keep])
    else:
        kind = "elemental"
        elements = np.asarray(elements_high, dtype=np.float64) - np.asarray(elements_low, dtype=np.float64)
        keep = mixed & ~(X[:, ~np.isfinite(elements)] > 0).any(axis=1)
        target = difference[keep] - X[keep] @ np.nan_to_num(elements)
    if len(np.unique(X[keep], axis=0)) < 2 or np.ptp(target) < ROUNDING:
        return _refused("fewer than two compositions with known references and different formation energies")
    from sklearn.tree import DecisionTreeRegressor  # a second, which figures do not need

    tree = DecisionTreeRegressor(random_state=seed).fit(X[keep], target)
    atoms = X[keep].T @ np.asarray(n_atoms, dtype=np.float64)[keep]
    seen = atoms > 0
    per_atom = tree.feature_importances_[seen] / atoms[seen]
    Z = np.flatnonzero(seen) + 1
    table = pd.DataFrame(
        {
            "Z": Z,
            "element": [chemical_symbols[z] for z in Z],
            "importance": per_atom / per_atom.sum(),
            "impurity_importance": tree.feature_importances_[seen],
            "n_atoms": np.rint(atoms[seen]).astype(np.int64),
            "n_structures": (X[keep][:, seen] > 0).sum(axis=0),
            "n_excluded": int((~keep).sum()),
            "reference": kind,
        }
    )
    return table[list(IMPORTANCE_COLUMNS)]


def _refused(reason: str) -> pd.DataFrame:
    table = pd.DataFrame(columns=list(IMPORTANCE_COLUMNS))
    table.attrs["reason"] = reason
    return table
