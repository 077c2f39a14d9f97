"""Zeros and pressures that stand for labels which nobody computed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from factories import make_frame

from uprung.frames.intake import write_frames
from uprung.frames.not_computed import not_computed
from uprung.frames.schema import Frame, FramesError


def frame(atoms: Atoms, **labels: object) -> Frame:
    return make_frame(
        Z=atoms.numbers,
        lattice=atoms.cell.array,
        frac=atoms.get_scaled_positions(),
        **{"forces": np.zeros((len(atoms), 3)), **labels},
    )


SYMMETRIC = {
    "diamond": bulk("Si"),
    "rock salt": bulk("MgO", "rocksalt", a=4.2, cubic=True),
    "hcp": bulk("Mg"),
    "one atom": Atoms("Cu", cell=[[2, 0.3, 0.1], [0.2, 2.5, 0], [0, 0.4, 3]], pbc=True),
}


@pytest.mark.parametrize("name", SYMMETRIC)
def test_forces_that_symmetry_makes_zero_are_labels(name: str) -> None:
    assert not_computed(frame(SYMMETRIC[name])) == {}
    moved = SYMMETRIC[name].repeat((2, 1, 1))
    moved.positions[0] += [0.1, 0.05, 0.02]
    assert list(not_computed(frame(moved))) == ["forces"]


def test_atoms_without_neighbours_have_no_forces() -> None:
    assert list(not_computed(make_frame(forces=np.zeros((2, 3))))) == ["forces"]
    assert not_computed(make_frame(Z=(1, 1), bond=6.0, forces=np.zeros((2, 3)))) == {}


def test_a_stress_of_zeros_is_none() -> None:
    assert list(not_computed(frame(bulk("Si"), stress_gpa=np.zeros((3, 3))))) == ["stress_gpa"]


def test_a_pressure_is_a_stress_in_cubic_crystals_only() -> None:
    assert not_computed(frame(bulk("Si"), stress_gpa=3.0 * np.eye(3))) == {}
    assert list(not_computed(frame(bulk("Mg"), stress_gpa=3.0 * np.eye(3)))) == ["stress_gpa"]
    assert not_computed(frame(bulk("Mg"), stress_gpa=np.diag([3.0, 3.0, 2.9]))) == {}


def test_they_are_emptied_and_counted(tmp_path: Path) -> None:
    zeros = make_frame("zeros", forces=np.zeros((2, 3)))
    manifest = write_frames([([make_frame("a"), zeros], frozenset())], tmp_path, functional="PBE", needed=["force"])
    assert (manifest["written"], manifest["labels"]["forces"]) == (2, 1)
    assert [entry["frame_ids"] for entry in manifest["emptied"]] == [["zeros"]]
    with pytest.raises(FramesError, match=r"has no force labels \(forces are all zero, and the structure is not sym"):
        write_frames([([zeros], frozenset())], tmp_path, functional="PBE", needed=["force"])
