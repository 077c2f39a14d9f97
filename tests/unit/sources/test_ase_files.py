from __future__ import annotations

import copy
import re
import sqlite3
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.db import connect
from ase.units import GPa
from hypothesis import given, settings
from hypothesis import strategies as st
from layouts import (
    SCALE,
    VOIGT,
    ase_row,
    assert_row_is,
    crystal,
    imported,
    mutations,
    survives,
    write_aselmdb,
    write_sqlite,
    xyz_text,
)

from uprung.frames.schema import FramesError

KINDS = pytest.mark.parametrize("kind", ["xyz", "sqlite", "lmdb"])


def write(kind: str, path: Path, rows: list[dict[str, Any]]) -> Path:
    if kind == "xyz":
        path.write_text("".join(map(xyz_text, rows)), encoding="utf-8")
    else:
        {"sqlite": write_sqlite, "lmdb": write_aselmdb}[kind](path, rows)
    return path


def frac(row: dict[str, Any]) -> np.ndarray:
    return np.array(row["positions"], dtype=np.float64) @ np.linalg.inv(np.array(row["cell"], dtype=np.float64))


@KINDS
def test_rows_hold_the_numbers_of_the_file(kind: str, tmp_path: Path) -> None:
    crystals = {f"frame {k}": crystal(k) for k in range(3)}
    path = write(kind, tmp_path / "x", [ase_row(c, name) for name, c in crystals.items()])
    rows, rejected = imported("ase", path, "PBE", SCALE)
    assert rejected == {}
    assert list(rows) == list(crystals)
    for name, c in crystals.items():
        assert_row_is(
            rows[name],
            Z=[3, 8, 26],
            lattice=c["lattice"],
            energy=c["energy"],
            energy_free=c["energy"] - 0.01,
            forces=c["forces"],
            magmom=c["magmom"],
            label_scale=SCALE,
            material_id="LiOFe",
            source="ase",
        )
        np.testing.assert_allclose(np.reshape(rows[name]["frac"], (3, 3)), c["frac"], atol=1e-12)
        np.testing.assert_allclose(np.reshape(rows[name]["stress_gpa"], (3, 3)), -0.1 * np.array(c["kbar"]), rtol=1e-6)


def labelled(c: dict[str, Any]) -> Atoms:
    atoms = Atoms(c["symbols"], cell=c["lattice"], scaled_positions=c["frac"], pbc=True)
    stress = [-0.1 * GPa * c["kbar"][i][j] for i, j in VOIGT]
    labels = {"energy": c["energy"], "free_energy": c["energy"] - 0.1, "forces": c["forces"], "magmoms": c["magmom"]}
    atoms.calc = SinglePointCalculator(atoms, stress=stress, **labels)
    return atoms


@pytest.mark.parametrize("name", ["a.extxyz", "a.db"])
def test_files_that_ase_writes(name: str, tmp_path: Path) -> None:
    crystals = [crystal(k) for k in range(4)]
    if name == "a.db":
        with connect(tmp_path / name) as database:
            for c in crystals:
                database.write(labelled(c), material_id="mp-9")
    else:
        ase.io.write(tmp_path / name, [labelled(c) for c in crystals])
    rows, rejected = imported("ase", tmp_path / name, "PBE", SCALE)
    assert rejected == {}
    assert list(rows) == (["a-1", "a-2", "a-3", "a-4"] if name == "a.db" else ["a-0", "a-1", "a-2", "a-3"])
    for row, c in zip(rows.values(), crystals, strict=True):
        assert row["material_id"] == ("mp-9" if name == "a.db" else "LiOFe")
        np.testing.assert_allclose(row["energy"], c["energy"], atol=1e-8)
        np.testing.assert_allclose(row["energy_free"], c["energy"] - 0.1, atol=1e-8)
        for column, value in (
            ("lattice", c["lattice"]),
            ("frac", c["frac"]),
            ("forces", c["forces"]),
            ("stress_gpa", -0.1 * np.array(c["kbar"])),
            ("magmom", c["magmom"]),
        ):
            np.testing.assert_allclose(row[column], np.ravel(value), atol=2e-7, rtol=1e-6)


