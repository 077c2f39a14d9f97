"""Parts of a download that survive a killed process: written aside, synced, hashed, renamed, then recorded.

The journal has one line per finished unit. A line that is cut off or damaged is dropped, and its unit is fetched again.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock, Timeout

from uprung.frames.schema import FramesError
from uprung.job.files import checksum, sha256
from uprung.job.sealed import seal, unseal

JOURNAL = "journal.jsonl"
LOG = logging.getLogger(__name__)


class DownloadError(FramesError):
    """A download cannot go on; what it has so far is kept."""


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Hold a folder for this process.

    Raises:
        DownloadError: another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / "lock")
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise DownloadError(f"{folder}: another download is writing here; wait for it or stop it") from None
    try:
        yield
    finally:
        lock.release()


class Journal:
    """The finished units of a folder."""

    def __init__(self, folder: Path) -> None:
        """Read the journal of a folder, without a last line that is incomplete."""
        self.folder, self.path = folder, folder / JOURNAL
        self.entries: dict[str, dict[str, Any]] = {}
        text = self.path.read_bytes() if self.path.exists() else b""
        whole = text[: text.rfind(b"\n") + 1]
        if len(whole) < len(text):
            with self.path.open("r+b") as stream:
                stream.truncate(len(whole))
                os.fsync(stream.fileno())
        for number, line in enumerate(whole.splitlines(), start=1):
            try:
                entry = unseal(line)
            except ValueError as error:
                LOG.warning("%s, line %d is not used, its unit is downloaded again: %s", self.path, number, error)
            else:
                self.entries[entry["unit"]] = entry

    def finished(self, unit: str) -> dict[str, Any] | None:
        """Return the entry of a unit whose part is there, unchanged; None if it has to be fetched."""
        entry = self.entries.get(unit)
        if entry is None:
            return None
        part = self.folder / entry["file"]
        return entry if part.exists() and sha256(part) == entry["sha256"] else None

    def record(self, unit: str, facts: dict[str, Any]) -> dict[str, Any]:
        """Append the entry of a finished unit."""
        entry = {"unit": unit, **facts}
        with self.path.open("a") as stream:
            stream.write(seal(entry) + "\n")
            stream.flush()
            os.fsync(stream.fileno())
        self.entries[unit] = entry
        return entry


def part_name(kind: str, unit: str) -> str:
    """Return the file name of a unit's part, below the folder."""
    return f"{kind}/{hashlib.sha256(unit.encode()).hexdigest()[:16]}.parquet"


def write_part(target: Path, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> dict[str, Any]:
    """Write a part so that a file of this name is complete, whenever the process is killed.

    Returns:
        rows, sha256 and bytes of the part.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    aside, rows = target.with_suffix(".tmp"), 0
    with pq.ParquetWriter(aside, schema, compression="zstd") as writer:
        for batch in batches:
            if batch.num_rows:
                writer.write_batch(batch)
                rows += batch.num_rows
    _sync(aside)
    written = {"rows": rows, **checksum(aside)}
    aside.replace(target)
    _sync(target.parent)
    return written


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
