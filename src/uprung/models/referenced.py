"""Any ASE calculator with other elemental reference energies: its energies plus a sum over the atoms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import ase
import numpy as np
from ase.calculators.calculator import Calculator, all_changes
from numpy.typing import NDArray


class ReferencedCalculator(Calculator):  # type: ignore[misc]
    """A calculator whose energies are shifted by an energy of every atom; forces and stress are those of the other."""

    def __init__(self, calculator: Calculator, shifts: NDArray[np.float64]) -> None:
        """Hold a calculator and what each element adds, (94,) eV/atom, index Z − 1, nan where it is unknown."""
        super().__init__()
        self.calculator, self.shifts = calculator, np.asarray(shifts, dtype=np.float64)
        self.implemented_properties = list(calculator.implemented_properties)

    def calculate(
        self,
        atoms: ase.Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = tuple(all_changes),
    ) -> None:
        """Compute what the other calculator computes, with other energies.

        Raises:
            ValueError: an element without a reference energy.
        """
        super().calculate(atoms, properties, system_changes)
        own = self.shifts[self.atoms.numbers - 1]
        if np.isnan(own).any():
            unknown = sorted({self.atoms.symbols[k] for k in np.flatnonzero(np.isnan(own))})
            raise ValueError(f"{self.atoms.symbols}: no reference energy of {', '.join(unknown)}")
        self.calculator.calculate(self.atoms, list(properties), list(system_changes))
        found: dict[str, Any] = dict(self.calculator.results)
        for name in ("energy", "free_energy"):
            if name in found:
                found[name] += float(own.sum())
        found.pop("energies", None)  # of the atoms, which mean something else now
        self.results = found
