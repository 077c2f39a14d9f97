"""Frames of one material from all its calculations, and what is not used, with the reason."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from uprung.config.data import Filters
from uprung.frames.schema import Frame, problem
from uprung.sources.common import UnusableError
from uprung.sources.materials_project import filters as rules
from uprung.sources.materials_project.entries import SAME
from uprung.sources.materials_project.filters import Candidate
from uprung.sources.materials_project.findings import Finding, Validated
from uprung.sources.materials_project.ids import parse, spell
from uprung.sources.materials_project.records import Steps, Task, read_steps, read_task

Json = dict[str, Any]
Entry = Mapping[str, Any]
#: Functional of a fidelity -> run types of its tasks, label scale, run types of entries in order of preference.
FUNCTIONALS: dict[str, tuple[tuple[str, ...], str, tuple[str, ...]]] = {
    "PBE": (
        ("GGA", "PBE", "GGA+U", "PBE+U"),
        "VASP PBE_52 PAW, PBE, U by the Materials Project's rule, uncorrected",
        ("GGA+U", "GGA"),
    ),
    "r2SCAN": (("r2SCAN",), "VASP PBE_54 PAW, r2SCAN, no U, uncorrected", ("r2SCAN",)),
}
#: Every reason not to use something, in the order in which it is looked for.
STAGES = (
    "no task document",
    "no material",
    "deprecated",
    "excluded batch",
    "no trajectory",
    "unusable",
    "no main entry",
    "other U than the main entry",
    "ends away from the main entry",
    "unusable step",
    "electronic steps not converged",
    "outside the energy window",
    "duplicate",
)
#: Stages that find faults of the data, not choices of a study: the manifest lists their records.
FAULTS = {"no task document", "unusable", "unusable step"}


@dataclass(frozen=True)
class Dropped:
    """Something that is not used: a whole task, or one step of it."""

    stage: str
    task_id: str
    run_type: str
    step: int | None
    frames: int
    reason: str


@dataclass
class MaterialData:
    """What was downloaded of one material: rows of the tables, by task number."""

    number: int
    prefix: str = "mp"
    deprecated: bool = False
    deprecated_tasks: frozenset[int] = frozenset()
    listed: dict[int, str] = field(default_factory=dict)  # task number -> run type ('' unknown), as the material says
    entries: Mapping[str, Entry] = field(default_factory=dict)  # run type -> main entry
    tasks: dict[int, Json] = field(default_factory=dict)
    trajectories: dict[int, list[Json]] = field(default_factory=dict)


@dataclass(frozen=True)
class Options:
    """What a study wants of the Materials Project."""

    functional: str
    exclude_batches: frozenset[str] = frozenset()
    filters: Filters = field(default_factory=Filters)
    correction: Callable[[Task], float | None] | None = None
    validate: Callable[[Json, Json, Task, Steps], Sequence[Finding]] | None = None
    validator: str = ""  # what `validate` is, in words


@dataclass
class Result:
    """Frames of a material, and what is not used."""

    frames: list[Frame] = field(default_factory=list)
    dropped: list[Dropped] = field(default_factory=list)
    validated: list[Validated] = field(default_factory=list)  # the calculations that frames are from
    repaired: int = 0  # frames whose E0 differs from the one served
    no_scf_count: int = 0  # frames of which nobody says how many electronic steps they took


def read_material(data: MaterialData, options: Options) -> Result:
    """Return the frames of a material at the options' functional."""
    result, kept = Result(), list[tuple[Task, Steps, int, str, int]]()
    for number, rows in sorted(data.trajectories.items()):
        for calc, row in enumerate(rows):
            task_id, n = spell(number), length(row)
            try:
                if row in rows[:calc]:
                    raise NotUsed("unusable", "the same trajectory once more")
                task, steps = _usable(data, number, row, options)
                kept += [(task, steps, calc, task_id, k) for k in range(n)]
            except NotUsed as found:
                result.dropped.append(Dropped(found.stage, task_id, row["run_type"], None, n, str(found)))
    for number, run_type in sorted(_without_trajectory(data, options).items()):
        reason = "no trajectory of this task was found"
        result.dropped.append(Dropped("no trajectory", spell(number), run_type, None, 0, reason))
    _filter_steps(data, options, kept, result)
    _validate(data, options, kept, result)
    return result


