"""Ionic steps of one calculation: units, repair of the σ→0 energy, checks against its task document.

VASP 5 wrote a wrong `e_0_energy` into the ionic steps of its XML output, and the tables carry it on, so the served
energy is not believed: E0 = F + (E0 − F of the last electronic step), or `e_wo_entrp`, which holds E0 in VASP 5. The
last step has to agree with the energy of the task document.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from uprung.frames.schema import Floats
from uprung.sources.common import KBAR_TO_GPA, UnusableError
from uprung.sources.materials_project.entries import items
from uprung.sources.symbols import known

AGREE = 1e-5  # eV per cell, last step against task document
MOVED = 1e-3  # Å, the same for positions and cell vectors
NELM = 60  # VASP's default
Json = dict[str, Any]


@dataclass(frozen=True)
class Task:
    """What a task document says about a calculation."""

    run_type: str
    vasp: str
    batch_id: str | None
    hubbards: dict[str, float]
    nelm: int
    isif: int
    energy: float  # eV per cell
    Z: NDArray[np.uint8]
    lattice: Floats
    frac: Floats
    magmom: Floats | None  # μB, signed


@dataclass(frozen=True)
class Steps:
    """The ionic steps of a calculation: n steps of N atoms."""

    Z: NDArray[np.uint8]
    lattice: Floats  # (n, 3, 3) Å
    frac: Floats  # (n, N, 3)
    energy: Floats  # (n,) E0, eV per cell
    energy_free: Floats  # (n,)
    energy_from: list[str]  # where E0 comes from
    repaired: NDArray[np.bool_]  # E0 differs from what the table serves
    forces: list[Floats | None]  # (N, 3) eV/Å, None where a step's are unusable
    stress_gpa: list[Floats | None]
    n_scf: NDArray[np.int64]  # 0 where unknown


def read_task(row: Json) -> Task:
    """Return what a task document says.

    Raises:
        UnusableError: it lacks what a trajectory is checked against, or its run type contradicts its INCAR.
    """
    given, out = row.get("input") or {}, row.get("output") or {}
    incar = _parsed(given.get("incar"))
    run_type = row["run_type"]
    hubbards = {name: float(value) for name, value in items(given.get("hubbards")) if value}
    _check_run_type(run_type, incar, hubbards)
    if out.get("energy") is None:
        raise UnusableError("the task document has no energy to check the trajectory against")
    structure = out.get("structure") or {}
    sites = structure.get("sites") or []
    matrix = (structure.get("lattice") or {}).get("matrix")
    if not sites or matrix is None:
        raise UnusableError("the task document has no final structure")
    return Task(
        run_type=run_type,
        vasp=row.get("vasp_version") or "",
        batch_id=row.get("batch_id"),
        hubbards=hubbards,
        nelm=int(incar.get("NELM") or NELM),
        isif=int(incar.get("ISIF", 2)),
        energy=float(out["energy"]),
        Z=np.array([_number_of(site) for site in sites], dtype=np.uint8),
        lattice=np.asarray(matrix, dtype=np.float64),
        frac=np.asarray([site["abc"] for site in sites], dtype=np.float64),
        magmom=_moments(sites, out),
    )


def _parsed(text: Any) -> Json:
    """Return an INCAR, which the table keeps as JSON text."""
    if isinstance(text, dict):
        return text
    try:
        content = json.loads(text) if text else {}
    except ValueError:
        raise UnusableError("the INCAR of the task document is not JSON") from None
    return content if isinstance(content, dict) else {}


def _check_run_type(run_type: str, incar: Json, hubbards: dict[str, float]) -> None:
    """Raise UnusableError where the INCAR or the U values are those of another run type."""
    if not incar:
        raise UnusableError("the task document has no INCAR, so its run type cannot be checked")
    meta = str(incar.get("METAGGA") or "").strip().upper()
    if (run_type == "r2SCAN") != (meta == "R2SCAN") or (meta not in ("", "--", "NONE", "R2SCAN")):
        raise UnusableError(f"run type {run_type}, but METAGGA is {meta or 'not set'}")
    with_u = bool(incar.get("LDAU")) and bool(hubbards)
    if run_type.endswith("+U") != with_u:
        raise UnusableError(f"run type {run_type}, but the U values are {hubbards or 'none'}")


def _number_of(site: Json) -> int:
    species = site.get("species") or []
    found = known(species[0].get("element")) if len(species) == 1 else None
    if found is None:
        raise UnusableError("a site of the final structure is not one element")
    return found


def _moments(sites: list[Json], out: Json) -> Floats | None:
    """Return the site moments of the final structure, μB, from the structure or from OUTCAR's table."""
    found = [(site.get("properties") or {}).get("magmom") for site in sites]
    if any(m is None for m in found):
        found = [entry.get("tot") for entry in ((out.get("outcar") or {}).get("magnetization") or [])]
    if len(found) != len(sites) or any(m is None for m in found):
        return None
    return np.asarray(found, dtype=np.float64)


