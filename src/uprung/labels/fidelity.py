"""Labels of one fidelity as flat arrays, and what is computed from its forces alone.

Per-site labels are flat, with `offsets` (n + 1,): the sites of structure i are offsets[i]:offsets[i + 1].
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from uprung.frames.flat import check_offsets

Floats = NDArray[np.float64]
#: The name under which `bond_force` is kept in `FidelityLabels.scalars`.
BOND_FORCE = "force along the bond"


@dataclass(frozen=True)
class FidelityLabels:
    """Labels of one fidelity, nan where a single label is missing, None where a fidelity has none.

    Attributes:
        energy: (n,) eV/atom.
        forces: (N, 3) eV/Å.
        stress: (n, 9) or (n, 3, 3) GPa.
        magmom: (N,) μB.
        scalars: further values per structure by name, (n,), such as the force along the bond of a dimer.
    """

    energy: Floats
    forces: Floats | None = None
    stress: Floats | None = None
    magmom: Floats | None = None
    scalars: Mapping[str, Floats] = field(default_factory=dict)


def force_mask(forces: ArrayLike, offsets: ArrayLike, limit: float = 10.0) -> NDArray[np.bool_]:
    """Return whether the largest |F| on any atom is below limit (eV/Å), (n,); False where a force is missing."""
    forces = np.asarray(forces, dtype=np.float64).reshape(-1, 3)
    offsets = check_offsets(offsets, len(forces))
    largest = np.maximum.reduceat(np.linalg.norm(forces, axis=1), offsets[:-1])
    return np.asarray(largest < limit)  # a comparison with nan is False


def bond_force(forces: ArrayLike, offsets: ArrayLike, bond: ArrayLike) -> Floats:
    """Return the force along the bond of two-atom structures, −dE/dr, (n,) eV/Å; nan for other structures.

    It is the one independent number among the six force components of a dimer: with both atoms and all components,
    each value enters twice with opposite signs beside four zeros.

    Args:
        forces: (N, 3) eV/Å.
        offsets: (n + 1,).
        bond: vectors from the first to the second atom, (n, 3).
    """
    forces = np.asarray(forces, dtype=np.float64).reshape(-1, 3)
    offsets = check_offsets(offsets, len(forces))
    bond = np.asarray(bond, dtype=np.float64).reshape(-1, 3)
    values = (forces[offsets[1:] - 1] * bond).sum(axis=1) / np.linalg.norm(bond, axis=1)
    return np.asarray(np.where(np.diff(offsets) == 2, values, np.nan))
