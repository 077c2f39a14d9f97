"""Arrays on disk: ordinary .npy files that are checked where they are read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from uprung.datasets import arrays
from uprung.datasets.arrays import ArrayWriter, CheckedArray, write_array
from uprung.job.files import DamagedError, checksum

VALUES = np.arange(3000, dtype=np.float32).reshape(-1, 3)  # 12 kB


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrays, "_BLOCK", 1000)  # no multiple of a row


def opened(path: Path, entry: dict) -> CheckedArray:
    return CheckedArray(path, entry, remedy="Write it anew")


def flip(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("cuts", [[], [1], [7, 7, 500], list(range(0, 1000, 90))])
def test_an_array_in_pieces_is_that_of_one(tmp_path: Path, cuts: list[int]) -> None:
    writer = ArrayWriter(tmp_path / "pieces.npy", "<f4", 3)
    for piece in np.split(VALUES, cuts):
        writer.append(piece)
    entry = writer.close()
    assert entry == write_array(tmp_path / "whole.npy", VALUES)
    assert entry == {**checksum(tmp_path / "pieces.npy"), "shape": [1000, 3], "crc32": entry["crc32"]}
    assert len(entry["crc32"]) == 12
    np.testing.assert_array_equal(np.load(tmp_path / "pieces.npy"), VALUES)


@pytest.mark.parametrize("values", [VALUES, VALUES[:0], np.arange(9), np.array(["a", "bcd"]), np.ones((4, 3, 3))])
def test_values_are_those_that_were_written(tmp_path: Path, values: np.ndarray) -> None:
    found = opened(tmp_path / "a.npy", write_array(tmp_path / "a.npy", values))
    np.testing.assert_array_equal(found.whole(), values)
    assert (len(found), found.shape, found.dtype) == (len(values), values.shape, values.dtype)
    rows = np.arange(len(values))[::-2]
    np.testing.assert_array_equal(
        opened(tmp_path / "a.npy", write_array(tmp_path / "a.npy", values))[rows], values[rows]
    )
    np.testing.assert_array_equal(np.asarray(found), values)


def test_damage_is_found_by_who_reads_it(tmp_path: Path) -> None:
    entry = write_array(tmp_path / "a.npy", VALUES)
    flip(tmp_path / "a.npy", 128 + 4999)  # the last byte of block 4, in row 416
    found = opened(tmp_path / "a.npy", entry)
    np.testing.assert_array_equal(found[np.array([0, 300, 417, 999])], VALUES[[0, 300, 417, 999]])
    for rows in (np.array([416]), np.array([340]), np.array([0, 400])):
        with pytest.raises(DamagedError, match=r"a\.npy is damaged in its bytes 4128 to 5128.* Write it anew"):
            found[rows]
    with pytest.raises(DamagedError):
        found.whole()


def test_a_block_is_checked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = opened(tmp_path / "a.npy", write_array(tmp_path / "a.npy", VALUES))
    summed, crc32 = [], arrays.zlib.crc32
    monkeypatch.setattr(arrays.zlib, "crc32", lambda *given: summed.append(1) or crc32(*given))
    for _ in range(3):
        found[np.arange(0, 100)]
    assert len(summed) == 2
    found.whole()
    found[np.arange(1000)]
    assert len(summed) == 12


@pytest.mark.parametrize("damage", ["header", "shorter", "longer", "missing", "another shape"])
def test_a_file_of_another_form_is_refused_on_opening(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "a.npy"
    entry = write_array(path, VALUES)
    content = path.read_bytes()
    if damage == "header":
        path.write_bytes(b"\x00" + content[1:])
    elif damage == "shorter":
        path.write_bytes(content[:-1])
    elif damage == "longer":
        path.write_bytes(content + b"\x00")
    elif damage == "missing":
        path.unlink()
    else:
        path.write_bytes(content.replace(b"(1000, 3)", b"(3, 1000)"))
    with pytest.raises(DamagedError, match=r"a\.npy .*Write it anew"):
        opened(path, entry)