def length(row: Json) -> int:
    """Return the number of ionic steps of a trajectory."""
    steps = row.get("cart_coords")
    return len(steps) if isinstance(steps, list) else 0


def _without_trajectory(data: MaterialData, options: Options) -> dict[int, str]:
    """Return task -> run type of tasks that the material lists, or that have a document, but without trajectory."""
    run_types = FUNCTIONALS[options.functional][0]
    listed = {**data.listed, **{number: row["run_type"] for number, row in data.tasks.items()}}
    return {n: kind for n, kind in listed.items() if kind in run_types and n not in data.trajectories}


class NotUsed(Exception):  # noqa: N818 - no error: a choice of the study, or a fault that is listed
    """A task is not used."""

    def __init__(self, stage: str, reason: str) -> None:
        """Keep the stage at which this was found."""
        super().__init__(reason)
        self.stage = stage


def _usable(data: MaterialData, number: int, row: Json, options: Options) -> tuple[Task, Steps]:
    """Return task and steps of a trajectory; raise NotUsed with stage and reason where it is not used."""
    if number not in data.tasks:
        raise NotUsed("no task document", "the tasks table has no document of it")
    if data.deprecated or number in data.deprecated_tasks:
        raise NotUsed("deprecated", "its material is deprecated" if data.deprecated else "the task is deprecated")
    batch = data.tasks[number].get("batch_id")
    if batch is not None and batch in options.exclude_batches:
        raise NotUsed("excluded batch", f"batch {batch} is excluded")
    try:
        task = read_task(data.tasks[number])
        steps = read_steps(row, task)
    except UnusableError as error:
        raise NotUsed("unusable", str(error)) from None
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise NotUsed("unusable", f"malformed record ({type(error).__name__}: {error})") from None
    _compare(data, task, steps, options)
    return task, steps


def _compare(data: MaterialData, task: Task, steps: Steps, options: Options) -> None:
    """Raise NotUsed when the main entry speaks against the task."""
    chosen, wanted = options.filters, (options.filters.main_entry, options.filters.window)
    entry = entry_for(data, task, options)
    if entry is None:
        if chosen.same_hubbard or any(w is not None for w in wanted):
            raise NotUsed("no main entry", f"the material has no {SAME[task.run_type]} entry to compare with")
        return
    if chosen.same_hubbard and not rules.same_hubbard(task.hubbards, entry["hubbards"]):
        mine, its = task.hubbards or "none", entry["hubbards"] or "none"
        raise NotUsed("other U than the main entry", f"U is {mine}, the entry's {its}")
    last, energy = steps.energy[-1] / len(task.Z), entry["energy"] / entry["n_atoms"]
    if chosen.main_entry is not None and not rules.near_main_entry(last, energy, chosen.main_entry):
        raise NotUsed("ends away from the main entry", f"{1000 * (last - energy):+.1f} meV/atom from the entry")


def entry_for(data: MaterialData, task: Task, options: Options) -> Entry | None:
    """Return the entry that a task is compared with.

    It is the material's main entry of the functional, with U where there is one with U; where tasks of another U are
    wanted, too, each is compared with the entry of its own run type.
    """
    preferred = FUNCTIONALS[options.functional][2]
    order = preferred if options.filters.same_hubbard else (SAME[task.run_type], *preferred)
    return next((data.entries[kind] for kind in order if kind in data.entries), None)


