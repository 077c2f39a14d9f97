"""Relaxation of atoms and cells, with a check of forces and stress at its end.

The loop is ASE's. Those of matcalc 0.7 judge convergence by the forces alone, and its elastic constants and equations
of state do not say whether relaxations inside them converged; so the loops of this room are its own, and tests hold
their numbers to those of matcalc.
"""

from __future__ import annotations

from dataclasses import dataclass

import ase
import numpy as np
from ase.calculators.calculator import Calculator
from ase.units import GPa

from uprung.frames.schema import Floats
from uprung.physics.results import Accuracy, NotComputedError

#: A cell whose volume leaves these multiples of its first one has left the crystal.
VOLUMES = (0.4, 2.5)


@dataclass(frozen=True)
class RelaxedCrystal:
    """A relaxed structure without calculator, energy (eV), largest force (eV/Å) and stress (GPa; 0 for a fixed cell).

    `converged` says whether both are below their limits; if not, `steps` were too few.
    """

    atoms: ase.Atoms
    energy: float
    force: float
    stress: float
    steps: int
    converged: bool


def relax(structure: ase.Atoms, calculator: Calculator, accuracy: Accuracy, *, cell: bool) -> RelaxedCrystal:
    """Return a structure at the nearest minimum of the energy (FIRE).

    Args:
        structure: not changed; constraints are kept.
        calculator: of ASE; with stresses for a cell that relaxes.
        accuracy: limits of force and stress, and most steps.
        cell: whether lengths and angles of the cell relax, too.

    Raises:
        NotComputedError: forces that are not finite, or a cell that collapses or flies apart.
        ValueError: the calculator refuses a structure on the way.
    """
    from ase.filters import FrechetCellFilter  # a third of a second that tables of results need not spend
    from ase.optimize import FIRE

    atoms = structure.copy()
    atoms.calc = calculator
    first = atoms.get_volume()
    optimiser = FIRE(FrechetCellFilter(atoms) if cell else atoms, logfile=None)
    done = False
    for _ in optimiser.irun(fmax=1e-12, steps=accuracy.steps):
        force, stress = _residuals(atoms, cell)
        check(force, stress, atoms.get_volume() / first)
        done = force <= accuracy.force and stress <= accuracy.stress
        if done:
            break
    energy = float(atoms.get_potential_energy())
    atoms.calc = None
    return RelaxedCrystal(atoms, energy, force, stress, int(optimiser.nsteps), done)


def _residuals(atoms: ase.Atoms, cell: bool) -> tuple[float, float]:
    return largest(atoms.get_forces(), atoms.get_stress() if cell else None)


def largest(forces: Floats, stress: Floats | None) -> tuple[float, float]:
    """Largest force (eV/Å) and stress (GPa; 0 for a cell that stays), of forces (N, 3) and stress (6,) in eV/Å³."""
    force = float(np.linalg.norm(forces, axis=1).max())
    return force, 0.0 if stress is None else float(np.abs(stress).max() / GPa)


def check(force: float, stress: float, volume: float) -> None:
    """Raise NotComputedError for numbers, or a volume in multiples of the first one, with which nothing can go on."""
    if not np.isfinite([force, stress]).all():
        raise NotComputedError("relaxation: forces or stress are not finite")
    if not VOLUMES[0] < volume < VOLUMES[1]:
        raise NotComputedError(f"relaxation: the volume became {volume:.2g} times the first one")
