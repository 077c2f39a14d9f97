"""Agreement of the labels of two fidelities: correlation, errors, slopes, by quantity and by element.

Per-site labels are flat, with `offsets` (n + 1,): the sites of structure i are offsets[i]:offsets[i + 1].
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from ase.data import chemical_symbols
from numpy.typing import ArrayLike

from uprung.atomref.base import Bools, Floats, Ints, check_composition, group_codes, group_sums
from uprung.frames.flat import owner_of
from uprung.labels.energy_shift import ROUNDING, referenced
from uprung.labels.fidelity import BOND_FORCE, FidelityLabels, force_mask

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

    Quantities: energy raw; energy referenced, each side minus its own least-squares elemental references on the
    structures kept; force components, all three Cartesian components of every atom; stress components, all nine, so
    that shear counts twice as in a mean over the tensor; |magmom| per site; then the `scalars` that both sides have.
    Subsets: 'all', and '|F_low| < 10 eV/Å' where the low side has forces.

    Args:
        X: composition fractions, (n, 94).
        offsets: (n + 1,).
        low: labels of the low fidelity.
        high: labels of the high fidelity.
        groups: what the bootstrap draws as a whole, (n,).
        limit: the second subset holds structures whose largest force at the low fidelity is below this, eV/Å.
        n_bootstrap: resamples.
        seed: of the bootstrap.

    Returns:
        Columns quantity, unit, subset; pearson with a 95 % percentile interval pearson_low, pearson_high (references
        held fixed; nan for fewer than two groups); spearman; mae, rmsd of high − low; slope, ordinary least squares of
        high on low with an intercept, slope_origin without; n_structures that contribute, n_values, share_zero of the
        values that are exactly 0 on both sides (zero by symmetry: they dilute the mae), n_missing values of the subset
        without a label on one side or both, n_excluded structures outside the subset. A quantity without any value has
        nan and n_values 0.
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

    The energy is referenced, which for one element means the mean removed, so that its Pearson r is that of the raw
    energy. The interval resamples structures.

    Args:
        X: composition fractions, (n, 94).
        offsets: (n + 1,).
        low: labels of the low fidelity.
        high: labels of the high fidelity.
        keep: structures that are considered, (n,), e.g. `force_mask`; all when None.
        seed: of the bootstrap.
        n_bootstrap: resamples.

    Returns:
        No rows if there is no structure of a single element; n_excluded counts those with several, and those outside
        `keep`.
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
        from scipy.stats import spearmanr  # half a second, which figures do not need

        result["spearman"] = float(spearmanr(a, b).statistic)
        result["slope"] = float(da @ b / (da @ da))
        result["slope_origin"] = float(a @ b / (a @ a))
    return result | counts | {"share_zero": zero} | missing


def pearson_interval(
    a: Floats, b: Floats, groups: ArrayLike, n_bootstrap: int, rng: np.random.Generator
) -> tuple[float, float, float]:
    """Return Pearson r of a and b (n,), and its 95 % percentile interval from resampling whole groups.

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
