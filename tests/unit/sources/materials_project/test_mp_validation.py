from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from complete_rows import SETS, complete_task, complete_trajectory
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pulled_rows import TASK, material
from test_mp_materials import TEXT, mutated, places

from uprung.config.data import Filters
from uprung.sources.materials_project.findings import Counts, Finding, Validated
from uprung.sources.materials_project.materials import Options, Result, read_material
from uprung.sources.materials_project.records import read_steps, read_task
from uprung.sources.materials_project.validation import NAME, validate

Json = dict[str, Any]
OFF = Filters(same_hubbard=False, main_entry=None, converged=False, window=None, duplicates=[])


def flags_of(document: Json, row: Json) -> list[str]:
    task = read_task(document)
    findings = validate(document, row, task, read_steps(row, task))
    return [f"{finding.kind}: {finding.what}" for finding in findings]


def with_input(document: Json, **changes: Any) -> Json:
    return {**document, "input": {**document["input"], **changes}}


def with_output(document: Json, **changes: Any) -> Json:
    return {**document, "output": {**document["output"], **changes}}


@pytest.mark.parametrize("run_type", SETS)
def test_a_calculation_of_today_passes_every_check(run_type: str) -> None:
    assert flags_of(complete_task(run_type), complete_trajectory(run_type)) == []


TAGS = [
    ({"ENCUT": 400}, ["invalid: ENCUT"]),
    ({"PREC": "Normal"}, ["invalid: PREC"]),
    ({"LREAL": True}, ["invalid: LREAL"]),
    ({"LASPH": False}, ["invalid: LASPH"]),
    ({"EDIFF": 0.1}, ["invalid: EDIFF"]),
    ({"GGA": "PE", "METAGGA": "--"}, []),
    ({"ISMEAR": 1, "SIGMA": 0.4}, ["invalid: ISMEAR", "invalid: SIGMA"]),
    ({"IBRION": 5}, ["not checked: everything"]),
]


@pytest.mark.parametrize(("tags", "expected"), TAGS, ids=lambda value: str(value))
def test_tags_of_the_incar(tags: Json, expected: list[str]) -> None:
    assert flags_of(complete_task(**tags), complete_trajectory()) == expected


def test_tags_of_two_functionals() -> None:
    found = flags_of(complete_task("r2SCAN", GGA="PE"), complete_trajectory("r2SCAN"))
    assert found == ["invalid: GGA and METAGGA"]


def moments(*values: float) -> Json:
    return with_output(
        complete_task(), outcar={"magnetization": [{"tot": value} for value in values], "drift": [[0.0] * 3]}
    )


def kpoints(**changes: Any) -> Json:
    document = complete_task()
    return with_input(document, kpoints={**document["input"]["kpoints"], **changes})


def other_potential() -> Json:
    document = complete_task()
    spec = document["input"]["potcar_spec"]
    spec[0]["summary_stats"]["stats"]["data"]["MEAN"] += 1.0
    return document


def fixed_atom() -> Json:
    sites = [{"properties": {"selective_dynamics": [True, True, k > 0]}} for k in range(2)]
    return with_input(complete_task(), structure={"sites": sites})


