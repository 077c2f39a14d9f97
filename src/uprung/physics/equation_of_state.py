"""Volume, energy and bulk modulus at equilibrium, from energies of scaled cells (Birch and Murnaghan)."""

from __future__ import annotations

from dataclasses import dataclass

import ase
import numpy as np
from ase.calculators.calculator import Calculator
from ase.eos import EquationOfState
from ase.units import GPa

from uprung.frames.schema import Floats
from uprung.physics.results import NotComputedError, energies

#: Volumes for the four parameters of a fit.
FEWEST = 5


@dataclass(frozen=True)
class Equilibrium:
    """Volume (Å³) and energy (eV) of the cell at its minimum, bulk modulus (GPa)."""

    volume: float
    energy: float
    bulk: float


def equation_of_state(
    structure: ase.Atoms, calculator: Calculator, *, strain: float = 0.02, points: int = 7
) -> Equilibrium:
    """Return the minimum of energy over volume; the shape of the cell and fractional coordinates stay.

    Args:
        structure: near its equilibrium, without internal degrees of freedom that matter.
        calculator: of ASE.
        strain: largest change of a length, to both sides.
        points: number of volumes.

    Raises:
        NotComputedError: the minimum is not between the volumes computed, or an energy is not finite.
    """
    cells = []
    for scale in np.linspace(1 - strain, 1 + strain, points):
        scaled = structure.copy()
        scaled.set_cell(structure.cell.array * scale, scale_atoms=True)
        cells.append(scaled)
    return minimum(np.array([cell.get_volume() for cell in cells]), energies(cells, calculator))


def minimum(volumes: Floats, found: Floats) -> Equilibrium:
    """Return the minimum of energies (n,) eV over volumes (n,) Å³.

    Raises:
        NotComputedError: it is not between the volumes, there are fewer than five, or no curve fits the energies.
    """
    if len(volumes) < FEWEST:
        raise NotComputedError(f"equation of state: {len(volumes)} volumes, {FEWEST} at least are needed")
    order = np.argsort(volumes)
    if order[0] == found.argmin() or order[-1] == found.argmin():
        raise NotComputedError("equation of state: the minimum is not between the volumes computed")
    try:
        volume, energy, bulk = EquationOfState(volumes, found, eos="birchmurnaghan").fit()
    except RuntimeError as error:  # scipy's, after a thousand steps
        raise NotComputedError("equation of state: no curve of Birch and Murnaghan fits the energies") from error
    if not (volumes.min() < volume < volumes.max() and bulk > 0):
        raise NotComputedError("equation of state: the curve through the energies has no minimum between the volumes")
    return Equilibrium(float(volume), float(energy), float(bulk / GPa))
