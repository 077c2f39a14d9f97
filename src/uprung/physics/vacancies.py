"""Formation and migration of a vacancy in an elemental crystal.

E_f = E(N−1 atoms) − (N−1)/N·E(N atoms), the cell relaxed without the vacancy and kept. A migrating atom next to the
vacancy jumps into it; the band between both states is nudged (`uprung.physics.barriers`).
"""

from __future__ import annotations

from dataclasses import dataclass

import ase
import numpy as np
from ase.build import bulk, make_supercell
from ase.calculators.calculator import Calculator

from uprung.physics.barriers import Barrier, nudged
from uprung.physics.equation_of_state import Equilibrium, equation_of_state
from uprung.physics.relaxation import relax
from uprung.physics.results import Accuracy, NotComputedError

#: c/a of touching spheres.
IDEAL = (8 / 3) ** 0.5


@dataclass(frozen=True)
class Vacancy:
    """Formation energy (eV) in a supercell of `sites`, with the relaxed states; whether all relaxations converged."""

    formation: float
    sites: int
    crystal: ase.Atoms
    vacant: ase.Atoms
    converged: bool


def element(symbol: str, structure: str, volume: float) -> ase.Atoms:
    """Return the crystal of an element: the cubic cell of fcc (4 atoms), the primitive cell of hcp (2 atoms).

    Args:
        symbol: of the element.
        structure: `fcc` or `hcp`.
        volume: Å³ per atom.
    """
    if structure == "fcc":
        return bulk(symbol, "fcc", a=(4 * volume) ** (1 / 3), cubic=True)
    a = (2 * volume / (IDEAL * np.sqrt(3) / 2)) ** (1 / 3)
    return bulk(symbol, "hcp", a=a, c=IDEAL * a)


def vacancy(crystal: ase.Atoms, calculator: Calculator, accuracy: Accuracy, *, repeats: int) -> Vacancy:
    """Return the formation energy of a vacancy in an elemental crystal whose sites are all alike.

    Args:
        crystal: unit cell; it is relaxed first, with its cell.
        calculator: of ASE, with stresses.
        accuracy: of all relaxations.
        repeats: of the unit cell along each vector.

    Raises:
        NotComputedError: see `uprung.physics.relaxation.relax`.
    """
    first = relax(crystal, calculator, accuracy, cell=True)
    whole = make_supercell(first.atoms, repeats * np.eye(3, dtype=int))
    vacant = whole.copy()
    del vacant[0]
    done = relax(vacant, calculator, accuracy, cell=False)
    per_atom = first.energy / len(crystal)
    formation = done.energy - len(done.atoms) * per_atom
    return Vacancy(formation, len(whole), whole, done.atoms, first.converged and done.converged)


def migration(found: Vacancy, calculator: Calculator, accuracy: Accuracy, *, images: int = 3) -> Barrier:
    """Return the barrier of the jump of a nearest neighbour into a vacancy.

    Args:
        found: of `vacancy`; the removed site was the first of the crystal.
        calculator: of ASE.
        accuracy: of the band and its end.
        images: between the ends.

    Raises:
        NotComputedError: see `uprung.physics.barriers.nudged`.
    """
    site = found.crystal.positions[0]
    distances = found.crystal.get_distances(0, range(1, len(found.crystal)), mic=True, vector=True)
    jumper = int(np.linalg.norm(distances, axis=1).argmin())  # its number in the cell without the first atom
    after = found.crystal.copy()
    del after[0]
    after.positions[jumper] = site
    end = relax(after, calculator, accuracy, cell=False)
    if not end.converged:
        raise NotComputedError(f"migration: the end of the jump has not converged ({end.force:.3f} eV/Å)")
    return nudged(found.vacant, end.atoms, calculator, accuracy, images=images)


def lattice(symbol: str, structure: str, volume: float, calculator: Calculator) -> Equilibrium:
    """Return volume and energy per atom and the bulk modulus of an element, the shape of the cell kept.

    Raises:
        NotComputedError: see `uprung.physics.equation_of_state.equation_of_state`.
    """
    crystal = element(symbol, structure, volume)
    found = equation_of_state(crystal, calculator, strain=0.06, points=13)
    return Equilibrium(found.volume / len(crystal), found.energy / len(crystal), found.bulk)