def test_omat_names_its_materials_and_its_scale(tmp_path: Path) -> None:
    for part in "ba":
        rows = [ase_row(crystal(k), "") for k in range(2)]
        for k, row in enumerate(rows):
            row["key_value_pairs"], row["data"] = {}, {"sid": f"agm00215{part}_{k}"} if k else {}
        rows[1]["data"]["sid"] = f"agm002153972_{part}_{k}"
        write_aselmdb(tmp_path / f"{part}.aselmdb", rows, deleted=())
    (tmp_path / "metadata.npz").write_bytes(b"PK\x03\x04")
    rows, rejected = imported("omat", tmp_path, "PBE")
    assert list(rows) == ["a-1", "agm002153972_a_1", "b-1", "agm002153972_b_1"]
    assert [row["material_id"] for row in rows.values()] == ["LiOFe", "agm002153972"] * 2
    assert {row["source"] for row in rows.values()} == {"omat"}
    assert "OMat24" in rows["a-1"]["label_scale"]
    assert list(rejected) == ["metadata.npz"]
    with pytest.raises(FramesError, match="OMat24 and sAlex hold labels of PBE, but this fidelity is 'r2SCAN'"):
        imported("omat", tmp_path, "r2SCAN")


def test_arrays_of_ases_own_json_and_deleted_rows(tmp_path: Path) -> None:
    rows = [ase_row(crystal(k), f"f{k}") for k in range(3)]
    encoded = copy.deepcopy(rows)
    for row in encoded:
        for key in ("positions", "forces", "cell", "numbers", "stress", "pbc"):
            array = np.array(row[key])
            row[key] = {"__ndarray__": [list(array.shape), str(array.dtype), array.ravel().tolist()]}
    write_aselmdb(tmp_path / "x", encoded, deleted=(2,))
    found, rejected = imported("ase", tmp_path / "x", "PBE", SCALE)
    assert rejected == {}
    assert list(found) == ["f0", "f2"]
    assert_row_is(found["f2"], forces=rows[2]["forces"], energy=rows[2]["energy"])


BAD = [
    ({"energy": None}, "no energy"),
    ({"energy": 1e6}, "energy per atom 3.333e+05 eV/atom is beyond 1000"),
    ({"forces": [[0.0, 0, 0]] * 2}, "forces has shape (2, 3), not (3, 3)"),
    ({"positions": [[0.0, 0, 0]] * 2}, "positions has shape (2, 3), not (3, 3)"),
    ({"stress": [0.0] * 5}, "stress has 5 numbers; a stress has 6, or 3×3"),
    ({"pbc": [True, True, False]}, "structure is not periodic in all directions"),
    ({"cell": [[0.0] * 3] * 3}, "cell without volume"),
    ({"numbers": [3, 8, 95]}, "atomic numbers outside 1..94"),
    ({"numbers": [3, 8, 0]}, "atomic numbers outside 1..94"),
    ({"magmoms": [0.0, 0.0, 30.0]}, "magmom 30 μB is beyond 20"),
    ({"key_value_pairs": {"frame_id": "bad", "functional": "LDA"}}, "functional is 'LDA', but this fidelity is 'PBE'"),
]


@pytest.mark.parametrize("kind", ["sqlite", "lmdb"])
@pytest.mark.parametrize(("damage", "reason"), BAD, ids=[reason for _, reason in BAD])
def test_a_bad_row_is_listed_with_its_reason(kind: str, damage: dict[str, Any], reason: str, tmp_path: Path) -> None:
    rows = [ase_row(crystal(), "good"), {**ase_row(crystal(1), "bad"), **damage}]
    found, rejected = imported("ase", write(kind, tmp_path / "x", rows), "PBE", SCALE)
    assert list(found) == ["good"]
    assert list(rejected) == ["bad"]
    assert rejected["bad"].startswith(reason)


