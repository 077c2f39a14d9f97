"""What files say of themselves before they are read: format, functional, keys of the labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from factories import make_frame, table_of
from layouts import (
    SCALE,
    ase_row,
    crystal,
    json_record,
    json_text,
    vasprun_text,
    write_aselmdb,
    write_sqlite,
    xyz_text,
)

import uprung
from uprung.config.keys import Keys
from uprung.frames.schema import Frame, FramesError
from uprung.sources.ase_files import record_of
from uprung.sources.mp_json import DATA_SETS
from uprung.sources.settings import Settings
from uprung.sources.told import told_by


def write(kind: str, path: Path) -> Path:
    rows = [ase_row(crystal(k), f"s{k}") for k in range(2)]
    if kind == "sqlite":
        write_sqlite(path, rows)
    elif kind == "lmdb":
        write_aselmdb(path, rows)
    elif kind == "xyz":
        path.write_text("".join(xyz_text(row) for row in rows), encoding="utf-8")
    elif kind == "parquet":
        pq.write_table(table_of([make_frame("a", functional="r2SCAN")]).table, path)
    elif kind == "vasprun":
        path.write_text(
            vasprun_text([crystal(k) for k in range(2)], incar='<i name="METAGGA">R2SCAN</i>'), encoding="utf-8"
        )
    else:
        path.write_text(json_text(kind, {"a": json_record(kind, "a", crystal(1))}), encoding="utf-8")
    return path


FORMATS = {"sqlite": "ase", "lmdb": "ase", "xyz": "ase", "parquet": "frames", "vasprun": "vasprun"}


@pytest.mark.parametrize("kind", [*FORMATS, *DATA_SETS])
def test_the_format_is_told_from_the_content(kind: str, tmp_path: Path) -> None:
    found = told_by(write(kind, tmp_path / "file-of-some-name"))
    assert found.format == FORMATS.get(kind, kind)


@pytest.mark.parametrize(
    ("kind", "functional"),
    [("parquet", "r2SCAN"), ("vasprun", "r2SCAN"), ("mptrj", "PBE"), ("mp-r2scan", "r2SCAN"), ("xyz", None)],
)
def test_the_functional_is_told_where_the_file_states_it(kind: str, functional: str | None, tmp_path: Path) -> None:
    assert told_by(write(kind, tmp_path / "x")).functional == functional


@pytest.mark.parametrize("kind", ["xyz", "sqlite", "lmdb", "parquet", "mptrj", "vasprun"])
def test_what_is_told_is_read(kind: str, tmp_path: Path) -> None:
    found = uprung.read(write(kind, tmp_path / "x"))
    assert len(found) == len(set(found.frames.strings("frame_id"))) > 0
    assert found.labels["energy"] == len(found)


def test_a_virial_is_no_stress(tmp_path: Path) -> None:
    text = xyz_text(ase_row(crystal(1), "a"))
    (tmp_path / "a.xyz").write_text(text.replace("stress=", "dft_virial="))
    found = told_by(tmp_path / "a.xyz")
    assert found.keys == {"virial": "dft_virial"}


@pytest.mark.parametrize("info", [None, True, 1, [], "text"])
def test_a_database_without_a_table_of_names_is_read(info: Any) -> None:
    row = {
        "numbers": [14, 14],
        "positions": [[0.0, 0.0, 0.0], [1.4, 1.4, 1.4]],
        "cell": [[5.4, 0.0, 0.0], [0.0, 5.4, 0.0], [0.0, 0.0, 5.4]],
        "pbc": [True] * 3,
        "info": info,
        "fields": {"energy": -10.0},
    }
    found = record_of("a", row, "PBE", SCALE, "ase", Keys(), Settings())
    assert isinstance(found, Frame), found
    assert found.frame_id == "a"


@pytest.mark.parametrize(("content", "words"), [(b"", "the file is empty"), (b"hello", "of an unknown kind")])
def test_what_is_no_data_is_told(content: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(FramesError, match=words):
        told_by(tmp_path / "x")


def test_a_damaged_run_is_told_when_it_is_read(tmp_path: Path) -> None:
    text = vasprun_text([crystal(1)])
    (tmp_path / "vasprun.xml").write_text(text[: text.index("<calculation")])
    assert told_by(tmp_path / "vasprun.xml").functional is None
    with pytest.raises(FramesError, match="no usable frame"):
        uprung.read(tmp_path / "vasprun.xml")
