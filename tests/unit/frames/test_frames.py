from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from factories import make_frame, table_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import uprung.frames.intake
import uprung.frames.parts
from uprung.frames.flat import check_offsets, composition_fractions
from uprung.frames.intake import _Ids, write_frames
from uprung.frames.schema import SCHEMA, Frame, FramesError, Rejected, problem
from uprung.frames.table import Frames, read_frames
from uprung.job.files import DamagedError

NOTHING = frozenset[int]()
FLOAT32 = ("forces", "stress_gpa", "magmom")


def store(frames: list[Frame], folder: Path, **options: Any) -> dict[str, Any]:
    return write_frames([(iter(frames), NOTHING)], folder, **{"functional": "PBE", **options})


def numbers(shape: Any, limit: float) -> st.SearchStrategy[np.ndarray]:
    return hnp.arrays(np.float64, shape, elements=st.floats(-limit, limit))


@st.composite
def frames(draw: st.DrawFn, n: int) -> Frame:
    atoms = draw(st.integers(1, 4))
    maybe = lambda strategy: draw(st.none() | strategy)  # noqa: E731
    energy = st.floats(-1e3, 1e3).map(lambda value: value * atoms)
    return Frame(
        frame_id=f"frame {n} é",
        material_id=draw(st.text(max_size=5)),
        source="test",
        functional="PBE",
        run_type="PBE static",
        label_scale="scale A",
        Z=draw(hnp.arrays(np.uint8, atoms, elements=st.integers(1, 94))),
        lattice=15 * np.eye(3) + draw(numbers((3, 3), 1.0)),
        frac=draw(numbers((atoms, 3), 2.0)),
        energy=maybe(energy),
        energy_free=maybe(energy),
        correction=maybe(energy),
        forces=maybe(numbers((atoms, 3), 1e4)),
        stress_gpa=maybe(numbers((3, 3), 1e4)),
        magmom=maybe(numbers(atoms, 20.0)),
        provenance=draw(st.text(max_size=5)),
        trajectory=maybe(st.text(max_size=5)),
        flags=maybe(st.lists(st.text(max_size=5), max_size=3).map(tuple)),
    )


@st.composite
def lists_of_frames(draw: st.DrawFn) -> list[Frame]:
    return [draw(frames(n)) for n in range(draw(st.integers(1, 5)))]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(given_frames=lists_of_frames())
def test_round_trip(given_frames: list[Frame], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uprung.frames.parts, "ROWS_PER_GROUP", 1)
    monkeypatch.setattr(uprung.frames.parts, "ROWS_PER_PART", 2)
    monkeypatch.setattr(uprung.frames.intake, "not_computed", lambda frame: {})  # zeros are numbers here
    manifest = store(given_frames, tmp_path)
    table = read_frames(tmp_path / "manifest.json")
    assert len(table) == len(given_frames) == manifest["written"] == sum(p["rows"] for p in manifest["parts"])
    rows = table.table.to_pylist()
    for row, frame in zip(rows, given_frames, strict=True):
        for name in (f.name for f in fields(Frame) if f.name not in ("bad", "missing")):
            value = getattr(frame, name)
            if isinstance(value, np.ndarray):
                expected = value.astype(np.float32) if name in FLOAT32 else value
                np.testing.assert_array_equal(np.asarray(row[name], dtype=expected.dtype), expected.ravel())
            else:
                assert (tuple(row[name]) if name == "flags" and value is not None else row[name]) == value, name
    # the flat views agree, and hold NaN where a label is missing
    for name, per_atom in (("forces", 3), ("stress_gpa", 0), ("magmom", 1)):
        flat = table.flat(name, per_atom)
        wanted = [
            np.full(len(f.Z) * per_atom or 9, np.nan) if getattr(f, name) is None else getattr(f, name).ravel()
            for f in given_frames
        ]
        np.testing.assert_array_equal(flat, np.concatenate(wanted).astype(np.float32).astype(np.float64))
    np.testing.assert_array_equal(table.numbers(), np.concatenate([f.Z for f in given_frames]))
    np.testing.assert_array_equal(np.diff(table.offsets), [len(f.Z) for f in given_frames])
    energies = [np.nan if f.energy is None else f.energy for f in given_frames]
    np.testing.assert_array_equal(table.label("energy"), energies)
    # labels are counted one by one
    for name in ("energy", "energy_free", *FLOAT32):
        assert manifest["labels"][name] == sum(getattr(f, name) is not None for f in given_frames)