def test_bad_structures_of_extended_xyz_are_listed(tmp_path: Path) -> None:
    good = xyz_text(ase_row(crystal(), "good"))
    bad = {
        "element": good.replace("Fe ", "Xx "),
        "heavy": good.replace("Fe ", "Am "),
        "word": re.sub(r"(Li \S+) \S+", r"\1 zero", good),
        "columns": re.sub(r"(Li \S+) \S+", r"\1", good),
        "cell": re.sub(r'Lattice="[^"]*" ', "", good),
        "slab": good.replace("T T T", "T T F"),
        "infinite": re.sub(r"(Li \S+ \S+ \S+) \S+", r"\1 nan", good),
    }
    (tmp_path / "x.y").write_text(good + "".join(text.replace("good", name) for name, text in bad.items()))
    rows, rejected = imported("ase", tmp_path / "x.y", "PBE", SCALE)
    assert list(rows) == ["good"]
    # what ASE can read is listed under its own name, the rest by file and number
    assert rejected == {
        "x-1": "line 6: ASE cannot read it: KeyError: 'Xx'",
        "heavy": "atomic numbers outside 1..94",
        "x-3": rejected["x-3"],
        "x-4": rejected["x-4"],
        "cell": "cell without volume",
        "slab": "structure is not periodic in all directions",
        "infinite": "forces is not finite",
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cut", "the file is cut off: the structure of line 6 has 3 atoms, not all there"),
        ("lost", "line 6: expected the number of atoms of the next structure, but found b'Fe "),
    ],
)
def test_extended_xyz_that_loses_count_is_refused(text: str, message: str, tmp_path: Path) -> None:
    one = xyz_text(ase_row(crystal(), "a"))
    lines = (one + one).splitlines(keepends=True)
    lines = lines[:-1] if text == "cut" else [*lines[:4], "junk\n", *lines[4:]]
    (tmp_path / "x").write_text("".join(lines))
    with pytest.raises(FramesError) as error:
        imported("ase", tmp_path / "x", "PBE", SCALE)
    assert message in str(error.value)


def test_databases_that_are_cut_off_are_refused(tmp_path: Path) -> None:
    rows = [ase_row(crystal(k), str(k)) for k in range(40)]
    for kind, message in (("sqlite", "malformed|not a database"), ("lmdb", "the file is cut off: .* bytes are there")):
        path = write(kind, tmp_path / kind, rows)
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2 // 4096 * 4096])
        with pytest.raises(FramesError, match=message):
            imported("ase", path, "PBE", SCALE)


def test_a_row_of_a_database_that_cannot_be_decoded_is_listed(tmp_path: Path) -> None:
    good = ase_row(crystal(), "good")
    write_aselmdb(tmp_path / "x", [good, b"no zlib", zlib.compress(b"[1]"), zlib.compress(b'{"energy": -1')])
    rows, rejected = imported("ase", tmp_path / "x", "PBE", SCALE)
    assert list(rows) == ["good"]
    assert {name: reason.split(":")[0] for name, reason in rejected.items()} == {
        "x-2": "entry '2' is damaged",
        "x-3": "the row is no JSON object",
        "x-4": "entry '4' is damaged",
    }


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("{}")
    with pytest.raises(
        FramesError, match=r"expected extended XYZ or an SQLite database or an LMDB database, but .* JSON"
    ):
        imported("ase", tmp_path / "x", "PBE", SCALE)
    (tmp_path / "folder").mkdir()
    with pytest.raises(FramesError, match="the folder is empty"):
        imported("ase", tmp_path / "folder", "PBE", SCALE)


# ---------------------------------------------------------------------------------------------------- mutations


def check_rows(record: dict[str, Any], rows: dict[str, Any], rejected: dict[str, str]) -> None:
    for name, seed in (("before", 1), ("after", 2)):
        c = crystal(seed)
        assert_row_is(rows.pop(name), energy=c["energy"], forces=c["forces"], lattice=c["lattice"], magmom=c["magmom"])
    assert len(rows) + len(rejected) == 1
    for row in rows.values():
        assert_row_is(
            row,
            Z=record["numbers"],
            lattice=record["cell"],
            frac=frac(record),
            energy=record["energy"],
            energy_free=record.get("free_energy"),
            forces=record.get("forces"),
            magmom=record.get("magmoms"),
        )
        if record.get("stress") is not None:
            full = np.ravel(np.array(record["stress"], dtype=np.float64) / GPa)
            full = full if full.size == 9 else full[[0, 5, 4, 5, 1, 3, 4, 3, 2]]
            assert_row_is(row, stress_gpa=full)


