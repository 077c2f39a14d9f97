from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pulled_rows import ENERGIES, FREE, TASK, material, task_row, trajectory_row

from uprung.config.data import Filters
from uprung.sources.materials_project.materials import STAGES, Options, Result, read_material

PBE = Options("PBE")
OFF = Options("PBE", filters=Filters(same_hubbard=False, main_entry=None, converged=False, window=None, duplicates=[]))


def reasons(result: Result) -> list[tuple[str, int | None, str]]:
    return [(item.stage, item.step, item.reason) for item in result.dropped]


def with_task(**changes: Any) -> Any:
    return material(tasks={TASK: task_row(**changes)})


def with_trajectory(**changes: Any) -> Any:
    return material(trajectories={TASK: [trajectory_row(**changes)]})


def incar(**settings: Any) -> dict[str, Any]:
    return {"incar": json.dumps({"NELM": 100, "ISIF": 3, **settings}), "hubbards": []}


def test_units_signs_and_names():
    result = read_material(material(), PBE)
    assert reasons(result) == []
    assert [frame.frame_id for frame in result.frames] == [f"mp-3000001-0-{k}" for k in (2, 0, 1)]  # the entry first
    first = result.frames[1]
    assert first.material_id == "mp-3000000"
    assert (first.energy, first.energy_free) == (pytest.approx(-8.0), -8.0 - FREE)
    np.testing.assert_allclose(first.stress_gpa[0], [-2.0, -0.1, -0.2])
    np.testing.assert_allclose(first.frac @ first.lattice, trajectory_row()["cart_coords"][0], atol=1e-12)
    assert result.frames[0].magmom.tolist() == [0.0, 0.1]
    assert first.magmom is None


def test_moments_come_from_outcar_where_the_structure_has_none():
    row = task_row()
    for site in row["output"]["structure"]["sites"]:
        site["properties"] = {"magmom": None}
    assert read_material(material(tasks={TASK: row}), PBE).frames[0].magmom.tolist() == [0.5, 0.6]
    row["output"]["outcar"] = {"magnetization": [{"tot": 0.5}]}  # one atom is missing
    assert read_material(material(tasks={TASK: row}), PBE).frames[0].magmom is None


@pytest.mark.parametrize(
    ("version", "steps", "served", "without", "origin"),
    [
        ("5.4.4", True, [0.0] * 3, list(ENERGIES), "last electronic step"),
        ("5.4.4", False, [0.0] * 3, list(ENERGIES), "e_wo_entrp"),
        ("6.4.2", False, list(ENERGIES), [1.0] * 3, "as served"),
        ("vasp.6.3.2.27Jun22", False, list(ENERGIES), [1.0] * 3, "as served"),
    ],
)
def test_where_e0_comes_from(version, steps, served, without, origin):
    row = trajectory_row(energy=served, e_wo_entrp=without)
    if not steps:
        row["electronic_steps"] = None
    data = material(tasks={TASK: task_row(vasp_version=version)}, trajectories={TASK: [row]})
    frames = sorted(read_material(data, PBE).frames, key=lambda frame: frame.frame_id)
    assert [frame.energy for frame in frames] == pytest.approx(ENERGIES)
    assert all(frame.provenance.startswith(f"E0 from {origin};") for frame in frames)


@pytest.mark.parametrize(
    ("data", "stage", "part"),
    [
        (material(deprecated=True), "deprecated", "material is deprecated"),
        (material(deprecated_tasks=frozenset({TASK})), "deprecated", "the task is deprecated"),
        (material(tasks={}), "no task document", "no document"),
        (material(trajectories={}), "no trajectory", "no trajectory"),
        (material(entries={}), "no main entry", "no GGA entry"),
        (with_task(batch_id="closed"), "excluded batch", "closed"),
        (with_task(run_type="r2SCAN"), "unusable", "METAGGA is not set"),
        (with_task(input=incar(METAGGA="R2scan")), "unusable", "METAGGA is R2SCAN"),
        (with_task(input={"incar": None}), "unusable", "no INCAR"),
        (with_task(input={"incar": "{"}), "unusable", "not JSON"),
        (with_task(input=incar(LDAU=True) | {"hubbards": [("Na", 2.0)]}), "unusable", "U values are {'Na': 2.0}"),
        (with_task(output={}), "unusable", "no energy"),
        (with_task(output={"energy": -8.15}), "unusable", "no final structure"),
        (with_task(output={**task_row()["output"], "energy": -8.16}), "unusable", "the task document -8.16"),
        (with_trajectory(elements=[17, 11]), "unusable", "their order"),
        (with_trajectory(num_ionic_steps=4), "unusable", "num_ionic_steps is 4"),
        (with_trajectory(lattice=trajectory_row()["lattice"][:1]), "unusable", "ISIF = 3"),
        (with_trajectory(lattice=trajectory_row()["lattice"][:2]), "unusable", "2 cells for 3 steps"),
        (with_trajectory(e_fr_energy=[-1.0, float("nan"), -1.0]), "unusable", "e_fr_energy is not finite"),
        (with_trajectory(e_fr_energy=None), "unusable", "e_fr_energy"),
        (with_trajectory(run_type="PBE"), "unusable", "its task document GGA"),
        (with_trajectory(electronic_steps=None, energy=None), "unusable", "no σ→0 energy"),
    ],
)
def test_calculations_that_are_not_used(data, stage, part):
    result = read_material(data, Options("PBE", exclude_batches=frozenset({"closed"})))
    assert result.frames == []
    ((found, step, reason),) = reasons(result)
    assert (found, step) == (stage, None)
    assert part in reason
    assert stage in STAGES