DOCUMENTS = [
    ("too few k-points", kpoints(kpoints=[[1, 1, 1]]), ["invalid: KPOINTS or KSPACING"]),
    ("shifted k-points", kpoints(usershift=[0.5, 0.5, 0.5]), ["invalid: KPOINTS"]),
    ("potential of another release", other_potential(), ["invalid: pseudopotentials"]),
    ("old VASP", complete_task() | {"vasp_version": "5.2.2"}, ["invalid: vasp version"]),
    ("VASP with a date", complete_task() | {"vasp_version": "vasp.5.4.4.18Apr17"}, []),
    ("large moment", moments(7.0, -6.0), ["invalid: magnetism"]),
    ("fixed atom", fixed_atom(), ["invalid: selective dynamics"]),
    ("metal", with_output(complete_task(), bandgap=0.0), ["invalid: ISMEAR"]),
    ("charged", with_output(complete_task(), structure={**complete_task()["output"]["structure"], "charge": 1.0}),
     ["invalid: NELECT"]),
    ("too many bands", with_input(complete_task(), parameters=json.dumps({"NELECT": 14.0, "NBANDS": 200})),
     ["invalid: NBANDS"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("document", "expected"), [case[1:] for case in DOCUMENTS], ids=[case[0] for case in DOCUMENTS]
)
def test_documents_that_fail_one_check(document: Json, expected: list[str]) -> None:
    assert flags_of(document, complete_trajectory()) == expected


def test_steps_that_reached_nelm_are_not_converged() -> None:
    steps = complete_trajectory()["electronic_steps"]
    row = complete_trajectory(electronic_steps=[steps[0] * 10, *steps[1:]], num_electronic_steps=[100, 10, 10])
    assert flags_of(complete_task(), row) == ["invalid: convergence"]


def test_large_forces_at_the_end_of_a_relaxation_that_is_to_end_by_forces() -> None:
    row = complete_trajectory("r2SCAN", forces=[[[0.5, 0.0, 0.0], [-0.5, 0.0, 0.0]]] * 3)
    assert flags_of(complete_task("r2SCAN"), row) == ["invalid: MAX FINAL FORCE MAGNITUDE"]


def test_positive_energies() -> None:
    energies = [104.02, 104.00001, 104.0]
    row = complete_trajectory(electronic_steps=None, e_fr_energy=energies, energy=energies)
    found = flags_of(with_output(complete_task(), energy=104.0), row)
    assert [flag for flag in found if "invalid" in flag] == ["invalid: large positive final energy"]


def test_elements_that_the_hull_does_not_have() -> None:
    document, row = complete_task(), complete_trajectory(elements=[84, 17])
    document["output"]["structure"]["sites"][0]["species"][0]["element"] = "Po"
    assert "invalid: composition" in flags_of(document, row)


def test_forces_that_drift_are_a_warning() -> None:
    outcar = {"magnetization": [{"tot": 0.0}] * 2, "drift": [[0.0, 0.1, 0.0]] * 3}
    assert flags_of(with_output(complete_task(), outcar=outcar), complete_trajectory()) == ["warning: convergence"]


MISSING = [
    ("input", "kpoints", ["not checked: k-points"]),
    ("input", "parameters", ["not checked: NBANDS and NELECT"]),
    ("input", "structure", []),
    ("output", "bandgap", ["not checked: smearing for the band gap", "warning: ISMEAR"]),
    ("output", "outcar", ["not checked: drift of the forces", "not checked: magnetic moments"]),
]


@pytest.mark.parametrize(("part", "key", "expected"), MISSING)
@pytest.mark.parametrize("gone", [True, False])
def test_checks_without_data_are_not_made(part: str, key: str, expected: list[str], gone: bool) -> None:
    document = complete_task()
    if gone:
        del document[part][key]
    else:
        document[part][key] = None
    assert flags_of(document, complete_trajectory()) == expected


def test_parameters_without_numbers_of_bands_and_electrons() -> None:
    document = with_input(complete_task(), parameters=json.dumps({"NBANDS": 14, "ENMAX": 520.0}))
    assert flags_of(document, complete_trajectory()) == ["not checked: NBANDS and NELECT"]


def test_potentials_without_statistics_are_not_checked() -> None:
    document = complete_task()
    document["input"]["potcar_spec"][1]["summary_stats"] = None
    assert flags_of(document, complete_trajectory()) == ["not checked: potentials"]


def test_without_potentials_and_tags_nobody_knows_the_functional() -> None:
    found = flags_of(with_input(complete_task(), potcar_spec=None), complete_trajectory())
    assert found == ["not checked: everything"]
    found = flags_of(with_input(complete_task(GGA="PE"), potcar_spec=None), complete_trajectory())
    assert found == ["not checked: potentials"]


def test_an_unknown_version_and_electronic_steps_that_were_not_kept() -> None:
    assert flags_of(complete_task() | {"vasp_version": None}, complete_trajectory()) == ["not checked: VASP version"]
    row = complete_trajectory(electronic_steps=None)
    unkept = ["not checked: electronic entropy", "not checked: energies of the electronic steps"]
    assert flags_of(complete_task(), row) == unkept
    row["num_electronic_steps"] = None
    assert flags_of(complete_task(), row) == ["not checked: electronic convergence", *unkept]
    row["num_electronic_steps"] = [10, 100, 10]
    assert flags_of(complete_task(), row) == ["invalid: convergence", *unkept]


def test_a_finding_does_not_depend_on_what_was_looked_at_before() -> None:
    cases = [(complete_task(**tags), complete_trajectory(), expected) for tags, expected in TAGS]
    for document, row, expected in [*cases, *cases[::-1]]:
        assert flags_of(document, row) == expected


def read(document: Json, row: Json) -> Result:
    options = Options("PBE", filters=OFF, validate=validate, validator=NAME)
    return read_material(material(tasks={TASK: document}, trajectories={TASK: [row]}), options)


def test_frames_carry_the_flags_of_their_calculation_and_all_are_kept() -> None:
    document = with_input(complete_task(ENCUT=400), parameters=None)
    document["output"]["outcar"]["drift"] = [[0.0, 0.1, 0.0]]
    result = read(document, complete_trajectory())
    assert len(result.frames) == 3
    assert {frame.flags for frame in result.frames} == {("invalid: ENCUT", "not checked: NBANDS and NELECT")}
    (validated,) = result.validated
    assert (validated.task_id, validated.calculation, validated.run_type) == ("mp-3000001", 0, "GGA")
    assert [row["kind"] for row in validated.rows()] == ["invalid", "not checked", "warning"]
    assert "should be >= 520" in next(validated.rows())["text"]
    assert {frame.flags for frame in read(complete_task(), complete_trajectory()).frames} == {()}


def test_nothing_is_validated_unless_asked_for_or_without_frames() -> None:
    data = material(tasks={TASK: complete_task()}, trajectories={TASK: [complete_trajectory()]})
    result = read_material(data, Options("PBE", filters=OFF))
    assert ({frame.flags for frame in result.frames}, result.validated) == ({None}, [])
    assert read(complete_task() | {"run_type": "r2SCAN"}, complete_trajectory()).validated == []


def test_calculations_are_counted_once_per_finding() -> None:
    counts = Counts()
    for kinds in ([], ["warning"], ["not checked"], ["not checked", "invalid"], ["invalid", "invalid"]):
        counts.add(Validated("mp-1", 0, "GGA", [Finding(kind, f"{kind} thing", "text") for kind in kinds]))
    assert counts.facts() == {
        "calculations": 5,
        "valid": 2,
        "partly checked": 1,
        "invalid": 2,
        "findings": {
            "invalid": {"invalid thing": 2},
            "not checked": {"not checked thing": 2},
            "warning": {"warning thing": 1},
        },
    }


PLACES = [
    (which, place)
    for which, row in (("document", complete_task()), ("row", complete_trajectory()))
    for place in places(row)
    if place[0] not in TEXT
]
TAGS_AND_PARAMETERS = sorted(json.loads(complete_task()["input"]["incar"]).keys() | {"NBANDS", "NELECT", "GGA", "LDAU"})
VALUES = st.one_of(
    st.sampled_from(["delete", "double", None, [], {}, "?", float("nan"), float("inf"), 1e30, -1, 0, True, [1, 2]]),
    st.floats(-1e3, 1e3),
)


def check_mutation(which: str, place: tuple[Any, ...], how: Any) -> None:
    """A changed record is validated without an error and without losing a frame."""
    rows = {"document": complete_task(), "row": complete_trajectory()}
    rows[which] = mutated(rows[which], place, how)
    plain = read_material(
        material(tasks={TASK: rows["document"]}, trajectories={TASK: [rows["row"]]}), Options("PBE", filters=OFF)
    )
    result = read(copy.deepcopy(rows["document"]), rows["row"])
    assert [frame.frame_id for frame in result.frames] == [frame.frame_id for frame in plain.frames]
    assert len(result.validated) == bool(result.frames)
    assert all(frame.flags is not None for frame in result.frames)
    for found in result.validated:
        assert all(f.text and 0 < len(f.what) <= 80 for f in found.findings)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(case=st.sampled_from(PLACES), how=VALUES)
def test_mutated_records_are_validated_without_an_error(case: tuple[str, tuple[Any, ...]], how: Any) -> None:
    check_mutation(*case, how)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(part=st.sampled_from(["incar", "parameters"]), tag=st.sampled_from(TAGS_AND_PARAMETERS), value=VALUES)
def test_mutated_tags_are_validated_without_an_error(part: str, tag: str, value: Any) -> None:
    tags = json.loads(complete_task()["input"][part])
    check_mutation("document", ("input", part), json.dumps({**tags, tag: value}))
