"""Phonons from forces of displaced atoms, or from given force constants (phonopy)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import ase
import numpy as np
from ase.calculators.calculator import Calculator
from ase.geometry import find_mic
from phonopy import Phonopy
from phonopy.structure.atoms import PhonopyAtoms

from uprung.frames.schema import Floats
from uprung.physics.results import NotComputedError, single_point

#: A frequency below this counts as imaginary, THz: acoustic modes at the centre of the zone are zero but for noise.
IMAGINARY = -0.1
#: Points of the mesh along each direction, and points of each segment of a band.
MESH, SEGMENT = 12, 41
#: An atom further than this from its site is displaced, and by no more than the second, Å.
MOVED, LARGEST = 1e-4, 0.1


@dataclass(frozen=True)
class Spectrum:
    """Frequencies on a mesh in THz, imaginary ones negative.

    `highest` and `mean` over all modes; `imaginary` is the share of modes below `IMAGINARY` and `lowest` the lowest
    frequency.
    """

    highest: float
    mean: float
    lowest: float
    imaginary: float


def phonons(structure: ase.Atoms, supercell: Any, *, force_constants: Floats | None = None) -> Phonopy:
    """Return phonopy's object for a crystal as it is, whose cell is taken for the primitive one.

    Args:
        structure: unit cell; its masses count.
        supercell: three repeats, or a matrix (3, 3).
        force_constants: (n, n, 3, 3) eV/Å² of the supercell in phonopy's order, or (primitive atoms, n, 3, 3).
    """
    cell = PhonopyAtoms(
        numbers=structure.numbers,
        cell=structure.cell.array,
        scaled_positions=structure.get_scaled_positions(),
        masses=structure.get_masses(),
    )
    found = Phonopy(cell, supercell_matrix=np.array(supercell), primitive_matrix="P")
    if force_constants is not None:
        found.force_constants = np.array(force_constants, dtype=np.float64, order="C")
    return found


def computed(structure: ase.Atoms, calculator: Calculator, supercell: Any, *, distance: float = 0.01) -> Phonopy:
    """Return phonons with force constants from finite displacements.

    Args:
        structure: unit cell, whose forces need not vanish: displacements of both signs are made where symmetry asks.
        calculator: of ASE.
        supercell: three repeats, or a matrix (3, 3).
        distance: of the displacements, Å.

    Raises:
        NotComputedError: a force is not finite.
        ValueError: the calculator refuses a supercell.
    """
    found = phonons(structure, supercell)
    found.generate_displacements(distance=distance)
    forces = []
    for displaced in found.supercells_with_displacements or []:
        atoms = ase.Atoms(displaced.symbols, cell=displaced.cell, scaled_positions=displaced.scaled_positions, pbc=True)
        forces.append(single_point(atoms, calculator)["forces"])
    found.forces = np.array(forces)
    found.produce_force_constants()
    return found


def from_forces(structure: ase.Atoms, displaced: Sequence[ase.Atoms], forces: Sequence[Floats]) -> Phonopy:
    """Return phonons with force constants from the forces on cells with one displaced atom each, which sum to zero.

    Args:
        structure: unit cell.
        displaced: supercells with the atoms in phonopy's order.
        forces: (n, 3) of each, eV/Å.

    Raises:
        ValueError: a cell is not a supercell of which one atom is displaced.
    """
    repeats = displaced[0].cell.array @ np.linalg.inv(structure.cell.array)
    found = phonons(structure, np.rint(repeats).astype(int).T)
    ideal = found.supercell
    moved = []
    for atoms, felt in zip(displaced, forces, strict=True):
        shift = (
            find_mic(atoms.positions - ideal.positions, atoms.cell)[0] if len(atoms) == len(ideal) else np.zeros((1, 3))
        )
        (far,) = np.nonzero(np.linalg.norm(shift, axis=1) > MOVED)
        if len(far) != 1 or np.linalg.norm(shift[far[0]]) > LARGEST:
            raise ValueError("phonons: not a supercell in phonopy's order of which one atom is displaced")
        moved.append({"number": int(far[0]), "displacement": shift[far[0]], "forces": np.asarray(felt)})
    found.dataset = {"natom": len(ideal), "first_atoms": moved}
    found.produce_force_constants()
    translated(found)
    return found


def at_corners(phonon: Phonopy, structure: ase.Atoms) -> dict[str, Floats]:
    """Return frequencies (THz) at the centre of the zone, without the three acoustic ones, and at its corners.

    Only corners at which the supercell repeats a wave are there, since nothing is interpolated at them.

    Args:
        phonon: with force constants.
        structure: unit cell.
    """
    found = {}
    for name, point in structure.cell.bandpath(npoints=0).special_points.items():
        waves = np.asarray(phonon.supercell_matrix).T @ point
        if np.allclose(waves, np.rint(waves)):
            frequencies = np.sort(np.asarray(phonon.get_frequencies(point), dtype=np.float64))
            found["Γ" if name == "G" else name] = frequencies[3:] if name == "G" else frequencies
    return found


def spectrum(phonon: Phonopy) -> Spectrum:
    """Return what characterises the frequencies of a crystal.

    Raises:
        NotComputedError: a frequency is not finite.
    """
    phonon.run_mesh([MESH] * 3, is_gamma_center=True)
    mesh = phonon.get_mesh_dict()
    frequencies = np.asarray(mesh["frequencies"], dtype=np.float64)
    weights = np.asarray(mesh["weights"], dtype=np.float64)
    if not np.isfinite(frequencies).all():
        raise NotComputedError("phonons: a frequency is not finite")
    share = weights / weights.sum()
    return Spectrum(
        highest=float(frequencies.max()),
        mean=float(share @ frequencies.mean(axis=1)),
        lowest=float(frequencies.min()),
        imaginary=float(share @ (frequencies < IMAGINARY).mean(axis=1)),
    )


def translated(phonon: Phonopy) -> float:
    """Make force constants sum to zero, as those of any crystal do, and return how far they were from it.

    The forces of a network in single precision, divided by small displacements, leave acoustic modes at the centre of
    the zone that are not zero.

    Args:
        phonon: with force constants, which are changed.

    Returns:
        The largest component of Σⱼ Φᵢⱼ before, eV/Å².
    """
    drift = float(np.abs(np.asarray(phonon.force_constants).sum(axis=1)).max())
    phonon.symmetrize_force_constants()
    return drift


def heat_capacity(phonon: Phonopy, temperature: float = 300.0) -> float:
    """Return the heat capacity at constant volume in J/(K mol) of unit cells; imaginary modes do not count."""
    phonon.run_mesh([MESH] * 3, is_gamma_center=True)
    phonon.run_thermal_properties(temperatures=[temperature], exclude_gamma_acoustic=True)
    return float(np.asarray(phonon.get_thermal_properties_dict()["heat_capacity"])[0])


def bands(phonon: Phonopy, corners: Floats) -> tuple[Floats, Floats]:
    """Return frequencies along straight lines between wave vectors.

    Args:
        phonon: with force constants.
        corners: (n, 3) wave vectors in units of the reciprocal cell.

    Returns:
        Distances (p,) in 1/Å, and frequencies (p, branches) in THz.
    """
    lines = [np.linspace(a, b, SEGMENT) for a, b in pairwise(corners)]
    phonon.run_band_structure(lines)
    found = phonon.get_band_structure_dict()
    return np.concatenate(found["distances"]), np.concatenate(found["frequencies"])


def density_of_states(phonon: Phonopy, points: Floats) -> Floats:
    """Return the density of states (p,) in 1/THz per unit cell at frequencies (p,), smeared by 2 % of their range."""
    phonon.run_mesh([MESH] * 3, is_gamma_center=True)
    mesh = phonon.get_mesh_dict()
    width = 0.02 * float(points.max() - points.min())
    weights = np.asarray(mesh["weights"], dtype=np.float64)
    distance = (points[:, None, None] - np.asarray(mesh["frequencies"])[None]) / width
    bell = np.exp(-(distance**2) / 2) / (width * np.sqrt(2 * np.pi))
    return np.asarray(np.einsum("pqb,q->p", bell, weights / weights.sum()))
