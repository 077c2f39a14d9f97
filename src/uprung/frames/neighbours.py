"""How near the atoms of a frame are to each other, and how much room they have, by their covalent radii."""

from __future__ import annotations

import numpy as np
from ase.data import covalent_radii
from ase.geometry import minkowski_reduce

from uprung.frames.schema import Frame

#: Sums of covalent radii beyond which atoms are no neighbours.
NONE = 5.0
#: Larger frames are not looked at.
MOST_ATOMS = 200
_NOBLE = {2, 10, 18, 36, 54, 86}


def nearest(frame: Frame) -> float:
    """Return the distance of the nearest neighbours, as a share of the sum of their covalent radii.

    NaN for an isolated atom, and where all atoms are of noble gases, which no bond holds.
    """
    n = len(frame.Z)
    shapes = frame.lattice.shape == (3, 3) and frame.frac.shape == (n, 3)
    if not shapes or not n or set(frame.Z.tolist()) <= _NOBLE or not np.isfinite(frame.frac).all():
        return np.nan
    if n > MOST_ATOMS or not 1e-3 < abs(np.linalg.det(frame.lattice)) < np.inf:
        return np.nan
    cell, _ = minkowski_reduce(frame.lattice)
    positions = frame.frac @ frame.lattice @ np.linalg.inv(cell)
    radii = covalent_radii[frame.Z.astype(int)]
    images = np.stack(np.meshgrid(*[[-1, 0, 1]] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    apart = positions[:, None] - positions[None]
    apart -= np.rint(apart)
    distances = np.linalg.norm((apart[:, :, None] + images) @ cell, axis=-1)  # (n, n, 27)
    distances[distances < 1e-6] = np.inf
    shares = distances / (radii[:, None] + radii[None])[:, :, None]
    found = float(shares.min())
    return found if found < NONE else np.nan


def room(frame: Frame) -> float:
    """Return the volume of the cell by that of spheres with the covalent radii; NaN where it is no cell."""
    if frame.lattice.shape != (3, 3) or not len(frame.Z):
        return np.nan
    spheres = 4 / 3 * np.pi * float((covalent_radii[frame.Z.astype(int)] ** 3).sum())
    return float(abs(np.linalg.det(frame.lattice))) / spheres
