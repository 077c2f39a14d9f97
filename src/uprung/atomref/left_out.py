"""Errors on groups that a linear fit has not seen, in closed form."""

from __future__ import annotations

import numpy as np

from uprung.atomref.base import Floats, Ints

#: Numbers in one block of the computation.
BLOCK = 10_000_000


def left_out_residuals(L: Floats, residual: Floats, codes: Ints) -> Floats:
    """Return what the residuals would be had the fit not seen the row's group, (n,).

    The fit is linear and minimises squared residuals plus a quadratic penalty. With its hat matrix H = L Lᵀ, the
    residuals of a group left out are (I − H_gg)⁻¹ r_g (Hastie, Tibshirani, Friedman, The Elements of Statistical
    Learning, Eq. 7.64 for single rows).

    Args:
        L: root of the hat matrix, (n, k).
        residual: of the fit, (n,).
        codes: groups 0..G−1, (n,).

    Raises:
        numpy.linalg.LinAlgError: a group holds a direction of the fit alone.
    """
    sizes = np.bincount(codes)
    order = np.argsort(codes, kind="stable")
    starts = np.cumsum(sizes) - sizes
    result = np.empty_like(residual)
    for m in np.unique(sizes):
        rows = order[starts[sizes == m][:, None] + np.arange(m)]
        for part in np.array_split(rows, -(-rows.size * L.shape[1] // BLOCK) or 1):
            result[part] = _block(L[part], residual[part])
    return result


def _block(L: Floats, residual: Floats) -> Floats:
    """Solve for groups of equal size at once: L (G, m, k), residual (G, m); in the smaller of m and k dimensions."""
    m, k = L.shape[1:]
    transposed = L.transpose(0, 2, 1)
    column = residual[..., None]
    if m <= k:
        return np.asarray(np.linalg.solve(np.eye(m) - L @ transposed, column)[..., 0])
    inner = np.linalg.solve(np.eye(k) - transposed @ L, transposed @ column)
    return residual + (L @ inner)[..., 0]