def check_lmdb(record: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        rows = [ase_row(crystal(1), "before"), record, ase_row(crystal(2), "after")]
        found = imported("ase", write("lmdb", Path(folder) / "x", rows), "PBE", SCALE)
    check_rows(record, *found)


def check_sqlite(record: dict[str, Any]) -> None:
    """Blobs of a wrong length or of another type, text in the place of numbers."""
    with tempfile.TemporaryDirectory() as folder:
        rows = [ase_row(crystal(1), "before"), record, ase_row(crystal(2), "after")]
        try:
            path = write("sqlite", Path(folder) / "x", rows)
            stored = as_sqlite_stores(record)
        except (TypeError, ValueError, OverflowError, KeyError, sqlite3.Error):
            return  # not to be stored as numbers at all
        found = imported("ase", path, "PBE", SCALE)
    check_rows(stored, *found)


def as_sqlite_stores(record: dict[str, Any]) -> dict[str, Any]:
    """Return a row after its way through the types of the database: NaN is NULL, text of a number is a number."""
    stored = dict(record)
    for key in ("energy", "free_energy"):
        value = record.get(key)
        number = None if value is None or value == "" else float(value)
        stored[key] = None if number != number else number
    for key in ("numbers", "positions", "cell", "forces", "stress", "magmoms"):
        if isinstance(record.get(key), list):
            stored[key] = np.array(record[key], dtype="<i4" if key == "numbers" else "<f8").tolist()
    return stored


@st.composite
def damaged_xyz(draw: st.DrawFn) -> tuple[str, bool]:
    """Draw one structure with a word exchanged, removed or doubled, and whether its count was touched."""
    lines = xyz_text(ase_row(crystal(), "mutant")).splitlines()
    k = draw(st.integers(0, len(lines) - 1))
    words = lines[k].split(" ")
    at = draw(st.integers(0, len(words) - 1))
    junk = st.sampled_from(["nan", "inf", "1e400", "x", '"', "=", "-1", "0", "1", "T", "Xx", "energy=2.5", "{", "é"])
    action = draw(st.sampled_from(["replace", "remove", "double"]))
    words[at : at + 1] = {"replace": [draw(junk)], "remove": [], "double": [words[at]] * 2}[action]
    lines[k] = " ".join(words)
    return "\n".join(lines) + "\n", k == 0


def check_xyz(mutant: tuple[str, bool]) -> None:
    text, count_touched = mutant
    before, after = (xyz_text(ase_row(crystal(k), name)) for k, name in ((1, "before"), (2, "after")))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x"
        path.write_text(before + text + after)
        found = survives(lambda: imported("ase", path, "PBE", SCALE))
    if found is None:
        assert count_touched
        return
    rows, rejected = found
    if not count_touched:
        assert {"before", "after"} <= rows.keys()
        assert len(rows) + len(rejected) == 3
    for name in rows.keys() - {"before", "after"}:
        atoms = [line.split() for line in text.splitlines()[2:]]
        assert_row_is(rows[name], forces=[[float(word) for word in line[4:7]] for line in atoms])
        keys = re.findall(r'energy="?([^" ]+)"?', text.splitlines()[1])
        assert str(rows[name]["energy"]) in [str(float(key)) for key in keys]


CHECKS: dict[str, tuple[Callable[[Any], None], st.SearchStrategy[Any]]] = {
    "lmdb": (check_lmdb, mutations(ase_row(crystal(), "mutant"))),
    "sqlite": (check_sqlite, mutations(ase_row(crystal(), "mutant"))),
    "xyz": (check_xyz, damaged_xyz()),
}


def run(kind: str, examples: int) -> None:
    check, strategy = CHECKS[kind]
    settings(max_examples=examples, deadline=None)(given(strategy)(check))()


@KINDS
def test_mutated_rows(kind: str) -> None:
    run(kind, 50)


@pytest.mark.slow
@KINDS
def test_a_thousand_mutated_rows(kind: str) -> None:
    run(kind, 1000)