def read_steps(row: Json, task: Task) -> Steps:
    """Return the ionic steps of a trajectory, checked against the task document.

    Raises:
        UnusableError: lengths disagree, or the last step is not the task's result.
    """
    if row["run_type"] != task.run_type:
        raise UnusableError(f"the trajectory is {row['run_type']}, but its task document {task.run_type}")
    Z = _array(row["elements"], (None,), "elements")  # as numbers with a fraction, which whole numbers would lose
    if not np.array_equal(Z, task.Z):
        raise UnusableError("the atoms of trajectory and task document differ, or their order")
    coordinates = _array(row["cart_coords"], (None, len(Z), 3), "cart_coords")
    n = len(coordinates)
    if row.get("num_ionic_steps") not in (None, n):
        raise UnusableError(f"{n} steps, but num_ionic_steps is {row['num_ionic_steps']}")
    lattice = _cells(row["lattice"], n, task)
    energy_free = _array(row["e_fr_energy"], (n,), "e_fr_energy")
    energy, energy_from, repaired = _energies(row, energy_free, task)
    if not abs(energy[-1] - task.energy) < AGREE:
        raise UnusableError(
            f"the last step has {energy[-1]:.6f} eV ({energy_from[-1]}), but the task document {task.energy:.6f} eV"
        )
    frac = coordinates @ np.linalg.inv(lattice)
    if not np.abs(frac @ lattice - coordinates).max() < 1e-6:
        raise UnusableError("coordinates cannot be expressed in the cell: it is too large or too skewed")
    _check_last(frac[-1], lattice[-1], task)
    return Steps(
        Z=task.Z,
        lattice=lattice,
        frac=frac,
        energy=energy,
        energy_free=energy_free,
        energy_from=energy_from,
        repaired=repaired,
        forces=_per_step(row["forces"], n, (len(Z), 3), 1.0),
        stress_gpa=_per_step(row.get("stress"), n, (3, 3), KBAR_TO_GPA),
        n_scf=_scf_counts(row, n),
    )


def _array(values: Any, shape: tuple[int | None, ...], name: str) -> Floats:
    """Return values as an array of a shape, None for any length."""
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise UnusableError(f"{name} is incomplete or ragged") from None
    fits = array.ndim == len(shape) and all(want in (None, have) for want, have in zip(shape, array.shape, strict=True))
    if not fits or not len(array):
        raise UnusableError(f"{name} has shape {array.shape}, not {tuple('n' if s is None else s for s in shape)}")
    if not np.isfinite(array).all():
        raise UnusableError(f"{name} is not finite")
    return array


def _cells(values: Any, n: int, task: Task) -> Floats:
    """Return one cell per step; a single one stands for all where the cell was held fixed."""
    cells = _array(values, (None, 3, 3), "lattice")
    if (np.abs(np.linalg.det(cells)) < 1e-3).any():
        raise UnusableError("cell without volume")
    if len(cells) == n:
        return cells
    if len(cells) != 1:
        raise UnusableError(f"{len(cells)} cells for {n} steps")
    if task.isif >= 3:
        raise UnusableError(f"one cell for {n} steps, although ISIF = {task.isif} relaxes it")
    return np.repeat(cells, n, axis=0)


def _energies(row: Json, energy_free: Floats, task: Task) -> tuple[Floats, list[str], NDArray[np.bool_]]:
    """Return E0 of every step, where it is from, and whether it differs from what is served."""
    n, scf = len(energy_free), row.get("electronic_steps") or []
    served, without = row.get("energy") or [], row.get("e_wo_entrp") or []
    major = re.search(r"\d+", task.vasp)
    legacy = major is not None and int(major[0]) < 6
    energy, origin = np.full(n, np.nan), list[str]()
    for k in range(n):
        last = scf[k][-1] if k < len(scf) and scf[k] else {}
        if last.get("e_0_energy") is not None and last.get("e_fr_energy") is not None:
            energy[k] = energy_free[k] + (last["e_0_energy"] - last["e_fr_energy"])
            origin.append("last electronic step")
        elif legacy and k < len(without) and without[k] is not None:
            energy[k] = without[k]
            origin.append("e_wo_entrp")
        elif not legacy and k < len(served) and served[k] is not None:
            energy[k] = served[k]
            origin.append("as served")
        else:
            origin.append("nowhere")
    if np.isnan(energy[-1]):
        raise UnusableError("the last step has no σ→0 energy")
    given = np.array([served[k] if k < len(served) and served[k] is not None else np.nan for k in range(n)])
    return energy, origin, ~(np.abs(given - energy) < AGREE)


def _check_last(frac: Floats, lattice: Floats, task: Task) -> None:
    if not (np.isfinite(task.frac).all() and np.isfinite(task.lattice).all()):
        raise UnusableError("the final structure of the task document is not finite")
    shift = frac - task.frac
    moved = np.abs((shift - np.round(shift)) @ lattice).max()
    if np.abs(lattice - task.lattice).max() > MOVED or moved > MOVED:
        raise UnusableError("the last step is not the final structure of the task document: steps are missing")


def _per_step(values: Any, n: int, shape: tuple[int, int], factor: float) -> list[Floats | None]:
    """Return one array per step, None where a step has none of this shape with finite numbers."""
    steps = values if values is not None and len(values) == n else [None] * n
    found: list[Floats | None] = []
    for value in steps:
        try:
            array = factor * np.asarray(value, dtype=np.float64)
        except (TypeError, ValueError):
            array = np.zeros(0)
        found.append(array if array.shape == shape and np.isfinite(array).all() else None)
    return found


def _scf_counts(row: Json, n: int) -> NDArray[np.int64]:
    counts = row.get("num_electronic_steps") or [len(steps or []) for steps in row.get("electronic_steps") or []]
    return np.asarray(counts if len(counts) == n else [0] * n, dtype=np.int64)
