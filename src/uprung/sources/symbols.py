"""Symbols of elements as files spell them: read where the spelling says which element it is, and refused otherwise."""

from __future__ import annotations

import re

from ase.data import chemical_symbols

from uprung.sources.unusable import UnusableError

#: Symbol -> atomic number, for the elements that a frame may have.
NUMBERS = {symbol: z for z, symbol in enumerate(chemical_symbols) if 1 <= z <= 94}
_FOLDED = {symbol.upper(): z for symbol, z in NUMBERS.items()}
#: Isotopes with symbols of their own: to electrons they are hydrogen.
ISOTOPES = {"D": "H", "T": "H"}


def known(symbol: object) -> int | None:
    """Return the atomic number of a symbol, whatever its case and the blanks around it; D and T are hydrogen."""
    if not isinstance(symbol, str):
        return None
    word = symbol.strip().upper()
    return _FOLDED.get(ISOTOPES.get(word, word))


def atomic_number(symbol: object, potential: str | None = None) -> int:
    """Return the atomic number of a symbol.

    Args:
        symbol: as the file has it. VASP cuts some off: `r ` for Zr, `X ` for Xe.
        potential: title of the pseudopotential (`PAW_PBE Zr_sv 04Jan2005`), which then says what the element is.

    Raises:
        UnusableError: it is no element from H to Pu, or the potential is that of another one.
    """
    own, titled = known(symbol), _of_potential(potential or "")
    if own is None and titled is None:
        raise UnusableError(f"element {symbol!r} is not one of H to Pu")
    if own is not None and titled is not None and own != titled:
        raise UnusableError(f"element {symbol!r} has the potential {potential!r}, which is that of another one")
    return own or titled or 0


def _of_potential(title: str) -> int | None:
    """Return the element in a title: that of its second word, before an underscore; None where it says none."""
    words = title.split()
    word = words[1] if len(words) > 1 else ""
    if re.fullmatch(r"H\d*\.\d+(_\w+)?", word):
        raise UnusableError(f"potential {title!r} is a fraction of a hydrogen atom, which is no element")
    match = re.fullmatch(r"([A-Z][a-z]?)(_\w+)?", word)
    return NUMBERS.get(match[1]) if match else None
