"""A small Materials Project: calculations with known numbers, as task documents, trajectories and materials.

Everything goes through emmet-core's own models, so the shapes are those that the service and the tables have. The
energies are those of springs in an elastic cell, with their exact forces and stresses.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
from emmet.core.arrow import arrowize
from emmet.core.mpid import AlphaID
from emmet.core.tasks import CoreTaskDoc
from emmet.core.trajectory import RelaxTrajectory
from emmet.core.vasp.calc_types import CalcType, RunType, TaskType
from emmet.core.vasp.material import MaterialsDoc
from pymatgen.core import Element, Lattice, Structure

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
FREE_MINUS_E0 = -2e-4  # eV per cell: half of −TS
SHIFT = {"r2SCAN": -11.3}  # eV/atom against GGA
KINDS: list[tuple[tuple[str, ...], float, dict[str, float]]] = [  # species of a cubic cell, edge in Å, U in eV
    (("Na", "Cl"), 3.5, {}),
    (("Mg", "O"), 3.0, {}),
    (("Fe", "O"), 3.05, {"Fe": 5.3}),
    (("Si", "C"), 3.1, {}),
    (("Cs", "I"), 4.6, {}),
]
SETTINGS = {"NSW": 99, "IBRION": 2, "ISIF": 3, "NELM": 100, "ISPIN": 2, "ENCUT": 520, "LASPH": True}


@dataclass
class Step:
    """One ionic step: Å, eV per cell, eV/Å, kbar with compression positive."""

    lattice: np.ndarray
    frac: np.ndarray
    e_0: float
    forces: Any
    stress: Any
    n_scf: int = 12


@dataclass
class Calculation:
    """One task: what its document and its trajectory are made of."""

    number: int
    species: tuple[str, ...]
    run_type: str
    steps: list[Step]
    moments: list[float]
    hubbards: dict[str, float] = field(default_factory=dict)
    task_type: str = "Structure Optimization"
    vasp: str = "6.4.2"
    batch_id: str | None = None
    scf_kept: bool = True  # whether the trajectory has its electronic steps
    incar: dict[str, Any] = field(default_factory=dict)  # beside SETTINGS

    @property
    def legacy(self) -> bool:
        return self.vasp.startswith("5")

    @property
    def task_id(self) -> str:
        return str(AlphaID(self.number, padlen=8))

    @property
    def numbers(self) -> list[int]:
        return [Element(s).Z for s in self.species]

    def structure(self, k: int) -> Structure:
        return Structure(Lattice(self.steps[k].lattice), self.species, self.steps[k].frac)


@dataclass
class Material:
    """One material: who belongs to it, and the energies of its main entries."""

    number: int
    tasks: list[Calculation]
    deprecated: bool = False
    deprecated_tasks: list[int] = field(default_factory=list)
    spelled: str = "alpha"  # how it spells its task ids: alpha, legacy
    entries_in_table: bool = True
    entries_in_service: bool = True

    @property
    def name(self) -> str:
        return f"mp-{self.number}"

    def entry_of(self, run_type: str) -> Calculation | None:
        """Return the calculation behind the main entry of a run type: its last one."""
        return next((task for task in reversed(self.tasks) if task.run_type == run_type), None)


@dataclass
class World:
    """All materials, and calculations that no material has."""

    materials: list[Material]
    orphans: list[Calculation] = field(default_factory=list)
    no_trajectory: list[int] = field(default_factory=list)  # task numbers
    no_document: list[int] = field(default_factory=list)
    extra_trajectories: list[Calculation] = field(default_factory=list)

    def tasks(self) -> Iterator[Calculation]:
        for material in self.materials:
            yield from material.tasks
        yield from self.orphans

    def task(self, number: int) -> Calculation:
        return next(task for task in self.tasks() if task.number == number)


SPRING, STIFFNESS = 10.0, 150.0  # eV/Å² on displacements, eV/atom on the linear strain


def model(lattice: np.ndarray, ideal: np.ndarray, frac: np.ndarray, edge: float) -> tuple[float, Any, Any]:
    """Return energy (eV), forces (eV/Å) and stress (kbar, compression positive) of springs in an elastic cube.

    E = ½ k Σ u² + ½ N K e², with u the displacements and e the strain of the edge, so the forces and the stress are
    the derivatives of the energy.
    """
    moved, strain = (frac - ideal) @ lattice, lattice[0, 0] / edge - 1
    energy = SPRING / 2 * float((moved**2).sum()) + len(frac) * STIFFNESS / 2 * strain**2
    virial = SPRING * moved.T @ moved + len(frac) * STIFFNESS * strain * (1 + strain) / 3 * np.eye(3)
    tension = virial / np.linalg.det(lattice)  # eV/Å³
    return energy, -SPRING * moved, -1602.1766208 * tension


def calculation(number: int, kind: int, run_type: str, n_steps: int = 4, **changes: Any) -> Calculation:
    """Return a calculation whose energy falls by more than 20 meV/atom a step, so that no two frames are alike."""
    species, edge, hubbards = KINDS[kind % len(KINDS)]
    rng = np.random.default_rng(number)
    n, steps = len(species), []
    bottom = (-4.0 - 0.005 * kind + SHIFT.get(run_type, 0.0)) * n
    ideal = np.array([[0.0, 0.0, 0.0], [0.5, 0.5, 0.5]])
    for k in range(n_steps):
        left = n_steps - 1 - k
        lattice = edge * (1 + 0.02 * left) * np.eye(3)
        frac = ideal + rng.normal(0, 0.004 * left + 1e-4, (n, 3))
        energy, forces, stress = model(lattice, ideal, frac, edge)
        steps.append(Step(lattice, frac, bottom + energy, forces.tolist(), stress.tolist()))
    hubbards = hubbards if run_type.endswith("+U") else {}
    moments = [3.9 if s == "Fe" else 0.01 for s in species]
    return Calculation(number, species, run_type, steps, moments, **{"hubbards": hubbards, **changes})


def simple_world(n: int = 10) -> World:
    """Return `n` materials with one GGA or GGA+U and one r²SCAN relaxation each, as the service has them.

    Every second task has no batch id, every fourth GGA task is of VASP 5, every fifth material lacks r²SCAN.
    """
    materials = []
    for i in range(n):
        base = 3_000_000 + 10 * i
        gga = "GGA+U" if KINDS[i % len(KINDS)][2] else "GGA"
        batch = None if i % 2 else "some_batch"
        tasks = [calculation(base, i, gga, batch_id=batch, vasp="5.4.4" if i % 4 == 3 else "6.4.2")]
        if i % 5 != 4:
            tasks.append(calculation(base + 1, i, "r2SCAN", batch_id=batch))
        materials.append(Material(base, tasks, spelled="legacy" if i % 3 == 0 else "alpha"))
    return World(materials)


def trajectory(calc: Calculation) -> dict[str, Any]:
    """Return a row of the trajectories table."""
    e_0 = [step.e_0 for step in calc.steps]
    e_fr = [e + FREE_MINUS_E0 for e in e_0]
    # VASP 5 writes the σ→0 energy of an ionic step into e_wo_entrp, and 0 into e_0_energy
    e_wo = e_0 if calc.legacy else [e - FREE_MINUS_E0 for e in e_0]
    scf = [
        [{"e_fr_energy": f, "e_wo_entrp": f - 2 * FREE_MINUS_E0, "e_0_energy": f - FREE_MINUS_E0}] * step.n_scf
        for f, step in zip(e_fr, calc.steps, strict=True)
    ]
    model = RelaxTrajectory._from_dict(
        {
            "structure": [calc.structure(k) for k in range(len(calc.steps))],
            "energy": [0.0] * len(e_0) if calc.legacy else e_0,
            "e_fr_energy": e_fr,
            "e_wo_entrp": e_wo,
            "forces": [step.forces for step in calc.steps],
            "stress": [step.stress for step in calc.steps],
            **({"electronic_steps": scf} if calc.scf_kept else {}),
        },
        identifier=calc.task_id,
        run_type=RunType(calc.run_type),
        task_type=TaskType(calc.task_type),
    )
    return model.model_dump(mode="json")


def task_document(calc: Calculation) -> CoreTaskDoc:
    """Return the task document of a calculation, as emmet-core makes it."""
    last = calc.steps[-1]
    final = calc.structure(-1)
    final.add_site_property("magmom", calc.moments)
    incar = {**SETTINGS, **({"METAGGA": "R2scan"} if calc.run_type.startswith("r2SCAN") else {})}
    if calc.hubbards:
        incar |= {"LDAU": True, "LDAUU": [calc.hubbards.get(s, 0.0) for s in dict.fromkeys(calc.species)]}
    incar |= calc.incar
    when = BEGIN + timedelta(hours=calc.number % 1000)
    return CoreTaskDoc.from_structure(
        meta_structure=final,
        structure=final,
        batch_id=calc.batch_id,
        task_id=calc.task_id,
        calc_type=CalcType(f"{calc.run_type} {calc.task_type}"),
        run_type=RunType(calc.run_type),
        task_type=TaskType(calc.task_type),
        completed_at=when,
        last_updated=when,
        dir_name="synthetic",
        vasp_version=calc.vasp,
        tags=[],
        input={
            "incar": incar,
            "parameters": incar,
            "structure": calc.structure(0),
            "is_hubbard": bool(calc.hubbards),
            "hubbards": calc.hubbards,
            "potcar_spec": [{"titel": f"PAW_PBE {s} 01Jan2001"} for s in dict.fromkeys(calc.species)],
        },
        output={
            "structure": final,
            "energy": last.e_0,
            "energy_per_atom": last.e_0 / len(final),
            "bandgap": 0.0,
            "outcar": {
                "@module": "pymatgen.io.vasp.outputs",
                "@class": "Outcar",
                "magnetization": [{"s": 0.0, "p": 0.0, "d": m, "tot": m} for m in calc.moments],
            },
        },
    )


def _entry(material: Material, calc: Calculation) -> dict[str, Any]:
    energy = calc.steps[-1].e_0
    return {
        "@module": "pymatgen.entries.computed_entries",
        "@class": "ComputedStructureEntry",
        "energy": energy,
        "composition": calc.structure(-1).composition.as_dict(),
        "correction": 0.0,
        "entry_id": f"{material.name}-{calc.run_type}",
        "parameters": {"run_type": calc.run_type, "is_hubbard": bool(calc.hubbards), "hubbards": calc.hubbards},
        "data": {"task_id": calc.task_id, "material_id": material.name},
        "structure": calc.structure(-1).as_dict(),
    }


def _spell(material: Material, number: int) -> str:
    return f"mp-{number}" if material.spelled == "legacy" else str(AlphaID(number, padlen=8))


def material_document(material: Material) -> dict[str, Any]:
    """Return the material's document as the database stores it: padded ids, dates as {"$date": iso}."""
    first = material.tasks[0]
    final = first.structure(-1)
    spelled = {_spell(material, task.number): task for task in material.tasks}
    names = {"GGA": "GGA", "GGA+U": "GGA_U", "r2SCAN": "R2SCAN"}
    entries = {key: _entry(material, calc) for run_type, key in names.items() if (calc := material.entry_of(run_type))}
    base = MaterialsDoc.from_structure(
        meta_structure=final, material_id=material.name, deprecated=material.deprecated
    ).model_dump(mode="json")
    when = {"$date": BEGIN.isoformat()}
    return {
        **base,
        "material_id": str(AlphaID(material.number, padlen=8, prefix="mp")),
        "deprecated": material.deprecated,
        "task_ids": list(spelled),
        "deprecated_tasks": [_spell(material, number) for number in material.deprecated_tasks],
        "run_types": {key: task.run_type for key, task in spelled.items()},
        "task_types": {key: task.task_type for key, task in spelled.items()},
        "calc_types": {key: f"{task.run_type} {task.task_type}" for key, task in spelled.items()},
        "structure": final.as_dict(),
        "builder_meta": {"license": "BY-C"},
        "entries": entries,
        "origins": None,
        "last_updated": when,
        "created_at": when,
    }


