from __future__ import annotations

import ase
import numpy as np
import pytest
from ase.build import bulk
from ase.data import covalent_radii
from factories import make_frame, table_of

from uprung.structures.random_crystals import FARTHEST, NEAREST, closest, draw_frames, random_crystal

CELLS = {"a molecule in a box": ([8, 1, 1], 15 * np.eye(3)), "a crystal": ([12, 8] * 4, 4.3 * np.eye(3))}


@pytest.mark.parametrize("what", CELLS)
def test_atoms_neither_overlap_nor_are_alone(what: str) -> None:
    numbers, cell = CELLS[what]
    crystals = [random_crystal(numbers, cell, f"{seed}") for seed in range(20)]
    for atoms in crystals:
        assert atoms.numbers.tolist() == numbers
        assert 0.95 <= atoms.cell.lengths()[0] / cell[0, 0] <= 1.1
        radii = covalent_radii[atoms.numbers]
        apart = atoms.get_all_distances(mic=True) / (radii[:, None] + radii)
        np.fill_diagonal(apart, np.inf)
        assert apart.min() >= NEAREST - 1e-9
        assert apart.min(axis=1).max() <= FARTHEST + 1e-9
        assert closest(atoms) == pytest.approx(apart.min())
    assert len({round(atoms.positions.sum(), 6) for atoms in crystals}) == 20


def test_a_seed_gives_one_crystal_and_a_full_cell_ends() -> None:
    first, second = (random_crystal([6, 8, 8], 10 * np.eye(3), "seed") for _ in range(2))
    assert np.array_equal(first.positions, second.positions)
    crowded = random_crystal([55] * 8, 4 * np.eye(3), "crowded")  # no room for them
    assert len(crowded) == 8
    assert 0 < closest(crowded) < NEAREST


def test_the_closest_pair_may_lie_across_a_face_or_be_an_image() -> None:
    across = ase.Atoms("HO", scaled_positions=[(0.01, 0, 0), (0.98, 0, 0)], cell=[20] * 3, pbc=True)
    assert closest(across) == pytest.approx(0.6 / (0.31 + 0.66))
    assert closest(ase.Atoms("C", cell=[5, 5, 1.52], pbc=True)) == pytest.approx(1.0)
    assert closest(bulk("Cu", "fcc", a=3.6)) == pytest.approx(3.6 / np.sqrt(2) / (2 * 1.32))


def test_every_composition_comes_before_a_second_frame_of_one() -> None:
    frames = table_of([make_frame(f"{z}-{k}", Z=[z, 8]) for z in (3, 11, 19) for k in "abcd"])
    names = frames.strings("frame_id")
    drawn = draw_frames(frames, names, 5, most_atoms=10, seed=0)
    assert {names[row].split("-")[0] for row in drawn[:3]} == {"3", "11", "19"}
    assert len(set(drawn)) == 5
    assert draw_frames(frames, names, 5, most_atoms=1, seed=0) == []
    fewer = [name for name in names if name not in (names[drawn[3]], names[drawn[4]])]
    assert draw_frames(frames, fewer, 3, most_atoms=10, seed=0) == drawn[:3]
    assert any(draw_frames(frames, names, 3, most_atoms=10, seed=seed) != drawn[:3] for seed in (1, 2))