def test_a_cell_held_fixed_is_given_once():
    cell = trajectory_row()["lattice"][-1]
    frac = np.array(task_row()["output"]["structure"]["sites"][0]["abc"])
    row = trajectory_row(lattice=[cell], cart_coords=[trajectory_row()["cart_coords"][-1]] * 3)
    data = material(tasks={TASK: task_row(input=incar(ISIF=2))}, trajectories={TASK: [row]})
    frames = read_material(data, OFF).frames
    assert len(frames) == 3
    assert all(np.array_equal(frame.lattice, cell) for frame in frames)
    np.testing.assert_allclose(frames[0].frac[0], frac, atol=1e-12)


def test_a_last_step_that_is_not_the_final_structure_is_found():
    row = trajectory_row()
    row["cart_coords"][-1][0] = [0.0, 0.0, 0.01]
    assert "steps are missing" in reasons(read_material(material(trajectories={TASK: [row]}), PBE))[0][2]
    row["cart_coords"][-1][0] = row["lattice"][-1][0]  # the same atom in the next cell
    assert len(read_material(material(trajectories={TASK: [row]}), PBE).frames) == 3


def test_u_is_compared_with_the_entry_with_u():
    entries = {**material().entries, "GGA+U": {"energy": -8.15, "n_atoms": 2, "hubbards": {"Na": 2.0}}}
    assert reasons(read_material(material(entries=entries), PBE)) == [
        ("other U than the main entry", None, "U is none, the entry's {'Na': 2.0}")
    ]
    different = Options("PBE", filters=Filters(same_hubbard=False))
    assert len(read_material(material(entries=entries), different).frames) == 3


def test_entries_of_several_formula_units_are_compared_per_atom():
    entries = {"GGA": {"energy": 4 * ENERGIES[-1], "n_atoms": 8, "hubbards": {}}}
    assert len(read_material(material(entries=entries), PBE).frames) == 3


def test_correction_is_a_column_of_its_own():
    frames = read_material(material(), Options("PBE", correction=lambda task: -0.5)).frames
    assert {frame.correction for frame in frames} == {-0.5}
    assert frames[0].energy == pytest.approx(ENERGIES[-1])


def test_the_same_trajectory_twice_is_taken_once():
    result = read_material(material(trajectories={TASK: [trajectory_row(), trajectory_row()]}), OFF)
    assert len(result.frames) == 3
    assert reasons(result) == [("unusable", None, "the same trajectory once more")]


def places(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the places of nested lists and dictionaries."""
    if path:
        yield path
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, child in children:
        yield from places(child, (*path, key))


def mutated(row: dict[str, Any], place: tuple[Any, ...], how: Any) -> dict[str, Any]:
    row = copy.deepcopy(row)
    node: Any = row
    for key in place[:-1]:
        node = node[key]
    if how == "delete":
        del node[place[-1]]
    elif how == "double" and isinstance(node[place[-1]], list):
        node[place[-1]] = node[place[-1]] * 2
    else:
        node[place[-1]] = how
    return row


TEXT = ("run_type", "identifier", "batch_id", "task_id")  # columns that cannot hold anything else
PLACES = [
    (which, place)
    for which, row in (("task", task_row()), ("trajectory", trajectory_row()))
    for place in places(row)
    if place[0] not in TEXT
]
VALUES = st.one_of(
    st.sampled_from(["delete", "double", None, [], {}, "?", float("nan"), float("inf"), 1e30, -1, 0, True]),
    st.floats(-1e3, 1e3),
)


def check_mutation(which: str, place: tuple[Any, ...], how: Any) -> None:
    """A changed record gives frames with the numbers of the record, or is listed; it never raises."""
    rows = {"task": task_row(), "trajectory": trajectory_row()}
    rows[which] = mutated(rows[which], place, how)
    result = read_material(material(tasks={TASK: rows["task"]}, trajectories={TASK: [rows["trajectory"]]}), OFF)
    row = rows["trajectory"]
    whole = [item for item in result.dropped if item.step is None]
    steps = len(row["cart_coords"]) if isinstance(row.get("cart_coords"), list) else 0
    assert len(result.frames) + sum(item.frames for item in result.dropped) == steps
    assert whole or len(result.frames) + len(result.dropped) == steps
    for frame in result.frames:
        k = int(frame.frame_id.rsplit("-", 1)[1])
        np.testing.assert_array_equal(frame.forces, np.array(row["forces"][k], dtype=float))
        if frame.stress_gpa is not None:
            np.testing.assert_allclose(frame.stress_gpa, -0.1 * np.array(row["stress"][k], dtype=float))
        np.testing.assert_array_equal(frame.lattice, np.array(row["lattice"][k], dtype=float))
        np.testing.assert_allclose(frame.frac @ frame.lattice, row["cart_coords"][k], atol=1e-9)
        assert frame.energy_free == row["e_fr_energy"][k]
        assert frame.Z.tolist() == row["elements"]
        assert all(reason for _, _, reason in reasons(result))


MUTATION = {"case": st.sampled_from(PLACES), "how": VALUES}


def test_an_atomic_number_with_a_fraction_is_no_atom():
    check_mutation("trajectory", ("elements", 0), trajectory_row()["elements"][0] + 0.5)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(**MUTATION)
def test_mutated_records_are_taken_as_they_are_or_listed(case, how):
    check_mutation(*case, how)


@pytest.mark.slow
@settings(max_examples=2000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(**MUTATION)
def test_many_mutated_records_are_taken_as_they_are_or_listed(case, how):
    check_mutation(*case, how)
