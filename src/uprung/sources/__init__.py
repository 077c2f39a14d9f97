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
from uprung.sources import diatomics, elements, mp_json, solids, table
from uprung.sources.work import WorkTest, checked

#: Sources that state their label scale themselves.
READERS: dict[str, Callable[[Path, str], Iterator[Frame | Rejected]]] = {
    "diatomics": diatomics.read,
    "solids": solids.read,
    "elements": elements.read,
    "frames": table.read,
    **{name: partial(mp_json.read, data_set=name) for name in mp_json.DATA_SETS},
}


@dataclass
class Source:
    """One source of a fidelity while it is read."""

    format: str
    path: Path
    functional: str
    work: WorkTest = field(default_factory=WorkTest)

    def records(self) -> Iterator[Frame | Rejected]:
        """Yield the records of the source.

        Raises:
            FramesError: the file is unusable, or the work test contradicts its units or signs.
        """
        yield from checked(READERS[self.format](self.path, self.functional), self.work, self.path)

    def facts(self) -> dict[str, Any]:
        """Return what the manifest says about the source, once it has been read."""
        return {"format": self.format, "work_test": self.work.result()}


def open_source(format: str, path: Path, functional: str) -> Source:
    return Source(format, path, functional)
