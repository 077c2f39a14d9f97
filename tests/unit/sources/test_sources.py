from __future__ import annotations

import bz2
import gzip
import json
import lzma
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from factories import DATA, make_frame, table_of

from uprung.frames.intake import write_frames
from uprung.frames.schema import Frame, FramesError, problem
from uprung.frames.table import read_frames
from uprung.sources import READERS, open_source

DIMERS = DATA / "diatomics" / "diatomics-dft.json.gz"
SOLIDS = DATA / "solids" / "solids.jsonl.gz"
FUNCTIONALS = ("PBE", "r2SCAN")
EV_PER_A3_IN_GPA = 160.21766


def elements_file(functional: str) -> Path:
    return DATA / "elements" / f"MatPES-{functional}-Element-Refs.json.gz"


@pytest.fixture(scope="module")
def dimers() -> dict[str, list[Frame]]:
    return {f: list(READERS["diatomics"].read(DIMERS, f)) for f in FUNCTIONALS}


@pytest.fixture(scope="module")
def solids() -> dict[str, list[Frame]]:
    return {f: list(READERS["solids"].read(SOLIDS, f)) for f in FUNCTIONALS}


@pytest.fixture(scope="module")
def elements() -> dict[str, dict[str, Frame]]:
    return {f: {e.material_id: e for e in READERS["elements"].read(elements_file(f), f)} for f in FUNCTIONALS}


def test_every_embedded_frame_is_usable(dimers, solids, elements) -> None:
    for name, sets in (("dimers", dimers), ("solids", solids), ("elements", elements)):
        for functional, frames in sets.items():
            frames = list(frames.values()) if isinstance(frames, dict) else frames
            assert [f.frame_id for f in frames if problem(f)] == [], name
            assert {f.functional for f in frames} == {functional}
            assert len({f.label_scale for f in frames}) == 1
            assert len({f.frame_id for f in frames}) == len(frames)


def test_scales_of_different_codes_and_functionals_differ(dimers, solids, elements) -> None:
    for functional in FUNCTIONALS:
        assert dimers[functional][0].label_scale == elements[functional]["Fe"].label_scale
        assert dimers[functional][0].label_scale != solids[functional][0].label_scale
    assert dimers["PBE"][0].label_scale != dimers["r2SCAN"][0].label_scale


# ------------------------------------------------------------------------------------------------------ dimers


def test_counts_of_the_dimers(dimers) -> None:
    assert {f: len(frames) for f, frames in dimers.items()} == {"PBE": 4555, "r2SCAN": 4558}
    assert len({f.material_id for f in dimers["PBE"]}) == 92
    assert sum(f.magmom is None for frames in dimers.values() for f in frames) == 6
    for frames in dimers.values():
        assert {tuple(f.Z.tolist()) for f in frames} == {(z, z) for z in range(1, 93)}
        assert all(f.stress_gpa is None for f in frames)


def curve(frames: list[Frame], material: str) -> tuple[np.ndarray, ...]:
    """Return distance, energy, and force on the second atom of a curve."""
    own = [f for f in frames if f.material_id == material]
    vectors = np.array([(f.frac[1] - f.frac[0]) @ f.lattice for f in own])
    assert (vectors[:, 0] > 0).all()
    assert np.abs(vectors[:, 1:]).max() == 0
    return vectors[:, 0], np.array([f.energy for f in own]), np.array([f.forces[1] for f in own])


@pytest.mark.parametrize("functional", FUNCTIONALS)
@pytest.mark.parametrize(("material", "low", "high"), [("N2", 1.25, 1.7), ("Si2", 2.4, 3.0), ("H2", 0.8, 1.3)])
def test_force_is_minus_the_slope_of_the_energy(dimers, functional: str, material: str, low: float, high: float):
    distance, energy, force = curve(dimers[functional], material)
    slope = np.gradient(energy, distance)
    inside = (distance > low) & (distance < high)
    assert inside.sum() >= 4
    np.testing.assert_allclose(force[inside, 0], -slope[inside], atol=0.3, rtol=0.03)
    assert force[inside, 0].max() < -1.0  # attractive: towards the first atom
    np.testing.assert_allclose(force[inside, 1:], 0.0, atol=1e-3)


