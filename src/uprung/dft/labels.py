"""One density-functional label per structure and functional, kept as soon as it is computed.

Units: eV (per cell), Å, eV/Å, eV/Å³ with tension positive (ASE's sign). Energies: `energy` is E0 (σ→0), `free_energy`
what the forces are gradients of.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import ase
import numpy as np

from uprung.dft.structures import Grid, Structure
from uprung.job.files import write_whole
from uprung.job.sealed import seal, unseal

Record = dict[str, Any]
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Scheme:
    """What decides a label beside structure and k grid; the fields are named as in the study file."""

    functional: str
    cutoff: float = 450.0  # plane waves, eV
    k_density: float = 1.5  # Å; the grids themselves belong to the structures
    smearing: float = 0.1  # Fermi-Dirac, eV
    convergence: float = 1e-5  # energy (eV) and density (electrons) per valence electron
    max_steps: int = 80  # electronic steps
    density_floor: float | None = None  # no meta-GGA below this pseudo-density, electrons per bohr³: for vacuum


@dataclass(frozen=True, slots=True)
class Engine:
    """A code that labels.

    Attributes:
        versions: of everything its numbers depend on, by name: code, set-ups, libraries.
        calculator: makes an ASE calculator for a scheme and a k grid.
        unusable: says why an exception means "no label for this structure"; None for all that stop the job.
    """

    versions: dict[str, str]
    calculator: Callable[[Scheme, Grid], Any]
    unusable: Callable[[Exception, Scheme], str | None]


def settings(scheme: Scheme, engine: Engine) -> dict[str, Any]:
    """Return what two labels of one scale have in common, as every record states it; what is not used is left out."""
    decides = {key: value for key, value in asdict(scheme).items() if key != "functional" and value is not None}
    return {**engine.versions, **decides}


def key_of(structure: Structure, scheme: Scheme, engine: Engine) -> str:
    """Return a digest of all that decides a label: another one means another calculation."""
    atoms = structure.atoms
    content = [
        scheme.functional,
        settings(scheme, engine),
        structure.kpts,
        atoms.numbers.tolist(),
        atoms.cell.array.tolist(),
        atoms.positions.tolist(),
    ]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:24]


def compute(structure: Structure, scheme: Scheme, engine: Engine) -> Record:
    """Return the record of one label, or the reason why it could not be computed (`unusable`).

    Raises:
        Exception: whatever the code raises for another reason than the structure.
    """
    atoms, start = structure.atoms.copy(), time.time()
    head: Record = {**_names(structure), "xc": scheme.functional}
    labels: Record
    try:
        atoms.calc = engine.calculator(scheme, structure.kpts)
        labels = _labels(atoms)
    except Exception as error:
        reason = engine.unusable(error, scheme)
        if reason is None:
            raise
        labels = {"unusable": reason}
    return {
        **head,
        **labels,
        "cell": atoms.cell.array.tolist(),
        "positions": atoms.positions.tolist(),
        "numbers": atoms.numbers.tolist(),
        "kpts": list(structure.kpts),
        "settings": settings(scheme, engine),
        "seconds": round(time.time() - start, 1),
    }


def _labels(atoms: ase.Atoms) -> Record:
    steps = getattr(atoms.calc, "get_number_of_iterations", None)
    return {
        "energy": float(atoms.get_potential_energy()),
        "free_energy": float(atoms.get_potential_energy(force_consistent=True)),
        "forces": np.round(atoms.get_forces(apply_constraint=False), 6).tolist(),
        "stress": np.round(atoms.get_stress(voigt=False, apply_constraint=False), 8).tolist(),
        **({"scf_steps": int(steps())} if steps else {}),
    }


class State:
    """Labels that exist already: one file per writer in a folder, a line per label, on disk before the next begins."""

    def __init__(self, folder: Path, writer: str) -> None:
        """Read what any writer has finished; a line that was cut off by a kill or is damaged is computed again."""
        folder.mkdir(parents=True, exist_ok=True)
        self.path, self.known = folder / f"{writer}.jsonl", dict[str, Record]()
        for file in sorted(folder.glob("*.jsonl")):
            for number, line in enumerate(file.read_bytes().split(b"\n"), start=1):
                try:
                    self.known.update(unseal(line) if line else {})
                except ValueError as error:
                    log.warning("%s, line %d is not used: %s", file, number, error)

    def add(self, key: str, record: Record) -> None:
        """Keep a record, durably."""
        with self.path.open("a+b") as stream:
            if stream.tell() and not _ends_line(self.path):
                stream.write(b"\n")
            stream.write(seal({key: record}).encode() + b"\n")
            stream.flush()
            os.fsync(stream.fileno())
        self.known[key] = record


def _ends_line(path: Path) -> bool:
    with path.open("rb") as stream:
        stream.seek(-1, os.SEEK_END)
        return stream.read(1) == b"\n"


def labelled(structures: Iterable[Structure], scheme: Scheme, engine: Engine, state: State) -> Iterator[Record]:
    """Yield the records of structures in their order, from the state where it has them.

    Raises:
        RuntimeError: the code failed for another reason than the structure; the message names the structure.
    """
    for structure in structures:
        key = key_of(structure, scheme, engine)
        if key not in state.known:
            try:
                state.add(key, compute(structure, scheme, engine))
            except Exception as error:
                raise RuntimeError(
                    f"structure {structure.name!r}, {scheme.functional}: {type(error).__name__}: {error}; labels "
                    "before it are kept, so correct the cause, or take the structure out of the file, and run again"
                ) from error
            done = state.known[key]
            log.info("%s: %s", structure.name, done.get("unusable", f"labelled in {done['seconds']} s"))
        # names are free to change; the label stays
        yield {**state.known[key], **_names(structure)}


def _names(structure: Structure) -> Record:
    return {"id": structure.name, "material": structure.material, "trajectory": structure.trajectory}


def write_labels(records: Iterable[Record], path: Path) -> int:
    """Write records as JSON lines, so that a file of this name is whole; return how many."""
    lines = [json.dumps(record, ensure_ascii=False) + "\n" for record in records]
    write_whole(path, "".join(lines).encode())
    return len(lines)