def _filter_steps(
    data: MaterialData, options: Options, kept: Sequence[tuple[Task, Steps, int, str, int]], result: Result
) -> None:
    """Add the frames of the steps that pass, and list the others."""
    passed: list[tuple[Frame, float, float]] = []  # frame, eV/atom, eV/atom against the main entry
    corrections: dict[str, float | None] = {}
    for task, steps, calc, task_id, k in kept:
        if task_id not in corrections:
            corrections[task_id] = options.correction(task) if options.correction is not None else None
        entry = entry_for(data, task, options)
        per_atom = steps.energy[k] / len(task.Z)
        above = per_atom - entry["energy"] / entry["n_atoms"] if entry is not None else np.nan
        frame = _frame(data, options, task, steps, calc, task_id, k, corrections[task_id])
        stage, reason = _step_fault(options.filters, task, steps, k, frame, above)
        if stage:
            result.dropped.append(Dropped(stage, task_id, task.run_type, k, 1, reason))
        else:
            passed.append((frame, per_atom, above))
            result.repaired += int(steps.repaired[k])
            result.no_scf_count += int(steps.n_scf[k] == 0)
    # the frame that is the main entry comes first, so that it is the one that is kept of its likes
    passed.sort(key=lambda item: not abs(item[2]) < 1e-5)
    candidates = [Candidate(per_atom, frame.Z, frame.lattice, frame.frac) for frame, per_atom, _ in passed]
    new = rules.unique(candidates, options.filters.duplicates)
    for (frame, _, _), is_new in zip(passed, new, strict=True):
        if is_new:
            result.frames.append(frame)
        else:
            task_id, _, step = frame.frame_id.rsplit("-", 2)
            result.dropped.append(
                Dropped("duplicate", task_id, frame.run_type, int(step), 1, "energy and structure of a kept frame")
            )


def _validate(
    data: MaterialData, options: Options, kept: Sequence[tuple[Task, Steps, int, str, int]], result: Result
) -> None:
    """Validate the calculations that frames are from, and put the flags on the frames."""
    if options.validate is None:
        return
    used, flags = {frame.frame_id.rsplit("-", 1)[0] for frame in result.frames}, dict[str, tuple[str, ...]]()
    for task, steps, calc, task_id, k in kept:
        name = f"{task_id}-{calc}"
        if k == 0 and name in used:
            number = parse(task_id)[1]
            findings = options.validate(data.tasks[number], data.trajectories[number][calc], task, steps)
            result.validated.append(Validated(task_id, calc, task.run_type, findings))
            flags[name] = result.validated[-1].flags
    result.frames = [replace(frame, flags=flags[frame.frame_id.rsplit("-", 1)[0]]) for frame in result.frames]


def _step_fault(filters: Filters, task: Task, steps: Steps, k: int, frame: Frame, above: float) -> tuple[str, str]:
    """Return (stage, reason) why a step is not used, ('', '') if it is."""
    if np.isnan(steps.energy[k]):
        return "unusable step", "no σ→0 energy"
    if steps.forces[k] is None:
        return "unusable step", "forces are missing, incomplete or not finite"
    reason = problem(frame)
    if reason is not None:
        return "unusable step", reason
    if filters.converged and not rules.converged(steps.n_scf[k : k + 1], task.nelm)[0]:
        return "electronic steps not converged", f"{steps.n_scf[k]} electronic steps of {task.nelm} allowed"
    if filters.window is not None and not rules.inside([above], 0.0, filters.window)[0]:
        return "outside the energy window", f"{1000 * above:+.1f} meV/atom against the main entry"
    return "", ""


def _frame(
    data: MaterialData,
    options: Options,
    task: Task,
    steps: Steps,
    calc: int,
    task_id: str,
    k: int,
    correction: float | None,
) -> Frame:
    last = k == len(steps.energy) - 1
    return Frame(
        frame_id=f"{task_id}-{calc}-{k}",
        material_id=spell(data.number, data.prefix),
        source="materials-project",
        functional=options.functional,
        run_type=task.run_type,
        label_scale=FUNCTIONALS[options.functional][1],
        Z=steps.Z,
        lattice=steps.lattice[k],
        frac=steps.frac[k],
        energy=float(steps.energy[k]),
        energy_free=float(steps.energy_free[k]),
        correction=correction,
        forces=steps.forces[k],
        stress_gpa=steps.stress_gpa[k],
        magmom=task.magmom if last else None,  # the tables keep site moments of the final step only
        provenance=f"E0 from {steps.energy_from[k]}; step {k + 1} of {len(steps.energy)}; VASP {task.vasp}",
    )
