"""A data file is another one when its content is, whatever its times of change."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from uprung.job import contents as module
from uprung.job.contents import contents
from uprung.job.files import sha256


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "data.xyz"
    path.write_bytes(b"one")
    return path


def test_a_replaced_file_with_old_times_and_the_same_size(tmp_path: Path, file: Path) -> None:
    kept, before = tmp_path / "kept.json", file.stat()
    assert contents([file], kept) == [sha256(file)]
    file.write_bytes(b"two")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert contents([file], kept) == [sha256(file)]
    other = tmp_path / "other"
    other.write_bytes(b"six")
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(file)
    assert contents([file], kept) == [sha256(file)]


def test_a_touched_file_is_the_same_and_an_unchanged_one_is_not_read_again(
    tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, read = tmp_path / "kept.json", list[Path]()
    monkeypatch.setattr(module, "sha256", lambda path: read.append(path) or sha256(path))
    first = contents([file, file], kept)
    assert contents([file], kept) == first[:1]
    assert len(read) == 1
    os.utime(file, (1, 1))
    assert contents([file], kept) == first[:1]
    assert len(read) == 2


@pytest.mark.parametrize("damaged", [b"", b"[]", b"{", b'{"x": 1}', b"\xff"])
def test_damaged_or_unwritable_earlier_hashes_cost_time_only(tmp_path: Path, file: Path, damaged: bytes) -> None:
    kept = tmp_path / "kept.json"
    kept.write_bytes(damaged)
    assert contents([file], kept) == [sha256(file)]
    assert contents([file], tmp_path / "data.xyz/no-folder.json") == [sha256(file)]


def test_a_folder_is_what_lies_in_it(tmp_path: Path, file: Path) -> None:
    folder = tmp_path / "runs"
    (folder / "a").mkdir(parents=True)
    (folder / "a/vasprun.xml").write_bytes(b"one")
    states = [contents([folder], tmp_path / "kept.json")]
    (folder / "a/b.xml").write_bytes(b"")
    states.append(contents([folder], tmp_path / "kept.json"))
    (folder / "a/b.xml").write_bytes(b"1")
    states.append(contents([folder], tmp_path / "kept.json"))
    (folder / "a/b.xml").rename(folder / "c.xml")
    states.append(contents([folder], tmp_path / "kept.json"))
    assert len({state[0] for state in states}) == 4
    assert contents([folder], tmp_path / "kept.json") == states[-1]
    assert contents([tmp_path / "missing"], tmp_path / "kept.json") == [""]
