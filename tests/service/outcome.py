"""Pulling a served world into frames, and the account of every ionic step: in the table with its numbers, or listed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from world import FREE_MINUS_E0, Calculation, World

from uprung.frames.intake import write_frames
from uprung.frames.table import Frames, read_frames
from uprung.sources.materials_project.download import download
from uprung.sources.materials_project.materials import Options
from uprung.sources.materials_project.select import Selection
from uprung.sources.materials_project.service import Patience
from uprung.sources.work_consistency import WorkTest, checked

QUICK = Patience(attempts=5, first=0.02, longest=0.05, deadline=5.0)
RUN_TYPES = {"PBE": ("GGA", "GGA+U"), "r2SCAN": ("r2SCAN",)}


@dataclass
class Outcome:
    """The frames of one functional, and what is not used."""

    functional: str
    frames: Frames
    listed: list[dict[str, Any]]

    @property
    def manifest(self) -> dict[str, Any]:
        return self.frames.manifest

    @property
    def ids(self) -> set[str]:
        return set(self.frames.strings("frame_id"))

    def reasons(self, stage: str) -> dict[tuple[str, int | None], str]:
        """Return (task, step) -> reason of what fell at a stage."""
        return {(item["task_id"], item["step"]): item["reason"] for item in self.listed if item["stage"] == stage}


def pull_into(folder: Path, **options: Any) -> Path:
    """Pull, and return the manifest."""
    download(folder / "state", folder / "manifest.json", patience=QUICK, **options)
    return folder / "manifest.json"


def select(folder: Path, functional: str, *, processes: int = 1, **options: Any) -> Outcome:
    """Return the frames of a functional in what was pulled."""
    place = folder / "frames" / functional
    selection = Selection(
        folder / "manifest.json",
        Options(functional, **options),
        scratch=folder / "scratch",
        listings=place,
        processes=processes,
    )
    work = WorkTest()
    records = checked(selection.records(), work, folder)
    write_frames(
        [(records, frozenset())],
        place,
        functional=functional,
        about=lambda: {**selection.facts(), "work_test": work.result()},
    )
    return Outcome(
        functional, read_frames(place / "manifest.json"), pq.read_table(place / "not_used.parquet").to_pylist()
    )


def pulled(folder: Path, functional: str = "PBE", **options: Any) -> Outcome:
    """Pull and return the frames of a functional."""
    pull_into(folder)
    return select(folder, functional, **options)


def account(world: World, outcome: Outcome, also: Sequence[Calculation] = (), *, stress: bool = True) -> None:
    """Hold every ionic step of a functional that is served against what came of it: its numbers, or a reason."""
    listed = {(item["task_id"], item["step"]) for item in outcome.listed}
    rows = {name: row for row, name in enumerate(outcome.frames.strings("frame_id"))}
    energy, free = outcome.frames.label("energy"), outcome.frames.label("energy_free")
    offsets, forces = outcome.frames.offsets, outcome.frames.flat("forces", 3).reshape(-1, 3)
    pressure = outcome.frames.flat("stress_gpa").reshape(-1, 3, 3)
    cells = outcome.frames.flat("lattice").reshape(-1, 3, 3)
    met = set()
    for calc in [*world.tasks(), *also]:
        task_id = f"mp-{calc.number}"
        if calc.run_type not in RUN_TYPES[outcome.functional] or calc.number in world.no_trajectory:
            continue
        for k, step in enumerate(calc.steps):
            row = rows.get(f"{task_id}-0-{k}")
            if row is None:
                assert (task_id, None) in listed or (task_id, k) in listed, f"{task_id}, step {k} is lost"
                continue
            met.add(f"{task_id}-0-{k}")
            assert energy[row] == np.float64(step.e_0) or abs(energy[row] - step.e_0) < 1e-9
            assert abs(free[row] - step.e_0 - FREE_MINUS_E0) < 1e-9
            np.testing.assert_allclose(forces[offsets[row] : offsets[row + 1]], step.forces, rtol=1e-6)
            if stress:
                np.testing.assert_allclose(pressure[row], -0.1 * np.array(step.stress), rtol=1e-6)
            np.testing.assert_allclose(cells[row], step.lattice)
    assert met == outcome.ids, "frames that no calculation has"
