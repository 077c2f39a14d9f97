"""Several networks as one ASE calculator: the mean of their predictions, and how far they are apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import ase
import numpy as np
from ase.calculators.calculator import Calculator, all_changes

#: Properties that are averaged -> name of their spread.
SPREADS = {
    "energy": "energy_std",
    "forces": "forces_std",
    "stress": "stress_std",
    "magmoms": "magmoms_std",
}


class CommitteeCalculator(Calculator):  # type: ignore[misc]
    """The mean of some calculators; `results` has their standard deviations (n − 1), too, by the names of `SPREADS`.

    Energies in eV, forces in eV/Å, stress in eV/Å³, moments in μB. The spread of seeds says how much training depends
    on chance, not how far the mean is from the truth.
    """

    implemented_properties: ClassVar[list[str]] = []

    def __init__(self, members: Sequence[Calculator]) -> None:
        """Hold the calculators.

        Raises:
            ValueError: fewer than two.
        """
        super().__init__()
        if len(members) < 2:
            raise ValueError(f"a committee has two members or more, not {len(members)}")
        self.members = list(members)
        shared = [name for name in SPREADS if all(name in one.implemented_properties for one in members)]
        self.averaged = shared
        self.implemented_properties = [  # type: ignore[misc]
            *shared,
            *(SPREADS[name] for name in shared),
            *(["free_energy"] if "energy" in shared else []),
        ]

    def __repr__(self) -> str:
        """Return how many members there are and what they predict."""
        return f"committee of {len(self.members)}: {', '.join(self.averaged)}"

    def calculate(
        self,
        atoms: ase.Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = tuple(all_changes),
    ) -> None:
        """Compute means and standard deviations of all that the members predict.

        Raises:
            ValueError: a member cannot compute the structure.
        """
        super().calculate(atoms, properties, system_changes)
        found: list[dict[str, Any]] = []
        for member in self.members:
            member.calculate(self.atoms, self.averaged, list(system_changes))
            found.append(dict(member.results))
        results: dict[str, Any] = {}
        for name in self.averaged:
            values = np.array([one[name] for one in found], dtype=np.float64)
            mean, spread = values.mean(axis=0), values.std(axis=0, ddof=1)
            scalar = values.ndim == 1
            results |= {name: float(mean) if scalar else mean, SPREADS[name]: float(spread) if scalar else spread}
        if "energy" in results:
            results["free_energy"] = results["energy"]
        self.results = results
