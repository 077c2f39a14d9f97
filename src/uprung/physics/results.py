"""What every property shares: values with their references, and why there is no value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import ase
import numpy as np
from ase.calculators.calculator import Calculator

from uprung.frames.schema import Floats

#: Quantities that have no ratio: they are zero, or may be, where all is well.
NO_RATIO = ("lowest frequency", "imaginary modes", "acoustic sum")


class NotComputedError(ValueError):
    """A property that a network does not give for a structure; the message is the reason."""


@dataclass(frozen=True)
class Accuracy:
    """When a relaxation has converged: force on an atom (eV/Å) and stress of a cell (GPa), and its most steps."""

    force: float = 0.02
    stress: float = 0.1
    steps: int = 300


@dataclass(frozen=True)
class Value:
    """A quantity as published and as computed.

    `predicted` is NaN where there is none, with the `reason`, which may be a remark on a value as well. `converged`
    says whether all relaxations behind it have ended below their limits. `key` tells values of one quantity and
    material apart (a surface, an arrangement), `x` is the composition of a mixture or the like.
    """

    quantity: str
    unit: str
    reference: float
    predicted: float
    key: str = ""
    x: float = float("nan")
    converged: bool = True
    reason: str = ""


@dataclass(frozen=True)
class Curve:
    """Points of a curve as published and as computed, for a figure: `name` of the curve, `branch` of several."""

    name: str
    branch: int
    x: Floats
    reference: Floats
    predicted: Floats


@dataclass(frozen=True)
class Outcome:
    """What was found for a material."""

    values: Sequence[Value]
    curves: Sequence[Curve] = field(default=())


def energies(structures: Sequence[ase.Atoms], calculator: Calculator, *, atoms_at_once: int = 400) -> Floats:
    """Return the energies of structures as they are, (n,) eV.

    A calculator of uprung takes many structures in one batch, others take them one after another.

    Args:
        structures: not changed.
        calculator: of ASE.
        atoms_at_once: atoms in a batch, at most, unless one structure has more.

    Raises:
        NotComputedError: an energy is not finite.
        ValueError: the calculator refuses a structure.
    """
    evaluate = getattr(calculator, "evaluate", None)
    if evaluate is None:
        found = [single_point(structure, calculator)["energy"] for structure in structures]
    else:
        ends = np.cumsum([len(structure) for structure in structures]) // atoms_at_once
        chunks = [np.flatnonzero(ends == end) for end in np.unique(ends)]
        found = [result["energy"] for rows in chunks for result in evaluate([structures[int(k)] for k in rows])]
    values = np.array(found, dtype=np.float64)
    if not np.isfinite(values).all():
        raise NotComputedError("an energy is not finite")
    return values


def single_point(structure: ase.Atoms, calculator: Calculator, *, stress: bool = False) -> dict[str, Any]:
    """Return energy (eV), forces (N, 3) (eV/Å) and, if asked, stress (3, 3) (eV/Å³, tension positive).

    Raises:
        NotComputedError: one of them is not finite.
        ValueError: the calculator refuses the structure.
    """
    atoms = structure.copy()
    atoms.calc = calculator
    found = {"energy": float(atoms.get_potential_energy()), "forces": atoms.get_forces(apply_constraint=False)}
    if stress:
        found["stress"] = atoms.get_stress(voigt=False, apply_constraint=False)
    for name, value in found.items():
        if not np.isfinite(value).all():
            raise NotComputedError(f"{name}: not finite")
    return found
