"""Files as people have them, from reading to the split: images, no common geometry, one run twice."""

from __future__ import annotations

from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator

from uprung.config.data import Source
from uprung.datasets.splits import twin_groups
from uprung.frames.intake import write_frames
from uprung.frames.table import Frames, read_frames
from uprung.sources import OpenSource
from uprung.structures.duplicates import leave_out_duplicates
from uprung.structures.pairs import match_frames

N = 16


@pytest.fixture
def crystals() -> list[Atoms]:
    """Distorted supercells of copper with one gold atom, without names, as a run writes them."""
    rng, found = np.random.default_rng(0), []
    for _ in range(N):
        atoms = bulk("Cu", cubic=True).repeat((2, 1, 1))
        atoms.symbols[0] = "Au"
        atoms.set_cell(atoms.cell + rng.normal(0, 0.05, (3, 3)), scale_atoms=True)
        atoms.rattle(0.1, rng=rng)
        found.append(atoms)
    return found


def fidelity(folder: Path, functional: str, *files: list[Atoms]) -> Frames:
    """Write files, one after another, and return them as a fidelity reads them."""
    shift = 0.0 if functional == "PBE" else -7.0
    sources = []
    for name, crystals in enumerate(files):
        for atoms in crystals:
            energy = float((atoms.get_all_distances(mic=True) ** 2).sum()) / 100 + shift
            forces = np.full((len(atoms), 3), 0.1 + shift)
            atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=forces)
        file = folder / f"{functional}-{name}.extxyz"
        ase.io.write(file, crystals, format="extxyz")
        sources.append(
            (
                OpenSource(Source(format="ase", file=str(file), label_scale="scale"), file, functional).records(),
                frozenset[int](),
            )
        )
    table = folder / functional
    write_frames(sources, table, functional=functional)
    leave_out_duplicates(table / "manifest.json")
    return read_frames(table / "manifest.json")


def test_a_file_with_atoms_in_other_cells_pairs_and_splits_as_one_without(
    crystals: list[Atoms], tmp_path: Path
) -> None:
    moved = [atoms.copy() for atoms in crystals]
    for k, atoms in enumerate(moved):
        atoms.positions[k % len(atoms)] += atoms.cell[k % 3] * (-1) ** k
    low, high = fidelity(tmp_path, "PBE", crystals), fidelity(tmp_path, "r2SCAN", moved[::-1])
    pairs, counts = match_frames(low, high)
    assert counts["pairs"] == N
    assert pairs["row_high"].tolist() == list(range(N))[::-1]
    groups = twin_groups(low, high, pairs, "frame", 1e-3)
    assert groups[0] == groups[1][::-1]
    assert len(set(groups[0])) == N


def test_a_file_that_holds_everything_twice_is_read_once(crystals: list[Atoms], tmp_path: Path) -> None:
    found = fidelity(tmp_path, "PBE", crystals + [atoms.copy() for atoms in crystals])
    assert len(found) == N
    assert found.strings("frame_id") == [f"PBE-0-{k}" for k in range(N)]


def test_a_run_in_two_files_is_read_once(crystals: list[Atoms], tmp_path: Path) -> None:
    again = [atoms.copy() for atoms in crystals[:5]]
    for atoms in again:
        atoms.wrap()
    found = fidelity(tmp_path, "PBE", crystals, again)
    assert len(found) == N
    rejected = found.manifest["rejected"]
    assert [entry["kept"] for entry in rejected] == [f"PBE-0-{k}" for k in range(5)]
    assert [entry["frame_id"] for entry in rejected] == [f"PBE-1-{k}" for k in range(5)]