def test_distance_stands_in_the_name(dimers) -> None:
    for frame in dimers["PBE"][::50]:
        element, distance = frame.frame_id.split("2-")
        assert frame.material_id == f"{element}2"
        (vector,) = np.diff(frame.frac @ frame.lattice, axis=0)
        assert np.linalg.norm(vector) == pytest.approx(float(distance), abs=5.1e-4)


def test_known_values_of_nitrogen(dimers) -> None:
    distance, energy, _ = curve(dimers["PBE"], "N2")
    lowest = energy.argmin()
    assert distance[lowest] == pytest.approx(1.114, abs=1e-3)
    assert energy[lowest] == pytest.approx(-16.6636, abs=1e-4)  # eV per dimer, not per atom


def test_an_unknown_functional_is_refused() -> None:
    with pytest.raises(ValueError, match=r"diatomics-dft\.json\.gz: no functional 'LDA' \(has: PBE, r2SCAN\)"):
        list(READERS["diatomics"].read(DIMERS, "LDA"))


# ------------------------------------------------------------------------------------------------------ solids


def test_counts_of_the_solids(solids) -> None:
    assert {f: len(frames) for f, frames in solids.items()} == {"PBE": 540, "r2SCAN": 528}
    assert len({f.material_id for f in solids["PBE"]}) == 114
    assert len({z for f in solids["PBE"] for z in f.Z.tolist()}) == 44


def test_solids_keep_what_the_file_says(solids) -> None:
    with gzip.open(SOLIDS, "rt") as stream:
        raw = {(e["id"], e["xc"]): e for e in map(json.loads, stream)}
    for frames in solids.values():
        for frame in frames:
            entry = raw[frame.frame_id, frame.functional]
            np.testing.assert_allclose(frame.frac @ frame.lattice, entry["positions"], atol=1e-10)
            np.testing.assert_allclose(frame.stress_gpa, EV_PER_A3_IN_GPA * np.array(entry["stress"]), rtol=1e-6)
            assert (frame.energy, frame.energy_free) == (entry["energy"], entry["free_energy"])
            assert frame.energy_free <= frame.energy  # smearing: the free energy lies below E0


def test_compressed_cells_push_outwards(solids) -> None:
    """Tension is positive, so the pressure −tr σ/3 falls as the volume of a material grows."""
    by_material = defaultdict(list)
    for frame in solids["PBE"]:
        by_material[frame.material_id].append((abs(np.linalg.det(frame.lattice)), np.trace(frame.stress_gpa) / 3))
    falling = total = 0
    for entries in by_material.values():
        (small, stress_small), (large, stress_large) = min(entries), max(entries)
        if large > 1.06 * small:
            total += 1
            falling += stress_large > stress_small
    assert total >= 30
    assert falling >= 0.9 * total  # strong displacements turn a few


# ---------------------------------------------------------------------------------------------------- elements


def test_counts_of_the_elements(elements) -> None:
    assert {f: len(frames) for f, frames in elements.items()} == {"PBE": 89, "r2SCAN": 89}


def test_stress_of_iron_is_turned_from_kbar_into_gpa_with_tension_positive(elements) -> None:
    """VASP prints −66 kbar, compression positive: the PBE cell of iron is stretched by 6.6 GPa."""
    stress = elements["PBE"]["Fe"].stress_gpa
    np.testing.assert_allclose(np.diag(stress), [6.629333608, 6.586121558, 6.540916373])
    assert stress[0, 1] == stress[1, 0] == pytest.approx(-0.037414655, abs=1e-9)
    assert stress[1, 2] == stress[2, 1] == pytest.approx(-0.028996533, abs=1e-9)
    assert stress[0, 2] == stress[2, 0] == pytest.approx(-0.016756905, abs=1e-9)


def test_known_energies_of_silicon(elements) -> None:
    for functional, energy in (("PBE", -5.4236135), ("r2SCAN", -8.774763405)):
        silicon = elements[functional]["Si"]
        assert silicon.energy / len(silicon.Z) == pytest.approx(energy, abs=1e-8)
        assert set(silicon.Z.tolist()) == {14}


def test_bader_moments_are_not_taken_for_projections(elements) -> None:
    assert elements["PBE"]["Fe"].magmom is None


# ------------------------------------------------------------------------------------------------ frames table


