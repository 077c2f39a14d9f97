"""Check of an engine's forces and stresses against central finite differences of its free energy.

Forces: the derivative along the position of an atom. Stress: the derivative along a strain, over the volume, in a fixed
basis: with a plane-wave basis that follows the cell the number of plane waves jumps, and what it lacks in completeness
adds a (Pulay) stress that no label includes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import ase
import numpy as np
import pandas as pd

from uprung.dft.labels import Engine, Scheme, compute
from uprung.dft.structures import Grid, Structure
from uprung.frames.schema import EV_PER_A3, Floats

#: Free energy, eV, of the last structure in the basis of the one before it.
FixedBasis = Callable[[Scheme, Grid, ase.Atoms, ase.Atoms], float]
DISPLACEMENT, STRAIN = 0.005, 0.002  # Å, 1
#: Energies that are subtracted are converged this much further than labels are.
TIGHTER = 1e-2
AXES = "xyz"


def finite_differences(structure: Structure, scheme: Scheme, engine: Engine, fixed_basis: FixedBasis) -> pd.DataFrame:
    """Compare the forces on the first atom, and the six stress components, with differences of the free energy.

    Args:
        structure: better without symmetry, so that no component vanishes.
        scheme: how labels are computed.
        engine: computes the label that is under test.
        fixed_basis: computes the energies, all of them in the basis of the structure itself.

    Returns:
        One row per component: structure, functional, quantity (`force x`, `stress xy`), unit (eV/Å, GPa), `label`, the
        `difference_quotient` and their `error`.

    Raises:
        ValueError: the engine has no label for the structure.
    """
    record = compute(structure, scheme, engine)
    if "unusable" in record:
        raise ValueError(f"structure {structure.name!r} has no label to check: {record['unusable']}")
    forces, stress = np.array(record["forces"][0]), EV_PER_A3 * np.array(record["stress"])

    tight = replace(scheme, convergence=TIGHTER * scheme.convergence)

    def energy(changed: ase.Atoms) -> float:
        return fixed_basis(tight, structure.kpts, structure.atoms, changed)

    rows = [*_forces(structure.atoms, forces, energy), *_stresses(structure.atoms, stress, energy)]
    table = pd.DataFrame(rows, columns=["quantity", "unit", "label", "difference_quotient"])
    table.insert(0, "structure", structure.name)
    table.insert(1, "functional", scheme.functional)
    return table.assign(error=table["label"] - table["difference_quotient"])


def _forces(
    atoms: ase.Atoms, forces: Floats, energy: Callable[[ase.Atoms], float]
) -> Iterator[tuple[str, str, float, float]]:
    for axis in range(3):
        sides = []
        for sign in (1, -1):
            moved = atoms.copy()
            moved.positions[0, axis] += sign * DISPLACEMENT
            sides.append(energy(moved))
        yield f"force {AXES[axis]}", "eV/Å", float(forces[axis]), -(sides[0] - sides[1]) / (2 * DISPLACEMENT)


def _stresses(
    atoms: ase.Atoms, stress: Floats, energy: Callable[[ase.Atoms], float]
) -> Iterator[tuple[str, str, float, float]]:
    for i, j in ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)):
        sides = []
        for sign in (1, -1):
            strain = np.zeros((3, 3))
            strain[i, j] += sign * STRAIN / 2
            strain[j, i] += sign * STRAIN / 2  # 1/2 + 1/2 on the diagonal; a symmetric shear off it
            strained = atoms.copy()
            strained.set_cell(atoms.cell.array @ (np.eye(3) + strain), scale_atoms=True)
            sides.append(energy(strained))
        quotient = (sides[0] - sides[1]) / (2 * STRAIN) / atoms.get_volume() * EV_PER_A3
        yield f"stress {AXES[i]}{AXES[j]}", "GPa", float(stress[i, j]), quotient
