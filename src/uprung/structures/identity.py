"""Canonical form of crystals, and the alignment of two of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter

import numpy as np
from numpy.typing import NDArray

from uprung.frames.table import Frames
from uprung.structures.lattices import Floats, Ints, maps, reduction

#: Columns of a frames table that a geometry is made of.
COLUMNS = ["nsites", "Z", "lattice", "frac"]


@dataclass(frozen=True)
class Geometries:
    """n crystals of one composition in canonical form: reduced cells, sites in the order of their atomic numbers."""

    numbers: Ints  # (N,)
    lattice: Floats  # (n, 3, 3), Å, rows are cell vectors
    frac: Floats  # (n, N, 3), from 0 to 1
    sites: Ints  # (n, N), number of each site in its frame

    def __len__(self) -> int:
        """Return the number of crystals."""
        return len(self.lattice)

    def take(self, rows: Ints) -> Geometries:
        """Return some of the crystals."""
        return Geometries(self.numbers, self.lattice[rows], self.frac[rows], self.sites[rows])

    def budget(self, tolerance: float) -> float:
        """Return the longest that one displacement can be, Å, if the root mean square is within the tolerance."""
        return float(tolerance * np.sqrt(len(self.numbers) + 3))


class Crystals:
    """The geometries of some frames tables, one after another: row k of the second has number `len(first) + k`."""

    def __init__(self, *tables: Frames) -> None:
        """Reduce all cells. Positions stay in the tables; memory beside them is some 300 bytes per frame."""
        self.offsets = np.concatenate([[0], np.cumsum(np.concatenate([table.nsites for table in tables]))])
        self._numbers = np.concatenate([np.asarray(table.table["Z"].combine_chunks().flatten()) for table in tables])
        self._frac = [table.flat("frac", 3).reshape(-1, 3) for table in tables]
        self._ends = np.cumsum([len(table) for table in tables])
        raw = np.concatenate([table.flat("lattice") for table in tables]).reshape(-1, 3, 3)
        self._op = reduction(raw)
        self._lattice = self._op @ raw

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self.offsets) - 1

    def compositions(self) -> list[Ints]:
        """Return the frames of each composition (atoms of each element in the cell), (n,) each, rising."""
        grouped = defaultdict[bytes, list[int]](list)
        for k in range(len(self)):
            grouped[np.sort(self._numbers[self.offsets[k] : self.offsets[k + 1]]).tobytes()].append(k)
        return [np.array(rows) for rows in grouped.values()]

    def geometries(self, rows: Ints) -> Geometries:
        """Return the canonical form of some frames of one composition, rising."""
        start = self.offsets[rows]
        places = start[:, None] + np.arange(self.offsets[rows[0] + 1] - start[0])
        sites = np.argsort(self._numbers[places], axis=1, kind="stable")
        places = np.take_along_axis(places, sites, axis=1)
        own = np.split(places, np.searchsorted(rows, self._ends[:-1]))
        before = self.offsets[[0, *self._ends[:-1]]]
        frac = np.concatenate([part[sites - n] for part, sites, n in zip(self._frac, own, before, strict=True)])
        # positions stay: frac @ lattice = (frac @ op⁻¹) @ (op @ lattice), and op⁻¹ has whole numbers, too
        frac = frac @ np.rint(np.linalg.inv(self._op[rows]))
        return Geometries(
            numbers=self._numbers[places[0]].astype(np.int64),
            lattice=self._lattice[rows],
            frac=frac - np.floor(frac),
            sites=sites,
        )


def unturned(a: Geometries, i: Ints, j: Ints) -> Floats:
    """Return root-mean-square displacements (p,), Å, of crystals j against i, site by site in the order they have.

    Periodic images and the origin are free, cells and orientation are not: an upper bound of what `align` finds.
    """
    moved = a.frac[j] - a.frac[i]
    cell = a.lattice[j] - a.lattice[i]
    return _rms(_nearest(moved - moved[:, :1]) @ a.lattice[i], cell)


def _nearest(difference: Floats) -> Floats:
    """Return differences of fractional coordinates to the nearest image."""
    return difference - np.rint(difference)


def _rms(moved: Floats, cell: Floats) -> Floats:
    """Return the root mean square (...,) over sites (..., N, 3), without what all have in common, and cell vectors."""
    own = moved - moved.mean(axis=-2, keepdims=True)
    total = (own**2).sum(axis=(-1, -2)) + (cell**2).sum(axis=(-1, -2))
    return np.asarray(np.sqrt(total / (moved.shape[-2] + 3)))


@dataclass(frozen=True)
class Alignment:
    """How one crystal lies on another: its site `order[k]` on site k, its vectors times `rotation`; `rmsd` in Å."""

    rmsd: float
    order: Ints  # (N,)
    rotation: Floats  # (3, 3), orthogonal; a mirror image has a reflection


def align(a: Geometries, i: int, j: int, tolerance: float, alike: NDArray[np.bool_] | None = None) -> Alignment | None:
    """Return how crystal j lies on crystal i, or None where they are not the same.

    Args:
        a: crystals of one composition.
        i: the one that stays.
        j: the one that is laid on it.
        tolerance: largest root-mean-square displacement over sites and cell vectors, Å, after a rigid motion.
        alike: (N, N) which sites of i may lie on which of j; by default those of one species.
    """
    rows, columns = np.nonzero(a.numbers[:, None] == a.numbers[None, :])
    species, budget = (rows, columns), a.budget(tolerance)
    ways = maps(a.lattice[i], a.lattice[j], budget)
    inverse = np.rint(np.linalg.inv(ways))
    fractions = a.frac[i] @ inverse  # the sites of i in the cell of j, which is turned against it and a little strained
    placements = _placements(fractions, a.frac[j], a.lattice[j], species, alike, 2 * budget)
    for way, shifts in groupby(placements, key=itemgetter(0)):
        cell, frac = inverse[way] @ a.lattice[j], fractions[way]
        best: Alignment | None = None
        for _, shift in shifts:
            order = _order(frac + shift, a.frac[j], a.lattice[j], species, 2 * budget)
            if order is not None:
                rotation = _rotation(cell, a.lattice[i], budget)
                moved = a.frac[j][order] - frac
                moved = _nearest(moved - moved[:1]) @ a.lattice[j] @ rotation
                rmsd = float(_rms(moved, cell @ rotation - a.lattice[i]))
                if rmsd <= (tolerance if best is None else best.rmsd):
                    best = Alignment(rmsd, order, rotation)
        if best is not None:
            return best
    return None


def superposition(left: Frames, right: Frames, tolerance: float) -> tuple[Ints, Floats]:
    """Return how frame k of the right lies on frame k of the left, for all k.

    Args:
        left: n frames.
        right: n frames of the same geometries, written in any way.
        tolerance: largest root-mean-square displacement, Å.

    Returns:
        For every site of the left the number of the right's that lies on it, (N,), both counted through all frames, and
        the matrix (n, 3, 3) by which vectors of the right are multiplied.

    Raises:
        ValueError: two frames are not the same.
    """
    both, n = Crystals(left, right), len(left)
    order, rotation = np.zeros(both.offsets[n], dtype=np.int64), np.broadcast_to(np.eye(3), (n, 3, 3)).copy()
    for rows in both.compositions():
        own = rows[rows < n]
        geometries, first = both.geometries(np.concatenate([own, own + n])), np.arange(len(own))
        sites, partners = geometries.sites[: len(own)], geometries.sites[len(own) :]
        for k in np.flatnonzero(unturned(geometries, first, first + len(own)) > tolerance):
            found = align(geometries, int(k), int(k) + len(own), tolerance)
            if found is None:
                raise ValueError(f"pair {own[k]}: the two structures are not the same within {tolerance:g} Å")
            partners[k], rotation[own[k]] = partners[k][found.order], found.rotation
        order[both.offsets[own][:, None] + sites] = (both.offsets[own + n] - both.offsets[n])[:, None] + partners
    return order, rotation


def _placements(
    fractions: Floats,
    other: Floats,
    lattice: Floats,
    species: tuple[Ints, Ints],
    alike: NDArray[np.bool_] | None,
    reach: float,
) -> Iterator[tuple[int, Floats]]:
    """Yield which of some cells (m, N, 3), moved by which translation, may lay all sites on those of another crystal.

    The site with the fewest possible partners is laid on each of them; the next such site sorts most of them out.
    """
    allowed = np.zeros((len(other), len(other)), dtype=np.bool_)
    allowed[species] = True
    allowed = allowed if alike is None else allowed & alike
    first, second = np.argsort(allowed.sum(axis=1), kind="stable")[[0, min(1, len(other) - 1)]]
    if not allowed[second].any():
        return
    shifts = other[allowed[first]] - fractions[:, first, None]  # (m, partners, 3)
    for way, shift in enumerate(shifts):
        left = other[allowed[second]] - (fractions[way, second] + shift)[:, None]
        near = np.linalg.norm(_nearest(left) @ lattice, axis=-1).min(axis=1) <= reach
        yield from ((way, choice) for choice in shift[near])


def _order(own: Floats, other: Floats, lattice: Floats, species: tuple[Ints, Ints], reach: float) -> Ints | None:
    """Return which site of another crystal lies on each site (N,), or None where there is none within reach, Å."""
    distance = np.full((len(own), len(own)), np.inf)
    distance[species] = np.linalg.norm(_nearest(other[species[1]] - own[species[0]]) @ lattice, axis=-1)
    if distance.min(axis=1).max() > reach:
        return None
    order = distance.argmin(axis=1)
    if len(np.unique(order)) < len(order):
        far = len(own) * (reach**2 + 1)  # dearer than all sites within reach
        from scipy.optimize import linear_sum_assignment  # a third of a second, which readers of a split do not need

        order = linear_sum_assignment(np.where(distance <= reach, distance**2, far))[1]
    return np.asarray(order)


def _rotation(cell: Floats, onto: Floats, budget: float) -> Floats:
    """Return the rotation or reflection that lays a cell on another; exactly none where none is needed."""
    if np.linalg.norm(cell - onto) <= budget:
        return np.eye(3)
    left, _, right = np.linalg.svd(cell.T @ onto)
    return np.asarray(left @ right)
