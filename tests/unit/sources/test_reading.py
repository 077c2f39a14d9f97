"""What is told of a source beside its frames: how far its reading is, and which files it was."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import logging
import lzma
import subprocess
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from factories import DATA, make_frame, table_of
from layouts import (
    SCALE,
    ase_row,
    crystal,
    json_record,
    json_text,
    scale_of,
    vasprun_text,
    write_aselmdb,
    write_sqlite,
    xyz_text,
)

from uprung.frames.schema import FramesError
from uprung.sources import OpenSource, digests, open_source
from uprung.sources.files import open_bytes

ROWS = [ase_row(crystal(k), f"row-{k}") for k in range(7)]


def json_file(path: Path) -> None:
    path.write_text(
        json_text("mptrj", {f"f{k}": json_record("mptrj", f"f{k}", crystal(k)) for k in range(7)}), encoding="utf-8"
    )


def gzipped(path: Path) -> None:
    json_file(path)
    path.write_bytes(gzip.compress(path.read_bytes()))


def folder_of_runs(path: Path) -> None:
    for name in ("b", "a/deeper", "c"):
        (path / name).mkdir(parents=True)
        (path / name / "vasprun.xml").write_text(vasprun_text([crystal(len(name))]))
    (path / "c" / "OUTCAR").write_text("not read")


def folder_of_parquet(path: Path) -> None:
    path.mkdir()
    for k in range(3):
        pq.write_table(table_of([make_frame(f"{k}-{n}") for n in range(k + 1)]).table, path / f"{k}.parquet")


SOURCES: dict[str, tuple[str, Callable[[Path], object]]] = {
    "JSON": ("mptrj", json_file),
    "compressed JSON": ("mptrj", gzipped),
    "extended XYZ": ("ase", lambda path: path.write_text("".join(map(xyz_text, ROWS)))),
    "SQLite": ("ase", lambda path: write_sqlite(path, ROWS)),
    "LMDB": ("omat", lambda path: write_aselmdb(path, ROWS, deleted=(2,))),
    "VASP runs": ("vasprun", folder_of_runs),
    "Parquet": ("frames", folder_of_parquet),
}

EMBEDDED = {
    "diatomics": "diatomics/diatomics-dft.json.gz",
    "solids": "solids/solids.jsonl.gz",
    "elements": "elements/MatPES-PBE-Element-Refs.json.gz",
    "atoms": "elements/MatPES-PBE-Element-Refs.json.gz",
    "mlearn": "mlearn/Ge_test.json.gz",
}


@pytest.fixture(params=SOURCES)
def source(request: pytest.FixtureRequest, tmp_path: Path) -> OpenSource:
    name, write = SOURCES[request.param]
    write(tmp_path / "x")
    return open_source(name, tmp_path / "x", "PBE", scale_of(name))


def test_a_reader_tells_of_every_byte_as_it_goes(source: OpenSource) -> None:
    told: list[int] = []
    scale = (SCALE,) if source.source.format in ("ase", "vasprun") else ()
    after = []
    for _ in source.reader.read(source.path, "PBE", *scale, advance=told.append):
        after.append(sum(told))
    size = sum(file.stat().st_size for file in source.files())
    assert sum(told) == size
    assert after == sorted(after)
    if len(after) > 1 and source.source.format not in ("mptrj", "ase"):  # small files of text are read in one go
        assert after[0] < size


def test_lines_of_the_log_tell_how_far_it_is(
    source: OpenSource, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("uprung.sources.opened.LINES", 0.0)
    with caplog.at_level(logging.INFO):
        assert len(list(source.records())) >= 3
    assert caplog.messages[-1].startswith("reading x: ")
    assert "(100 %)" in caplog.messages[-1]
    assert "B/s" in caplog.messages[-1]


@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress, lzma.compress])
def test_bytes_are_counted_as_they_lie_on_disk(pack: Callable[[bytes], bytes], tmp_path: Path) -> None:
    content = hashlib.shake_128(b"seed").digest(3_000_000)
    (tmp_path / "x").write_bytes(pack(content))
    told: list[int] = []
    with open_bytes(tmp_path / "x", told.append) as stream:
        first = stream.read(1000)
        assert 0 < sum(told) <= 1 << 20
        assert first + b"".join(iter(lambda: stream.read(100_000), b"")) == content
    assert sum(told) == (tmp_path / "x").stat().st_size


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_packing_is_told_from_the_content(source: OpenSource, pack: Callable[[bytes], bytes]) -> None:
    before = [frame.frame_id for frame in source.records()]
    first = source.files()[0].read_bytes()
    database = source.source.format in ("frames", "omat") or first.startswith(b"SQLite")
    for file in source.files():
        with open_bytes(file) as stream:
            content = stream.read()
        file.write_bytes(pack(content))  # under the same name
    if database:
        with pytest.raises(FramesError, match=r"(SQLite|LMDB|Parquet).*, but compressed; unpack it"):
            list(source.records())
    else:
        assert [frame.frame_id for frame in source.records()] == before


@pytest.mark.parametrize("pack", [bytes, bz2.compress, lzma.compress])
@pytest.mark.parametrize("name", ["diatomics", "solids", "elements", "atoms", "mlearn"])
def test_embedded_sets_may_be_packed_otherwise(tmp_path: Path, name: str, pack: Callable[[bytes], bytes]) -> None:
    embedded = DATA / EMBEDDED[name]
    other = tmp_path / embedded.name  # which still says .gz
    other.write_bytes(pack(gzip.decompress(embedded.read_bytes())))
    first, second = ([frame.frame_id for frame in open_source(name, f, "PBE").records()] for f in (embedded, other))
    assert first == second


def test_every_file_that_is_read_has_its_hash(source: OpenSource) -> None:
    hashes = source.facts()["files"]
    assert hashes == {
        (file.relative_to(source.path).as_posix() if source.path.is_dir() else "x"): hashlib.sha256(
            file.read_bytes()
        ).hexdigest()
        for file in source.files()
    }
    assert list(hashes) == sorted(hashes)
    if source.source.format == "vasprun":
        assert list(hashes) == ["a/deeper/vasprun.xml", "b/vasprun.xml", "c/vasprun.xml"]


def test_digest_of_a_folder_is_that_of_what_sha256sum_prints(tmp_path: Path) -> None:
    folder_of_runs(tmp_path / "x")
    source = open_source("vasprun", tmp_path / "x", "PBE", SCALE)
    command = "find . -name 'vasprun*.xml*' -printf '%P\\n' | LC_ALL=C sort | xargs sha256sum | sha256sum"
    printed = subprocess.run(["sh", "-c", command], cwd=tmp_path / "x", capture_output=True, text=True, check=True)
    assert source.digest == printed.stdout.split()[0]
    (tmp_path / "x" / "c" / "OUTCAR").write_text("another text")
    assert open_source("vasprun", tmp_path / "x", "PBE", SCALE).digest == source.digest
    (tmp_path / "x" / "c").rename(tmp_path / "x" / "d")
    assert open_source("vasprun", tmp_path / "x", "PBE", SCALE).digest != source.digest


def test_sources_of_the_same_name_are_told_apart(tmp_path: Path) -> None:
    for name in ("a/x", "b/x"):
        (tmp_path / name).parent.mkdir()
        json_file(tmp_path / name)
    folder_of_runs(tmp_path / "runs")
    first, second = (open_source("mptrj", tmp_path / name, "PBE") for name in ("a/x", "b/x"))
    runs = open_source("vasprun", tmp_path / "runs", "PBE", SCALE)
    assert digests([first]) == {"x": first.digest}
    assert digests([first, runs]) == {"x": first.digest, "runs/": runs.digest}
    assert digests([first, second]) == {"a/x": first.digest, "b/x": second.digest}
    assert digests([first, first]) == {"x": first.digest}