def documents(world: World) -> dict[str, list[dict[str, Any]]]:
    """Return what the service's database holds."""
    tasks = []
    for calc in world.tasks():
        if calc.number not in world.no_document:
            doc = task_document(calc)
            stored = {**doc.model_dump(mode="json"), "task_id": calc.task_id}
            for key in ("completed_at", "last_updated"):
                stored[key] = {"$date": getattr(doc, key).isoformat()}
            tasks.append(stored)
    materials = [material_document(material) for material in world.materials]
    for document, material in zip(materials, world.materials, strict=True):
        if not material.entries_in_service:
            document["entries"] = {}
    return {"tasks": tasks, "materials": materials, "summary": []}


def _fitted(value: Any, kind: pa.DataType) -> Any:
    """Return a value of a JSON dump as an Arrow type wants it: maps as items, structures without a column as text."""
    if value is None:
        return None
    if pa.types.is_struct(kind):
        return {f.name: _fitted(value.get(f.name), f.type) for f in kind} if isinstance(value, dict) else None
    if pa.types.is_list(kind):
        return [_fitted(item, kind.value_type) for item in value]
    if pa.types.is_map(kind):
        return [(str(key), _fitted(item, kind.item_type)) for key, item in value.items()]
    if pa.types.is_string(kind) and not isinstance(value, str):
        return json.dumps(value) if isinstance(value, dict | list) else str(value)
    if pa.types.is_timestamp(kind):
        return datetime.fromisoformat(value["$date"] if isinstance(value, dict) else value)
    return value


def _table(rows: list[dict[str, Any]], schema: pa.Schema) -> pa.Table:
    return pa.Table.from_pylist([{f.name: _fitted(row.get(f.name), f.type) for f in schema} for row in rows], schema)


def tables(world: World, *, db_version: str = "2026.10.1") -> dict[str, pa.Table]:
    """Return the three tables of the open data: trajectories, tasks, materials."""
    moving = [c for c in [*world.tasks(), *world.extra_trajectories] if c.number not in world.no_trajectory]
    served = documents(world)
    materials = []
    for document, material in zip(served["materials"], world.materials, strict=True):
        entries = material_document(material)["entries"] if material.entries_in_table else None
        materials.append({**document, "entries": entries, "version": db_version})
    schema = pa.schema([*pa.schema(arrowize(MaterialsDoc)), ("version", pa.string())])
    return {
        "trajectories": _table([trajectory(calc) for calc in moving], pa.schema(arrowize(RelaxTrajectory))),
        "tasks": _table(served["tasks"], pa.schema(arrowize(CoreTaskDoc))),
        "materials": _table(materials, schema),
    }
