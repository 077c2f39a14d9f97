"""Labels of the cells of `uprung.physics.cells`: a folder of them is made, or gone on with (needs an engine)."""

from __future__ import annotations

import gzip
import json
import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import fields
from pathlib import Path

import ase

from uprung.dft.labels import Engine, Record, Scheme, State, key_of, labelled, settings
from uprung.dft.structures import Structure
from uprung.job.files import write_whole
from uprung.physics.cells import FixedCell
from uprung.sources.gpaw import files, records

LOG = logging.getLogger(__name__)


def label(
    cells: Sequence[FixedCell], functionals: Sequence[str], engine: Engine, folder: Path, state: Path, *, seconds: float
) -> int:
    """Label cells, the functionals in turns, and write one file for each property; return how many labels there are.

    Args:
        cells: in the order in which they are labelled.
        functionals: of `uprung.dft.labels.Scheme`.
        engine: labels.
        folder: of the files, `<property>.jsonl.gz`. Labels in it that the engine would compute alike are not computed
            again.
        state: folder; a label is on disk in it before the next one begins.
        seconds: no label begins after so many; 0 only writes what there is.

    Raises:
        RuntimeError: see `uprung.dft.labels.labelled`.
    """
    end, kept, found = time.monotonic() + seconds, State(state, "labels"), dict[str, list[Record]]()
    kept.known = dict(known(folder, engine)) | kept.known
    for cell, functional in ((cell, functional) for cell in cells for functional in functionals):
        structure, scheme = cell.structure, cell.scheme(functional)
        if key_of(structure, scheme, engine) in kept.known or time.monotonic() < end:
            found.setdefault(cell.name.split("/")[0], []).extend(labelled([structure], scheme, engine, kept))
    folder.mkdir(parents=True, exist_ok=True)
    for name, own in found.items():
        lines = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in own)
        write_whole(folder / f"{name}.jsonl.gz", gzip.compress(lines.encode(), mtime=0))
    return sum(map(len, found.values()))


def known(folder: Path, engine: Engine) -> Iterator[tuple[str, Record]]:
    """Yield key and record of labels that an engine would compute alike: same settings, same versions."""
    if not any(folder.glob("*.jsonl*")):
        return
    names = {field.name for field in fields(Scheme)}
    for record in (record for file in files(folder) for _, record in records(file)):
        own = {name: value for name, value in record["settings"].items() if name in names}
        scheme = Scheme(record["xc"], **own)
        if settings(scheme, engine) != record["settings"]:
            LOG.info("%s was computed with other settings or versions", record["id"])
            continue
        atoms = ase.Atoms(record["numbers"], cell=record["cell"], positions=record["positions"], pbc=True)
        first, second, third = record["kpts"]
        yield key_of(Structure(record["id"], "", atoms, (first, second, third)), scheme, engine), record
