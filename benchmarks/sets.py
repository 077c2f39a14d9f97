"""The fixed sets of structures that the benchmarks run on, with labels of the kinds that a study trains on.

The numbers in the labels do not change the time of a step, so they are random where a set has none of its own.
"""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pymatgen.core import Element, Structure

from uprung.frames.schema import Frame
from uprung.sources import diatomics

DATA = Path(__file__).parents[1] / "data"
N_STRUCTURES = 256
N_ATOMS = (20, 40)  # atoms per cell of the headline set
DENSEST = 5.0  # Å³ per atom; below it are phases under high pressure, with up to 27,000 angles in a cell
SPREAD = 0.05  # Å, standard deviation of the displacements of the headline set
SEED = 2025


@dataclass(frozen=True)
class BenchmarkSet:
    """Structures and their labels: energies eV/atom, forces eV/Å, stresses GPa, moments μB."""

    name: str
    structures: list[Structure]
    energies: list[float]
    forces: list[NDArray[np.float64]]
    stresses: list[NDArray[np.float64]]
    magmoms: list[NDArray[np.float64]]

    def describe(self) -> dict[str, float]:
        """Return how many structures, elements and atoms per structure the set has."""
        elements = {element for structure in self.structures for element in structure.composition.elements}
        return {
            "structures": len(self.structures),
            "elements": len(elements),
            "atoms_per_structure": round(float(np.mean([len(structure) for structure in self.structures])), 1),
        }


def headline() -> BenchmarkSet:
    """256 structures of 20 to 40 atoms over the elements of the AFLOW prototypes, displaced: like those of MPtrj.

    Every prototype that a supercell brings to that size takes part in turn, each time displaced anew.
    """
    from pymatgen.analysis.prototypes import (
        AFLOW_PROTOTYPE_LIBRARY,
    )  # takes seconds, which the other sets need not wait

    rng = np.random.default_rng(SEED)
    cells = [cell for entry in AFLOW_PROTOTYPE_LIBRARY if (cell := _supercell(entry["snl"].structure)) is not None]
    order = np.concatenate([rng.permutation(len(cells)) for _ in range(1 + N_STRUCTURES // len(cells))])
    structures = []
    for k in order[:N_STRUCTURES]:
        structure = cells[k].copy()
        shift = rng.normal(scale=SPREAD, size=(len(structure), 3)) @ np.linalg.inv(structure.lattice.matrix)
        structures.append(Structure(structure.lattice, structure.species, structure.frac_coords + shift))
    return _with_random_labels("headline", structures, rng)


def _supercell(structure: Structure) -> Structure | None:
    """Smallest repetition with 20 to 40 atoms; None if there is none, it is under pressure or beyond Pu."""
    if any(not isinstance(s, Element) or s.Z > 94 for s in structure.composition.elements):
        return None
    if structure.volume / len(structure) < DENSEST:
        return None
    cell = structure.copy()
    while len(cell) < N_ATOMS[0]:
        shortest = int(np.argmin(cell.lattice.abc))
        repeats = [1, 1, 1]
        repeats[shortest] = 2
        cell.make_supercell(repeats)
    return cell if len(cell) <= N_ATOMS[1] else None


def solids() -> BenchmarkSet:
    """Return the first part of the paired set of solids, as labelled with r²SCAN: what was measured before it grew."""
    lines = gzip.decompress((DATA / "solids" / "solids.jsonl.gz").read_bytes()).splitlines()
    records = [record for record in map(json.loads, lines) if record["xc"] == "r2SCAN" and "kpts" not in record]
    structures = [Structure(r["cell"], r["numbers"], r["positions"], coords_are_cartesian=True) for r in records]
    return _with_random_labels("solids", structures, np.random.default_rng(SEED))


def mlearn() -> BenchmarkSet:
    """256 frames of Li, Si, Mo and Ge off equilibrium, from the training files of mlearn."""
    files = sorted((DATA / "mlearn").glob("*_training.json.gz"))
    entries = [entry for file in files for entry in json.loads(gzip.decompress(file.read_bytes()))]
    rng = np.random.default_rng(SEED)
    chosen = rng.choice(len(entries), N_STRUCTURES, replace=False)
    return _with_random_labels("mlearn", [Structure.from_dict(entries[k]["structure"]) for k in chosen], rng)


def dimers() -> BenchmarkSet:
    """256 homonuclear dimers, up to 5 Å long, in the box of their calculation: what config/dimers.yaml trains on."""
    frames = [f for f in diatomics.read(DATA / "diatomics" / "diatomics-dft.json.gz", "r2SCAN") if _length(f) < 5]
    rng = np.random.default_rng(SEED)
    chosen = [frames[k] for k in rng.choice(len(frames), N_STRUCTURES, replace=False)]
    return _with_random_labels("dimers", [Structure(f.lattice, f.Z, f.frac) for f in chosen], rng)


def _length(frame: Frame) -> float:
    return float(np.linalg.norm((frame.frac[1] - frame.frac[0]) @ frame.lattice))


def _with_random_labels(name: str, structures: list[Structure], rng: np.random.Generator) -> BenchmarkSet:
    counts = [len(structure) for structure in structures]
    return BenchmarkSet(
        name,
        structures,
        energies=[float(e) for e in rng.normal(-5, 1, len(structures))],
        forces=[rng.normal(0, 0.5, (n, 3)) for n in counts],
        stresses=[rng.normal(0, 2, (3, 3)) for _ in counts],
        magmoms=[np.abs(rng.normal(0, 1, n)) for n in counts],
    )


SETS = {"headline": headline, "solids": solids, "mlearn": mlearn, "dimers": dimers}
