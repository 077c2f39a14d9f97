from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Lattice, Structure

from uprung.config.data import Filters, Tolerance
from uprung.sources.materials_project.filters import (
    Candidate,
    converged,
    inside,
    near_main_entry,
    same_hubbard,
    unique,
)

DEFAULT = Filters().duplicates


def tolerance(frames: int, energy: float, ltol: float, stol: float, angle: float) -> Tolerance:
    return Tolerance(frames=frames, energy=energy, ltol=ltol, stol=stol, angle=angle)


ENERGIES = st.lists(st.floats(-10, 10), min_size=1, max_size=30)


def candidate(energy: float, *, edge: float = 4.0, shift: float = 0.0) -> Candidate:
    frac = np.array([[0.0, 0.0, 0.0], [0.5, 0.5, 0.5 + shift]])
    return Candidate(energy, np.array([11, 17], dtype=np.uint8), edge * np.eye(3), frac)


def test_zeros_are_no_hubbard_values():
    assert same_hubbard({"Fe": 5.3, "O": 0.0}, {"Fe": 5.3})
    assert same_hubbard({}, {"O": 0.0})
    assert not same_hubbard({"Fe": 5.3}, {"Fe": 4.0})
    assert not same_hubbard({"Fe": 5.3}, {})
    assert not same_hubbard({"Fe": 5.3}, {"Fe": 5.3, "Mn": 3.9})


def test_main_entry_is_compared_on_both_sides():
    assert near_main_entry(-1.0, -1.019, 0.020)
    assert near_main_entry(-1.019, -1.0, 0.020)
    assert not near_main_entry(-1.0, -1.021, 0.020)
    assert not near_main_entry(-1.021, -1.0, 0.020)


def test_steps_that_reached_nelm_are_not_converged():
    assert converged([3, 59, 60, 61, 0], 60).tolist() == [True, True, False, False, True]


@given(ENERGIES, st.floats(-10, 10))
def test_window_is_the_published_one(energies, entry):
    kept = inside(energies, entry, (-0.01, 1.0))
    assert kept.tolist() == [not (e - entry < -0.01 or e - entry > 1) for e in energies]


def test_window_includes_its_bounds():
    assert inside([-0.5, 1.0, 1.0000001, -0.5000001], 0.0, (-0.5, 1.0)).tolist() == [True, True, False, False]


@given(ENERGIES)
def test_frames_that_differ_in_energy_are_all_new(energies):
    apart = np.cumsum(np.abs(energies) + 0.031)  # beyond the widest tolerance
    assert unique([candidate(float(e)) for e in apart], DEFAULT).all()


def test_the_same_frame_is_kept_once():
    assert unique([candidate(-1.0)] * 4, DEFAULT).tolist() == [True, False, False, False]


def test_energy_alone_makes_no_duplicate():
    assert unique([candidate(-1.0), candidate(-1.0, edge=4.1)], DEFAULT).all()


def test_structure_alone_makes_no_duplicate():
    assert unique([candidate(-1.0), candidate(-0.99)], DEFAULT).all()


def test_an_empty_schedule_keeps_all():
    assert unique([candidate(-1.0)] * 3, ()).all()


@pytest.mark.parametrize(("kept", "energy", "is_new"), [(10, 0.004, True), (11, 0.004, False), (11, 0.006, True)])
def test_tolerance_of_the_energy_widens_with_the_frames_kept(kept, energy, is_new):
    others = [candidate(-5.0 + 0.1 * k, edge=4.0) for k in range(kept)]
    new = unique([*others, candidate(-5.0 + energy)], DEFAULT)
    assert new[:-1].all()
    assert new[-1] == is_new


def test_tolerance_of_the_structure_widens_with_the_frames_kept():
    schedule = (tolerance(0, 0.01, 0.002, 0.001, 0.05), tolerance(2, 0.01, 0.1, 0.1, 1.0))
    near = candidate(-1.0, edge=4.04)  # 1 % longer
    assert unique([candidate(-1.0), near], schedule).tolist() == [True, True]
    assert unique([candidate(-1.0), candidate(3.0), near], schedule).tolist() == [True, True, False]


def test_schedule_is_mptrj_s():
    assert [(t.frames, t.energy) for t in DEFAULT] == [(0, 0.002), (11, 0.005), (31, 0.010), (51, 0.030)]


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 10**6),
    st.sampled_from(DEFAULT),
    st.floats(0, 0.05),
    st.floats(-0.05, 0.05),
    st.floats(-3, 3),
)
def test_alike_is_what_the_matcher_says(seed, tolerance, moved, strain, bend):
    rng = np.random.default_rng(seed)
    cell = Lattice.from_parameters(4.0, 4.3, 5.1, 85, 95, 100)
    frac = rng.random((3, 3)) * 0.2 + np.array([[0, 0, 0], [0.5, 0.5, 0.0], [0.5, 0.0, 0.5]])
    bent = Lattice.from_parameters(4.0 * (1 + strain), 4.3, 5.1, 85 + bend, 95, 100)
    both = [(cell.matrix, frac), (bent.matrix, frac + moved * rng.normal(size=(3, 3)))]
    numbers = np.array([11, 17, 8], dtype=np.uint8)
    matcher = StructureMatcher(ltol=tolerance.ltol, stol=tolerance.stol, angle_tol=tolerance.angle, scale=False)
    expected = matcher.fit(*(Structure(Lattice(matrix), numbers.astype(int), x) for matrix, x in both))
    frames = [Candidate(-1.0, numbers, matrix, x) for matrix, x in both]
    always = tolerance.model_copy(update={"frames": 0, "energy": 1.0})
    assert unique(frames, [always])[1] != expected
