"""Standard errors of reference energies: clustered sandwich, and a bootstrap of whole groups."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import clone

from uprung.atomref.base import (
    N_ELEMENTS,
    UNIT_TOLERANCE,
    Bools,
    CompositionModel,
    Floats,
    Ints,
    check_composition,
    check_values,
    group_codes,
    group_sums,
)

#: Share of the resamples in which an element has to be determined for its spread to count as a standard error.
ENOUGH_RESAMPLES = 0.95


def sandwich(basis: Floats, to_coef: Floats, residual: Floats, codes: Ints, *, clustered: bool, used: float) -> Floats:
    """Return sandwich standard errors (k,) of coefficients to_coef · basisᵀ · y; all nan without degrees of freedom.

    The factor is G/(G−1)·(n−1)/(n−used) with clusters and HC1, n/(n−used), without.

    Args:
        basis: directions that the fit uses, (n, r).
        to_coef: from coordinates in the basis to coefficients, (k, r).
        residual: (n,) eV/atom.
        codes: groups 0..G−1, (n,).
        clustered: whether residuals of a group may be correlated.
        used: degrees of freedom of the fit.
    """
    n = len(basis)
    n_groups = int(codes.max()) + 1
    if n <= used or (clustered and n_groups < 2):
        return np.full(len(to_coef), np.nan)
    scores = group_sums(basis * residual[:, None], codes)
    factor = n_groups / (n_groups - 1) * (n - 1) / (n - used) if clustered else n / (n - used)
    influence = scores @ to_coef.T
    return np.asarray(np.sqrt(factor * (influence**2).sum(axis=0)))


def rests_on_one_group(U: Floats, to_coef: Floats, codes: Ints) -> Bools:
    """Return, per seen element, whether leaving out some single group would make it undetermined, (n_seen,).

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


def bootstrap_stderr(
    estimator: CompositionModel,
    X: ArrayLike,
    y: ArrayLike,
    groups: ArrayLike | None = None,
    together: ArrayLike | None = None,
    *,
    resamples: int = 200,
    seed: int,
) -> Floats:
    """Return bootstrap standard errors (94,), eV/atom: the spread of refits to whole groups drawn with replacement.

    Everything that the estimator chooses from the data, such as a strength, is chosen anew in every resample. nan for
    an element that is not determined in 95 % of the resamples: as good as any element in fewer than three groups.

    Args:
        estimator: fitted or not; it is copied.
        X: composition fractions, (n, 94).
        y: energies, (n,) eV/atom.
        groups: what is drawn as a whole, (n,); every structure by itself when None.
        together: as in `CompositionModel.fit`; copies of a row keep its label, so that they are left out together.
        resamples: number of refits, at least 2.
        seed: of the resampling.

    Raises:
        ValueError: unusable input, fewer than two groups or resamples.
    """
    X = check_composition(X)
    y = check_values(y, len(X))
    codes = group_codes(groups, len(X))
    n_groups = int(codes.max()) + 1
    if resamples < 2 or n_groups < 2:
        raise ValueError(f"bootstrap: {resamples} resamples of {n_groups} groups; at least two of each are needed")
    kept = np.arange(len(X)) if together is None else group_codes(together, len(X))
    members = np.split(np.argsort(codes, kind="stable"), np.cumsum(np.bincount(codes))[:-1])
    rng = np.random.default_rng(seed)
    values = np.full((resamples, N_ELEMENTS), np.nan)
    for row in values:
        drawn = rng.integers(n_groups, size=n_groups)
        at = np.concatenate([members[g] for g in drawn])
        fit = clone(estimator).fit(X[at], y[at], codes[at], kept[at])
        row[:] = np.where(fit.determined_, fit.coef_, np.nan)
    known = np.isfinite(values)
    enough = known.mean(axis=0) >= ENOUGH_RESAMPLES
    stderr = np.full(N_ELEMENTS, np.nan)
    stderr[enough] = np.nanstd(values[:, enough], axis=0, ddof=1)
    return stderr
