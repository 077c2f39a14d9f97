"""Elastic constants from stresses of strained cells.

Strains and fit are those of pymatgen and matcalc (de Jong et al., Sci. Data 2, 150009 (2015)): each of the six
Green–Lagrange strains by itself, four magnitudes and none; a straight line of every stress component against the
strain; averages of Voigt, Reuss and Hill.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import ase
import numpy as np
from ase.calculators.calculator import Calculator
from ase.units import GPa

from uprung.frames.schema import Floats
from uprung.physics.relaxation import relax
from uprung.physics.results import Accuracy, NotComputedError, single_point

NORMAL = (-0.01, -0.005, 0.005, 0.01)
SHEAR = (-0.06, -0.03, 0.03, 0.06)  # components of the tensor: half the engineering strain
#: Voigt number -> component of the tensor.
VOIGT = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))


@dataclass(frozen=True)
class Elasticity:
    """Elastic tensor (6, 6), bulk and shear modulus after Hill, GPa; whether all relaxations converged."""

    tensor: Floats
    bulk: float
    shear: float
    converged: bool


def elasticity(
    structure: ase.Atoms,
    calculator: Calculator,
    accuracy: Accuracy | None = None,
    *,
    normal: Sequence[float] = NORMAL,
    shear: Sequence[float] = SHEAR,
) -> Elasticity:
    """Return the elastic constants of a relaxed crystal.

    Args:
        structure: relaxed with the calculator, or its own stress is part of the fit.
        calculator: of ASE, with stresses.
        accuracy: of the relaxation of the atoms in every strained cell; None: they follow the cell.
        normal: strains along an axis.
        shear: components of the tensor of a shear strain. Those of the published values reach 6 %, where crystals are
            not harmonic any more (copper in EMT: C44 is 9 % above its limit).

    Raises:
        NotComputedError: a stress is not finite, or the tensor has no inverse.
    """
    rest = single_point(structure, calculator, stress=True)["stress"]
    tensor, converged = np.zeros((6, 6)), True
    for number, (i, j) in enumerate(VOIGT):
        amounts, stresses = [0.0], [rest]
        for amount in normal if i == j else shear:
            strained = _strained(structure, i, j, amount)
            if accuracy is not None:
                found = relax(strained, calculator, accuracy, cell=False)
                strained, converged = found.atoms, converged and found.converged
            amounts.append(amount if i == j else 2 * amount)
            stresses.append(single_point(strained, calculator, stress=True)["stress"])
        components = np.array([[stress[place] for place in VOIGT] for stress in stresses])
        tensor[number] = np.polyfit(amounts, components, 1)[0] / GPa
    return Elasticity(tensor, *hill(tensor), converged)


def _strained(structure: ase.Atoms, i: int, j: int, amount: float) -> ase.Atoms:
    """Return a cell with one Green–Lagrange strain E: FᵀF = 1 + 2E with F upper triangular."""
    strain = np.zeros((3, 3))
    strain[i, j] = strain[j, i] = amount
    deformation = np.linalg.cholesky(np.eye(3) + 2 * strain).T
    strained = structure.copy()
    strained.set_cell(structure.cell.array @ deformation.T, scale_atoms=True)
    return strained


def hill(tensor: Floats) -> tuple[float, float]:
    """Return bulk and shear modulus of a polycrystal: means of Voigt's and Reuss's (Hill, Proc. Phys. Soc. A 65, 349).

    Args:
        tensor: (6, 6) elastic constants.

    Raises:
        NotComputedError: the tensor has no inverse.
    """
    try:
        soft = np.linalg.inv(tensor)
    except np.linalg.LinAlgError:
        raise NotComputedError("elastic constants: the tensor has no inverse") from None
    hard, upper, lower = tensor[:3, :3], np.triu(tensor[:3, :3]).sum(), np.triu(soft[:3, :3]).sum()
    voigt = (2 * np.trace(hard) - upper + 3 * np.trace(tensor[3:, 3:])) / 15
    reuss = 15 / (8 * np.trace(soft[:3, :3]) - 4 * lower + 3 * np.trace(soft[3:, 3:]))
    return float(hard.mean() + 1 / soft[:3, :3].sum()) / 2, float(voigt + reuss) / 2


def cubic(stresses: Floats, amount: float) -> tuple[float, float, float]:
    """Return C11, C12 and C44 of a cubic crystal whose atoms follow the cell, GPa, as differences at its first cell.

    Args:
        stresses: (3, 3, 3) eV/Å³, of the strains xx, −xx and xy.
        amount: of the strains (components of the tensor).
    """
    up, down, sheared = stresses / GPa
    normal = (up - down) / (2 * amount)
    return float(normal[0, 0]), float((normal[1, 1] + normal[2, 2]) / 2), float(sheared[0, 1] / (2 * amount))