def test_a_table_is_read_back_as_the_same_frames(tmp_path: Path, solids) -> None:
    frames = [*solids["PBE"][:3], make_frame("d", label_scale=solids["PBE"][0].label_scale, magmom=np.array([1.0, -2]))]
    write_frames([(frames, frozenset())], tmp_path / "a", functional="PBE")
    for source in (tmp_path / "a", tmp_path / "a" / "part-00000.parquet"):
        again = list(READERS["frames"].read(source, "PBE"))
        write_frames([(again, frozenset())], tmp_path / "b", functional="PBE")
        tables = [read_frames(tmp_path / name / "manifest.json").table for name in "ab"]
        assert tables[0].equals(tables[1])
        assert again[0].forces.shape == (len(again[0].Z), 3)
        assert again[0].magmom is None


def test_a_table_with_a_missing_column_or_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FramesError, match=r"no \.parquet file in this folder"):
        list(READERS["frames"].read(tmp_path, "PBE"))
    pq.write_table(table_of([make_frame()]).table.drop_columns(["label_scale"]), tmp_path / "x.parquet")
    with pytest.raises(FramesError, match=r"x\.parquet: no column 'label_scale' \(needed: frame_id, "):
        list(READERS["frames"].read(tmp_path, "PBE"))


def test_flags_may_be_missing(tmp_path: Path) -> None:
    pq.write_table(table_of([make_frame(flags=("invalid: ENCUT",))]).table, tmp_path / "with.parquet")
    pq.write_table(table_of([make_frame("b", flags=())]).table.drop_columns(["flags"]), tmp_path / "without.parquet")
    assert [frame.flags for frame in READERS["frames"].read(tmp_path, "PBE")] == [("invalid: ENCUT",), None]


def test_a_table_whose_lists_are_too_short_is_rejected_not_reshaped(tmp_path: Path) -> None:
    frame = make_frame("short", forces=np.zeros((1, 3)))
    pq.write_table(table_of([frame, make_frame("fine")]).table, tmp_path / "x.parquet")
    records = list(READERS["frames"].read(tmp_path, "PBE"))
    reason = "forces has shape (3,), not (2, 3)"
    manifest = write_frames([(records, frozenset())], tmp_path / "out", functional="PBE", needed=["force"])
    assert manifest["rejected"] == [{"frame_id": "short", "reason": reason}]
    manifest = write_frames([(records, frozenset())], tmp_path / "out", functional="PBE")
    assert manifest["rejected"] == []
    assert manifest["emptied"] == [{"label": "forces", "reason": reason, "frame_ids": ["short"]}]
    assert manifest["labels"]["forces"] == 1


def test_mlearn_has_trajectories_and_no_stresses() -> None:
    source = open_source("mlearn", DATA / "mlearn" / "Ge_test.json.gz", "PBE", None)
    frames = [frame for frame in source.records() if isinstance(frame, Frame)]
    assert len(frames) == 25
    assert all(frame.stress_gpa is None and frame.forces is not None for frame in frames)
    hot = [frame for frame in frames if frame.trajectory == "Ge: AIMD NVT simulation for normal structure at 2422 K"]
    assert len(hot) == 2
    assert len({frame.trajectory for frame in frames}) == 14
    assert max(np.abs(frame.forces).max() for frame in frames) == pytest.approx(5.03, abs=0.005)


@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress, lzma.compress])
def test_mlearn_as_published_reads_as_it_is(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    found: dict[str, Frame] = {}
    for element in ("Ge", "Li"):  # upstream every element has a folder of its own, and files of the same names
        embedded = DATA / "mlearn" / f"{element}_test.json.gz"
        upstream = tmp_path / element / "test.json"  # whatever its name says of its packing
        upstream.parent.mkdir()
        upstream.write_bytes(pack(gzip.decompress(embedded.read_bytes())))
        ours, theirs = (list(open_source("mlearn", file, "PBE").records()) for file in (embedded, upstream))
        assert [frame.frame_id for frame in ours] == [frame.frame_id for frame in theirs]
        assert [frame.energy for frame in ours] == [frame.energy for frame in theirs]
        found |= {frame.frame_id: frame for frame in theirs}
    assert len(found) == 25 + 29
    assert {"Ge_test-0000", "Li_test-0028"} <= found.keys()
    assert {frame.material_id for frame in found.values()} == {"Ge", "Li"}


def test_mlearn_has_pbe_only() -> None:
    with pytest.raises(FramesError, match="PBE labels only"):
        list(open_source("mlearn", DATA / "mlearn" / "Ge_test.json.gz", "r2SCAN", None).records())
