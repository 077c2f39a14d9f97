"""Files that are complete when they exist, and hashes of what is in files."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from urllib.parse import quote

LONGEST = 180  # bytes of a file name that is made of a name in data


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
