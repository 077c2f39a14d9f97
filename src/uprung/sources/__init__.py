"""Data sources. Each module has `read(path, functional, ...)`, an iterator of frames and of rejected records.

`open_source` is how the workflow reads one: it adds the work test, which holds energies, forces and stresses against
each other, and says what is known about the source for the manifest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from uprung.frames import Frame, Rejected
from uprung.sources import ase_files, diatomics, elements, gpaw, mp_json, solids, table, vasprun
from uprung.sources.work import WorkTest, checked

Records = Iterator[Frame | Rejected]

#: Readers that take no label scale: the data say it, or there is only one.
FIXED: dict[str, Callable[[Path, str], Records]] = {
    "diatomics": diatomics.read,
    "solids": solids.read,
    "elements": elements.read,
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


@dataclass
class Source:
    """One source of a fidelity while it is read."""

    format: str
    path: Path
    functional: str
    label_scale: str | None = None
    work: WorkTest = field(default_factory=WorkTest)

    def records(self) -> Records:
        """Yield the records of the source.

        Raises:
            FramesError: the file is unusable, or the work test contradicts its units or signs.
        """
        scale = () if self.format in FIXED else (self.label_scale,)
        return checked(READERS[self.format](self.path, self.functional, *scale), self.work, self.path)

    def facts(self) -> dict[str, Any]:
        """Return what the manifest says about the source, once it has been read."""
        return {"file": self.path.name, "format": self.format, "work_test": self.work.result()}


def open_source(format: str, path: Path, functional: str, label_scale: str | None = None) -> Source:
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
    return Source(format, path, functional, label_scale)
