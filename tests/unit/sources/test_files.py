from __future__ import annotations

import bz2
import gzip
import lzma
from pathlib import Path

import pytest
from layouts import ase_row, crystal, vasprun_text, write_aselmdb, write_sqlite, xyz_text

from uprung.frames.schema import FramesError
from uprung.sources.files import expect, kind_of, open_bytes


def test_kinds_are_told_from_the_content(tmp_path: Path) -> None:
    row = ase_row(crystal(), "a")
    write_sqlite(tmp_path / "sqlite.json", [row])
    write_aselmdb(tmp_path / "lmdb.xyz", [row])
    (tmp_path / "xyz.db").write_text(xyz_text(row))
    (tmp_path / "vasprun.txt").write_text(vasprun_text([crystal()]))
    (tmp_path / "json.xml").write_text(' \n{"a": 1}')
    (tmp_path / "zip.json").write_bytes(b"PK\x03\x04rest")
    (tmp_path / "plain.xyz").write_text("2\n\nH 0 0 0\nH 0 0 1\n")
    assert {file.name: kind_of(file) for file in tmp_path.iterdir() if not file.name.endswith("-lock")} == {
        "sqlite.json": "an SQLite database",
        "lmdb.xyz": "an LMDB database",
        "xyz.db": "extended XYZ",
        "vasprun.txt": "a vasprun.xml",
        "json.xml": "JSON",
        "zip.json": "a ZIP archive; unpack it",
        "plain.xyz": "XYZ without the keys of extended XYZ",
    }


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_compressed_files_are_read_through_and_cut_ones_refused(pack, tmp_path: Path) -> None:
    content = b'{"a": "' + bytes(range(32, 34)) * 5000 + b'"}'
    path = tmp_path / "x"
    path.write_bytes(pack(content))
    with open_bytes(path) as stream:
        assert stream.read() == content
    assert kind_of(path) == "JSON"
    path.write_bytes(pack(content)[:-9])
    with pytest.raises(FramesError, match=r"x: the file is cut off or damaged \("), open_bytes(path) as stream:
        stream.read()


def test_messages_name_the_file_and_both_kinds(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("{}")
    with pytest.raises(FramesError, match=r"/x: expected a vasprun\.xml of VASP, but the file is JSON"):
        expect(tmp_path / "x", "a vasprun.xml", "a vasprun.xml of VASP")
    with pytest.raises(FramesError, match="/missing: cannot be read: No such file"):
        kind_of(tmp_path / "missing")
