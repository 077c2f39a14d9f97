"""Files that are complete when they exist, and hashes of what is in files."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path


def write_json(path: str | Path, content: object) -> None:
    """Write JSON aside and rename, so that a file that exists is complete."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(path.name + ".tmp")
    aside.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    aside.replace(path)


def sha256(path: Path) -> str:
    """Return the hash of a file's content."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
