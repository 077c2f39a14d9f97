"""Standard errors of reference energies: clustered sandwich, and a bootstrap of whole groups."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from uprung.atomref.base import (
    N_ELEMENTS,
    UNIT_TOLERANCE,
    Bools,
    CompositionModel,
    Design,
    Floats,
    Ints,
    check_composition,
    check_values,
    group_codes,
)

#: Share of the resamples in which an element has to be determined for its spread to count as a standard error.
ENOUGH_RESAMPLES = 0.95
#: Numbers in one block of the computation.
BLOCK = 10_000_000


def sandwich(
    basis: Floats, to_coef: Floats, residual: Floats, codes: Ints, *, clustered: bool, shares: Floats | None = None
) -> tuple[Floats, Floats]:
    """Return standard errors (k,) of coefficients to_coef · basisᵀ · y, and their degrees of freedom (k,).

    The estimate is CR2: residuals of a group are multiplied by (I − H_gg)^(−1/2), H the hat matrix, so that it has no
    bias where errors are independent and alike. Its degrees of freedom are Satterthwaite's under the same working
    model (Bell and McCaffrey, Surv. Methodol. 28, 169 (2002); Pustejovsky and Tipton, J. Bus. Econ. Stat. 36, 672
    (2018)). The usual sandwich with normal quantiles holds far less than it says where groups are few.

    Args:
        basis: orthonormal directions that the fit uses, (n, r).
        to_coef: from coordinates in the basis to coefficients, (k, r).
        residual: (n,) eV/atom.
        codes: groups 0..G−1, (n,).
        clustered: whether residuals of a group may be correlated; if not, every row is a group (HC2).
        shares: of each direction that the fit takes, (r,): H = basis · diag(shares) · basisᵀ; 1 when None.
    """
    root = basis if shares is None else basis * np.sqrt(shares)
    codes = codes if clustered else np.arange(len(basis))
    counts = np.bincount(codes)
    order = np.argsort(codes, kind="stable")
    starts = np.cumsum(counts) - counts
    k, r = to_coef.shape
    variance, trace, square, cross = np.zeros(k), np.zeros(k), np.zeros(k), np.zeros((k, r, r))
    for m in np.unique(counts):
        rows = order[starts[counts == m][:, None] + np.arange(m)]
        for part in np.array_split(rows, -(-len(rows) * max(m, r) * max(k, r) // BLOCK) or 1):
            own, influence = root[part], basis[part] @ to_coef.T  # (g, m, r), (g, m, k)
            left, size, _ = np.linalg.svd(own, full_matrices=False)
            free = 1 - size**2
            gain = np.where(free > UNIT_TOLERANCE, 1 / np.sqrt(np.maximum(free, UNIT_TOLERANCE)), 0.0) - 1
            influence = influence + left @ (gain[..., None] * (left.transpose(0, 2, 1) @ influence))
            variance += ((influence * residual[part][..., None]).sum(axis=1) ** 2).sum(axis=0)
            length = (influence**2).sum(axis=1)
            taken = own.transpose(0, 2, 1) @ influence  # (g, r, k)
            lost = (taken**2).sum(axis=1)
            trace += (length - lost).sum(axis=0)
            square += (length**2 - 2 * length * lost).sum(axis=0)
            by_coefficient = np.ascontiguousarray(taken.transpose(2, 1, 0))  # products of strided arrays are slow
            cross += by_coefficient @ by_coefficient.transpose(0, 2, 1)
    square += (cross**2).sum(axis=(1, 2))
    with np.errstate(divide="ignore", invalid="ignore"):
        freedom = np.where(trace > UNIT_TOLERANCE**2, trace**2 / square, 0.0)
    return np.sqrt(variance), freedom


def effective(stderr: Floats, freedom: Floats) -> Floats:
    """Return standard errors of which 1.96 hold 95 %, as t quantiles do for the degrees of freedom that there are.

    Below one degree of freedom nothing is known: nan.
    """
    known = freedom >= 1 - UNIT_TOLERANCE
    from scipy.special import ndtri, stdtrit  # runs begin with references, and ask for no errors of them

    quantile = stdtrit(np.where(known, freedom, 1.0), 0.975) / ndtri(0.975)
    return np.where(known, stderr * quantile, np.nan)


def near_null_stderr(design: Design, residual: Floats, codes: Ints, *, clustered: bool) -> Floats:
    """Return standard errors along the near-null directions of a design, (d,) eV/atom.

    The larger one of the sandwich and of σ² for errors of whole groups that are alike, since such a direction as a rule
    rests on few structures, whose residuals vanish.
    """
    along = design.near_null[design.seen].T @ design.to_coef
    found = np.nan_to_num(effective(*sandwich(design.U, along, residual, codes, clustered=clustered)))
    n, rank = len(residual), design.rank
    sigma = np.sqrt(residual @ residual / (n - rank)) if n > rank else np.inf
    copies = n / (int(codes.max()) + 1) if clustered else 1.0
    return np.asarray(np.maximum(found, sigma * np.sqrt(copies * (along**2).sum(axis=1))))


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
        fit = estimator.fresh().fit(X[at], y[at], codes[at], kept[at])
        row[:] = np.where(fit.determined_, fit.coef_, np.nan)
    known = np.isfinite(values)
    enough = known.mean(axis=0) >= ENOUGH_RESAMPLES
    stderr = np.full(N_ELEMENTS, np.nan)
    stderr[enough] = np.nanstd(values[:, enough], axis=0, ddof=1)
    return stderr
