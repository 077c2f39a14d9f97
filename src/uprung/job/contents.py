"""What data files hold, for the params of the rules that read them: a file is another one when its content is.

Times of change do not tell: `cp -p`, `unzip` and `rsync -a` bring those of the original along.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from uprung.job.files import sha256, write_json

KEPT = Path(".snakemake/uprung-contents.json")  # hashes of files that have not changed since


def contents(paths: Iterable[str | Path], kept: Path = KEPT) -> list[str]:
    """Return a hash of every file, or of what lies in a folder: names, sizes and times of change of its files.

    A file is read again only when its size, its times or its inode differ from those that `kept` has.

    Args:
        paths: files and folders; one that does not exist has the hash "".
        kept: file of earlier hashes; without it, or where it cannot be written, files are read each time.
    """
    known = dict[str, list[object]]()
    with suppress(OSError, ValueError, AttributeError):
        known = dict(json.loads(kept.read_bytes()).items())
    before, found = dict(known), [_content(Path(path), known) for path in paths]
    if known != before:
        with suppress(OSError):
            write_json(kept, known)
    return found


def _content(path: Path, known: dict[str, list[object]]) -> str:
    if path.is_dir():
        lines = [f"{_facts(file)} {file.relative_to(path)}\n" for file in sorted(path.rglob("*")) if file.is_file()]
        return hashlib.sha256("".join(lines).encode(errors="surrogateescape")).hexdigest()
    if not path.exists():
        return ""
    stat, name = path.stat(), str(path.absolute())
    facts: list[object] = [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]
    if known.get(name, [])[:-1] != facts:
        known[name] = [*facts, sha256(path)]
    return str(known[name][-1])


def _facts(file: Path) -> tuple[int, int]:
    stat = file.stat()
    return stat.st_size, stat.st_mtime_ns
