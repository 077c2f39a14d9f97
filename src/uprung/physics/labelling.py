"""Labels of the cells of `uprung.physics.cells`: a folder of them is made, or gone on with (needs an engine)."""

from __future__ import annotations

import gzip
import json
import logging
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from ase.geometry import find_mic

from uprung.dft.labels import Engine, Record, State, key_of, labelled, settings
from uprung.dft.structures import Structure
from uprung.job.files import DamagedError, sha256, write_whole
from uprung.physics.cells import FixedCell
from uprung.sources.gpaw import files, records

LOG = logging.getLogger(__name__)
#: Cells this far apart are one: processors round differently, Å.
SAME = 1e-6
#: Says what the files of a folder were when they were written, as `sha256sum` does: `sha256sum --check SHA256SUMS`.
SUMS = "SHA256SUMS"


def label(
    cells: Sequence[FixedCell], functionals: Sequence[str], engine: Engine, folder: Path, state: Path, *, seconds: float
) -> int:
    """Label cells, the functionals in turns, write one file for each property and the sums; return how many labels.

    Args:
        cells: in the order in which they are labelled.
        functionals: of `uprung.dft.labels.Scheme`.
        engine: labels.
        folder: of the files, `<property>.jsonl.gz`. Labels in it that the engine would compute alike are not computed
            again, wherever the rounding of this processor puts an atom.
        state: folder; a label is on disk in it before the next one begins.
        seconds: no label begins after so many; 0 only writes what there is.

    Raises:
        DamagedError: a file of the folder is not what it was.
        RuntimeError: see `uprung.dft.labels.labelled`.
    """
    require_whole(folder)
    end, kept, found = time.monotonic() + seconds, State(state, "labels"), dict[str, list[Record]]()
    kept.known = dict(known(folder, engine, cells)) | kept.known
    for cell, functional in ((cell, functional) for cell in cells for functional in functionals):
        structure, scheme = cell.structure, cell.scheme(functional)
        if key_of(structure, scheme, engine) in kept.known or time.monotonic() < end:
            found.setdefault(cell.name.split("/")[0], []).extend(labelled([structure], scheme, engine, kept))
    folder.mkdir(parents=True, exist_ok=True)
    for name, own in found.items():
        lines = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in own)
        write_whole(folder / f"{name}.jsonl.gz", gzip.compress(lines.encode(), mtime=0))
    sums = "".join(f"{sha256(file)}  {file.name}\n" for file in files(folder))
    write_whole(folder / SUMS, sums.encode())
    return sum(map(len, found.values()))


def require_whole(folder: Path) -> None:
    """Hold the files of a folder against its sums, where it has some.

    Raises:
        DamagedError: one is missing or another than was written.
    """
    if not (folder / SUMS).exists():
        return
    for line in (folder / SUMS).read_text(encoding="utf-8").splitlines():
        known, _, name = line.partition("  ")
        if not (folder / name).is_file():
            raise DamagedError(folder / name, "is gone", "Get it again from where the folder is from.")
        if sha256(folder / name) != known:
            raise DamagedError(folder / name, f"is not that of {SUMS}", "Get it again from where the folder is from.")


def known(folder: Path, engine: Engine, cells: Sequence[FixedCell]) -> Iterator[tuple[str, Record]]:
    """Yield key and record of labels that an engine would compute alike: same cell, same settings, same versions.

    A label that is left out has a line in the log.
    """
    if not any(folder.glob("*.jsonl*")):
        return
    structures = [(cell, cell.structure) for cell in cells]
    for record in (record for file in files(folder) for _, record in records(file)):
        alike = [(cell.scheme(record["xc"]), structure) for cell, structure in structures if _same(structure, record)]
        current = [(scheme, own) for scheme, own in alike if settings(scheme, engine) == record["settings"]]
        if not current:
            reason = "it was computed with other settings or versions" if alike else "no cell is the one it is of"
            LOG.warning("%s, %s, is left out: %s", record["id"], record["xc"], reason)
        for scheme, structure in current:
            yield key_of(structure, scheme, engine), record


def _same(structure: Structure, record: Record) -> bool:
    """Return whether a record is of a structure: atom by atom, up to lattice vectors and a processor's rounding."""
    atoms = structure.atoms
    if atoms.numbers.tolist() != record["numbers"] or list(structure.kpts) != record["kpts"]:
        return False
    if not np.allclose(atoms.cell.array, record["cell"], rtol=0, atol=SAME):
        return False
    apart, _ = find_mic(np.array(record["positions"]) - atoms.positions, atoms.cell)
    return bool(np.abs(apart).max() < SAME)
