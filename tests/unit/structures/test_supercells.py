"""A crystal in a multiple of its cell is found again, and on one side of the split with it."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import make_supercell
from factories import make_frame, table_of

from uprung.datasets.splits import twin_groups
from uprung.frames.schema import Frame
from uprung.structures.pairs import match_frames
from uprung.structures.supercells import equal_primitive_cells, primitive


def crystal(seed: int) -> Atoms:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 5))
    cell = 4 * np.eye(3) + rng.normal(0, 0.5, (3, 3))
    return Atoms(rng.choice([6, 8, 13], n), scaled_positions=rng.random((n, 3)), cell=cell, pbc=True)


def frame(name: str, atoms: Atoms) -> Frame:
    frac = atoms.get_scaled_positions(wrap=False)
    return make_frame(name, material_id=name, Z=atoms.numbers, lattice=atoms.cell.array, frac=frac, forces=None)


def multiple(atoms: Atoms, seed: int) -> Atoms:
    """Return the crystal in a larger, oblique and turned cell, its sites in another order and in other cells."""
    rng = np.random.default_rng(seed)
    while abs(np.linalg.det(op := rng.integers(-2, 3, (3, 3)))) < 1.5:
        pass
    found = make_supercell(atoms, op)
    found = found[rng.permutation(len(found))]
    found.positions += rng.integers(-2, 3, (len(found), 3)) @ found.cell.array + rng.random(3)
    found.rotate(float(rng.uniform(0, 180)), rng.normal(size=3), rotate_cell=True)
    return found


@pytest.mark.parametrize("seed", range(20))
def test_the_primitive_cell_of_a_multiple_is_the_cell(seed: int) -> None:
    atoms, larger = crystal(seed), multiple(crystal(seed), seed)
    numbers, frac, lattice = atoms.numbers, atoms.get_scaled_positions(), atoms.cell.array
    assert primitive(numbers, frac, lattice, 1e-3) is None
    found = primitive(larger.numbers, larger.get_scaled_positions(wrap=False), larger.cell.array, 1e-3)
    assert found is not None
    assert sorted(found[0]) == sorted(numbers)
    assert abs(np.linalg.det(found[2])) == pytest.approx(abs(np.linalg.det(lattice)))
    tables = [table_of([frame("a", atoms)]), table_of([frame("b", larger)])]
    pairs = {(int(a), int(b)) for a, b in zip(*equal_primitive_cells(tables, 1e-3), strict=True)}
    assert pairs & {(0, 1), (1, 0)}


def test_a_displaced_atom_leaves_no_smaller_cell() -> None:
    larger = multiple(crystal(3), 3)
    larger.positions[1] += 0.05
    assert primitive(larger.numbers, larger.get_scaled_positions(), larger.cell.array, 1e-3) is None


def test_multiples_are_in_one_group_of_the_split() -> None:
    low = table_of([frame(f"low-{k}", crystal(k)) for k in range(8)])
    high = table_of([frame(f"high-{k}", multiple(crystal(k), k)) for k in range(8)])
    pairs, _ = match_frames(low, high)
    groups = twin_groups(low, high, pairs, "frame", 1e-3)
    assert groups[0] == groups[1]
    assert len(set(groups[0])) == 8
