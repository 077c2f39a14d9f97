"""Energy shift and label correlation between a low and a high fidelity of the same structures.

All functions take arrays of paired structures: row i of every array is the same geometry labelled twice.
Per-site labels are flat, with `offsets` (n + 1,): the sites of structure i are offsets[i]:offsets[i + 1].
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from ase.data import chemical_symbols
from numpy.typing import ArrayLike, NDArray
from scipy.stats import spearmanr
from sklearn.tree import DecisionTreeRegressor

from uprung.atomref.base import (
    Bools,
    Floats,
    check_composition,
    check_values,
    group_codes,
    group_sums,
)
from uprung.atomref.least_squares import LeastSquares
from uprung.frames.flat import check_offsets, owner_of

Ints = NDArray[np.int64]


def force_mask(forces: ArrayLike, offsets: ArrayLike, limit: float = 10.0) -> Bools:
    """Return (n,) whether the largest |F| on any atom is below limit (eV/Å); False where a force is missing."""
    forces = np.asarray(forces, dtype=np.float64).reshape(-1, 3)
    offsets = check_offsets(offsets, len(forces))
    largest = np.maximum.reduceat(np.linalg.norm(forces, axis=1), offsets[:-1])
    return np.asarray(largest < limit)  # a comparison with nan is False


def bond_force(forces: ArrayLike, offsets: ArrayLike, bond: ArrayLike) -> Floats:
    """Return the force along the bond of two-atom structures (n,), eV/Å, positive = repulsive.

    bond (n, 3) points from the first to the second atom; the value is the component on the second atom,
    −dE/dr. It is the one independent number among the six force components of a dimer: with both atoms and
    all components, each value enters twice with opposite signs beside four zeros. nan for other structures.
    """
    forces = np.asarray(forces, dtype=np.float64).reshape(-1, 3)
    offsets = check_offsets(offsets, len(forces))
    bond = np.asarray(bond, dtype=np.float64).reshape(-1, 3)
    values = (forces[offsets[1:] - 1] * bond).sum(axis=1) / np.linalg.norm(bond, axis=1)
    return np.asarray(np.where(np.diff(offsets) == 2, values, np.nan))


def element_shift(X: ArrayLike, y_low: ArrayLike, y_high: ArrayLike, groups: ArrayLike) -> pd.DataFrame:
    """Return the per-element energy shift high − low, eV/atom, one row per element seen.

    Least squares of y_high − y_low (n,) on composition X (n, 94). Columns: Z, element, shift; stderr,
    clustered by group (nan where the value rests on a single group, as for one dimer curve per element);
    stderr_structures, with structures taken as independent (HC1); spread, root-mean-square residual of the
    structures that contain the element; n_structures, n_groups; determined (False: seen only in fixed
    proportion to others, minimum-norm value); low_reference, low_stderr, high_reference, high_stderr, the fit
    of each side on the same structures. shift = high_reference − low_reference by linearity.
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
        "shift": fit.coef_,
        "stderr": fit.stderr_,
        "stderr_structures": LeastSquares().fit(X, high - low).stderr_,
        "spread": spread,
        "n_structures": fit.n_structures_,
        "n_groups": n_groups,
        "determined": fit.determined_,
        "low_reference": fit_low.coef_,
        "low_stderr": fit_low.stderr_,
        "high_reference": fit_high.coef_,
        "high_stderr": fit_high.stderr_,
    }
    table = pd.DataFrame({"Z": Z, "element": [chemical_symbols[z] for z in Z]})
    return table.assign(**{name: values[seen] for name, values in columns.items()})


def referenced(X: ArrayLike, y: ArrayLike) -> Floats:
    """Return y minus its own least-squares elemental references (n,), eV/atom."""
    return np.asarray(check_values(y, len(np.asarray(X))) - LeastSquares().fit(X, y).predict(X))


@dataclass(frozen=True)
class FidelityLabels:
    """Labels of one fidelity: energy (n,) eV/atom, and where there are any forces (N, 3) eV/Å, stress
    (n, 9) or (n, 3, 3) GPa, magmom (N,) μB, all with nan where a single label is missing; `scalars` holds
    further values per structure (n,) under a name, such as the force along the bond of a dimer.
    """

    energy: Floats
    forces: Floats | None = None
    stress: Floats | None = None
    magmom: Floats | None = None
    scalars: Mapping[str, Floats] = field(default_factory=dict)


#: A spread of labels below this is rounding, not signal: residuals of a saturated reference fit, say.
ROUNDING = 1e-9

#: The name under which `bond_force` belongs into `FidelityLabels.scalars`.
BOND_FORCE = "force along the bond"

#: Quantity of a row -> unit of mae and rmsd; empty for other entries of `FidelityLabels.scalars`.
UNITS = {
    "energy raw": "eV/atom",
    "energy referenced": "eV/atom",
    "force components": "eV/Å",
    "stress components": "GPa",
    "|magmom|": "μB",
    BOND_FORCE: "eV/Å",
}


