"""Numbers that stand in the place of a label that nobody computed: zeros, and a pressure instead of a stress."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from uprung.frames.neighbours import MOST_ATOMS, nearest
from uprung.frames.schema import Floats, Frame

#: Sites that lie this close to a symmetric arrangement are taken for one, Å.
SYMMETRY = 1e-2


def not_computed(frame: Frame) -> dict[str, str]:
    """Return column -> reason of the labels that are no result of a calculation. All labels have their shapes.

    Forces are zero everywhere where symmetry says so or no atom has a neighbour, and nowhere else. A stress is never
    zero in all components; it has three equal diagonal components and no others in cubic crystals, elsewhere that is
    the pressure (VASP's `ISIF = 1`).
    """
    found = {}
    if frame.forces is not None and not frame.forces.any() and _bonded(frame) and not _forces_vanish(frame):
        found["forces"] = "forces are all zero, and the structure is not symmetric: they were not computed"
    stress = frame.stress_gpa
    if stress is not None and not stress.any():
        found["stress_gpa"] = "stress is all zero: it was not computed"
    elif stress is not None and not (stress - stress[0, 0] * np.eye(3)).any() and not _is_cubic(frame):
        found["stress_gpa"] = "stress is a pressure times 1, and the structure is not cubic: its shear was not computed"
    return found


def _bonded(frame: Frame) -> bool:
    return len(frame.Z) > MOST_ATOMS or bool(np.isfinite(nearest(frame)))


def _forces_vanish(frame: Frame) -> bool:
    """Return whether no vector at any site is left as it is by all operations that leave the site in its place."""
    found = _symmetry(frame)
    if found is None:
        return False
    rotations, translations, turned = found
    for at in frame.frac:
        apart = rotations @ at + translations - at
        fixed = (np.abs((apart - np.rint(apart)) @ frame.lattice) < 2 * SYMMETRY).all(axis=1)
        if np.abs(turned[fixed].mean(axis=0)).max() > 1e-3:
            return False
    return True


def _is_cubic(frame: Frame) -> bool:
    """Return whether symmetry makes a stress three equal diagonal components."""
    found = _symmetry(frame)
    if found is None:
        return False
    turned = found[2]
    probe = np.diag([1.0, 0.0, 0.0])
    mean = (turned @ probe @ turned.transpose(0, 2, 1)).mean(axis=0)
    return bool(np.abs(mean - np.eye(3) / 3).max() < 1e-3)


def _symmetry(frame: Frame) -> tuple[NDArray[Any], Floats, Floats] | None:
    """Return rotations (m, 3, 3) and translations (m, 3) of fractional coordinates, and Cartesian rotations."""
    import spglib  # takes its time, and few frames come here

    found = spglib.get_symmetry((frame.lattice, frame.frac, frame.Z), symprec=SYMMETRY)
    if found is None:
        return None
    rotations, across = found["rotations"], frame.lattice.T
    return rotations, found["translations"], across @ rotations @ np.linalg.inv(across)
