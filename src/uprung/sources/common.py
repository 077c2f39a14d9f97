"""What sources share: why a record is unusable, the formula that names a material, spellings of functionals."""

from __future__ import annotations

from collections import Counter
from math import gcd
from typing import Any

from ase.data import chemical_symbols
from numpy.typing import NDArray

#: Symbol -> atomic number, for the elements that a frame may have.
NUMBERS = {symbol: z for z, symbol in enumerate(chemical_symbols) if 1 <= z <= 94}


class UnusableError(ValueError):
    """A record cannot become a frame; the message is the reason that its rejection is listed with."""


def formula_of(Z: NDArray[Any]) -> str:
    """Return the reduced formula of atomic numbers (N,), elements in the order of Z: `O3Fe2`."""
    counts = Counter(Z.tolist())
    divisor = gcd(*counts.values())
    return "".join(
        f"{chemical_symbols[z]}{counts[z] // divisor if counts[z] > divisor else ''}" for z in sorted(counts)
    )


def same_functional(first: object, second: str) -> bool:
    """Return whether two names mean the same functional, whatever their case, hyphens and superscripts."""
    return isinstance(first, str) and _plain(first) == _plain(second)


def _plain(name: str) -> str:
    return name.lower().replace("-", "").replace("²", "2").replace("_", "")