def correlation(
    X: ArrayLike,
    offsets: ArrayLike,
    low: FidelityLabels,
    high: FidelityLabels,
    groups: ArrayLike,
    *,
    limit: float = 10.0,
    n_bootstrap: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """Return how well the labels of two fidelities agree, one row per quantity and subset.

    Quantities: energy raw; energy referenced, each side minus its own least-squares elemental references on
    the structures kept; force components, all three Cartesian components of every atom; stress components,
    all nine, so that shear counts twice as in a mean over the tensor; |magmom| per site; then the `scalars`
    that both sides have. Subsets: 'all', and '|F_low| < 10 eV/Å' for structures whose largest force at the
    low fidelity is below `limit`, where the low side has forces.

    Columns: quantity, unit, subset; pearson with a 95 % percentile bootstrap interval pearson_low,
    pearson_high over groups (references held fixed; nan for fewer than two groups); spearman; mae, rmsd of
    high − low; slope, ordinary least squares of high on low with an intercept, slope_origin without;
    n_structures that contribute, n_values, share_zero of the values that are exactly 0 on both sides (zero
    by symmetry: they dilute the mae), n_missing values of the subset without a label on one side or both,
    n_excluded structures outside the subset. A quantity without any value has nan and n_values 0.
    """
    X = check_composition(X)
    offsets = np.asarray(offsets, dtype=np.int64)
    codes = group_codes(groups, len(X))
    subsets = {"all": np.ones(len(X), dtype=bool)}
    if low.forces is not None:
        subsets[f"|F_low| < {limit:g} eV/Å"] = force_mask(low.forces, offsets, limit)
    rng = np.random.default_rng(seed)
    rows = []
    for subset, keep in subsets.items():
        for quantity, (a, b, owner) in _values(X, offsets, low, high, keep).items():
            row: dict[str, object] = {"quantity": quantity, "unit": UNITS.get(quantity, ""), "subset": subset}
            row |= _statistics(a, b, owner, codes, n_bootstrap, rng)
            rows.append(row | {"n_excluded": int((~keep).sum())})
    return pd.DataFrame(rows)


def correlation_by_element(
    X: ArrayLike,
    offsets: ArrayLike,
    low: FidelityLabels,
    high: FidelityLabels,
    *,
    keep: ArrayLike | None = None,
    seed: int = 0,
    n_bootstrap: int = 200,
) -> pd.DataFrame:
    """Return the columns of `correlation` per element, Z and element in front, for structures of one element.

    keep (n,) restricts the structures, e.g. to `force_mask`. The energy is referenced, which for one element
    means the mean removed, so that its Pearson r is that of the raw energy. The interval resamples
    structures. Structures with several elements are not in the table; n_excluded counts them together with
    those outside keep. A frame without rows if there is no structure of a single element.
    """
    X = check_composition(X)
    offsets = np.asarray(offsets, dtype=np.int64)
    chosen = np.ones(len(X), dtype=bool) if keep is None else np.asarray(keep, dtype=bool)
    chosen = chosen & ((X > 0).sum(axis=1) == 1)
    each = np.arange(len(X))
    rng = np.random.default_rng(seed)
    rows = []
    for column in np.flatnonzero((X[chosen] > 0).any(axis=0)):
        mask = chosen & (X[:, column] > 0)
        for quantity, (a, b, owner) in _values(X, offsets, low, high, mask).items():
            if quantity == "energy raw":
                continue
            row: dict[str, object] = {"Z": int(column) + 1, "element": chemical_symbols[column + 1]}
            row |= {"quantity": quantity, "unit": UNITS.get(quantity, "")}
            row |= _statistics(a, b, owner, each, n_bootstrap, rng)
            rows.append(row | {"n_excluded": int((~chosen).sum())})
    return pd.DataFrame(rows)


def _values(
    X: Floats, offsets: Ints, low: FidelityLabels, high: FidelityLabels, keep: Bools
) -> dict[str, tuple[Floats, Floats, Ints]]:
    """Return quantity -> (low values, high values, structure of each), missing ones as nan."""
    structure = np.flatnonzero(keep)
    site = keep[owner_of(offsets)]
    of_site = owner_of(offsets)[site]

    def pick(label: Floats | None, mask: Bools, width: int) -> Floats:
        if label is None:
            return np.full(int(mask.sum()) * width, np.nan)
        return np.asarray(label, dtype=np.float64).reshape(len(mask), width)[mask].ravel()

    energies = pick(low.energy, keep, 1), pick(high.energy, keep, 1)
    both = np.isfinite(energies[0]) & np.isfinite(energies[1])
    relative = [np.full(len(energy), np.nan) for energy in energies]
    if both.any():
        for target, energy in zip(relative, energies, strict=True):
            target[both] = referenced(X[keep][both], energy[both])
    values = {
        "energy raw": (*energies, structure),
        "energy referenced": (relative[0], relative[1], structure),
        "force components": (pick(low.forces, site, 3), pick(high.forces, site, 3), np.repeat(of_site, 3)),
        "stress components": (pick(low.stress, keep, 9), pick(high.stress, keep, 9), np.repeat(structure, 9)),
        "|magmom|": (np.abs(pick(low.magmom, site, 1)), np.abs(pick(high.magmom, site, 1)), of_site),
    }
    for name in low.scalars:
        if name in high.scalars:
            values[name] = (pick(low.scalars[name], keep, 1), pick(high.scalars[name], keep, 1), structure)
    return values


def _statistics(
    a: Floats, b: Floats, owner: Ints, codes: Ints, n_bootstrap: int, rng: np.random.Generator
) -> dict[str, float]:
    """Return the statistics of `correlation` for paired values a (low) and b (high)."""
    ok = np.isfinite(a) & np.isfinite(b)
    counts = {"n_structures": len(np.unique(owner[ok])), "n_values": int(ok.sum())}
    missing = {"n_missing": int((~ok).sum())}
    a, b, owner = a[ok], b[ok], owner[ok]
    names = ["pearson", "pearson_low", "pearson_high", "spearman", "mae", "rmsd", "slope", "slope_origin"]
    result = dict.fromkeys(names, np.nan)
    zero = float(((a == 0) & (b == 0)).mean()) if len(a) else np.nan
    if len(a):
        result |= {"mae": float(np.abs(b - a).mean()), "rmsd": float(np.sqrt(((b - a) ** 2).mean()))}
    if len(a) >= 3 and min(np.ptp(a), np.ptp(b)) > ROUNDING:
        r, low, high = pearson_interval(a, b, codes[owner], n_bootstrap, rng)
        da = a - a.mean()
        result |= {"pearson": r, "pearson_low": low, "pearson_high": high}
        result["spearman"] = float(spearmanr(a, b).statistic)
        result["slope"] = float(da @ b / (da @ da))
        result["slope_origin"] = float(a @ b / (a @ a))
    return result | counts | {"share_zero": zero} | missing


def pearson_interval(
    a: Floats, b: Floats, groups: ArrayLike, n_bootstrap: int, rng: np.random.Generator
) -> tuple[float, float, float]:
    """Return Pearson r and its 95 % percentile interval from resampling whole groups with replacement.

    Every resample is a set of group weights on per-group sums, so that its cost does not grow with the number
    of values. The interval is nan for fewer than two groups.
    """
    codes = group_codes(groups, len(a))
    a, b = a - a.mean(), b - b.mean()
    sums = group_sums(np.column_stack([np.ones(len(a)), a, b, a * a, b * b, a * b]), codes)
    r = float(_pearson(sums.sum(axis=0)[None])[0])
    if len(sums) < 2 or n_bootstrap < 1:
        return r, np.nan, np.nan
    even = np.full(len(sums), 1 / len(sums))
    chunk = max(1, 2_000_000 // len(sums))  # bounds the memory of the weights
    resampled = [
        _pearson(rng.multinomial(len(sums), even, size=min(chunk, n_bootstrap - start)) @ sums)
        for start in range(0, n_bootstrap, chunk)
    ]
    low, high = np.nanpercentile(np.concatenate(resampled), [2.5, 97.5])
    return r, float(low), float(high)


def _pearson(sums: Floats) -> Floats:
    """Return r (k,) from rows of Σ1, Σa, Σb, Σa², Σb², Σab."""
    n, a, b, aa, bb, ab = sums.T
    with np.errstate(invalid="ignore", divide="ignore"):
        r = (ab - a * b / n) / np.sqrt((aa - a * a / n) * (bb - b * b / n))
    return np.asarray(np.clip(r, -1, 1))


IMPORTANCE_COLUMNS: Sequence[str] = (
    "Z",
    "element",
    "importance",
    "impurity_importance",
    "n_atoms",
    "n_structures",
    "n_excluded",
    "reference",
)


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

    A regression tree on composition X (n, 94) for ΔE_f(high) − ΔE_f(low), eV/atom; the impurity importance of
    an element is divided by its number of atoms in the data (Huang et al. 2025) and rescaled to sum 1, where
    the paper multiplies by constants of its own choice (9000 and 500): the order agrees, the sizes do not.

    elements_low, elements_high (94,): energy per atom of the elemental solids at each fidelity, on the label
    scale of y_low and y_high, nan where unknown. Without them the references are fitted to the structures
    given, and the target is what composition does not explain linearly; the column `reference` says which
    ('elemental' | 'fitted'). n_atoms (n,) is the number of sites.

    Only structures with at least two elements enter, all of whose references are known; n_excluded counts the
    rest. Where nothing is left to explain, the frame has no rows and `attrs['reason']` says why.
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
