"""The same crystal, however it is written; property tests over random crystals and ways to write them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from factories import make_frame, table_of
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from uprung.frames.schema import Frame
from uprung.structures import twins
from uprung.structures.identity import Crystals, align
from uprung.structures.lattices import maps, reduction
from uprung.structures.twins import find_twins

SHAPES = {
    "cubic": np.eye(3),
    "face-centred": np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]]) / np.cbrt(2),
    "hexagonal": np.array([[1, 0, 0], [-0.5, np.sqrt(0.75), 0], [0, 0, 1.6]]),
    "slab": np.diag([0.5, 0.5, 4.0]),
    "oblique": np.array([[1, 0, 0], [0.9, 0.7, 0], [2.3, 1.27, 1.2]]),
}


@st.composite
def crystals(draw: st.DrawFn, most: int = 12) -> Frame:
    """A crystal of a few species with some 15 Å³ per atom, with or without symmetry."""
    seed, n = draw(st.integers(0, 10**6)), draw(st.integers(1, most))
    rng = np.random.default_rng(seed)
    shape = SHAPES[draw(st.sampled_from(sorted(SHAPES)))]
    lattice = shape * np.cbrt(15 * n / abs(np.linalg.det(shape)))
    frac = rng.random((n, 3))
    if draw(st.booleans()):  # ideal positions
        frac = np.rint(frac * 6) / 6 + 1e-3 * np.arange(n)[:, None]
    else:
        lattice = lattice + rng.normal(0, 0.2, (3, 3))
    return make_frame("a", Z=rng.choice([3, 8, 22], n), lattice=lattice, frac=frac)


def unimodular(rng: np.random.Generator, steps: int = 6) -> np.ndarray:
    """Return an integer matrix of determinant ±1."""
    op = np.eye(3)
    for _ in range(steps):
        i, j = rng.permutation(3)[:2]
        op[i] += rng.integers(-2, 3) * op[j]
    op = op[rng.permutation(3)] * rng.choice([-1, 1], (3, 1))
    assert abs(np.linalg.det(op)) == pytest.approx(1)
    return op


def images(frame: Frame, rng: np.random.Generator) -> Frame:
    return replace(frame, frac=frame.frac + rng.integers(-3, 4, frame.frac.shape))


def order(frame: Frame, rng: np.random.Generator) -> Frame:
    sites = rng.permutation(len(frame.Z))
    return replace(frame, Z=frame.Z[sites], frac=frame.frac[sites])


def left_handed(frame: Frame, rng: np.random.Generator) -> Frame:
    return replace(frame, lattice=frame.lattice[[1, 0, 2]], frac=frame.frac[:, [1, 0, 2]])


def cell(frame: Frame, rng: np.random.Generator) -> Frame:
    op = unimodular(rng)
    return replace(frame, lattice=op @ frame.lattice, frac=frame.frac @ np.linalg.inv(op))


def origin(frame: Frame, rng: np.random.Generator) -> Frame:
    return replace(frame, frac=frame.frac + rng.random(3))


def rotation(frame: Frame, rng: np.random.Generator) -> Frame:
    return replace(frame, lattice=frame.lattice @ Rotation.random(random_state=int(rng.integers(999))).as_matrix())


def mirror(frame: Frame, rng: np.random.Generator) -> Frame:
    return replace(frame, lattice=frame.lattice * [1, 1, -1])


def borders(frame: Frame, rng: np.random.Generator) -> Frame:
    """Write positions as 0.9999999 or 0.0000001 instead of 0."""
    return replace(frame, frac=frame.frac + rng.choice([-1e-7, 0, 1e-7], frame.frac.shape))


WAYS = [images, order, left_handed, cell, origin, rotation, mirror, borders]


def noise(frame: Frame, rng: np.random.Generator, size: float) -> Frame:
    """Move sites and vectors of the reduced cell by a root mean square of `size` Å."""
    n, op = len(frame.Z), reduction(frame.lattice[None])[0]
    frame = replace(frame, lattice=op @ frame.lattice, frac=frame.frac @ np.linalg.inv(op))
    moved = rng.normal(size=(n + 3, 3)) * rng.choice([0.01, 1], (n + 3, 1))
    moved *= size / np.sqrt((moved**2).sum() / (n + 3))
    lattice = frame.lattice + moved[n:]
    return replace(frame, lattice=lattice, frac=frame.frac + moved[:n] @ np.linalg.inv(lattice))


def same(a: Frame, b: Frame, tolerance: float) -> bool:
    return len(np.unique(find_twins(Crystals(table_of([a, b])), tolerance).classes())) == 1


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
@settings(max_examples=25, deadline=None)
@given(frame=crystals(), seed=st.integers(0, 999))
def test_a_crystal_is_the_same_however_it_is_written(way, frame: Frame, seed: int) -> None:
    rng = np.random.default_rng(seed)
    assert same(frame, way(frame, rng), 1e-4)


@settings(max_examples=60, deadline=None)
@given(frame=crystals(), seed=st.integers(0, 999), tolerance=st.sampled_from([1e-4, 1e-3, 1e-2, 0.05]))
def test_noise_below_the_tolerance_is_the_same_in_every_other_way(frame: Frame, seed: int, tolerance: float) -> None:
    rng = np.random.default_rng(seed)
    written = noise(frame, rng, 0.9 * tolerance)
    for way in WAYS[:-1]:
        written = way(written, rng)
    assert same(frame, written, tolerance)


def test_vectors_that_are_sums_of_others_may_move_by_more() -> None:
    """The reduced cells differ by a sum of two vectors, whose displacements add up; the root mean square does not."""
    first = np.array([[2.6137897928735514, 0, 0], [2.3524108135861965, 1.829652855011486, 0]])
    first = np.vstack([first, [6.011716523609167, 3.3195130369494104, 3.1365477514482616]])
    second = np.array(
        [
            [-3.342728218578971, -0.8542132198148368, 12.523221737103206],
            [0.9792924949126298, 0.9173710012348993, -5.2673217116667335],
            [1.6364931602191397, -3.398095522888047, -3.712744998729553],
        ]
    )
    a, b = (
        make_frame(name, Z=np.array([3]), lattice=cell, frac=np.zeros((1, 3)))
        for name, cell in (("a", first), ("b", second))
    )
    assert same(a, b, 1e-4)
    assert not same(a, b, 0.8e-4)  # it is 0.823e-4


@settings(max_examples=60, deadline=None)
@given(frame=crystals(), seed=st.integers(0, 999))
def test_alignment_says_which_site_lies_where(frame: Frame, seed: int) -> None:
    """The other crystal's neighbours, in the order and the orientation of the first, are the first one's."""
    rng = np.random.default_rng(seed)
    other = frame
    for way in WAYS[:-1]:
        other = way(other, rng)
    both = Crystals(table_of([frame, other])).geometries(np.array([0, 1]))
    found = align(both, 0, 1, 1e-4)
    assert found is not None
    assert found.rmsd < 1e-6
    np.testing.assert_allclose(found.rotation @ found.rotation.T, np.eye(3), atol=1e-9)
    own, moved = both.frac[0] @ both.lattice[0], both.frac[1][found.order] @ both.lattice[1] @ found.rotation
    apart = (moved - moved[0] - own + own[0]) @ np.linalg.inv(both.lattice[0])
    np.testing.assert_allclose(apart, np.rint(apart), atol=1e-6)


@settings(max_examples=40, deadline=None)
@given(frame=crystals(), seed=st.integers(0, 999))
def test_another_crystal_is_another_one(frame: Frame, seed: int) -> None:
    rng = np.random.default_rng([seed, 1])
    n = len(frame.Z)
    strained = replace(frame, lattice=frame.lattice * [1.01, 1, 1])
    assert not same(frame, strained, 1e-3)
    if n > 2:  # with two, a moved atom may be a mirror image
        moved = replace(frame, frac=rng.random((n, 3)))
        assert not same(frame, moved, 1e-3)


def test_a_supercell_is_another_structure() -> None:
    frame = make_frame("a", Z=(3, 8), lattice=4 * np.eye(3), frac=np.array([[0, 0, 0], [0.5, 0.5, 0.5]]))
    frac = np.concatenate([frame.frac, frame.frac + np.eye(3)[0]]) / [2, 1, 1]
    double = replace(frame, Z=np.tile(frame.Z, 2), lattice=frame.lattice * [[2], [1], [1]], frac=frac)
    assert not same(frame, double, 1e-3)


def test_exchanged_species_are_another_crystal() -> None:
    """Rock salt is not what it is with one pair of ions exchanged, though all sites are the same."""
    points = np.array(np.meshgrid(*[[0, 1]] * 3)).reshape(3, -1).T
    Z = np.where(points.sum(axis=1) % 2, 8, 12)
    frame = make_frame("a", Z=Z, lattice=4.2 * np.eye(3), frac=points / 2)
    exchanged = Z.copy()
    exchanged[[0, 1]] = Z[[1, 0]]
    assert not same(frame, replace(frame, Z=exchanged.astype(np.uint8)), 1e-2)
    assert same(frame, replace(frame, Z=(20 - Z).astype(np.uint8)), 1e-2)  # the two sublattices are alike


def test_the_symmetric_equivalent_of_a_displaced_atom_is_a_twin() -> None:
    """One atom of a cubic crystal moved along x, or along y: no site-by-site comparison shows that these are one."""
    frame = make_frame("a", Z=(3, 8), lattice=4 * np.eye(3), frac=np.array([[0, 0, 0], [0.5, 0.5, 0.5]]))
    along = [replace(frame, frac=frame.frac + np.array([[0, 0, 0], np.eye(3)[k] * 0.05])) for k in (0, 1)]
    assert same(*along, 1e-4)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**4), name=st.sampled_from(sorted(SHAPES)))
def test_two_reduced_cells_of_a_lattice_are_related(seed: int, name: str) -> None:
    rng = np.random.default_rng(seed)
    cells = np.array([op @ SHAPES[name] for op in (unimodular(rng, 12), unimodular(rng, 12), np.eye(3))])
    ops = reduction(cells)
    np.testing.assert_allclose(np.abs(np.linalg.det(ops)), 1)
    first, second, _ = reduced = ops @ cells
    lengths = np.sort(np.linalg.norm(reduced, axis=2), axis=1)
    np.testing.assert_allclose(lengths, lengths[:1].repeat(3, axis=0))
    found = maps(first, second, 1e-6)
    assert len(found) == {"cubic": 48, "face-centred": 48, "hexagonal": 24, "slab": 16, "oblique": 2}[name]
    np.testing.assert_allclose(found[0] @ first, second, atol=1e-6)  # no rotation was needed


def test_a_very_oblique_cell_is_reduced() -> None:
    cell = np.array([[1.0, 0, 0], [0, 1, 0], [12_345.6, -789.1, 1]])
    assert np.linalg.norm(reduction(cell[None])[0] @ cell, axis=1).max() < 1.3


def test_frames_in_a_chain_of_small_steps_are_one_class() -> None:
    steps = [make_frame(str(k), bond=2.3 + 0.001 * k) for k in range(6)] + [make_frame("far", bond=2.5)]
    classes = find_twins(Crystals(table_of(steps)), 1e-3).classes()
    assert len(set(classes[:6])) == 1
    assert classes[6] != classes[0]


def test_one_crystal_written_in_many_ways_is_compared_with_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forty of them are 39 comparisons, not 780; pairs of two sides are all found."""
    rng, calls = np.random.default_rng(0), list[int]()
    lattice = np.diag([4.0, 5, 6]) + rng.normal(0, 0.2, (3, 3))
    frame = make_frame("a", Z=(3, 8, 8, 22), lattice=lattice, frac=rng.random((4, 3)))
    monkeypatch.setattr(twins, "align", lambda *given: calls.append(1) or align(*given))
    written = Crystals(table_of([order(origin(frame, rng), rng) for _ in range(40)]))
    assert set(find_twins(written, 1e-3).classes()) == {0}
    assert len(calls) <= 39
    assert len(find_twins(written, 1e-3, split_at=10).first) == 10 * 30


