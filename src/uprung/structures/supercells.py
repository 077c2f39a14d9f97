"""Crystals whose cell is a multiple of a smaller one: equal to others once both are given by their primitive cells."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from uprung.frames.table import Frames
from uprung.structures.identity import Crystals
from uprung.structures.lattices import Floats, Ints
from uprung.structures.twins import find_twins

if TYPE_CHECKING:
    from scipy.spatial import cKDTree

Cell = tuple[Ints, Floats, Floats]  # atomic numbers (N,), fractional coordinates (N, 3), cell (3, 3), Å


def equal_primitive_cells(tables: list[Frames], tolerance: float) -> tuple[Ints, Ints]:
    """Return pairs (p,), (p,) of frames that are equal by their primitive cells, where one has a larger cell.

    Args:
        tables: frames tables; row k of the second has number `len(first) + k`.
        tolerance: largest root-mean-square displacement of equal geometries, and displacement under a translation, Å.
    """
    cells = list(_cells(tables))
    smaller = {k: found for k, cell in enumerate(cells) if (found := primitive(*cell, tolerance)) is not None}
    kinds = {np.sort(numbers).tobytes() for numbers, _, _ in smaller.values()}
    rows = [k for k, cell in enumerate(cells) if k in smaller or np.sort(cell[0]).tobytes() in kinds]
    if not smaller:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    twins = find_twins(Crystals(_table([smaller.get(k, cells[k]) for k in rows])), tolerance)
    number = np.array(rows)
    return np.append(number[twins.first], number), np.append(number[twins.second], number[twins.copy_of])


def primitive(numbers: Ints, frac: Floats, lattice: Floats, tolerance: float) -> Cell | None:
    """Return a crystal in its primitive cell, None where that is the cell it has.

    Args:
        numbers: atomic numbers, (N,).
        frac: fractional coordinates, (N, 3).
        lattice: cell vectors as rows, (3, 3), Å.
        tolerance: largest distance from a site to the image of another one under a translation, Å.
    """
    steps = _translations(numbers, frac, lattice, tolerance)
    multiple = len(steps) + 1
    if multiple == 1:
        return None
    basis = _basis(np.rint(multiple * np.vstack([np.eye(3), steps])).astype(int).tolist()) / multiple
    if abs(abs(np.linalg.det(basis)) * multiple - 1) > 1e-6:
        return None  # the steps are a group to the tolerance only
    inside = frac @ np.linalg.inv(basis)
    apart = inside[:, None] - inside[None]
    same = np.linalg.norm((apart - np.rint(apart)) @ basis @ lattice, axis=-1) <= 2 * tolerance
    kept = (same & (numbers[:, None] == numbers[None])).argmax(axis=1) == np.arange(len(numbers))
    return (numbers[kept], inside[kept], basis @ lattice) if kept.sum() * multiple == len(numbers) else None


def _cells(tables: list[Frames]) -> Iterator[Cell]:
    for table in tables:
        numbers, frac = table.numbers(), table.flat("frac", 3).reshape(-1, 3)
        lattices = table.flat("lattice").reshape(-1, 3, 3)
        for (start, stop), lattice in zip(pairwise(table.offsets.tolist()), lattices, strict=True):
            yield numbers[start:stop], frac[start:stop], lattice


def _table(cells: list[Cell]) -> Frames:
    columns = {
        "nsites": [len(numbers) for numbers, _, _ in cells],
        "Z": [numbers for numbers, _, _ in cells],
        "frac": [frac.ravel() for _, frac, _ in cells],
        "lattice": [lattice.ravel() for _, _, lattice in cells],
    }
    return Frames(pa.table(columns), {})


def _translations(numbers: Ints, frac: Floats, lattice: Floats, tolerance: float) -> Floats:
    """Return the translations (k, 3), fractional and from 0 to 1, that lay a crystal on itself, without that by zero.

    Each lays the first site of the rarest species on another one; the site found so goes one step further.
    """
    species, counts = np.unique(numbers, return_counts=True)
    if math.gcd(*counts.tolist()) == 1:
        return np.zeros((0, 3))
    from scipy.spatial import cKDTree  # a third of a second, which readers of a split do not need

    sites = [frac[numbers == z] for z in species[np.argsort(counts)]]
    steps = sites[0][1:] - sites[0][0]
    apart = (sites[0][1:] + steps)[:, None] - sites[0][None]
    steps = steps[np.linalg.norm((apart - np.rint(apart)) @ lattice, axis=-1).min(axis=1) <= tolerance]
    for own in sites if len(steps) else ():
        tree = cKDTree(_wrapped(own), boxsize=np.ones(3))
        steps = np.array([step for step in steps if _lies_on(own + step, own, tree, lattice, tolerance)]).reshape(-1, 3)
    return _wrapped(steps)


def _lies_on(moved: Floats, own: Floats, tree: cKDTree, lattice: Floats, tolerance: float) -> bool:
    apart = moved - own[tree.query(_wrapped(moved))[1]]
    return bool((np.linalg.norm((apart - np.rint(apart)) @ lattice, axis=-1) <= tolerance).all())


def _wrapped(frac: Floats) -> Floats:
    return np.asarray((frac - np.floor(frac)) % 1.0)  # rounding may leave a 1


def _basis(rows: list[list[int]]) -> Floats:
    """Return three rows that span all lattice points that integer rows span, upper triangular (Hermite)."""
    basis = []
    for axis in range(3):
        while len(live := [row for row in rows if row[axis]]) > 1:
            pivot = min(live, key=lambda row: abs(row[axis]))
            for row in live:
                if row is not pivot:
                    times = row[axis] // pivot[axis]
                    row[:] = [a - times * b for a, b in zip(row, pivot, strict=True)]
        basis.append(live[0])
        rows = [row for row in rows if row is not live[0]]
    return np.array(basis, dtype=np.float64)
