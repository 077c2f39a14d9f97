"""Parquet tables of users: one message that names file, column and what is allowed, or a row that is listed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from factories import make_frame

from uprung.frames.intake import write_frames
from uprung.frames.schema import SCHEMA, FramesError
from uprung.frames.table import read_frames
from uprung.sources import open_source

CASES = Path(__file__).parents[2] / "cases"
Table = pa.Table


def table(*frames: Any) -> Table:
    """Return a table of frames, three by default."""
    rows = [frame.row() for frame in frames or [make_frame(name) for name in "abc"]]
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def given(path: Path, functional: str = "PBE") -> dict[str, Any]:
    """Return the manifest of a table that a user gives."""
    source = open_source("frames", path, functional)
    return write_frames([(source.records(), source.unwanted)], path.parent / "frames", functional=functional)


def written(content: Table, tmp_path: Path, **options: Any) -> Path:
    pq.write_table(content, tmp_path / "own.parquet", **options)
    return tmp_path / "own.parquet"


def replaced(name: str, values: Any, kind: pa.DataType | None = None) -> Table:
    """Return the table with another column of this name."""
    own = table()
    return own.set_column(own.schema.get_field_index(name), name, pa.array(values, type=kind))


def rejections(content: Table, tmp_path: Path) -> dict[str, str]:
    """Return rows that were rejected, or lost a label, with the reason."""
    manifest = given(written(content, tmp_path))
    emptied = {name: each["reason"] for each in manifest["emptied"] for name in each["frame_ids"]}
    return emptied | {each["frame_id"]: each["reason"] for each in manifest["rejected"]}


def test_a_fractional_atomic_number_is_no_copper() -> None:
    """Public case parquet-fractional-z."""
    source = open_source("frames", CASES / "parquet-fractional-z/t.parquet", "r2SCAN")
    records = list(source.records())
    assert len(records) == 16
    assert [(r.frame_id, r.reason) for r in records if hasattr(r, "reason")] == [
        ("f1", "atomic number 29.5 is not one of 1, 2, ... 94")
    ]


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("parquet-cut-off", ["the Parquet file is cut off or damaged", "fetch it again"]),
        ("parquet-integer-id", ["column 'frame_id' is of type int64, not text"]),
    ],
)
def test_a_case_of_the_public_ends_with_one_message(case: str, words: list[str]) -> None:
    path = CASES / case / "t.parquet"
    with pytest.raises(FramesError) as error:
        list(open_source("frames", path, "r2SCAN").records())
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)
    assert all(word in str(error.value) for word in words)


def test_what_uprung_wrote_is_read_back(tmp_path: Path) -> None:
    first = given(written(table(), tmp_path))
    again = given(tmp_path / "frames/part-00000.parquet")
    assert (first["written"], again["written"], again["rejected"]) == (3, 3, [])
    assert read_frames(tmp_path / "frames/frames/manifest.json").strings("frame_id") == ["a", "b", "c"]


def test_other_types_that_hold_the_same_are_taken(tmp_path: Path) -> None:
    """Large and fixed lists, dictionaries, wider and narrower numbers, as other programs write them."""
    own = table()
    for name, kind in {
        "frame_id": pa.large_string(),
        "functional": pa.dictionary(pa.int8(), pa.string()),
        "nsites": pa.int64(),
        "Z": pa.large_list(pa.int64()),
        "lattice": pa.list_(pa.float64(), 9),
        "frac": pa.list_(pa.float32()),
        "energy": pa.float32(),
    }.items():
        at = own.schema.get_field_index(name)
        own = own.set_column(at, name, own[name].combine_chunks().cast(kind))
    manifest = given(written(own, tmp_path))
    assert (manifest["written"], manifest["elements"]) == (3, {"14": 3})


COLUMNS: dict[str, tuple[Callable[[], Table], str]] = {
    "text for energies": (lambda: replaced("energy", ["-1", "-2", "-3"]), "'energy' is of type string, not numbers"),
    "truth for energies": (lambda: replaced("energy", [True, False, True]), "'energy' is of type bool, not numbers"),
    "dates for names": (lambda: replaced("frame_id", [0, 1, 2], pa.timestamp("s")), "'frame_id' is of type timestamp"),
    "bytes for names": (lambda: replaced("material_id", [b"a"] * 3), "'material_id' is of type binary, not text"),
    "numbers for the scale": (lambda: replaced("label_scale", [1, 1, 1]), "'label_scale' is of type int64, not text"),
    "text for atomic numbers": (lambda: replaced("Z", [["Si", "Si"]] * 3), "'Z' is of type list<"),
    "one number for atomic numbers": (lambda: replaced("Z", [14] * 3), "'Z' is of type int64, not lists of numbers"),
    "nested forces": (lambda: replaced("forces", [[[0.0] * 3] * 2] * 3), "'forces' is of type list<"),
    "text for sites": (lambda: replaced("nsites", ["2"] * 3), "'nsites' is of type string, not numbers"),
    "flags in one text": (lambda: replaced("flags", ["a,b"] * 3), "'flags' is of type string, not lists of text"),
    "no functional": (lambda: table().drop_columns(["functional"]), "no column 'functional' (needed: "),
    "two columns of one name": (
        lambda: table().append_column("energy", pa.array([0.0, 0.0, 0.0])),
        "2 columns are named 'energy'",
    ),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_a_wrong_column_is_named(name: str, tmp_path: Path) -> None:
    make, words = COLUMNS[name]
    with pytest.raises(FramesError) as error:
        given(written(make(), tmp_path))
    assert words in str(error.value)
    assert str(error.value).startswith(f"{tmp_path / 'own.parquet'}: ")


def second(name: str, value: Any, kind: pa.DataType | None = None) -> Table:
    """Return the table with one wrong value in the second row."""
    kept = table()[name].to_pylist()
    return replaced(name, [kept[0], value, kept[2]], kind or SCHEMA.field(name).type)


ROWS: dict[str, tuple[Callable[[], Table], str]] = {
    "fractional Z": (lambda: second("Z", [14, 29.5], pa.list_(pa.float64())), "atomic number 29.5 is not one of"),
    "Z beyond a byte": (lambda: second("Z", [14, 270], pa.list_(pa.int64())), "atomic number 270 is not one of"),
    "negative Z": (lambda: second("Z", [14, -242], pa.list_(pa.int64())), "atomic number -242 is not one of"),
    "Z of NaN": (lambda: second("Z", [14, np.nan], pa.list_(pa.float64())), "atomic number nan is not one of"),
    "Z with null": (
        lambda: second("Z", [14, None], pa.list_(pa.int64())),
        "Z is no list of numbers: it holds NoneType",
    ),
    "no atoms": (lambda: second("Z", []), "nsites is 2, but Z has 0 values"),
    "another number of sites": (lambda: second("nsites", 3), "nsites is 3, but Z has 2 values"),
    "fractional sites": (lambda: second("nsites", 2.5, pa.float64()), "nsites is 2.5, but Z has 2 values"),
    "null scale": (lambda: second("label_scale", None), "label_scale is null"),
    "null functional": (lambda: second("functional", None), "functional is null"),
    "null material": (lambda: second("material_id", None), "material_id is null"),
    "null cell": (lambda: second("lattice", None), "lattice is null"),
    "null in the cell": (lambda: second("lattice", [1.0] * 8 + [None]), "lattice is no list of numbers"),
    "half a cell": (lambda: second("lattice", [1.0] * 6), "lattice has shape (6,), not (3, 3)"),
    "null in the forces": (lambda: second("forces", [0.0] * 5 + [None]), "forces is no list of numbers"),
    "forces of one atom": (lambda: second("forces", [0.0] * 3), "forces has shape (3,), not (2, 3)"),
    "infinite energy": (lambda: second("energy", np.inf), "energy per atom inf eV/atom is beyond 1000"),
    "energy of NaN": (lambda: second("energy", np.nan), "energy per atom nan eV/atom is beyond 1000"),
    "null among flags": (lambda: second("flags", ["a", None]), "flags hold null"),
}


@pytest.mark.parametrize("name", ROWS)
def test_a_wrong_value_costs_its_row(name: str, tmp_path: Path) -> None:
    make, reason = ROWS[name]
    found = rejections(make(), tmp_path)
    assert list(found) == ["b"]
    assert reason in found["b"]


def test_a_row_without_a_name_is_listed_by_its_number(tmp_path: Path) -> None:
    assert rejections(second("frame_id", None), tmp_path) == {"own, row 2": "frame_id is null"}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"n,arm\n1,a\n", "expected a Parquet file with the columns of the frames table, but the file is"),
        (b"", "the file is empty"),
        (b"PAR1", "the Parquet file is cut off or damaged"),
        (b"PAR1" + bytes(200) + b"PAR1", "the Parquet file is cut off or damaged"),
        (b"PK\x03\x04" + bytes(64), "a ZIP archive; unpack it"),
    ],
    ids=["CSV", "nothing", "four bytes", "no footer", "a spreadsheet"],
)
def test_another_file_under_the_name_is_told(content: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "own.parquet").write_bytes(content)
    with pytest.raises(FramesError) as error:
        given(tmp_path / "own.parquet")
    assert words in str(error.value)
    assert str(error.value).startswith(f"{tmp_path / 'own.parquet'}: ")


def test_pages_that_are_gone_are_told(tmp_path: Path) -> None:
    """A file whose footer is whole and whose content is not, as of a download that was resumed wrongly."""
    path = written(table(*(make_frame(f"frame {k}") for k in range(500))), tmp_path)
    content = bytearray(path.read_bytes())
    content[4 : len(content) // 3] = bytes(len(content) // 3 - 4)
    path.write_bytes(content)
    with pytest.raises(FramesError, match="the Parquet file is cut off or damaged"):
        given(path)


def test_a_small_file_of_endless_lists_is_not_unpacked(tmp_path: Path) -> None:
    """Equal numbers are stored once: 20 million of them in one row take some kilobytes."""
    values = pa.DictionaryArray.from_arrays(pa.array(np.zeros(20_000_000, dtype=np.int32)), pa.array([0.0]))
    forces = pa.ListArray.from_arrays(pa.array([0, 20_000_000], type=pa.int32()), values.dictionary_decode())
    own = table(make_frame("a"))
    own = own.set_column(own.schema.get_field_index("forces"), "forces", forces)
    path = written(own, tmp_path)
    assert path.stat().st_size < 100_000
    with pytest.raises(FramesError, match="rows have 20,000,000 values each in one column, more than"):
        given(path)
