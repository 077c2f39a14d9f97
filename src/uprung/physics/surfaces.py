"""Surface energies: γ = (E_slab − N·E_bulk)/2A, of slabs as they are."""

from __future__ import annotations

import ase
import numpy as np

from uprung.frames.schema import Floats

#: eV/Å² in J/m².
JOULE = 16.02176634
#: A slab has at least so much vacuum, Å.
VACUUM = 5.0


def surface_energy(slab: float, bulk: float, atoms: int, area: float) -> float:
    """Return γ in J/m².

    Args:
        slab: energy of the slab, eV.
        bulk: energy of the crystal per atom, eV.
        atoms: in the slab.
        area: of one of its two faces, Å².
    """
    return (slab - atoms * bulk) / (2 * area) * JOULE


def extrapolated(energies: Floats, atoms: Floats, areas: Floats) -> tuple[float, float]:
    """Return the energy of the crystal per atom to which slabs extrapolate, and its standard error, eV.

    A fit of E/A = e·N/A + 2γ with one γ for all surfaces, whose differences are the scatter.

    Args:
        energies: (n,) of slabs, eV.
        atoms: (n,) in each.
        areas: (n,) of a face, Å².
    """
    design = np.stack([atoms / areas, np.full(len(areas), 2.0)], axis=1)
    found, *_ = np.linalg.lstsq(design, energies / areas, rcond=None)
    left = energies / areas - design @ found
    variance = left @ left / (len(areas) - 2) * np.linalg.inv(design.T @ design)[0, 0]
    return float(found[0]), float(np.sqrt(variance))


def face(slab: ase.Atoms) -> float:
    """Return the area of one face of a slab, Å²: of the two cell vectors along which it has no vacuum.

    Raises:
        ValueError: no direction, or more than one, has vacuum.
    """
    gaps = _gaps(slab)
    across = np.flatnonzero(gaps > VACUUM)
    if len(across) != 1:
        raise ValueError(
            f"not a slab: {len(across)} directions have more than {VACUUM:g} Å of vacuum ({np.round(gaps, 1)} Å)"
        )
    along = [axis for axis in range(3) if axis != across[0]]
    return float(np.linalg.norm(np.cross(*slab.cell.array[along])))


def _gaps(atoms: ase.Atoms) -> Floats:
    """Return the widest gap between planes of atoms along each cell vector, perpendicular to the other two, Å."""
    inside = np.sort(atoms.get_scaled_positions(wrap=True), axis=0)
    round_trip = np.vstack([inside, inside[:1] + 1])
    heights = 1 / np.linalg.norm(atoms.cell.reciprocal().array, axis=1)
    return np.asarray(np.diff(round_trip, axis=0).max(axis=0) * heights)
