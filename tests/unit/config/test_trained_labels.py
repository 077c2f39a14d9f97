"""Which labels arms train on: choices of a study, their names, what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from uprung.config.load import StudyError, load_study
from uprung.models.registry import contradictions
from uprung.report.arms import arm_labels, mix_words, options_of, scratch_of, trained_words

DATA = [{"format": "diatomics", "file": "data/diatomics/diatomics-dft.json.gz"}]
ARMS = {"scratch": {"init": "random"}, "moved": {"references": "residual"}, "kept": {"references": "checkpoint"}}


def study(**changes: Any) -> Any:
    found: dict[str, Any] = {
        "study": "labels",
        "fidelities": {name: {"functional": name, "sources": DATA} for name in ("PBE", "r2SCAN")},
        "pairs": {"dimers": {"low": "PBE", "high": "r2SCAN"}},
        "transfer": {"pair": "dimers", "targets": ["energy", "force", "stress"]},
        "arms": ARMS,
        "sizes": [10],
        "seeds": [0],
        "budgets": {"b": {"steps": 5}},
    }
    return load_study({**found, **changes})


def transfer(**options: Any) -> dict[str, Any]:
    return {"pair": "dimers", "targets": ["energy", "force", "stress"], **options}


def arms(**options: dict[str, Any]) -> dict[str, Any]:
    return {name: {**arm, **options.get(name, {})} for name, arm in ARMS.items()}


def test_arms_train_on_all_targets_unless_told_otherwise() -> None:
    found = study()
    assert [found.labels_of(name) for name in ARMS] == 3 * [["energy", "force", "stress"]]
    assert arm_labels(found) == {name: name for name in ARMS}
    assert trained_words(found) == ""


def test_labels_of_an_arm_come_before_those_of_the_study_and_in_the_order_of_targets() -> None:
    found = study(transfer=transfer(labels=["energy"]), arms=arms(moved={"labels": ["force", "energy"]}))
    assert {name: found.labels_of(name) for name in ARMS} == {
        "scratch": ["energy"],
        "moved": ["energy", "force"],
        "kept": ["energy"],
    }
    assert arm_labels(found)["moved"] == "moved (E, F)"
    assert (
        trained_words(found)
        == " Trained scratch, kept on energy labels only; moved (E, F) on energy and force labels only."
    )
    assert "all arms on energy labels only" in trained_words(study(transfer=transfer(labels=["energy"])))
    assert scratch_of(found) == "scratch"


def test_an_arm_with_fewer_labels_is_named_by_them_and_is_no_plain_scratch() -> None:
    found = study(arms=arms(scratch={"labels": ["energy"]}, kept={"labels": ["force"], "label": "forces"}))
    assert arm_labels(found) == {"scratch": "scratch (E)", "moved": "moved", "kept": "forces"}
    assert list(options_of(found.arms["scratch"])) == ["trained on labels of energy only"]
    assert scratch_of(found) is None
    assert trained_words(found).endswith("forces on force labels only.")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"arms": arms(moved={"labels": ["magmom"]})}, "arms.moved.labels: magmom is not among transfer.targets"),
        ({"transfer": transfer(labels=["magmom"])}, "transfer.labels: magmom is not among transfer.targets"),
        ({"arms": arms(moved={"labels": ["forces"]})}, "arms.moved.labels.0: 'forces'"),
        ({"arms": arms(moved={"labels": ["energy", "energy"]})}, "energy given more than once"),
        (
            {"arms": arms(moved={"labels": ["force"]})},
            "arms.moved: trains on no energy, but reference residual is fitted",
        ),
        ({"arms": arms(scratch={"labels": ["force"]})}, "arms.scratch: trains on no energy, but reference target"),
        (
            {"transfer": transfer(labels=["force"]), "arms": {"moved": ARMS["moved"]}},
            "arms.moved: trains on no energy, but reference residual",
        ),
        (
            {"arms": arms(kept={"labels": ["force"], "references_trainable": True})},
            "arms.kept: trains on no energy, which trainable references need",
        ),
        (
            {"arms": arms(kept={"labels": ["force"]}), "budgets": {"b": {"epochs": 2}}},
            "arms.kept: trains on no energy, but budgets.b keeps the checkpoint of the lowest one",
        ),
        (
            {"arms": arms(kept={"labels": ["stress"]}), "training": {"weights": {"stress": 0}}},
            "arms.kept: training.weights is 0 for all of its labels (stress)",
        ),
    ],
)
def test_labels_that_cannot_be_are_refused_with_what_can(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(StudyError) as told:
        study(**changes)
    assert words in str(told.value)


def test_forces_alone_go_with_references_that_see_no_target_energy() -> None:
    options = ({"references": name, "labels": ["force"]} for name in ("source", "checkpoint"))
    found = study(arms=dict(zip("ab", options, strict=True)))
    assert found.labels_of("a") == found.labels_of("b") == ["force"]


TEACHERS = {"labels": "teachers", "teachers": ["pretrained", "small"], "agree": {"force": 0.1}}


def taught(**changes: Any) -> dict[str, Any]:
    return {"moved": {"references": "residual", "replay": {**TEACHERS, **changes}}}


def test_teachers_are_networks_that_the_study_has() -> None:
    small = {"small": {"steps": 5}}
    assert study(arms=taught(), pretraining=small).arms["moved"].replay.teachers == ["pretrained", "small"]
    with pytest.raises(StudyError, match=r"arms.moved.replay.teachers: no network named 'small'"):
        study(arms=taught())
    with pytest.raises(StudyError, match=r"arms.moved.replay.agree: magmom is not among transfer.targets"):
        study(arms=taught(agree={"magmom": 1}), pretraining=small)


def test_teachers_read_the_inputs_of_the_arm() -> None:
    arms = {**taught(teachers=["pretrained", "7net-0"]), "other": {"init": "random", "architecture": "7net-0"}}
    (told,) = contradictions(study(arms=arms))
    assert told.startswith("arms.moved.replay.teachers: 7net-0 is no network of CHGNet")
    bare = {"moved": {"init": "small", "references": "target", "replay": TEACHERS}}
    (told,) = contradictions(study(arms=bare, pretraining={"small": {"steps": 5}}, architecture="chgnet"))
    assert told.startswith("arms.moved.replay.teachers: chgnet has no weights but random ones")


def test_a_mix_names_sources_of_the_target() -> None:
    two = [{**DATA[0], "name": "light", "exclude_elements": ["9-94"]}, {**DATA[0], "exclude_elements": ["1-8"]}]
    fidelities = {"PBE": {"functional": "PBE", "sources": DATA}, "r2SCAN": {"functional": "r2SCAN", "sources": two}}
    split = {"group": "frame", "draw": "frame", "mix": {"light": 1, "diatomics": 3}}
    found = study(fidelities=fidelities, split=split)
    assert mix_words(found) == (
        " Training subsets of every size mix their sources: 25 % light, 75 % diatomics (frames)."
    )
    assert mix_words(study()) == ""
    for mix, words in (
        ({"lite": 1}, r"split.mix: r2SCAN has no source named 'lite'; did you mean 'light'"),
        ({"light": 0}, "greater than 0"),
    ):
        with pytest.raises(StudyError, match=words):
            study(fidelities=fidelities, split={**split, "mix": mix})
