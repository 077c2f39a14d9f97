"""One module per data source, each an iterator of frames: `read(path, functional)`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from uprung.frames import Frame
from uprung.sources import diatomics, elements, solids, table

READERS: dict[str, Callable[[Path, str], Iterator[Frame]]] = {
    "diatomics": diatomics.read,
    "solids": solids.read,
    "elements": elements.read,
    "frames": table.read,
}
