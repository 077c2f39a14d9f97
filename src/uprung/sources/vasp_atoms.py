"""Atoms and species of a vasprun.xml. Symbols that VASP truncated are recovered from the titles of the potentials."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from xml.etree.ElementTree import Element  # noqa: TID251 - nothing is parsed here

from ase.data import chemical_symbols

from uprung.sources.symbols import atomic_number
from uprung.sources.unusable import UnusableError


@dataclass
class Atoms:
    """The element `atominfo`: symbols of the atoms; number, symbol, valence and potential of every species."""

    symbols: list[str] = field(default_factory=list)
    species: list[tuple[str, str, str, str]] = field(default_factory=list)

    @classmethod
    def of(cls, element: Element) -> Atoms:
        """Return what an element `atominfo` holds."""
        cells = {
            array.get("name"): [[(c.text or "").strip() for c in row] for row in array.iter("rc")]
            for array in element.iter("array")
        }
        symbols = [row[0] for row in cells.get("atoms", []) if row]
        rows = (row for row in cells.get("atomtypes", []) if len(row) > 1)
        return cls(symbols, [(row[0], row[1], row[3] if len(row) > 4 else "", row[-1]) for row in rows])

    def elements(self) -> tuple[list[int], list[tuple[str, str, str]]]:
        """Return the atomic number of every atom; element, valence electrons and potential of every species.

        Raises:
            UnusableError: a symbol is no element and no title says which it is, or there are no atoms.
        """
        if not self.symbols:
            raise UnusableError("no atoms are named")
        if not self.species:
            return [atomic_number(symbol) for symbol in self.symbols], []
        types = [(atomic_number(symbol, title), valence, title) for _, symbol, valence, title in self.species]
        return list(self._atoms(types)), [(chemical_symbols[z], valence, title) for z, valence, title in types]

    def _atoms(self, types: list[tuple[int, str, str]]) -> Iterator[int]:
        """Yield the atomic number of every atom: that of its species by place, else of the one with its symbol."""
        placed = [
            (symbol, z)
            for (number, symbol, _, _), (z, _, _) in zip(self.species, types, strict=True)
            for _ in range(int(number) if number.isdigit() and len(number) < 8 else 0)
        ]
        if [symbol for symbol, _ in placed] == self.symbols:
            yield from (z for _, z in placed)
            return
        named: dict[str, set[int]] = {}
        for (_, symbol, _, _), (z, _, _) in zip(self.species, types, strict=True):
            named.setdefault(symbol, set()).add(z)
        for symbol in self.symbols:
            found = named.get(symbol, set())
            if len(found) > 1:
                raise UnusableError(f"element {symbol!r} has potentials of several elements")
            yield next(iter(found)) if found else atomic_number(symbol)
