"""Quantities of the tests: units, and what happens to each when the energies of a network are multiplied by a number.

Energies, forces and stresses that are all multiplied by c are those of another network with the same crystals at rest:
volumes stay, energies, pressures and force constants are multiplied by c, frequencies by its square root. At fixed
atoms that is exact. Where atoms or cells are relaxed it holds for the states of rest, and so up to the limits at which
relaxations end.
"""

from __future__ import annotations

from dataclasses import dataclass

from uprung.physics.stability import FORMATION


@dataclass(frozen=True)
class Quantity:
    """Unit of a quantity, and its power of c; without one, `why_not` says why it does not follow from its value."""

    unit: str
    power: float | None
    why_not: str = ""


MIGRATION = "vacancy migration energy"
QUANTITIES = {
    "surface energy": Quantity("J/m²", 1),
    "vacancy formation energy": Quantity("eV", 1),
    MIGRATION: Quantity("eV", 1),
    "volume per atom": Quantity("Å³", 0),
    "bulk modulus": Quantity("GPa", 1),
    "shear modulus": Quantity("GPa", 1),
    "mixing energy": Quantity("meV/atom", 1),
    "highest frequency": Quantity("THz", 0.5),
    "mean frequency": Quantity("THz", 0.5),
    "lowest frequency": Quantity("THz", 0.5),
    "imaginary modes": Quantity("%", None, "modes count as imaginary below a frequency that one number does not move"),
    "acoustic sum": Quantity("eV/Å²", 1),
    "heat capacity": Quantity("J/(K mol)", None, "it depends on all frequencies, of which the table has none"),
    FORMATION: Quantity("eV/atom", 1),
    "C11": Quantity("GPa", 1),
    "C12": Quantity("GPa", 1),
    "C44": Quantity("GPa", 1),
    "phonon frequency": Quantity("THz", 0.5),
    "unrelaxed vacancy energy": Quantity("eV", 1),
    "unrelaxed barrier": Quantity("eV", 1),
    "curvature of the barrier": Quantity("eV/Å²", 1),
}
#: Test -> its quantities: of a material without result each has a row with the reason.
OF_TEST = {
    "surfaces": ["surface energy"],
    "vacancies": ["vacancy formation energy", "volume per atom", "bulk modulus"],
    "mixing": ["mixing energy"],
    "elasticity": ["bulk modulus", "shear modulus"],
    "phonons": ["highest frequency", "mean frequency", "lowest frequency", "imaginary modes", "acoustic sum"],
    "heat-capacity": ["heat capacity"],
    "volumes": ["volume per atom"],
    "formation-energy": [FORMATION],
    "equation-of-state": ["volume per atom", "bulk modulus"],
    "elastic-constants": ["C11", "C12", "C44"],
    "frozen-phonons": ["phonon frequency"],
    "vacancy-cells": ["unrelaxed vacancy energy"],
    "paths": ["unrelaxed barrier", "curvature of the barrier"],
}
