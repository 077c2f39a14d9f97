"""The registry of readers: one entry per format of `uprung.config.formats.FORMATS`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from uprung.frames.schema import Frame, Rejected
from uprung.sources import (
    ase_files,
    diatomics,
    elements,
    gpaw,
    mlearn,
    mp_json,
    solids,
    stated,
    table,
    vasp_settings,
    vasprun,
)
from uprung.sources.files import all_files

Records = Iterator[Frame | Rejected]


@dataclass(frozen=True)
class Reader:
    """How a format is read.

    Attributes:
        read: `(path, functional, ...)` to records; takes a label scale as well unless the format states its own.
        files: which files of a path are read, in this order.
        embedded: an embedded set, whose layout the reader takes for granted.
        computed: labels that uprung computed, so units and signs are known. What the work test finds is then how far
            energies, in plane waves that follow the cell, are from stresses, in plane waves that do not: it is reported
            and refuses nothing.
        settings: whether files of the format may state a setting of this name; `read` takes the settings of the
            fidelity's labels so far, and holds its own against them. None: it knows none.
        progress: `read` calls `advance` with the number of bytes read since its last call.
    """

    read: Callable[..., Records]
    files: Callable[[Path], list[Path]] = all_files
    embedded: bool = False
    computed: bool = False
    settings: Callable[[str], bool] | None = None
    progress: bool = False


READERS = {
    "diatomics": Reader(diatomics.read, embedded=True),
    "solids": Reader(solids.read, embedded=True, computed=True),
    "elements": Reader(elements.read, embedded=True),
    "mlearn": Reader(mlearn.read, embedded=True),
    "atoms": Reader(elements.read_atoms, embedded=True),
    "frames": Reader(table.read, table.files, settings=stated.is_known, progress=True),
    "gpaw": Reader(gpaw.read, gpaw.files, computed=True),
    **{
        name: Reader(partial(mp_json.read, data_set=name), settings=stated.is_known, progress=True)
        for name in mp_json.DATA_SETS
    },
    "omat": Reader(ase_files.read_omat, ase_files.files, settings=stated.is_known, progress=True),
    "ase": Reader(ase_files.read, ase_files.files, settings=stated.is_known, progress=True),
    "vasprun": Reader(vasprun.read, vasprun.files, settings=vasp_settings.is_known, progress=True),
}
