"""Flat arrays on disk that grow row by row, are memory-mapped, and are checked block by block when they are first read.

An array is an ordinary `.npy` file. Its checksums (CRC-32 of every block of the data, SHA-256 and length of the file)
are in the manifest of its folder. Opening costs no more than a memory map; a block is checked when a row of it is
first asked for, so that a job which reads everything reads it once more, and nothing damaged is ever handed out.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from uprung.job.files import DamagedError, checksum

_HEADER = 128  # bytes reserved for the header of a .npy file whose length is known only at the end
_BLOCK = 1 << 18  # bytes of data per checksum


class ArrayWriter:
    """A .npy file that grows by appending rows and gets its header when it is closed."""

    def __init__(self, path: Path, dtype: str, columns: int | tuple[int, ...] = ()) -> None:
        """Begin a file.

        Args:
            path: replaced.
            dtype: as NumPy spells it, with byte order (`<f8`).
            columns: shape of a row, or its length; nothing (or 0) for a one-dimensional array.
        """
        self.path, self.dtype, self.rows = path, np.dtype(dtype), 0
        self.columns = (columns,) * bool(columns) if isinstance(columns, int) else columns
        self._sums, self._crc, self._fill = list[int](), 0, 0
        self._file = path.open("wb")
        self._file.write(b" " * _HEADER)

    def append(self, array: NDArray[Any]) -> None:
        """Add rows."""
        data = memoryview(np.ascontiguousarray(array, dtype=self.dtype).tobytes())
        self.rows += array.size // int(np.prod(self.columns))
        self._file.write(data)
        while data:
            part = data[: _BLOCK - self._fill]
            self._crc, self._fill, data = zlib.crc32(part, self._crc), self._fill + len(part), data[len(part) :]
            if self._fill == _BLOCK:
                self._sums.append(self._crc)
                self._crc, self._fill = 0, 0

    def close(self) -> dict[str, Any]:
        """Finish the file and return its entry in a manifest: sha256, bytes, crc32 of its blocks."""
        shape = (self.rows, *self.columns)
        text = repr({"descr": self.dtype.str, "fortran_order": False, "shape": shape}).encode()
        length = _HEADER - 10
        self._file.seek(0)
        self._file.write(b"\x93NUMPY\x01\x00" + length.to_bytes(2, "little") + text.ljust(length - 1) + b"\n")
        self._file.close()
        sums = [*self._sums, self._crc] if self._fill else self._sums
        return {**checksum(self.path), "shape": list(shape), "crc32": sums}


def write_array(path: Path, array: NDArray[Any]) -> dict[str, Any]:
    """Write a whole array and return its entry in a manifest."""
    writer = ArrayWriter(path, array.dtype.str, array.shape[1:])
    writer.append(array)
    return writer.close()


class CheckedArray:
    """A memory-mapped array whose rows are checked before they are handed out."""

    def __init__(self, path: Path, entry: Mapping[str, Any], *, remedy: str) -> None:
        """Map a file.

        Args:
            path: the file.
            entry: of the manifest.
            remedy: what a person does about a damaged file.

        Raises:
            DamagedError: the file is missing, or its length or header are not what they were.
        """
        self.path, self._sums, self._remedy = path, entry["crc32"], remedy
        try:
            found = path.stat().st_size
            mapped = np.load(path, mmap_mode="r")  # no pickles: NumPy's default
        except (OSError, ValueError, EOFError, SyntaxError) as error:
            raise DamagedError(path, f"cannot be read ({error})", remedy) from None
        if found != entry["bytes"] or list(mapped.shape) != entry["shape"]:
            raise DamagedError(path, f"has {found} bytes and shape {mapped.shape}", remedy)
        # np.asarray: a plain view of the mapping, without the cost of np.memmap in every indexing.
        self._values: NDArray[Any] = np.asarray(mapped)
        self._bytes = self._values.reshape(-1).view(np.uint8)
        self._row = self._values.itemsize * int(np.prod(self._values.shape[1:]))
        self._known = np.zeros(len(self._sums), dtype=np.bool_)
        self._complete = not len(self._sums)

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self._values)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array."""
        return self._values.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values."""
        return self._values.dtype

    def __getitem__(self, rows: Any) -> NDArray[Any]:
        """Return rows, by numbers.

        Raises:
            DamagedError: a block that holds one of them is not what it was when it was written.
        """
        if not self._complete:
            self._check(np.asarray(rows, dtype=np.int64))
        found: NDArray[Any] = self._values[rows]
        return found

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """Return all rows; see `whole`."""
        return np.array(self.whole(), dtype=dtype, copy=True)

    def whole(self) -> NDArray[Any]:
        """Return all rows, read-only.

        Raises:
            DamagedError: see `__getitem__`.
        """
        if not self._complete:
            self._check_blocks(np.flatnonzero(~self._known))
        return self._values

    def _check(self, rows: NDArray[np.int64]) -> None:
        first = rows * self._row // _BLOCK
        last = ((rows + 1) * self._row - 1) // _BLOCK
        unknown = [blocks[~self._known[blocks]] for blocks in (first.ravel(), last.ravel())]
        if len(unknown[0]) or len(unknown[1]):
            self._check_blocks(np.unique(np.concatenate(unknown)))

    def _check_blocks(self, blocks: NDArray[np.int64]) -> None:
        for block in blocks.tolist():
            if zlib.crc32(self._bytes[block * _BLOCK : (block + 1) * _BLOCK].data) != self._sums[block]:
                where = f"is damaged in its bytes {_HEADER + block * _BLOCK} to {_HEADER + (block + 1) * _BLOCK}"
                raise DamagedError(self.path, where, self._remedy)
        self._known[blocks] = True
        self._complete = bool(self._known.all())