def test_parts_hashes_and_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uprung.frames.parts, "ROWS_PER_GROUP", 2)
    monkeypatch.setattr(uprung.frames.parts, "ROWS_PER_PART", 4)
    store([make_frame(f"old{n}") for n in range(20)], tmp_path)
    manifest = store([make_frame(str(n), Z=(1, 8)) for n in range(11)], tmp_path, about={"energy_label": "energy"})
    assert [part["rows"] for part in manifest["parts"]] == [4, 4, 3]
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "manifest.json",
        "part-00000.parquet",
        "part-00001.parquet",
        "part-00002.parquet",
    ]
    for part in manifest["parts"]:
        path = tmp_path / part["file"]
        assert part["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
        assert pq.ParquetFile(path).schema_arrow.equals(SCHEMA)
    assert manifest["read"] == manifest["written"] == 11
    assert manifest["elements"] == {"1": 11, "8": 11}
    assert manifest["label_scale"] == "scale A"
    assert manifest["energy_label"] == "energy"
    assert manifest == json.loads((tmp_path / "manifest.json").read_text())
    assert read_frames(tmp_path / "manifest.json").strings("frame_id") == [str(n) for n in range(11)]


def test_the_same_frames_give_the_same_bytes(tmp_path: Path) -> None:
    twice = [store([make_frame("a"), make_frame("b")], tmp_path / name) for name in ("x", "y")]
    assert twice[0] == twice[1]


BAD = [
    ({"energy": np.nan}, "energy per atom nan"),
    ({"energy": -np.inf}, "energy per atom -inf"),
    ({"energy": 2.1e3}, "energy per atom 1050 eV/atom is beyond 1000"),
    ({"energy_free": np.nan}, "free energy per atom nan"),
    ({"correction": np.nan}, "correction per atom nan"),
    ({"forces": np.array([[0.0, 0, 0], [np.nan, 0, 0]])}, "forces is not finite"),
    ({"forces": np.array([[0.0, 0, 0], [-2e4, 0, 0]])}, "force 2e+04 eV/Å is beyond 10000"),
    ({"forces": np.zeros((3, 3))}, "forces has shape (3, 3), not (2, 3)"),
    ({"stress_gpa": np.full((3, 3), np.inf)}, "stress_gpa is not finite"),
    ({"stress_gpa": np.full((3, 3), 1.1e4)}, "stress 1.1e+04 GPa is beyond 10000"),
    ({"stress_gpa": np.zeros(6)}, "stress_gpa has shape (6,), not (3, 3)"),
    ({"magmom": np.array([21.0, 0])}, "magmom 21 μB is beyond 20"),
    ({"magmom": np.array([np.nan, 0])}, "magmom is not finite"),
    ({"lattice": np.diag([15.0, 15.0, 0.0])}, "cell without volume"),
    ({"lattice": 0.5 * np.eye(3)}, "volume per atom 0.0625 Å³ is outside 0.5..1e+07"),
    ({"lattice": 1e30 * np.eye(3)}, "volume per atom 5e+89 Å³ is outside"),
    ({"frac": np.array([[0.0, 0, 0], [np.nan, 0, 0]])}, "frac is not finite"),
    ({"Z": np.array([0, 14], dtype=np.uint8)}, "atomic numbers outside 1..94"),
    ({"Z": np.array([95, 14], dtype=np.uint8)}, "atomic numbers outside 1..94"),
    ({"Z": np.array([], dtype=np.uint8)}, "no atoms"),
]


@pytest.mark.parametrize(("changes", "reason"), BAD, ids=[reason for _, reason in BAD])
def test_a_bad_frame_is_listed_and_never_stored(changes: dict[str, Any], reason: str, tmp_path: Path) -> None:
    bad = Frame(**{f.name: changes.get(f.name, getattr(make_frame("bad"), f.name)) for f in fields(Frame)})
    labels = {"stress_gpa": np.diag([1.0, 2, 3]), "magmom": np.ones(2)}
    manifest = store([make_frame("good", **labels), bad], tmp_path, needed=["force", "stress", "magmom"])
    (entry,) = manifest["rejected"]
    assert entry["frame_id"] == "bad"
    assert entry["reason"].startswith(reason)
    assert read_frames(tmp_path / "manifest.json").strings("frame_id") == ["good"]
    assert (manifest["read"], manifest["written"]) == (2, 1)


@pytest.mark.parametrize("changes", [{"energy": 0.0}, {"energy": None}, {"energy": 2e3}, {"forces": None}])
def test_unusual_labels_that_are_no_mistakes(changes: dict[str, Any]) -> None:
    assert problem(make_frame(**changes)) is None


def test_unwanted_elements_are_counted(tmp_path: Path) -> None:
    frames = [make_frame("a", Z=(70, 8)), make_frame("b", Z=(70, 58)), make_frame("c", Z=(92,)), make_frame("d")]
    manifest = write_frames([(frames, frozenset({70, 58, 92}))], tmp_path, functional="PBE")
    assert manifest["left_out"] == {"element Ce": 1, "element U": 1, "element Yb": 1}
    assert (manifest["read"], manifest["written"], manifest["rejected"]) == (4, 1, [])


def test_each_source_has_its_own_unwanted_elements(tmp_path: Path) -> None:
    first, second = [make_frame("a", Z=(70,))], [make_frame("b", Z=(70,))]
    manifest = write_frames([(first, NOTHING), (second, frozenset({70}))], tmp_path, functional="PBE")
    assert read_frames(tmp_path / "manifest.json").strings("frame_id") == ["a"]
    assert manifest["left_out"] == {"element Yb": 1}


@pytest.mark.parametrize(
    ("frames", "needed", "message"),
    [
        (
            [make_frame("a"), make_frame("b", functional="r2SCAN")],
            (),
            r"frame b has functional 'r2SCAN', but this fidelity is 'PBE'",
        ),
        (
            [make_frame("a"), make_frame("b", label_scale="scale B")],
            (),
            r"frame b has label scale 'scale B' beside 'scale A'",
        ),
        ([], (), r"no usable frame of functional 'PBE' in low: 0 read"),
        (
            [make_frame("a", energy=np.nan)],
            (),
            r"no usable frame .* 1 read, 0 left out, 1 rejected, most often: energy",
        ),
        (
            [make_frame("a", forces=None)],
            ("energy", "force"),
            r"fidelity 'low' has no force labels, but transfer\.targets asks for force.*labels here: energy\)",
        ),
        ([make_frame("a")], ("energy", "stress"), r"no stress labels"),
        ([make_frame("a")], ("magmom",), r"no magmom labels.*labels here: energy, force\)"),
    ],
)
def test_contradictions_stop_and_leave_no_manifest(
    frames: list[Frame], needed: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    store([make_frame("earlier")], tmp_path / "low")
    with pytest.raises(FramesError, match=message):
        store(frames, tmp_path / "low", needed=needed)
    assert not (tmp_path / "low" / "manifest.json").exists()


def test_a_name_given_twice_is_kept_once_and_listed(tmp_path: Path) -> None:
    frames = [make_frame("a"), make_frame("b"), make_frame("a", energy=-3.0)]
    manifest = store(frames, tmp_path)
    assert manifest["rejected"] == [
        {"frame_id": "a", "reason": "frame_id occurs twice; the first frame of this name is kept"}
    ]
    np.testing.assert_array_equal(read_frames(tmp_path / "manifest.json").label("energy"), [-2.0, -2.0])


def test_a_name_in_two_sources_stops(tmp_path: Path) -> None:
    with pytest.raises(FramesError, match=r"frame_id 'a' occurs twice: an earlier source of this fidelity has it"):
        write_frames([([make_frame("a")], NOTHING), ([make_frame("a")], NOTHING)], tmp_path, functional="PBE")


def test_names_are_found_again_when_most_of_them_are_packed_away() -> None:
    ids, names = _Ids(), [f"mp-{n}" for n in range(200_000)]
    assert all(ids.add(_Ids.key(name)) for name in names)
    assert len(ids.sorted) > 100_000
    assert not any(ids.add(_Ids.key(name)) for name in names[::7])
    assert ids.add(_Ids.key("another"))


def test_what_a_source_rejects_is_listed(tmp_path: Path) -> None:
    manifest = store([make_frame("a"), Rejected("b", "no atoms in the file")], tmp_path)
    assert manifest["rejected"] == [{"frame_id": "b", "reason": "no atoms in the file"}]
    assert (manifest["read"], manifest["written"]) == (2, 1)


def test_a_source_without_any_usable_record_stops_early(tmp_path: Path) -> None:
    def endless() -> Iterator[Rejected]:
        yield from (Rejected(str(n), "no 'force'") for n in itertools.count())

    with pytest.raises(FramesError, match="source 2: its first 1000 records are all rejected, most often: no 'force'"):
        write_frames([([make_frame("a")], NOTHING), (endless(), NOTHING)], tmp_path, functional="PBE")


def test_facts_are_asked_for_when_the_sources_have_been_read(tmp_path: Path) -> None:
    passed = []
    stream = (passed.append(1) or frame for frame in [make_frame("a"), make_frame("b")])
    manifest = write_frames([(stream, NOTHING)], tmp_path, functional="PBE", about=lambda: {"seen": len(passed)})
    assert manifest["seen"] == 2


def test_one_labelled_frame_is_enough_for_a_target(tmp_path: Path) -> None:
    store([make_frame("a", forces=None), make_frame("b")], tmp_path, needed=["force"])


def test_a_missing_truncated_or_exchanged_part_is_noticed(tmp_path: Path) -> None:
    manifest = tmp_path / "manifest.json"
    store([make_frame(str(n)) for n in range(5)], tmp_path)
    part = tmp_path / "part-00000.parquet"
    content = part.read_bytes()
    pq.write_table(table_of([make_frame("x")]).table, part)
    for broken in (part.read_bytes(), content[: len(content) // 2], b""):
        part.write_bytes(broken)
        with pytest.raises(DamagedError, match=r"part-00000\.parquet is damaged.*Delete .*manifest\.json and start"):
            read_frames(manifest)
    part.unlink()
    with pytest.raises(FramesError, match=r"part part-00000\.parquet is missing"):
        read_frames(manifest)


def test_some_columns_only(tmp_path: Path) -> None:
    store([make_frame("a")], tmp_path)
    assert read_frames(tmp_path / "manifest.json", columns=["energy", "frame_id"]).table.num_columns == 2


@pytest.fixture
def mixed() -> Frames:
    return table_of(
        [
            make_frame("a", energy=-2.0, energy_free=-2.5, correction=-0.25),
            make_frame("b", Z=(8,), energy=-4.0),
            make_frame("c", Z=(1, 1, 8), energy=None, correction=1.0, forces=np.ones((3, 3))),
        ]
    )


def test_energy_labels(mixed: Frames) -> None:
    np.testing.assert_array_equal(mixed.label("energy"), [-2.0, -4.0, np.nan])
    np.testing.assert_array_equal(mixed.label("energy_free"), [-2.5, np.nan, np.nan])
    np.testing.assert_array_equal(mixed.label("energy+correction"), [-2.25, np.nan, np.nan])


def test_take_keeps_atoms_with_their_frames(mixed: Frames) -> None:
    taken = mixed.take(np.array([2, 0]))
    assert taken.strings("frame_id") == ["c", "a"]
    np.testing.assert_array_equal(taken.numbers(), [1, 1, 8, 14, 14])
    np.testing.assert_array_equal(taken.offsets, [0, 3, 5])
    np.testing.assert_array_equal(taken.flat("forces", 3), [1.0] * 9 + [np.float32(0.1), 0, 0, -np.float32(0.1), 0, 0])
    np.testing.assert_array_equal(taken.flat("lattice")[:9], 15.0 * np.eye(3).ravel())


def test_composition_fractions(mixed: Frames) -> None:
    X = mixed.composition()
    assert X.shape == (3, 94)
    np.testing.assert_allclose(X.sum(axis=1), 1.0)
    assert (X[0, 13], X[1, 7]) == (1.0, 1.0)
    np.testing.assert_allclose(X[2, [0, 7]], [2 / 3, 1 / 3])
    np.testing.assert_array_equal(X, composition_fractions(mixed.numbers(), mixed.offsets))


@pytest.mark.parametrize("Z", [[0, 1], [95, 1]])
def test_composition_of_impossible_elements(Z: list[int]) -> None:
    with pytest.raises(ValueError, match="allowed are 1 to 94"):
        composition_fractions(Z, [0, 2])


@pytest.mark.parametrize("offsets", [[0, 2], [1, 3], [0, 3, 3], [0, 2, 1, 3], [[0, 3]]])
def test_offsets_that_cannot_be(offsets: list[int]) -> None:
    with pytest.raises(ValueError, match="offsets must rise from 0 to the number of sites"):
        check_offsets(offsets, 3)
