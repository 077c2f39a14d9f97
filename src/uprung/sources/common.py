"""Helpers of readers: strict conversion of numbers, formulas that name materials, spellings of functionals."""

from __future__ import annotations

import re
from collections import Counter
from itertools import chain
from math import gcd
from typing import Any

import numpy as np
from ase.data import chemical_symbols
from ase.stress import voigt_6_to_full_3x3_stress
from numpy.typing import NDArray

from uprung.frames.schema import Floats
from uprung.sources.symbols import NUMBERS as NUMBERS
from uprung.sources.symbols import atomic_number
from uprung.sources.unusable import UnusableError as UnusableError

#: kbar in VASP's sign (compression positive) to GPa with tension positive.
KBAR_TO_GPA = -0.1
#: A stress may be as asymmetric as this, of its largest number: what converters and rounding leave.
ASYMMETRY = 0.05
#: Label scale of calculations with the set-ups of MatPES.
MATPES_SCALE = "VASP PBE_64 PAW, {functional}, no U, uncorrected"


#: A structure as its file has it: name, and geometry, `info` (what it is called) and `fields` (labels and all else, by
#: key); or why it cannot be read.
Row = tuple[str, dict[str, Any] | UnusableError]


def formula_of(Z: NDArray[Any]) -> str:
    """Return the reduced formula of atomic numbers (N,), elements in the order of Z: `O3Fe2`."""
    counts = Counter(Z.tolist())
    divisor = gcd(*counts.values())
    return "".join(
        f"{chemical_symbols[z]}{counts[z] // divisor if counts[z] > divisor else ''}" for z in sorted(counts)
    )


def same_functional(first: object, second: str) -> bool:
    """Return whether two names mean the same functional, whatever their case, hyphens, brackets and superscripts."""
    return isinstance(first, str) and _plain(first) == _plain(second)


def _plain(name: str) -> str:
    return re.sub(r"[-+_() ]", "", name.lower().replace("²", "2"))


def number(value: Any, name: str) -> float:
    """Return a number; strings, booleans and null are refused."""
    if type(value) not in (float, int):
        raise UnusableError(f"{name} is no number, but {str(value)[:40]!r}")
    return float(value)


def flat(values: Any, name: str) -> Floats:
    """Return a list of numbers, (n,); strings, booleans and null are no numbers."""
    if type(values) is not list:
        raise UnusableError(f"{name} is no list, but {str(values)[:40]!r}")
    _only_numbers(set(map(type, values)), name)
    return np.array(values, dtype=np.float64)


def atomic_numbers(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Return atomic numbers, (N,), as a frame has them; fractions and numbers beyond Pu are refused."""
    wrong = values[~((values >= 1) & (values <= 94) & (np.round(values) == values))]
    if len(wrong):
        raise UnusableError(f"atomic number {wrong[0]:g} is not one of 1, 2, ... 94")
    return values.astype(np.uint8)


def rows(values: Any, name: str) -> Floats:
    """Return a list of equally long lists of numbers, (n, m)."""
    if type(values) is not list or not set(map(type, values)) <= {list}:
        raise UnusableError(f"{name} is no list of lists, but {str(values)[:40]!r}")
    _only_numbers(set(map(type, chain.from_iterable(values))), name)
    if len(set(map(len, values))) > 1:
        raise UnusableError(f"{name} is no list of equally long lists of numbers")
    return np.array(values, dtype=np.float64)


def _only_numbers(kinds: set[type], name: str) -> None:
    if not kinds <= {float, int}:
        wrong = sorted(kind.__name__ for kind in kinds - {float, int})
        raise UnusableError(f"{name} is no list of numbers: it holds {', '.join(wrong)}")


def stress(values: Any, name: str, *, vasp: bool = False) -> Floats:
    """Return a stress in its own unit, (3, 3).

    Args:
        values: 3×3, its nine numbers by rows or columns, or six: xx yy zz yz xz xy.
        name: what it is called in messages.
        vasp: six numbers are xx yy zz xy yz zx.

    Raises:
        UnusableError: another shape, or a matrix that is not symmetric.
    """
    if isinstance(values, list) and values and not isinstance(values[0], list):
        listed = flat(values, name)
        full = (
            listed.reshape(3, 3)
            if listed.size == 9
            else from_voigt(listed[[0, 1, 2, 4, 5, 3]] if vasp and listed.size == 6 else listed, name)
        )
    else:
        full = rows(values, name)
    if full.shape != (3, 3):
        raise UnusableError(f"{name} has shape {full.shape}; a stress has 6 numbers, or 3×3")
    if np.isfinite(full).all() and np.abs(full - full.T).max() > ASYMMETRY * np.abs(full).max():
        raise UnusableError(f"{name} is not symmetric")
    return full


def from_voigt(values: Floats, name: str = "stress") -> Floats:
    """Return a stress in the order xx yy zz yz xz xy as a matrix, (3, 3)."""
    if values.shape != (6,):
        raise UnusableError(f"{name} has {values.size} numbers; a stress has 6, or 3×3")
    return np.asarray(voigt_6_to_full_3x3_stress(values))


def pymatgen_structure(structure: Any) -> tuple[NDArray[np.uint8], Floats, Floats]:
    """Return Z (N,), lattice (3, 3) and frac (N, 3) of pymatgen's `Structure.as_dict`.

    Raises:
        UnusableError: another layout, not periodic, disordered, or an element beyond Pu.
    """
    try:
        lattice, sites = structure["lattice"], structure["sites"]
        if not all(lattice.get("pbc", ())):
            raise UnusableError("structure is not periodic in all directions")
        Z = np.array([_atomic_number(site["species"]) for site in sites], dtype=np.uint8)
        return Z, rows(lattice["matrix"], "lattice"), rows([site["abc"] for site in sites], "abc")
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise UnusableError(f"structure is not laid out as pymatgen's: {type(error).__name__} {error}") from None


def _atomic_number(species: list[dict[str, Any]]) -> int:
    if len(species) != 1 or species[0].get("occu", 1) != 1:
        raise UnusableError("structure is disordered: a site is not filled by one species")
    return atomic_number(species[0]["element"])
