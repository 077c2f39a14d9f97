"""Records of a JSON file of any size, one after the other, in bounded memory.

Three layouts occur: records nested by names (`{material: {frame: record}}`), one list of records, and one record per
line. The file's text is cut at the braces where records begin and end, with numpy, and each piece is decoded for
itself: a broken record loses only itself, and no number is touched before the JSON decoder of the record.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
import orjson
from numpy.typing import NDArray

from uprung.frames.limits import RECORD
from uprung.frames.schema import FramesError, Rejected
from uprung.sources.files import Advance, EndlessError, expect, open_bytes, unheard

CHUNK = 1 << 22
LARGEST_RECORD = RECORD
_QUOTE, _OPEN, _CLOSE, _BACKSLASH = b'"{}\\'
_NEXT = re.compile(rb'\s*,\s*"([^"\\]*)"\s*:\s*')
_TOKEN = re.compile(rb'\s*(?:([{}\[\],:])|("(?:[^"\\]|\\.)*")|([^\s{}\[\],:"]+))', re.DOTALL)
_LAYOUT = "a JSON file of records (nested by names, one list, or one record per line)"


@dataclass(frozen=True, slots=True)
class Record:
    """A decoded record: the names above it, outermost first, its number in the file, and its content."""

    names: tuple[str, ...]
    number: int
    content: dict[str, Any]


def read_records(path: Path, marker: str, advance: Advance = unheard) -> Iterator[Record | Rejected]:
    """Yield the records of a JSON file.

    Args:
        path: plain or compressed.
        marker: a key that every record has and nothing above a record; where it first occurs tells the layout.
        advance: is told how many bytes of the file have been read.

    Raises:
        FramesError: the file is empty, no JSON, has no record, is cut off, or a brace or quote is missing.
    """
    expect(path, "JSON", _LAYOUT)
    with open_bytes(path, advance) as stream:
        head = stream.read(CHUNK)
        depth = _depth_of(head, marker)
        if depth is None:
            raise FramesError(
                f"{path}: expected {_LAYOUT}, but there is no {marker!r} in its first {len(head):,} bytes"
            )
        yield from _decoded(path, _Pieces(path, stream, head, depth))


def _decoded(path: Path, pieces: _Pieces) -> Iterator[Record | Rejected]:
    between = _Between(path)
    for number, (gap, start, record) in enumerate(pieces.cut()):
        yield from between.read(gap, start)
        if record is None:
            between.finish()
            return
        names = between.names()
        try:
            content = orjson.loads(record)
        except orjson.JSONDecodeError as error:
            yield Rejected(_label(names, number), f"not valid JSON at byte {start:,} of the file: {error}")
        else:
            yield Record(names, number, content)


def _label(names: tuple[str, ...], number: int) -> str:
    return names[-1] if names else f"record {number}"


def _depth_of(head: bytes, marker: str) -> int | None:
    """Return how many braces are open where a key first occurs."""
    at = re.search(rb'"%s"\s*:' % re.escape(marker.encode()), head)
    if at is None:
        return None
    _, steps, _ = _braces(np.frombuffer(head[: at.start()], dtype=np.uint8), inside=False, escaped=False)
    return int(steps.sum())


def _braces(text: NDArray[np.uint8], *, inside: bool, escaped: bool) -> tuple[Any, Any, bool]:
    """Return positions and steps (+1, −1) of the braces outside strings, and whether the text ends inside one.

    Args:
        text: bytes of JSON.
        inside: whether the text begins within a string.
        escaped: whether its first character is escaped by the text before it.
    """
    quotes = np.flatnonzero(text == _QUOTE)
    if escaped or _BACKSLASH in text:
        quotes = np.array([q for q in quotes.tolist() if not _is_escaped(text, q, escaped)], dtype=np.intp)
    braces = np.flatnonzero((text == _OPEN) | (text == _CLOSE))
    outside = (quotes.searchsorted(braces) + inside) % 2 == 0
    braces = braces[outside]
    return braces, np.where(text[braces] == _OPEN, 1, -1), bool((len(quotes) + inside) % 2)


def _is_escaped(text: NDArray[np.uint8], at: int, first: bool) -> bool:
    """Return whether an odd number of backslashes stands before a position."""
    begin = at
    while begin > 0 and text[begin - 1] == _BACKSLASH:
        begin -= 1
    return bool((at - begin + (first and begin == 0)) % 2)


@dataclass
class _Pieces:
    """Cuts a stream into (text before a record, where the record starts, record); the last record is None."""

    path: Path
    stream: IO[bytes]
    head: bytes
    depth: int  # braces that are open inside a record, beside those of its own content

    def cut(self) -> Iterator[tuple[bytes, int, bytes | None]]:
        """Yield the pieces.

        Raises:
            FramesError: the file ends inside a record, or a record does not end.
        """
        kept, offset = b"", 0  # bytes of `kept` have been looked at; its first one is byte `offset` of the file
        open_braces, inside, escaped, start = 0, False, False, -1
        chunk = self.head
        while chunk:
            text = np.frombuffer(chunk, dtype=np.uint8)
            braces, steps, inside = _braces(text, inside=inside, escaped=escaped)
            escaped = _is_escaped(text, len(text), escaped)
            depths = open_braces + np.cumsum(steps)
            open_braces = int(depths[-1]) if len(depths) else open_braces
            edges = ((steps > 0) & (depths == self.depth)) | ((steps < 0) & (depths == self.depth - 1))
            buffer, done = kept + chunk, 0
            for at in (braces[edges] + len(kept)).tolist():
                if buffer[at] == _OPEN:
                    start = at
                else:
                    yield buffer[done:start], offset + start, buffer[start : at + 1]
                    start, done = -1, at + 1
            kept, offset, start = buffer[done:], offset + done, start - done if start >= 0 else -1
            if len(kept) > LARGEST_RECORD:
                raise EndlessError(
                    f"{self.path}: what begins at byte {offset:,} does not end within {LARGEST_RECORD >> 20} MiB; a "
                    "brace or a quote is missing there"
                )
            chunk = self.stream.read(CHUNK)
        if start >= 0 or inside:
            raise FramesError(
                f"{self.path}: the file is cut off: it ends inside a record or a name near byte {offset:,}"
            )
        yield kept, offset + len(kept), None


@dataclass
class _Between:
    """Reads what stands between records: brackets, commas and the names of the records to come."""

    path: Path
    containers: list[bytes] = field(default_factory=list)
    keys: list[bytes] = field(default_factory=list)  # the name at hand in each container

    def names(self) -> tuple[str, ...]:
        """Return the names above the next record."""
        own = (key for kind, key in zip(self.containers, self.keys, strict=True) if kind == b"{")
        return tuple(_text(key) for key in own)

    def read(self, gap: bytes, end: int) -> Iterator[Rejected]:
        """Take the text before a record; yield values in it that stand where a record should."""
        if match := _NEXT.fullmatch(gap):
            if self.containers and self.containers[-1] == b"{":
                self.keys[-1] = match[1]
                return
        elif gap in (b", ", b",", b"\n", b",\n"):
            return
        yield from self._tokens(gap, end - len(gap))

    def finish(self) -> None:
        """Raise FramesError unless all brackets are closed."""
        if self.containers:
            raise FramesError(
                f"{self.path}: the file is cut off: {len(self.containers)} of its brackets are never closed"
            )

    def _tokens(self, gap: bytes, begin: int) -> Iterator[Rejected]:
        at, waiting, listed = 0, None, set[str]()
        while at < len(gap):
            match = _TOKEN.match(gap, at)
            if match is None:
                if gap[at:].strip():
                    raise self._damaged(begin + at, gap[at : at + 20])
                break
            at = match.end()
            mark, string, scalar = match.groups()
            if string is not None:
                waiting = string
            elif mark == b":":
                if waiting is None or not self.containers or self.containers[-1] != b"{":
                    raise self._damaged(begin + match.start(), gap[match.start() : at + 20])
                self.keys[-1], waiting = waiting[1:-1], None
            elif mark in (b"{", b"["):
                self.containers.append(mark)
                self.keys.append(b"")
            else:
                if scalar or waiting:
                    yield from self._stray(scalar or waiting or b"", listed)
                    waiting = None
                if mark in (b"}", b"]"):
                    self._close(mark, begin + match.start())
        if waiting is not None:
            yield from self._stray(waiting, listed)

    def _close(self, mark: bytes, at: int) -> None:
        expected = {b"{": b"}", b"[": b"]"}[self.containers[-1]] if self.containers else None
        if mark != expected:
            raise self._damaged(at, mark)
        self.containers.pop()
        self.keys.pop()

    def _stray(self, value: bytes, listed: set[str]) -> Iterator[Rejected]:
        """Yield a value that stands where a record should, once for its name."""
        name = "/".join(name for name in self.names() if name) or "unnamed"
        if name not in listed:
            listed.add(name)
            yield Rejected(
                name, f"no JSON object where a record is expected, but {value[:40].decode(errors='replace')}"
            )

    def _damaged(self, at: int, text: bytes) -> FramesError:
        return FramesError(
            f"{self.path}: expected {_LAYOUT}, but {text[:20]!r} at byte {at:,} stands where the name or the start of "
            "a record should"
        )


def _text(key: bytes) -> str:
    if b"\\" not in key:
        return key.decode(errors="replace")
    try:
        return str(orjson.loads(b'"' + key + b'"'))
    except orjson.JSONDecodeError:
        return key.decode(errors="replace")
