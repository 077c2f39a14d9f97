"""Kind and decompressed bytes of a file, recognised from its content: names and suffixes are not trusted."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import re
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any, TypeVar

from uprung.frames.limits import RECORD, WHOLE
from uprung.frames.schema import FramesError

T = TypeVar("T")
#: Called with the number of bytes on disk that were read since the last call.
Advance = Callable[[int], object]
BUFFER = 1 << 20
LMDB_MAGIC = 0xBEEFC0DE
#: What some editors write before text in UTF-8.
MARK = b"\xef\xbb\xbf"
#: What reading a damaged compressed stream raises.
DAMAGED = (EOFError, OSError, zlib.error, lzma.LZMAError)
_OPENERS: dict[bytes, Callable[[IO[bytes]], Any]] = {
    b"\x1f\x8b": lambda stream: gzip.GzipFile(fileobj=stream),
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ": lzma.LZMAFile,
}
_MAGIC = {
    b"SQLite format 3\0": "an SQLite database",
    b"PAR1": "a Parquet file",
    b"PK\x03\x04": "a ZIP archive; unpack it",
    b"\x28\xb5\x2f\xfd": "Zstandard-compressed; unpack it",
    b"\x89HDF": "an HDF5 file",
    b"\xff\xfe": "text in UTF-16; save it as UTF-8",
    b"\xfe\xff": "text in UTF-16; save it as UTF-8",
    b"- of Ulm": "an ASE trajectory (.traj); convert it to extended XYZ",
}
#: Kinds that are read here and there, so not through a decompressor.
DATABASES = ("an SQLite database", "an LMDB database", "a Parquet file")
_TEXTS = {
    rb"\s*(<!doctype html|<html)": "an HTML page, so the download failed",
    rb"\s*version https://git-lfs": "a Git LFS pointer, so the download is missing",
    rb"\s*(<\?xml[^>]*\?>\s*)?<modeling": "a vasprun.xml",
    rb"\s*<": "XML, but no vasprun.xml",
    rb"\s*[\[{]": "JSON",
    rb"[ \t]*\d+[ \t]*\r?\n[^\n]*=": "extended XYZ",
    rb"[ \t]*\d+[ \t]*\r?\n": "XYZ without the keys of extended XYZ",
}


class EndlessError(FramesError):
    """A line or a record of a file does not end, or fills more memory than one may; what follows is not read."""


def all_files(path: Path) -> list[Path]:
    """Return a file, or all files in and below a folder."""
    return sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]


def files_in(path: Path, pattern: str, missing: str) -> list[Path]:
    """Return a file, or the files of a folder in the order of their paths.

    Args:
        path: file or folder.
        pattern: glob pattern of the files in the folder.
        missing: what the message says when there are none.

    Raises:
        FramesError: there are none.
    """
    found = sorted(file for file in path.glob(pattern) if file.is_file()) if path.is_dir() else [path]
    if not found:
        raise FramesError(f"{path}: {missing}")
    return found


def unheard(n: int) -> None:
    """Take note of nothing."""


class _Counted(io.FileIO):
    """A file that tells how many bytes were read."""

    def __init__(self, path: Path, advance: Advance) -> None:
        super().__init__(path, "rb")
        self.advance = advance

    def readinto(self, buffer: Any) -> int | None:
        n = super().readinto(buffer)
        self.advance(n or 0)
        return n


def in_shares(rows: Iterable[T], n: int, size: int, advance: Advance) -> Iterator[T]:
    """Pass n rows on; tell for each its share of the bytes of its file, where nobody knows what was read for it."""
    for k, row in enumerate(rows):
        yield row
        if k < n:
            advance(size * (k + 1) // n - size * k // n)


@contextmanager
def open_bytes(path: Path, advance: Advance = unheard) -> Iterator[IO[bytes]]:
    """Open a file for reading, through gzip, bzip2 or xz where its first bytes say so; a UTF-8 mark is passed over.

    Raises:
        FramesError: on entry, no such file; on leaving, the compressed stream is cut off or damaged.
    """
    with ExitStack() as stack:
        try:
            stream = stack.enter_context(io.BufferedReader(_Counted(path, advance), BUFFER))
            head = stream.peek(8)
        except OSError as error:
            raise FramesError(f"{path}: cannot be read: {error.strerror}") from None
        opener = next((opener for magic, opener in _OPENERS.items() if head.startswith(magic)), None)
        content = stream if opener is None else stack.enter_context(opener(stream))
        try:
            if content.peek(len(MARK))[: len(MARK)] == MARK:
                content.read(len(MARK))
            yield content
        except DAMAGED as error:
            raise FramesError(
                f"{path}: the file is cut off or damaged ({error}); compare its size with the original and fetch it "
                "again"
            ) from None


def kind_of(path: Path) -> str:
    """Return what a file's first bytes say it is, as words for a message: `JSON`, `extended XYZ`, `a vasprun.xml` ...

    Raises:
        FramesError: the file cannot be read or is empty.
    """
    with open_bytes(path) as stream:
        head = stream.read(4096)
    if not head.strip():
        raise FramesError(f"{path}: the file is empty")
    if len(head) >= 20 and struct.unpack_from("<I", head, 16)[0] == LMDB_MAGIC:
        return "an LMDB database"
    magic = next((kind for magic, kind in _MAGIC.items() if head.startswith(magic)), None)
    pattern = next((kind for pattern, kind in _TEXTS.items() if re.match(pattern, head, re.IGNORECASE)), None)
    return magic or pattern or "of an unknown kind"


def refuse_packed(path: Path) -> None:
    """Raise FramesError for a compressed file of a kind that cannot be read from its beginning to its end."""
    with path.open("rb") as stream:
        head = stream.read(8)
    if not head.startswith(tuple(_OPENERS)):
        return
    try:
        kind = kind_of(path)
    except FramesError:
        return  # its reader says what is wrong with it
    if kind in DATABASES:
        raise FramesError(f"{path}: {kind}, but compressed; unpack it, since it is not read from end to end")


def load_json(path: Path) -> Any:
    """Return the content of a JSON file, plain or compressed, that fits into memory.

    Raises:
        EndlessError: it holds more than `limits.WHOLE` bytes.
    """
    with open_bytes(path) as stream:
        content = stream.read(WHOLE + 1)
    if len(content) > WHOLE:
        raise EndlessError(f"{path}: more than {WHOLE >> 20:,} MiB, decompressed")
    return json.loads(content)


def take_lines(stream: IO[bytes], n: int, where: str) -> list[bytes]:
    """Return the next n lines of a stream, empty ones after its end.

    Raises:
        EndlessError: they hold more than `limits.RECORD` bytes; `where` says where they begin.
    """
    lines, left = list[bytes](), RECORD
    while len(lines) < n:
        lines.append(stream.readline(left + 1))
        left -= len(lines[-1])
        if left < 0:
            raise EndlessError(f"{where}: does not end within {RECORD >> 20} MiB; nothing from there on is read")
        if not lines[-1]:
            return [*lines, *[b""] * (n - len(lines))]
    return lines


class Ending:
    """A stream of XML in which some tag ends within every `limits.RECORD` bytes; EndlessError where none does."""

    def __init__(self, stream: IO[bytes]) -> None:
        """Read from a stream."""
        self.stream, self.since = stream, 0

    def read(self, n: int = -1) -> bytes:
        """Return the next bytes."""
        chunk = self.stream.read(n)
        self.since = 0 if b">" in chunk else self.since + len(chunk)
        if self.since > RECORD:
            raise EndlessError(f"a text in it does not end within {RECORD >> 20} MiB")
        return chunk


def inflated(value: bytes, where: str) -> bytes:
    """Return what zlib has compressed.

    Raises:
        EndlessError: it is more than `limits.RECORD` bytes.
        zlib.error: it is damaged.
    """
    expander = zlib.decompressobj()
    content = expander.decompress(value, RECORD)
    if expander.unconsumed_tail:
        raise EndlessError(f"{where}: holds more than {RECORD >> 20} MiB, decompressed")
    if not expander.eof:
        raise zlib.error("incomplete or truncated stream")
    return content


def expect(path: Path, kind: str, what: str) -> None:
    """Raise FramesError unless a file's content is of a kind (see `kind_of`); `what` says what is expected."""
    found = kind_of(path)
    if found != kind:
        raise FramesError(f"{path}: expected {what}, but the file is {found}")
