"""Labels that uprung computed with GPAW (see `uprung.dft`): JSON lines, one per structure and functional.

Stress is eV/Å³, tension positive, in the file; energies are relative to GPAW's reference atoms and therefore a label
scale of their own. No moments.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from ase.units import GPa

from uprung.frames.schema import Frame, FramesError, Rejected
from uprung.sources.common import UnusableError, atomic_numbers, flat, number, rows, same_functional, stress
from uprung.sources.files import files_in, open_bytes, take_lines

Record = dict[str, Any]
#: What makes labels comparable, from the settings that every record states.
LABEL_SCALE = (
    "{code} PAW ({setups}), {functional}, {cutoff:g} eV, k density {k_density:g} Å with one grid per material, "
    "Fermi-Dirac {smearing:g} eV, spin-paired, no U, uncorrected"
)
NET_FORCE = 0.02


def read(path: Path, functional: str, *, net_force: float = NET_FORCE) -> Iterator[Frame | Rejected]:
    """Yield the labels of a functional.

    Args:
        path: JSON lines, plain or compressed, or a folder of such files.
        functional: `PBE` or `r2SCAN`; records of another one are passed over.
        net_force: labels whose forces sum to more than this in a component are rejected, eV/Å.

    Raises:
        FramesError: the folder is empty, or a line is no record of a label.
    """
    for file in files(path):
        for line, record in records(file):
            if same_functional(record.get("xc"), functional):
                try:
                    yield labelled(record, functional, net_force)
                except UnusableError as error:
                    yield Rejected(str(record.get("id", f"{file.name}, line {line}")), str(error))


def files(path: Path) -> list[Path]:
    """Return the files of a source, in the order in which they are read."""
    return files_in(path, "*.jsonl*", "no file of labels (.jsonl) in this folder")


def records(path: Path) -> Iterator[tuple[int, Record]]:
    """Yield (line number, record) of a file of labels.

    Raises:
        FramesError: a line is no JSON object.
    """
    with open_bytes(path) as stream:
        for n in count(1):
            (line,) = take_lines(stream, 1, f"line {n}")
            if not line:
                return
            try:
                record = json.loads(line)
            except ValueError:
                record = None
            if not isinstance(record, dict):
                raise FramesError(f"{path}: line {n}: expected a JSON object with a label, but found {line[:40]!r}")
            yield n, record


def labelled(record: Record, functional: str, net_force: float) -> Frame:
    """Return an own label as a frame.

    Raises:
        UnusableError: it holds no label, or one that breaks the sum rule of the forces.
    """
    if "unusable" in record:
        raise UnusableError(f"no label: {record['unusable']}")
    stated = record.get("settings")
    if not isinstance(stated, dict):
        raise UnusableError("no key 'settings', which says on which scale the label is")
    try:
        scale = LABEL_SCALE.format(functional=functional, **stated)
    except (KeyError, ValueError) as error:
        raise UnusableError(f"settings do not say the label scale: {error}") from None
    frame = to_frame(record, functional, source="gpaw", run_type=f"{functional} static", label_scale=scale)
    assert frame.forces is not None
    largest = float(np.abs(frame.forces.sum(axis=0)).max())
    if not largest <= net_force:
        raise UnusableError(f"net force {largest:.4f} eV/Å in a component, above {net_force:g} eV/Å")
    return frame


def to_frame(record: Record, functional: str, *, source: str, run_type: str, label_scale: str) -> Frame:
    """Return the numbers of a record as a frame.

    Raises:
        UnusableError: a key is missing or is no number.
    """
    missing = [key for key in _KEYS if key not in record]
    if missing:
        raise UnusableError(f"no key {missing[0]!r}")
    cell = rows(record["cell"], "cell")
    if cell.shape != (3, 3) or not abs(np.linalg.det(cell)) > 1e-3:
        raise UnusableError("cell without volume")
    return Frame(
        frame_id=str(record["id"]),
        material_id=str(record["material"]),
        source=source,
        functional=functional,
        run_type=run_type,
        label_scale=label_scale,
        Z=atomic_numbers(flat(record["numbers"], "numbers")),
        lattice=cell,
        frac=rows(record["positions"], "positions") @ np.linalg.inv(cell),
        energy=number(record["energy"], "energy"),
        energy_free=number(record["free_energy"], "free_energy"),
        forces=rows(record["forces"], "forces"),
        stress_gpa=stress(record["stress"], "stress") / GPa,
        provenance=f"{record['id']}/{functional}",
        trajectory=None if record.get("trajectory") is None else str(record["trajectory"]),
    )


_KEYS = ("id", "material", "cell", "numbers", "positions", "energy", "free_energy", "forces", "stress")