def test_copies_are_compared_once() -> None:
    found = find_twins(Crystals(table_of([make_frame(str(k)) for k in range(2000)])), 1e-3)
    assert len(found.first) == 0
    assert set(found.copy_of) == {0}
    assert set(found.classes()) == {0}


@pytest.mark.parametrize("held", [1, 4, 10_000])
def test_crystals_are_the_same_however_many_are_held_at_a_time(monkeypatch: pytest.MonkeyPatch, held: int) -> None:
    rng = np.random.default_rng(1)
    frames = [make_frame(str(k), bond=2.3 + 0.01 * k) for k in range(5)]
    table = Crystals(table_of([*frames, *(order(frame, rng) for frame in frames)]))
    monkeypatch.setattr(twins, "SITES", held)
    assert find_twins(table, 1e-3).classes().tolist() == [0, 1, 2, 3, 4, 0, 1, 2, 3, 4]


def test_the_log_says_how_far_a_search_among_frames_of_one_composition_is(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(twins, "LINES", 0.0)
    monkeypatch.setattr(twins, "SITES", 4)
    with caplog.at_level("INFO"):
        find_twins(Crystals(table_of([make_frame(str(k), bond=2.3 + 0.01 * k) for k in range(6)])), 1e-3)
    shares = [line.split(",")[0] for line in caplog.messages]
    assert shares[0].startswith("comparing geometries: ")
    assert len(shares) > 2
    assert shares[-1] == "comparing geometries: 6 of 6 frames (100 %)"
