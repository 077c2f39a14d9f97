"""What a fit determines of elements that it does not determine one by one: sums of their references."""

from __future__ import annotations

from fractions import Fraction
from math import gcd, lcm

import numpy as np
from ase.data import chemical_symbols
from numpy.typing import NDArray

from uprung.atomref.base import N_ELEMENTS, UNIT_TOLERANCE, Bools, Floats, Ints

#: Coefficients are written as whole numbers where none has a denominator, or their common one, beyond these.
DENOMINATOR, COMMON = 64, 1000
#: Sums written out for one set of tied elements.
SHOWN = 3
#: Tied elements from which on the first form of the sums is taken as it comes.
LARGE = 12


def tied_sets(null: Floats) -> list[Ints]:
    """Return the sets of elements (as column numbers) that are free to move together only.

    Args:
        null: orthonormal directions in which references move without changing a fitted energy, (94, d).
    """
    touches = np.abs(null @ null.T) > UNIT_TOLERANCE
    left = touches.any(axis=1)
    sets = []
    while left.any():
        own: Bools = np.zeros(N_ELEMENTS, dtype=bool)
        own[np.flatnonzero(left)[0]] = True
        while not np.array_equal(own, reached := own | touches[own].any(axis=0)):
            own = reached
        sets.append(np.flatnonzero(own))
        left &= ~own
    return sets


def combinations(null: Floats) -> NDArray[np.str_]:
    """Return, per element that is not determined by itself, the sums of references that are, (94,), '' elsewhere.

    A structure Cu7Au alone determines '7 Cu + Au'; GaAs with InAs '(Ga + As), (In + As)', the reduced row echelon form
    of what the compositions span.

    Args:
        null: as in `tied_sets`.
    """
    text = np.full(N_ELEMENTS, "", dtype="<U200")
    for own in tied_sets(null):
        block = null[own]
        rows = [_written(row, own) for row in _sums(np.eye(len(own)) - block @ block.T)]
        more = f" and {len(rows) - SHOWN} more" if len(rows) > SHOWN else ""
        text[own] = rows[0] if len(rows) == 1 else ", ".join(f"({row})" for row in rows[:SHOWN]) + more
    return text


def _sums(projector: Floats) -> Floats:
    """Return the reduced rows of a projector (k, k), the element put last with which they have fewest minus signs."""
    k, found = len(projector), []
    for last in range(k) if k <= LARGE else [k - 1]:
        order = np.r_[np.delete(np.arange(k), last), last]
        found.append(_echelon(projector[:, order])[:, np.argsort(order)])
    return min(found, key=lambda rows: int((rows < -1e-6).sum()))


def _echelon(matrix: Floats) -> Floats:
    """Return the non-zero rows of the reduced row echelon form of a projector (k, k)."""
    rows, rank = matrix.copy(), 0
    for column in range(rows.shape[1]):
        pivot = rank + int(np.argmax(np.abs(rows[rank:, column]))) if rank < len(rows) else 0
        if rank == len(rows) or abs(rows[pivot, column]) < 1e-6:
            continue
        rows[[rank, pivot]] = rows[[pivot, rank]]
        rows[rank] /= rows[rank, column]
        others = np.arange(len(rows)) != rank
        rows[others] -= np.outer(rows[others, column], rows[rank])
        rank += 1
    return rows[:rank]


def _written(row: Floats, elements: Ints) -> str:
    """Return a sum of references in words, in whole numbers where they are small."""
    keep = np.abs(row) > 1e-6
    row, elements = row[keep], elements[keep]
    exact = [Fraction(float(value)).limit_denominator(DENOMINATOR) for value in row]
    common = lcm(*(value.denominator for value in exact))
    if common <= COMMON and max(abs(float(e) - v) for e, v in zip(exact, row, strict=True)) < 1e-6:
        whole = [int(value * common) for value in exact]
        sizes = [str(abs(value) // gcd(*whole)) for value in whole]
    else:
        sizes = [f"{abs(value):.3g}" for value in row]
    text = ""
    for value, size, column in zip(row, sizes, elements, strict=True):
        sign = (" + " if value > 0 else " − ") if text else ("" if value > 0 else "−")
        text += f"{sign}{'' if size == '1' else size + ' '}{chemical_symbols[column + 1]}"
    return text
