"""Labelled structures for tests of the functions for notebooks: the embedded crystals of two light atoms."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import ase
import ase.io
from ase.calculators.singlepoint import SinglePointCalculator

from uprung.sources import solids

SOLIDS = Path(__file__).parents[3] / "data/solids/solids.jsonl.gz"


@cache
def frames(functional: str) -> tuple:
    """Return records of crystals with two atoms up to Ca, of those that both functionals have."""
    sides = {name: {frame.frame_id: frame for frame in solids.read(SOLIDS, name)} for name in ("PBE", "r2SCAN")}
    small = [name for name, one in sides["PBE"].items() if len(one.Z) == 2 and one.Z.max() <= 20]
    return tuple(sides[functional][name] for name in small if name in sides["r2SCAN"])[:60]


def atoms(functional: str = "PBE", **names: str) -> list[ase.Atoms]:
    """Return crystals with labels as ASE carries them; `names` gives other keys to energy and forces."""
    structures = []
    for frame in frames(functional):
        one = ase.Atoms(frame.Z, cell=frame.lattice, scaled_positions=frame.frac, pbc=True)
        one.info = {"frame_id": frame.frame_id, "material_id": frame.material_id}
        if names:
            one.info[names["energy"]] = frame.energy
            one.arrays[names["forces"]] = frame.forces.copy()
        else:
            one.calc = SinglePointCalculator(one, energy=frame.energy, forces=frame.forces)
        structures.append(one)
    return structures


def write(path: Path, functional: str = "PBE", **names: str) -> Path:
    """Write them as extended XYZ."""
    ase.io.write(path, atoms(functional, **names), format="extxyz")
    return path
