"""The whole way from the service to frames: what is served comes out with its numbers, or is listed with a reason."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from deletion_vectors import delete_rows
from emmet.core.arrow import arrowize
from emmet.core.trajectory import RelaxTrajectory
from outcome import account, pull_into, pulled, select
from servers import Service
from world import Material, World, calculation, tables, trajectory

from uprung.config.data import Filters
from uprung.frames.schema import FramesError
from uprung.sources.materials_project.parts import DownloadError

NO_FILTER = Filters(same_hubbard=False, main_entry=None, converged=False, window=None, duplicates=[])


@pytest.mark.parametrize("functional", ["PBE", "r2SCAN"])
def test_everything_arrives_with_its_numbers(service: Service, world: World, tmp_path: Path, functional: str) -> None:
    outcome = pulled(tmp_path, functional)
    account(world, outcome)
    assert outcome.listed == []
    assert len(outcome.frames) == {"PBE": 40, "r2SCAN": 32}[functional]


def test_names_moments_and_provenance(service: Service, world: World, tmp_path: Path) -> None:
    outcome = pulled(tmp_path)
    rows = {row["frame_id"]: row for row in outcome.frames.table.to_pylist()}
    row = rows["mp-3000020-0-3"]
    assert (row["material_id"], row["run_type"], row["source"]) == ("mp-3000020", "GGA+U", "materials-project")
    assert row["magmom"] == pytest.approx([3.9, 0.01])
    assert rows["mp-3000020-0-0"]["magmom"] is None
    assert row["provenance"] == "E0 from last electronic step; step 4 of 4; VASP 6.4.2"
    assert outcome.manifest["label_scale"].endswith("uncorrected")


def test_pull_is_described_by_its_manifest(service: Service, tmp_path: Path) -> None:
    manifest = json.loads(pull_into(tmp_path).read_text())
    assert manifest["db_version"] == manifest["db_version_at_end"] == "2026.10.1"
    assert manifest["access_controlled_batch_ids"] == ["gnome_r2scan_statics"]
    assert {name: t["rows_kept"] for name, t in manifest["tables"].items()} == {
        "materials": 10,
        "tasks": 18,
        "trajectories": 18,
    }
    assert all(t["rows_pulled"] == t["rows"] and len(t["table_id"]) == 36 for t in manifest["tables"].values())
    assert manifest["entries"] == {"asked": 0, "parts": [], "missing": []}
    assert str(tmp_path) not in json.dumps(manifest)


def test_batch_ids_that_are_null_are_kept(service: Service, world: World, tmp_path: Path) -> None:
    world.task(3_000_001).batch_id = "gnome_r2scan_statics"
    service.load(world)
    outcome = pulled(tmp_path, "r2SCAN", exclude_batches=frozenset({"gnome_r2scan_statics"}))
    account(world, outcome)
    assert outcome.reasons("excluded batch") == {("mp-3000001", None): "batch gnome_r2scan_statics is excluded"}
    assert len(outcome.frames) == 32 - 4
    assert any(task.batch_id is None and f"mp-{task.number}-0-0" in outcome.ids for task in world.tasks())


def test_wrong_e0_of_vasp_5_is_repaired(service: Service, world: World, tmp_path: Path) -> None:
    world.task(3_000_070).scf_kept = False  # nothing but e_wo_entrp is left to repair it with
    service.load(world)
    outcome = pulled(tmp_path)
    account(world, outcome)
    origin = dict(zip(outcome.frames.strings("frame_id"), outcome.frames.strings("provenance"), strict=True))
    assert origin["mp-3000030-0-1"].startswith("E0 from last electronic step")
    assert origin["mp-3000070-0-1"].startswith("E0 from e_wo_entrp")
    assert outcome.manifest["energies_repaired"] == 8
    assert outcome.manifest["frames_without_scf_count"] == 4


def test_identifiers_join_however_they_are_spelled(service: Service, world: World, tmp_path: Path) -> None:
    for material, spelled in zip(world.materials, ["legacy", "alpha"] * 5, strict=True):
        material.spelled = spelled
    service.load(world)
    account(world, pulled(tmp_path))


def test_tasks_without_a_material_and_tasks_of_two_are_listed(service: Service, world: World, tmp_path: Path) -> None:
    world.orphans = [calculation(3_100_000, 0, "GGA")]
    shared = world.materials[0].tasks[0]
    world.materials.append(Material(3_000_500, [shared]))
    service.load(World(world.materials[:-1], world.orphans))
    service.write(World([world.materials[-1]]), "materials")
    outcome = pulled(tmp_path)
    account(World(world.materials[:-1], world.orphans), outcome)
    assert outcome.reasons("no material") == {
        ("mp-3100000", None): "no material has this task",
        ("mp-3000000", None): "mp-3000000 and mp-3000500 both claim it",
    }


def test_a_task_moved_from_a_deprecated_material_follows_it(service: Service, world: World, tmp_path: Path) -> None:
    world.materials.append(Material(3_000_500, [world.materials[0].tasks[0]], deprecated=True))
    service.load(World(world.materials[:-1]))
    service.write(World([world.materials[-1]]), "materials")
    outcome = pulled(tmp_path)
    account(World(world.materials[:-1]), outcome)
    assert outcome.listed == []


def test_missing_trajectories_and_documents_are_listed(service: Service, world: World, tmp_path: Path) -> None:
    world.no_trajectory, world.no_document = [3_000_010], [3_000_030]
    service.load(world)
    outcome = pulled(tmp_path)
    account(world, outcome)
    assert set(outcome.reasons("no trajectory")) == {("mp-3000010", None)}
    assert set(outcome.reasons("no task document")) == {("mp-3000030", None)}
    assert [entry["frame_id"] for entry in outcome.manifest["rejected"]] == ["mp-3000030"]


def test_deprecated_materials_and_tasks_are_listed(service: Service, world: World, tmp_path: Path) -> None:
    world.materials[1].deprecated = True
    world.materials[3].deprecated_tasks = [3_000_030]
    service.load(world)
    outcome = pulled(tmp_path)
    account(world, outcome)
    assert set(outcome.reasons("deprecated")) == {("mp-3000010", None), ("mp-3000030", None)}


def test_run_types_that_contradict_the_incar_are_rejected(service: Service, world: World, tmp_path: Path) -> None:
    world.task(3_000_000).incar = {"METAGGA": "Scan"}
    world.task(3_000_010).incar = {"LDAU": True}  # but no U values: plain GGA
    world.task(3_000_020).incar = {"LDAU": False}
    service.load(world)
    outcome = pulled(tmp_path)
    account(world, outcome)
    assert outcome.reasons("unusable") == {
        ("mp-3000000", None): "run type GGA, but METAGGA is SCAN",
        ("mp-3000020", None): "run type GGA+U, but the U values are {'Fe': 5.3}",
    }


def test_other_run_types_and_task_types_are_counted(service: Service, world: World, tmp_path: Path) -> None:
    world.orphans = [
        calculation(3_100_000, 0, "SCAN"),
        calculation(3_100_001, 0, "GGA", task_type="NSCF Line"),
        calculation(3_100_002, 0, "GGA", n_steps=1, task_type="Static"),
    ]
    service.load(world)
    manifest = json.loads(pull_into(tmp_path).read_text())
    kinds = manifest["tables"]["trajectories"]["kinds"]
    assert kinds["SCAN, Structure Optimization"] == kinds["GGA, NSCF Line"] == kinds["GGA, Static"] == 1
    assert manifest["tables"]["trajectories"]["rows_kept"] == 19
    assert sum(kinds.values()) == manifest["tables"]["trajectories"]["rows"] == 21


def test_broken_trajectories_are_rejected_one_by_one(service: Service, world: World, tmp_path: Path) -> None:
    rows = service_rows(world)
    rows["mp-3000000"]["forces"][1] = [[0.0, 0.0, 0.0]]  # one atom is missing
    rows["mp-3000010"]["forces"][2][0][0] = float("nan")
    rows["mp-3000020"]["forces"][0][0][0] = 1e5
    rows["mp-3000030"]["stress"][3] = [[0.0] * 3] * 2
    rows["mp-3000050"]["forces"] = None
    rows["mp-3000060"]["e_fr_energy"] = rows["mp-3000060"]["e_fr_energy"][:-1]
    rows["mp-3000070"]["cart_coords"][1] = rows["mp-3000070"]["cart_coords"][1][:1]
    rows["mp-3000080"]["lattice"] = [[[0.0] * 3] * 3] * 4
    serve_rows(service, rows)
    outcome = pulled(tmp_path, filters=NO_FILTER)
    account(world, outcome, stress=False)
    listed = outcome.reasons("unusable step")
    assert listed[("mp-3000000", 1)] == listed[("mp-3000010", 2)] == "forces are missing, incomplete or not finite"
    assert "beyond" in listed[("mp-3000020", 0)]
    assert len(listed) == 3 + 4
    assert outcome.reasons("unusable") == {
        ("mp-3000060", None): "e_fr_energy has shape (3,), not (4,)",
        ("mp-3000070", None): "cart_coords is incomplete or ragged",
        ("mp-3000080", None): "cell without volume",
    }
    without = [row["frame_id"] for row in outcome.frames.table.to_pylist() if row["stress_gpa"] is None]
    assert without == ["mp-3000030-0-3"]
    assert len(outcome.manifest["rejected"]) == 3 + 4 + 3


def test_trajectories_that_do_not_end_at_the_task_are_rejected(service: Service, world: World, tmp_path: Path) -> None:
    rows = service_rows(world)
    rows["mp-3000000"]["e_fr_energy"][-1] += 0.1  # another energy than the task document's
    drop_last_step(rows["mp-3000010"])
    rows["mp-3000020"]["lattice"] = rows["mp-3000020"]["lattice"][-1:]  # one cell, but ISIF = 3
    rows["mp-3000030"]["elements"] = rows["mp-3000030"]["elements"][::-1]
    rows["mp-3000040"]["num_ionic_steps"] = 9
    serve_rows(service, rows)
    outcome = pulled(tmp_path)
    account(world, outcome)
    reasons = {task: reason for (task, _), reason in outcome.reasons("unusable").items()}
    assert reasons.keys() == {f"mp-30000{k}0" for k in range(5)}
    assert "but the task document" in reasons["mp-3000000"]
    assert "but the task document" in reasons["mp-3000010"]
    assert reasons["mp-3000020"] == "one cell for 4 steps, although ISIF = 3 relaxes it"
    assert "differ, or their order" in reasons["mp-3000030"]
    assert reasons["mp-3000040"] == "4 steps, but num_ionic_steps is 9"


def service_rows(world: World) -> dict[str, dict]:
    return {f"mp-{calc.number}": trajectory(calc) for calc in world.tasks()}


def drop_last_step(row: dict) -> None:
    for key, values in row.items():
        if isinstance(values, list) and key != "elements":
            row[key] = values[:-1]
    row["num_ionic_steps"] -= 1


def serve_rows(service: Service, rows: dict[str, dict]) -> None:
    schema = pa.schema(arrowize(RelaxTrajectory))
    table = pa.Table.from_pylist([{name: row.get(name) for name in schema.names} for row in rows.values()], schema)
    service.write_table("trajectories", table, mode="overwrite")


def test_the_same_trajectory_twice_is_taken_once(service: Service, world: World, tmp_path: Path) -> None:
    service.write(World([], extra_trajectories=[world.materials[0].tasks[0]]), "trajectories")
    outcome = pulled(tmp_path, filters=NO_FILTER)
    account(world, outcome)
    assert outcome.reasons("unusable") == {("mp-3000000", None): "the same trajectory once more"}
    assert len(outcome.frames) == 40


def test_a_release_that_is_not_there_is_refused(service: Service, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match=r"no data of release 1999.1.1 \(there: 2026.10.1\)"):
        pull_into(tmp_path, db_version="1999.1.1")


def test_stresses_of_both_functionals_have_tension_positive(service: Service, world: World, tmp_path: Path) -> None:
    outcome = pulled(tmp_path, "r2SCAN")
    first = world.task(3_000_001).steps[0]
    row = outcome.frames.strings("frame_id").index("mp-3000001-0-0")
    np.testing.assert_allclose(
        outcome.frames.flat("stress_gpa").reshape(-1, 3, 3)[row], -0.1 * np.array(first.stress), rtol=1e-6
    )


@pytest.mark.parametrize("partitioned", [True, False])
def test_other_releases_of_the_materials_are_left_alone(
    service: Service, world: World, tmp_path: Path, partitioned: bool
) -> None:
    older = World([Material(m.number, m.tasks, deprecated=True) for m in world.materials])
    both = [tables(older, db_version="2025.1.1")["materials"], tables(world)["materials"]]
    service.write_table("materials", pa.concat_tables(both), mode="overwrite", partitioned=partitioned)
    for release, n in (("2025.1.1", 0), ("2026.10.1", 40)):
        folder = tmp_path / release
        manifest = json.loads(pull_into(folder, db_version=release).read_text())
        assert manifest["tables"]["materials"]["rows"] == 20
        assert manifest["tables"]["materials"]["rows_kept"] == 10
        if n:
            outcome = select(folder, "PBE")
            account(world, outcome)
            assert len(outcome.frames) == n


def test_energies_forces_and_stresses_belong_together(service: Service, world: World, tmp_path: Path) -> None:
    work = pulled(tmp_path).manifest["work_test"]
    assert work["stress"]["verdict"] == "checked"
    assert "too small" in work["forces"]["why"]  # the made-up crystals are strained, and their atoms hardly move
    assert work["stress"]["slope"] == pytest.approx(1.0, abs=0.02)
    for calc in world.tasks():
        for step in calc.steps:
            step.stress = (-np.array(step.stress)).tolist()
    service.load(world)
    with pytest.raises(FramesError, match="opposite sign"):
        pulled(tmp_path / "again")


def test_filters_of_the_published_sets(service: Service, world: World, tmp_path: Path) -> None:
    first, second, third = (world.materials[k].tasks[0].steps for k in (0, 1, 3))
    first[0].n_scf = 100  # NELM
    first[1].e_0 = first[3].e_0 + 2 * 1.2  # eV/atom above the entry
    second[0].e_0 = second[3].e_0 - 2 * 0.05
    third[1] = third[0]
    away = calculation(3_000_045, 4, "GGA")
    for step in away.steps:
        step.e_0 += 2 * 0.5
    world.materials[4].tasks.insert(0, away)
    with_other_u = calculation(3_000_025, 2, "GGA+U", hubbards={"Fe": 4.0})
    without_u = calculation(3_000_026, 2, "GGA")
    world.materials[2].tasks[:0] = [with_other_u, without_u]
    service.load(world)
    outcome = pulled(tmp_path)
    account(world, outcome)
    found = {stage: set(outcome.reasons(stage)) for stage in {item["stage"] for item in outcome.listed}}
    assert found == {
        "electronic steps not converged": {("mp-3000000", 0)},
        "outside the energy window": {("mp-3000000", 1), ("mp-3000010", 0)},
        "duplicate": {("mp-3000030", 1)},
        "ends away from the main entry": {("mp-3000045", None)},
        "other U than the main entry": {("mp-3000025", None), ("mp-3000026", None)},
    }
    everything = select(tmp_path, "PBE", filters=NO_FILTER)
    account(world, everything)
    assert everything.listed == []
    stages = {stage["stage"]: stage for stage in outcome.manifest["stages"]}
    u = stages["other U than the main entry"]
    assert (u["before"]["GGA+U"] - u["after"]["GGA+U"], u["before"]["GGA"] - u["after"]["GGA"]) == (4, 4)
    assert sum(stages["duplicate"]["after"].values()) == len(outcome.frames)


@pytest.mark.parametrize("inline", [True, False])
def test_rows_behind_a_deletion_vector_are_not_pulled(
    service: Service, world: World, tmp_path: Path, inline: bool
) -> None:
    delete_rows(service, "trajectories", "run_type=r2SCAN", [0, 2, 3], inline=inline)
    gone = {f"mp-{calc.number}" for calc in world.tasks() if calc.run_type == "r2SCAN"}
    gone = {sorted(gone)[k] for k in (0, 2, 3)}
    manifest = json.loads(pull_into(tmp_path).read_text())["tables"]["trajectories"]
    assert (manifest["rows"], manifest["rows_deleted"], manifest["rows_kept"]) == (15, 3, 15)
    outcome = select(tmp_path, "r2SCAN")
    assert len(outcome.frames) == 32 - 3 * 4
    assert {task for task, _ in outcome.reasons("no trajectory")} == gone
    assert len(select(tmp_path, "PBE").frames) == 40


def test_a_table_without_deletions_but_with_their_feature_is_read(
    service: Service, world: World, tmp_path: Path
) -> None:
    delete_rows(service, "tasks", ".parquet", [])
    outcome = pulled(tmp_path)
    account(world, outcome)
    assert outcome.listed == []


def test_a_deletion_vector_that_does_not_fit_is_refused(service: Service, tmp_path: Path) -> None:
    delete_rows(service, "tasks", ".parquet", [40])
    with pytest.raises(DownloadError, match="Deletion vector mask length 41 exceeds numRecords 18"):
        pull_into(tmp_path)


def test_several_processes_select_what_one_selects(service: Service, world: World, tmp_path: Path) -> None:
    world.task(3_000_010).steps[1] = world.task(3_000_010).steps[2]
    world.materials[3].deprecated = True
    service.load(world)
    one = pulled(tmp_path)
    account(world, one)
    assert {item["stage"] for item in one.listed} == {"duplicate", "deprecated"}
    two = select(tmp_path, "PBE", processes=2)
    assert (two.manifest, two.listed) == (one.manifest, one.listed)  # with the hashes of the parts
