"""Reduced cells, and the integer maps between two reduced cells of one lattice."""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: A squared length has to fall by this share for a cell vector to be exchanged: rounding exchanges none.
GAIN = 1e-6
#: Multiples of one other vector that may be added at once, so that a very oblique cell takes few rounds.
STRIDES = (10, 100, 1000)
ROUND = 20_000  # cells at a time


def _moves() -> tuple[Ints, Ints]:
    """Return the vectors (m, 3), as multiples of the cell's, that may replace one of them, and which one, (m,)."""
    rows, replaced = list[list[int]](), list[int]()
    for k in range(3):
        others = [i for i in range(3) if i != k]
        steps = [pair for pair in product((-1, 0, 1), repeat=2) if any(pair)]
        steps += [pair for n in STRIDES for pair in ((n, 0), (-n, 0), (0, n), (0, -n))]
        for pair in steps:
            row = [0, 0, 0]
            row[k], row[others[0]], row[others[1]] = 1, *pair
            rows.append(row)
            replaced.append(k)
    return np.array(rows), np.array(replaced)


_ROWS, _REPLACED = _moves()
#: Lattice vectors in multiples of a reduced cell's among which those of another reduced cell are.
_NEAR = np.array([row for row in product(range(-2, 3), repeat=3) if any(row)])


def reduction(lattice: Floats) -> Ints:
    """Return integer matrices that make cells Minkowski-reduced: `op @ lattice`, as short and right-angled as can be.

    Args:
        lattice: cells, (n, 3, 3), rows are vectors, Å.

    Returns:
        (n, 3, 3), determinants ±1. A cell that is reduced already gets the identity.
    """
    parts = [_reduction(lattice[k : k + ROUND]) for k in range(0, len(lattice), ROUND)]
    return np.concatenate(parts) if parts else np.zeros((0, 3, 3), dtype=np.int64)


def _reduction(lattice: Floats) -> Ints:
    op = np.broadcast_to(np.eye(3, dtype=np.int64), lattice.shape).copy()
    cell = np.array(lattice, dtype=np.float64)
    active = np.arange(len(cell))
    while len(active):
        gram = cell[active] @ cell[active].transpose(0, 2, 1)
        length = np.einsum("mi,nij,mj->nm", _ROWS, gram, _ROWS, optimize=True)
        gain = 1 - length / np.diagonal(gram, axis1=1, axis2=2)[:, _REPLACED]
        best = gain.argmax(axis=1)
        moving = gain[np.arange(len(active)), best] > GAIN
        active, best = active[moving], best[moving]
        k = _REPLACED[best]
        op[active, k] = np.einsum("ni,nij->nj", _ROWS[best], op[active])
        cell[active, k] = np.einsum("ni,nij->nj", _ROWS[best].astype(np.float64), cell[active])
    return op


def maps(first: Floats, second: Floats, budget: float) -> Ints:
    """Return the ways in which two reduced cells span one lattice.

    Args:
        first: reduced cell, (3, 3), Å.
        second: another one.
        budget: how far the three vectors of the first one may be from their images together, Å (root of the sum of
            squares); a combination of them may be farther, by the norm of its coefficients.

    Returns:
        Integer matrices M (m, 3, 3) for which `M @ first` is `second` within the budget up to a rotation or reflection:
        none for different lattices, two for a lattice without symmetry, 48 for a cubic one. Those that need no
        rotation come first.
    """
    vectors = _NEAR @ first
    lengths, wanted = np.linalg.norm(vectors, axis=1), np.linalg.norm(second, axis=1)
    apart = budget * np.linalg.norm(_NEAR, axis=1)  # Å, each vector from its image
    found = [np.flatnonzero(np.abs(lengths - length) <= apart) for length in wanted]
    rows = np.stack(np.meshgrid(*found, indexing="ij"), axis=-1).reshape(-1, 3)
    for i, j in ((0, 1), (0, 2), (1, 2)):
        products = np.einsum("nk,nk->n", vectors[rows[:, i]], vectors[rows[:, j]])
        within = apart[rows[:, j]] * lengths[rows[:, i]] + apart[rows[:, i]] * wanted[j]
        rows = rows[np.abs(products - second[i] @ second[j]) <= within]
    found_maps = _NEAR[rows]
    found_maps = found_maps[np.abs(np.rint(np.linalg.det(found_maps))) == 1]
    distance = np.linalg.norm(found_maps @ first - second, axis=(1, 2))
    return np.asarray(found_maps[np.argsort(distance, kind="stable")])
