"""How many neighbours a structure has, counted before any list of them is made."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from uprung.frames.limits import ANGLES, CUTOFFS, PAIRS

Floats = NDArray[np.float64]
#: Atoms around a cell that a count may look at.
MOST_IMAGES = 1_000_000


def crowding(frac: Floats, lattice: Floats, cutoffs: tuple[float, float] = CUTOFFS) -> str | None:
    """Return why the graph of a structure would be too large, or None.

    A graph holds pairs of atoms and angles (ordered pairs of bonds at one atom). A bound from the cell alone decides
    for most structures: along an axis whose planes are h apart, an atom has at most 2 r / h + 1 images within r of
    another one. Else neighbours are counted, of which no list is made.

    Args:
        frac: fractional coordinates, (N, 3), finite.
        lattice: cell vectors as rows, (3, 3), Å, with a volume.
        cutoffs: length of the longest pair and of the longest bond, Å.
    """
    n, spacing = len(frac), _spacing(lattice)
    near, bonded = (n * math.prod(2 * r / h + 1 for h in spacing) for r in cutoffs)
    undecided = [cutoffs[1]] * (n * bonded**2 > ANGLES) + [cutoffs[0]] * (n * near / 2 > PAIRS)
    return _counted(frac, lattice, cutoffs, undecided) if undecided else None


def _spacing(lattice: Floats) -> list[float]:
    """Return how far apart the planes of lattice points are along the three axes, Å."""
    return [1 / math.hypot(*column) for column in np.linalg.inv(lattice).T.tolist()]


def _counted(frac: Floats, lattice: Floats, cutoffs: tuple[float, float], undecided: Sequence[float]) -> str | None:
    """Return the reason of `crowding` from counts; memory is that of the images around the cell."""
    cell, frac = _reduced(lattice, frac)
    margin = max(undecided) / np.array(_spacing(cell))
    images = len(frac) * float(np.prod(2 * margin + 1))
    if images > MOST_IMAGES:
        return f"up to {images:.3g} images of atoms lie within {max(undecided):g} Å of the cell: it is too thin"
    from scipy.spatial import KDTree  # most readers of frames look for no crowding

    tree, home = KDTree(_with_images(frac, margin) @ cell), frac @ cell
    for r in undecided:
        near = tree.query_ball_point(home, r, return_length=True).astype(np.int64) - 1
        pairs, angles = int(near.sum()) // 2, int((near * (near - 1)).sum())
        if r == cutoffs[1] and angles > ANGLES:
            return f"{angles:,} angles of bonds within {r:g} Å are more than {ANGLES:,}"
        if r == cutoffs[0] and pairs > PAIRS:
            return f"{pairs:,} pairs of atoms within {r:g} Å are more than {PAIRS:,}"
    return None


def _reduced(lattice: Floats, frac: Floats) -> tuple[Floats, Floats]:
    """Return a cell of the same lattice with short vectors, and the atoms in it, fractions from 0 to 1.

    Of every two vectors the longer one is made as short as the other one can make it, until none gets shorter (Gauss).
    """
    cell, positions, before = np.array(lattice), frac @ lattice, np.inf
    while (length := float((cell**2).sum())) < before * (1 - 1e-9):
        before = length
        for i in range(3):
            for j in range(3):
                if i != j:
                    cell[i] -= np.rint(cell[i] @ cell[j] / (cell[j] @ cell[j])) * cell[j]
    inside = positions @ np.linalg.inv(cell)
    return cell, inside - np.floor(inside)


def _with_images(frac: Floats, margin: Floats) -> Floats:
    """Return atoms (N, 3) with those of their images that lie no farther than a margin (3,) beyond the cell."""
    for axis, beyond in enumerate(margin.tolist()):
        steps = np.arange(-math.ceil(beyond), math.ceil(beyond) + 1)
        moved = np.repeat(frac, len(steps), axis=0)
        moved[:, axis] += np.tile(steps, len(frac))
        frac = moved[(moved[:, axis] >= -beyond) & (moved[:, axis] <= 1 + beyond)]
    return frac
