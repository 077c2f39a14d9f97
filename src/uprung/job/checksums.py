"""Checksums of what jobs write, held against what later jobs read: nothing damaged or edited is taken silently.

Every job leaves the SHA-256 and length of each of its outputs below `results/<study>/checksums/`, and checks those of
its inputs before it begins. Folders of many files (frames, graphs) are inputs by their manifests, which list the files;
whoever opens such a folder checks them. Files from elsewhere, the user's data for one, have no record here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from uprung.job.files import DamagedError, checksum, write_json

FOLDER = "checksums"


def record(files: Iterable[str | Path]) -> None:
    """Write the checksums of finished outputs; those outside `results/<study>/` are left out."""
    for file in map(Path, files):
        entry = _entry(file)
        if entry is not None and file.exists():
            write_json(entry, _facts(file))


def verify(files: Iterable[str | Path]) -> None:
    """Hold inputs against their checksums.

    Raises:
        DamagedError: a result that has another content than when it was written, or no checksum.
    """
    for file in map(Path, files):
        entry = _entry(file)
        if entry is None or not file.exists():
            continue
        remedy = f"Delete {file} and start the same command again: it is made anew"
        if not entry.exists():
            own = "A file of your own belongs outside results/"
            raise DamagedError(file, f"has no checksum ({entry} is missing)", f"{remedy}. {own}")
        try:
            known = json.loads(entry.read_text(encoding="utf-8"))
        except ValueError:
            raise DamagedError(entry, "cannot be read", remedy) from None
        if _facts(file) != known:
            raise DamagedError(file, "has another content", remedy)


def is_unchanged(file: Path, known: object) -> bool:
    """Return whether a file is what its record, as it was read, says."""
    return bool(_facts(file) == known)


def _entry(file: Path) -> Path | None:
    """Return where the checksum of a result is; None for a file that is no result of a study."""
    parts = file.parts
    if len(parts) < 3 or parts[0] != "results":
        return None
    return Path(*parts[:2], FOLDER, *parts[2:-1], f"{parts[-1]}.json")


def _facts(file: Path) -> dict[str, Any]:
    if file.is_dir():
        inside = sorted(path for path in file.rglob("*") if path.is_file())
        return {path.relative_to(file).as_posix(): _facts(path) for path in inside}
    return checksum(file)
