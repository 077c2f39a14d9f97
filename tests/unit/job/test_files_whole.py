from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from uprung.job.files import why_not_writable, why_not_written, write_json, write_whole

FULL = Path("/dev/full")  # every write to it fails as on a full disk
TABLE = pd.DataFrame({"x": np.arange(100_000.0)})


def fail(number: int) -> Callable[[int], None]:
    def failing(_: int) -> None:
        raise OSError(number, os.strerror(number))

    return failing


def test_a_file_is_replaced_when_it_is_complete_and_the_one_before_can_be_kept(tmp_path: Path) -> None:
    path, previous = tmp_path / "deep" / "x", tmp_path / "deep" / "y"
    write_whole(path, b"one", previous=previous)
    assert not previous.exists()
    write_whole(path, b"two", previous=previous)
    assert (path.read_bytes(), previous.read_bytes()) == (b"two", b"one")
    assert sorted(path.parent.iterdir()) == [path, previous]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_a_file_that_cannot_be_written_stays_as_it_was(tmp_path: Path, monkeypatch, number: int) -> None:
    path = tmp_path / "x"
    write_whole(path, b"one")
    monkeypatch.setattr("uprung.job.files.os.fsync", fail(number))
    with pytest.raises(OSError, match=os.strerror(number)) as found:
        write_whole(path, b"two", previous=tmp_path / "previous")
    assert found.value.filename == str(path)
    assert [file.name for file in tmp_path.iterdir()] == ["x"]
    assert path.read_bytes() == b"one"


def test_json_is_written_whole(tmp_path: Path) -> None:
    write_json(tmp_path / "new" / "x.json", {"ä": [1, 2]})
    assert json.loads((tmp_path / "new" / "x.json").read_text()) == {"ä": [1, 2]}
    with pytest.raises(TypeError):
        write_json(tmp_path / "new" / "x.json", object())
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["x.json"]


WRITERS: dict[str, Callable[[], object]] = {
    "text": lambda: FULL.write_text("x" * 10**6, encoding="utf-8"),
    "csv": lambda: TABLE.to_csv(FULL),
    "parquet": lambda: TABLE.to_parquet(FULL),
    "npy": lambda: _save(TABLE["x"].to_numpy()),
    "png": lambda: Figure().savefig(FULL, format="png"),
    "svg": lambda: Figure().savefig(FULL, format="svg"),
}


def _save(values: np.ndarray) -> None:
    with FULL.open("wb") as stream:
        np.save(stream, values)


@pytest.mark.skipif(not FULL.exists(), reason="no /dev/full on this system")
@pytest.mark.parametrize("what", WRITERS)
def test_a_full_disk_is_known_whoever_writes(what: str) -> None:
    with pytest.raises(OSError) as found:  # noqa: PT011
        WRITERS[what]()
    line = why_not_written(found.value, Path("results/x.log"))
    assert line is not None
    assert "cannot be written: the disk is full. Free some space, then start the same command again" in line
    assert str(FULL) in line or "a file beside results/x.log" in line


def test_a_full_disk_is_known_below_another_error() -> None:
    error = RuntimeError("writer is closed")
    error.__cause__ = OSError(errno.ENOSPC, "No space left on device", "/x/table.parquet")
    assert str(why_not_written(error, Path("y"))).startswith("/x/table.parquet cannot be written: the disk is full")


@pytest.mark.parametrize(
    ("number", "words"), [(errno.EROFS, "read-only"), (errno.EACCES, "permission denied"), (errno.EDQUOT, "quota")]
)
def test_other_reasons_are_told_apart(number: int, words: str) -> None:
    assert words in str(why_not_written(OSError(number, "x", "file"), Path("y")))


@pytest.mark.parametrize("error", [FileNotFoundError(errno.ENOENT, "no file", "x"), ValueError("x"), OSError("x")])
def test_other_errors_speak_for_themselves(error: Exception) -> None:
    assert why_not_written(error, Path("y")) is None


def test_a_folder_that_will_be_made_is_writable_where_its_parent_is(tmp_path: Path, monkeypatch) -> None:
    assert why_not_writable(tmp_path / "a" / "b") is None
    assert why_not_writable(Path("relative/and/new")) is None
    monkeypatch.setattr("uprung.job.files.os.access", lambda *_: False)  # root may write everywhere
    assert str(why_not_writable(tmp_path / "a" / "b")).startswith(f"{tmp_path} cannot be written")
