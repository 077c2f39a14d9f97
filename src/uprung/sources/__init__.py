"""Data sources. Each module has `read(path, functional, ...)`, an iterator of frames and of rejected records.

`open_source` is how the workflow reads one: it adds the work test, which holds energies, forces and stresses against
each other, and says what is known about the source for the manifest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from uprung.frames.schema import Frame, FramesError, Rejected
from uprung.job.files import sha256
from uprung.job.logs import LINES, progress
from uprung.sources import ase_files, diatomics, elements, gpaw, mlearn, mp_json, solids, table, vasprun
from uprung.sources.work_consistency import WorkTest, checked, tested

Records = Iterator[Frame | Rejected]

#: Readers that take no label scale: the data say it, or there is only one.
FIXED: dict[str, Callable[[Path, str], Records]] = {
    "diatomics": diatomics.read,
    "solids": solids.read,
    "elements": elements.read,
    "mlearn": mlearn.read,
    "atoms": elements.read_atoms,
    "frames": table.read,
    "gpaw": gpaw.read,
}
#: Readers that state the label scale of a published set, unless another one is given.
PUBLISHED: dict[str, Callable[[Path, str, str | None], Records]] = {
    **{name: partial(mp_json.read, data_set=name) for name in mp_json.DATA_SETS},
    "omat": ase_files.read_omat,
}
#: Readers of files that do not say on which scale their labels are.
OWN: dict[str, Callable[[Path, str, str], Records]] = {"ase": ase_files.read, "vasprun": vasprun.read}
READERS: dict[str, Callable[..., Records]] = {**FIXED, **PUBLISHED, **OWN}
#: Readers that may be handed a folder of any size: which files of it they read.
FILES: dict[str, Callable[[Path], list[Path]]] = {
    "gpaw": gpaw.files,
    "frames": table.files,
    "omat": ase_files.files,
    "ase": ase_files.files,
    "vasprun": vasprun.files,
}
#: Labels that uprung computed: units and signs are known, so that what the work test finds is how far the energies, in
#: plane waves that follow the cell, are from the stresses, in plane waves that do not. It is stated, not refused.
COMPUTED = {"solids", "gpaw"}
#: Readers of the embedded sets, which take their layout for granted.
EMBEDDED = {"diatomics", "solids", "elements", "mlearn", "atoms"}
#: Readers that tell how far they have come.
TELLING = {"frames", *PUBLISHED, *OWN}


@dataclass
class OpenSource:
    """One source of a fidelity while it is read."""

    format: str
    path: Path
    functional: str
    label_scale: str | None = None
    work: WorkTest = field(default_factory=WorkTest)

    def records(self) -> Records:
        """Yield the records of the source.

        Raises:
            FramesError: the file is unusable, or the work test contradicts its units or signs (not of computed labels).
        """
        reader = partial(READERS[self.format], self.path, self.functional)
        scale = () if self.format in FIXED else (self.label_scale,)
        size = sum(file.stat().st_size for file in self.files() if file.exists())
        with progress(size, f"reading {self.path.name}", "B", every=LINES) as bar:
            told = {"advance": bar.update} if self.format in TELLING else {}
            found = reader(*scale, **told)
            if self.format in EMBEDDED:
                found = self._in_layout(found)
            yield from tested(found, self.work) if self.format in COMPUTED else checked(found, self.work, self.path)

    def _in_layout(self, records: Records) -> Records:
        try:
            yield from records
        except FramesError:
            raise
        except Exception as error:  # whatever the first wrong byte or key leads to
            what = f"{type(error).__name__}: {error}"
            raise FramesError(f"{self.path}: not in the layout of the format {self.format!r}: {what}") from error

    def files(self) -> list[Path]:
        """Return the files that are read, in this order.

        Raises:
            FramesError: there is none in the folder.
        """
        if self.format in FILES:
            return FILES[self.format](self.path)
        return sorted(file for file in self.path.rglob("*") if file.is_file()) if self.path.is_dir() else [self.path]

    @cached_property
    def hashes(self) -> dict[str, str]:
        """SHA-256 of every file, by its place below the folder, or by its name if it is the one file of the source."""
        found = {}
        with progress(len(self.files()), f"hashing {self.path.name}", "file", every=LINES) as bar:
            for file in self.files():
                name = file.relative_to(self.path).as_posix() if self.path.is_dir() else file.name
                found[name] = sha256(file)
                bar.update()
        return found

    @property
    def digest(self) -> str:
        """SHA-256 of the file; for a folder, of the lines `<SHA-256>  <file>` that sha256sum prints, sorted by file."""
        if not self.path.is_dir():
            return self.hashes[self.path.name]
        lines = "".join(f"{digest}  {name}\n" for name, digest in sorted(self.hashes.items()))
        return hashlib.sha256(lines.encode()).hexdigest()

    def facts(self) -> dict[str, Any]:
        """Return what the manifest says about the source, once it has been read."""
        return {
            "file": self.path.name,
            "format": self.format,
            "files": dict(sorted(self.hashes.items())),
            "work_test": self.work.result(),
        }


def digests(sources: Sequence[OpenSource]) -> dict[str, str]:
    """Return name -> digest of every source; the name has as many parts of the path as tell the sources apart."""
    paths, parts = {source.path.absolute() for source in sources}, 1
    while len({path.parts[-parts:] for path in paths}) < len(paths):
        parts += 1
    return {
        "/".join(source.path.absolute().parts[-parts:]) + "/" * source.path.is_dir(): source.digest
        for source in sources
    }


def open_source(format: str, path: Path, functional: str, label_scale: str | None = None) -> OpenSource:
    """Return a source that is ready to be read.

    Args:
        format: a key of `READERS`.
        path: its file or folder.
        functional: functional of the fidelity.
        label_scale: code, pseudopotentials, U rule and corrections of the labels: required for `ase` and `vasprun`,
            optional for published sets, which state theirs.

    Raises:
        ValueError: an unknown format, or a label scale that is missing or cannot be given.
    """
    if format not in READERS:
        raise ValueError(f"{format!r} is no format of a source (allowed: {', '.join(READERS)})")
    if format in OWN and not label_scale:
        raise ValueError(f"{path}: format {format!r} needs a label_scale: its files do not say code, potentials and U")
    if format in FIXED and label_scale:
        raise ValueError(f"{path}: format {format!r} has a label scale of its own; take label_scale out")
    return OpenSource(format, path, functional, label_scale)
