"""Files that are complete when they exist, hashes of what is in files, and what to do when a file cannot be written."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

LONGEST = 180  # bytes of a file name that is made of a name in data

_FULL = {errno.ENOSPC: "the disk is full", errno.EDQUOT: "the disk quota is used up"}
_FORBIDDEN = {
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "permission denied",
    errno.EPERM: "not permitted",
}
AGAIN = "then start the same command again: what is finished is kept, and runs go on from their last checkpoint"


class DamagedError(ValueError):
    """A file that uprung wrote is not what it was then; the message says which one and what to do."""

    def __init__(self, path: str | Path, what: str, remedy: str) -> None:
        """Name the file, what is wrong with it, and what a person does about it."""
        super().__init__(f"{path} {what}: it is not what it was when it was written. {remedy}")


def write_whole(path: str | Path, content: bytes, *, previous: Path | None = None) -> None:
    """Write a file aside and rename, so that a file that exists is complete, whenever the process is killed.

    Args:
        path: the file; its folder is made.
        content: of the file.
        previous: where the file of that name goes if there is one.

    Raises:
        OSError: no space, no permission; with the file's name. Nothing is left behind, and the file is as it was.
    """
    path = Path(path)
    aside = path.with_name(path.name + ".tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with aside.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as error:
        aside.unlink(missing_ok=True)
        error.filename = error.filename or str(path)
        raise
    if previous is not None and path.exists():
        path.replace(previous)
    aside.replace(path)


def write_json(path: str | Path, content: object) -> None:
    """Write JSON aside and rename, so that a file that exists is complete."""
    write_whole(path, (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode())


def checksum(path: Path) -> dict[str, Any]:
    """Return what a manifest says of the content of a file: `sha256` and `bytes`."""
    return {"sha256": sha256(path), "bytes": path.stat().st_size}


def sha256(path: Path) -> str:
    """Return the hash of a file's content."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def size_token(size: str) -> str:
    """Return a size as it stands in a path: `0.1%` -> `0.1pct`."""
    return size.replace("%", "pct")


def file_name(name: str) -> str:
    """Return a name that comes with data as one component of a path, another one for every name.

    Letters, digits and `-_.~` stay, the rest becomes %XX, and so does a leading dot: no name is a folder's own, one
    above it, or a path. A long one ends in a hash.

    Raises:
        ValueError: the name is empty.
    """
    if not name:
        raise ValueError("an empty name cannot name a file")
    safe = quote(name, safe="", errors="surrogatepass")
    safe = f"%2E{safe[1:]}" if safe[0] == "." else safe
    if len(safe) <= LONGEST:
        return safe
    digest = hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()
    return f"{safe[: LONGEST - 33]}-{digest[:32]}"


def why_not_written(error: BaseException, near: Path) -> str | None:
    """Return what a person does about a file that could not be written; None for an error of another kind.

    Args:
        error: what a writer raised; those of NumPy and Arrow name no file.
        near: a file in the same place, for errors that name none.
    """
    found: BaseException | None = error
    while found is not None and not isinstance(found, OSError):
        found = found.__cause__ or found.__context__
    if found is None:
        return None
    where = found.filename or f"a file beside {near}"
    short = re.fullmatch(r"\d+ requested and \d+ written", str(found))  # numpy.save
    if short or found.errno in _FULL:
        return f"{where} cannot be written: {_FULL.get(found.errno or 0, 'the disk is full')}. Free some space, {AGAIN}"
    if found.errno in _FORBIDDEN:
        return f"{where} cannot be used: {_FORBIDDEN[found.errno]}. Make it accessible, {AGAIN}"
    return None


def why_not_writable(folder: Path) -> str | None:
    """Return why nothing can be written below a folder, which need not exist; None if it can."""
    there = folder
    while not there.exists() and there != there.parent:
        there = there.parent
    if os.access(there, os.W_OK | os.X_OK):
        return None
    return f"{there} cannot be written (read-only, or of another user); results go to {folder}"
