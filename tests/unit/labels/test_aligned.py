from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from factories import make_frame, table_of
from scipy.spatial.transform import Rotation

from uprung.labels.aligned import PairedFrames, align
from uprung.labels.fidelity import BOND_FORCE

PULL = np.array([[1.0, 2, 0], [-1, -2, 0]])
STRESS = np.arange(9.0).reshape(3, 3)


def pairs(rows: list[tuple[int, int]], materials: list[str], rmsd: float = 0.0) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["row_low", "row_high"]).assign(material_id=materials, rmsd=rmsd)


@pytest.fixture
def paired() -> PairedFrames:
    low = [
        make_frame("a", energy=-2.0, energy_free=-3.0, forces=PULL, magmom=np.array([1.0, -1])),
        make_frame("b", Z=(8, 8, 8), energy=-9.0, forces=np.full((3, 3), 7.0)),
        make_frame("c", energy=-4.0, forces=None, stress_gpa=STRESS),
    ]
    high = [
        make_frame("C", energy=-8.0, forces=3 * PULL, stress_gpa=2 * STRESS, correction=1.0),
        make_frame("A", energy=-6.0, forces=2 * PULL, magmom=np.array([-2.0, 2]), correction=-1.0),
        make_frame("B", Z=(8, 8, 8), energy=-12.0, forces=np.full((3, 3), 8.0)),
    ]
    table = pairs([(0, 1), (1, 2), (2, 0)], ["x", "y", "x"])
    return align(table_of(low), table_of(high), table, label_low="energy", label_high="energy")


def test_rows_are_the_same_structure_on_both_sides(paired: PairedFrames) -> None:
    np.testing.assert_array_equal(paired.low.energy, [-1.0, -3.0, -2.0])  # eV/atom
    np.testing.assert_array_equal(paired.high.energy, [-3.0, -4.0, -4.0])
    np.testing.assert_array_equal(paired.n_atoms, [2, 3, 2])
    np.testing.assert_array_equal(paired.numbers, [14, 14, 8, 8, 8, 14, 14])
    assert paired.groups.tolist() == ["x", "y", "x"]
    np.testing.assert_array_equal(paired.high.forces[:2], 2 * PULL)
    np.testing.assert_array_equal(paired.high.forces[5:], 3 * PULL)


def test_energy_label_of_each_side() -> None:
    frames = table_of([make_frame("a", energy=-2.0, energy_free=-3.0, correction=1.0)])
    table = pairs([(0, 0)], ["x"])
    found = align(frames, frames, table, label_low="energy_free", label_high="energy+correction")
    assert (found.low.energy[0], found.high.energy[0]) == (-1.5, -0.5)


def test_shared_labels_leave_out_what_one_side_lacks(paired: PairedFrames) -> None:
    shared = paired.shared()
    low, high = shared["force"]
    assert len(low) == 2 * 3 + 3 * 3  # c has no force on the low side
    np.testing.assert_array_equal(low[:6], PULL.ravel())
    np.testing.assert_array_equal(high[:6], 2 * PULL.ravel())
    np.testing.assert_array_equal(shared["stress"], (STRESS.ravel(), 2 * STRESS.ravel()))
    np.testing.assert_array_equal(shared["magmom"], ([1, 1], [2, 2]))  # absolute


def test_a_label_that_one_side_never_has_is_not_shared() -> None:
    low, high = table_of([make_frame("a", stress_gpa=STRESS)]), table_of([make_frame("a")])
    found = align(low, high, pairs([(0, 0)], ["x"]), label_low="energy", label_high="energy")
    assert found.high.stress is None
    assert set(found.shared()) == {"force"}


def test_keep_takes_sites_along(paired: PairedFrames) -> None:
    kept = paired.keep(np.array([False, True, True]))
    np.testing.assert_array_equal(kept.offsets, [0, 3, 5])
    np.testing.assert_array_equal(kept.numbers, [8, 8, 8, 14, 14])
    np.testing.assert_array_equal(kept.low.energy, [-3.0, -2.0])
    np.testing.assert_array_equal(kept.high.forces[3:], 3 * PULL)
    np.testing.assert_array_equal(kept.high.stress[1], 2 * STRESS.ravel())
    assert kept.X.shape == (2, 94)


def test_structures_below_a_low_fidelity_force(paired: PairedFrames) -> None:
    assert paired.below_force(3.0).groups.tolist() == ["x"]  # b is above, c has no force to judge by
    assert paired.below_force(20.0).groups.tolist() == ["x", "y"]
    assert paired.below_force(np.sqrt(5.0)).groups.tolist() == []


def test_dimers_have_one_force_along_the_bond() -> None:
    push = np.array([[-3.0, 0, 0], [3.0, 0, 0]])
    frames = table_of([make_frame("a", forces=push), make_frame("b", forces=-push, bond=3.0)])
    found = align(frames, frames, pairs([(0, 0), (1, 1)], ["x", "x"]), label_low="energy", label_high="energy")
    np.testing.assert_allclose(found.low.scalars[BOND_FORCE], [3.0, -3.0])
    np.testing.assert_allclose(found.keep(np.array([False, True])).low.scalars[BOND_FORCE], [-3.0])


def test_forces_stress_and_moments_of_a_rotated_and_reordered_twin_are_laid_on_the_first() -> None:
    rng = np.random.default_rng(0)
    first = make_frame(
        "a",
        Z=(3, 8, 8, 22),
        lattice=np.diag([4.0, 5, 6]) + rng.normal(0, 0.2, (3, 3)),
        frac=rng.random((4, 3)),
        forces=rng.normal(size=(4, 3)),
        stress_gpa=STRESS + STRESS.T,
        magmom=rng.normal(size=4),
    )
    turn, sites = Rotation.random(random_state=1).as_matrix(), np.array([3, 2, 0, 1])
    second = replace(
        first,
        Z=first.Z[sites],
        lattice=first.lattice[[1, 0, 2]] @ turn,
        frac=first.frac[sites][:, [1, 0, 2]] + rng.integers(-2, 3, (4, 3)) + 0.3,
        forces=(first.forces @ turn)[sites],
        stress_gpa=turn.T @ first.stress_gpa @ turn,
        magmom=first.magmom[sites],
    )
    low, high = table_of([first]), table_of([second])
    found = align(low, high, pairs([(0, 0)], ["x"]), label_low="energy", label_high="energy")
    for name, (a, b) in found.shared().items():
        np.testing.assert_allclose(a, b, atol=1e-5, err_msg=name)
    assert set(found.shared()) == {"force", "stress", "magmom"}


def test_a_bond_leads_to_the_nearest_image() -> None:
    frame = make_frame("a", forces=np.array([[-3.0, 0, 0], [3.0, 0, 0]]))
    written = replace(frame, frac=frame.frac + np.array([[0, 0, 0], [-1, 2, 0]]))
    table = pairs([(0, 0)], ["x"])
    found = align(table_of([written]), table_of([frame]), table, label_low="energy", label_high="energy")
    assert found.low.scalars[BOND_FORCE] == found.high.scalars[BOND_FORCE] == [pytest.approx(3.0)]


def test_frames_of_one_material_keep_their_own_order() -> None:
    low, high = table_of([make_frame("a")]), table_of([make_frame("b", bond=3.0, forces=PULL)])
    found = align(low, high, pairs([(0, 0)], ["x"], np.nan), label_low="energy", label_high="energy")
    np.testing.assert_array_equal(found.high.forces, PULL)


def test_larger_structures_have_no_bond_force(paired: PairedFrames) -> None:
    assert paired.low.scalars == {}
