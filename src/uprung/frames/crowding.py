"""How many neighbours a structure has, counted before any list of them is made."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from uprung.frames.limits import ANGLES, ATOMS, CUTOFFS, FARTHEST, IMAGES, NEAREST, PAIRS

Floats = NDArray[np.float64]
#: Up to so many atoms all distances at once are the fastest way.
FEW = 64
#: Atoms around a cell that a count may look at.
MOST_IMAGES = 5_000_000


def crowding(frac: Floats, lattice: Floats, cutoffs: tuple[float, float] = CUTOFFS) -> str | None:
    """Return why a structure can have no graph of neighbours, or None.

    Atoms must neither coincide nor be many cells away, and pairs and angles (ordered pairs of bonds at one atom) must
    not be more than a graph may hold. A bound from the cell alone decides for most structures: along an axis whose
    planes are h apart, an atom has at most 2 r / h + 1 images within r of another. Else neighbours are counted.

    Args:
        frac: fractional coordinates, (N, 3), finite.
        lattice: cell vectors as rows, (3, 3), Å, with a volume.
        cutoffs: length of the longest pair and of the longest bond, Å.
    """
    n, far = len(frac), float(np.abs(frac).max())
    if n > ATOMS:
        return f"{n:,} atoms are more than {ATOMS:,}"
    if far > FARTHEST:
        return f"an atom is {far:.4g} cells away from its cell (at most {FARTHEST})"
    spacing = _spacing(lattice)
    # what the bound leaves open, shortest first
    most = [n * math.prod(2 * r / h + 1 for h in spacing) for r in cutoffs]
    open_ = [cutoffs[1]] * (n * most[1] ** 2 > ANGLES) + [cutoffs[0]] * (n * most[0] / 2 > PAIRS)
    if not open_ and n <= FEW and min(spacing) > 2 * NEAREST:
        reason = _too_near(_shortest(frac, lattice))
    else:
        reason = _counted(frac, lattice, cutoffs, open_)
    reach = float((np.ptp(frac, axis=0) + cutoffs[0] / np.array(spacing)).max()) + 1
    if reason is None and reach > IMAGES:
        return f"neighbours are up to {reach:.4g} cells away (at most {IMAGES}): wrap the atoms, or reduce the cell"
    return reason


def _spacing(lattice: Floats) -> list[float]:
    """Return how far apart the planes of lattice points are along the three axes, Å."""
    return [1 / math.hypot(*column) for column in np.linalg.inv(lattice).T.tolist()]


def _shortest(frac: Floats, lattice: Floats) -> float:
    """Return the shortest distance of two atoms, Å, right if it is below half of the smallest spacing."""
    apart = frac[:, None] - frac[None]
    apart = (apart - np.rint(apart)) @ lattice
    squares = np.einsum("ijk,ijk->ij", apart, apart)
    np.fill_diagonal(squares, np.inf)
    return math.sqrt(squares.min())


def _too_near(distance: float) -> str | None:
    if distance >= NEAREST:
        return None
    where = "at the same place" if distance < 1e-3 else f"{distance:.2g} Å from each other"
    return f"two atoms, or images of one, are {where} (at least {NEAREST} Å)"


def _counted(frac: Floats, lattice: Floats, cutoffs: tuple[float, float], undecided: Sequence[float]) -> str | None:
    """Return the reason of `crowding` from distances and counts; memory is that of the images around the cell."""
    cell, frac = _reduced(lattice, frac)
    shortest = float(np.linalg.norm(cell, axis=1).min())
    if shortest < NEAREST or len(np.unique(np.floor(frac @ cell * (4 / NEAREST)), axis=0)) < len(frac):
        return _too_near(shortest if shortest < NEAREST else 0.0)
    margin = max([NEAREST, *undecided]) / np.array(_spacing(cell))
    images = len(frac) * float(np.prod(2 * margin + 1))
    if images > MOST_IMAGES:
        return f"up to {images:.3g} images of atoms lie around the cell (at most {MOST_IMAGES:,}): it is too thin"
    tree, home = KDTree(_with_images(frac, margin) @ cell), frac @ cell
    reason = _too_near(float(np.asarray(tree.query(home, k=2)[0])[:, 1].min()))
    for r in undecided:
        near = tree.query_ball_point(home, r, return_length=True).astype(np.int64) - 1
        pairs, angles = int(near.sum()) // 2, int((near * (near - 1)).sum())
        if reason is None and r == cutoffs[1] and angles > ANGLES:
            reason = f"{angles:,} angles of bonds within {r:g} Å are more than {ANGLES:,}"
        if reason is None and r == cutoffs[0] and pairs > PAIRS:
            reason = f"{pairs:,} pairs of atoms within {r:g} Å are more than {PAIRS:,}"
    return reason


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
