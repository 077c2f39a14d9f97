"""Several architectures in one study: what a list stands for, which arms are compared, what is refused."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from uprung.config.architectures import comparisons
from uprung.config.base import plain
from uprung.config.docs import FIRST_STUDY
from uprung.config.load import StudyError, load_study
from uprung.config.study import Study
from uprung.models.chosen import card_in, facts_in
from uprung.models.registry import CARDS, contradictions

TENSORNET = "TensorNet-MatPES-PBE-v2025.1-PES"
T = "TensorNet-MatPES-PBE-v2025-1-PES"
OWN = {"file": "mine.pth", "architecture": "sevennet", "functional": "PBE", "label_scale": "VASP, no corrections"}


def study(**changes: Any) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(FIRST_STUDY) | changes
    return found


def loaded(**changes: Any) -> Study:
    found = load_study(study(**changes), contradictions=contradictions)
    assert isinstance(found, Study)
    return found


def refused(**changes: Any) -> list[str]:
    with pytest.raises(StudyError) as caught:
        load_study(study(**changes), where="mine.yaml", contradictions=contradictions)
    return [line.removeprefix("mine.yaml: ") for line in str(caught.value).splitlines()]


def test_a_list_makes_every_arm_one_for_each_with_residual_references_of_its_own() -> None:
    found = loaded(architecture=["chgnet-0.3.0", TENSORNET])
    assert list(found.arms) == ["scratch-chgnet-0-3-0", "transfer-chgnet-0-3-0", f"scratch-{T}", f"transfer-{T}"]
    assert found.architecture == "chgnet-0.3.0"
    assert [found.checkpoint_of(name) for name in found.arms] == ["chgnet-0.3.0"] * 2 + [TENSORNET] * 2
    assert found.arms["transfer-chgnet-0-3-0"].references == "residual"
    assert found.references[found.arms[f"transfer-{T}"].references].model == T
    assert found.networks == {"pretrained": "chgnet-0.3.0", T: TENSORNET}
    assert [found.start_of(name) for name in found.arms] == [None, "pretrained", None, T]
    labels = [arm.label for arm in found.arms.values()]
    assert labels == ["scratch, chgnet", "transfer, chgnet", "scratch, TensorNet", "transfer, TensorNet"]


def test_the_long_form_says_the_same() -> None:
    arms = {
        f"{name}-{slug}": {**options, "architecture": checkpoint, "label": f"{name}, {label}"}
        for checkpoint, slug, label in (("chgnet-0.3.0", "chgnet-0-3-0", "chgnet"), (TENSORNET, T, "TensorNet"))
        for name, options in study()["arms"].items()
    }
    assert loaded(architecture=["chgnet-0.3.0", TENSORNET]) == loaded(architecture="chgnet-0.3.0", arms=arms)


def test_a_study_of_one_architecture_is_planned_as_before() -> None:
    one = loaded()
    assert plain(one) == plain(loaded(architecture="chgnet-0.3.0"))
    assert "architecture" not in plain(one.arms["scratch"])
    assert "checkpoints" not in plain(one)
    assert comparisons(one) == {}


def test_an_arm_may_name_its_own_architecture() -> None:
    arms = {**study()["arms"], "seven": {"references": "residual", "architecture": "7net-MF-0-PBE"}}
    found = loaded(arms=arms)
    assert found.arms["seven"].references == "residual-7net-MF-0-PBE"
    assert found.references["residual-7net-MF-0-PBE"].model == "7net-MF-0-PBE"
    assert found.arms["transfer"].references == "residual"
    assert found.checkpoint_of("transfer") == "chgnet-0.3.0"


def test_an_arm_with_its_own_architecture_is_not_multiplied() -> None:
    arms = {**study()["arms"], "seven": {"init": "random", "architecture": "7net-0"}}
    found = loaded(architecture=["chgnet-0.3.0", TENSORNET], arms=arms)
    assert [name for name in found.arms if "seven" in name] == ["seven"]
    assert len(found.arms) == 5


def test_sections_that_name_arms_name_those_of_every_architecture() -> None:
    longer = {"times": 2, "arms": ["transfer"]}
    found = loaded(
        architecture=["chgnet-0.3.0", "7net-0"],
        longer=longer,
        tune={"learning_rates": [1e-3, 1e-4], **{"arms": ["scratch"]}},
    )
    assert found.longer is not None
    assert found.tune is not None
    assert found.longer.arms == ["transfer-chgnet-0-3-0", "transfer-7net-0"]
    assert found.tune.arms == ["scratch-chgnet-0-3-0", "scratch-7net-0"]


def test_arms_are_held_against_their_own_scratch_and_the_same_strategy_of_the_first() -> None:
    found = comparisons(loaded(architecture=["chgnet-0.3.0", "7net-0", TENSORNET]))
    assert found == {
        "scratch-chgnet-0-3-0": ["transfer-chgnet-0-3-0", "scratch-7net-0", f"scratch-{T}"],
        "scratch-7net-0": ["transfer-7net-0"],
        f"scratch-{T}": [f"transfer-{T}"],
        "transfer-chgnet-0-3-0": ["transfer-7net-0", f"transfer-{T}"],
    }


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"architecture": []}, "architecture: give a checkpoint"),
        ({"architecture": ["chgnet-0.3.0", {"file": "x"}]}, "architecture: give a checkpoint"),
        ({"architecture": ["7net-0", "7net-0"]}, "architecture: 7net-0 given more than once"),
        (
            {"architecture": ["chgnet-0.3.0", "7net-1"]},
            "architecture: no checkpoint named '7net-1'; did you mean '7net-0'",
        ),
        (
            {
                "arms": {
                    "a": {"init": "random", "architecture": "chgnet"},
                    "b": {"references": "target", "architecture": "chgnet"},
                }
            },
            "arms.b: chgnet has no weights but random ones, and this arm needs some (allowed: chgnet-0.3.0",
        ),
        (
            {"arms": {"b": {"init": "random", "replay": {"labels": "pretrained"}, "architecture": "mace"}}},
            "arms.b: mace has no weights but random ones, and this arm needs some (allowed: a file of yours under",
        ),
        (
            {"arms": {"b": {"references": "target", "architecture": "mace"}}},
            "arms.b: mace has no weights but random ones, and this arm needs some (allowed: a file of yours under",
        ),
        (
            {"architecture": ["chgnet-0.3.0", TENSORNET], "transfer": {"targets": ["energy", "magmom"]}},
            "transfer.targets: TensorNet predicts no magmom",
        ),
        (
            {
                "architecture": ["chgnet-0.3.0", TENSORNET],
                "arms": {"few": {"references": "target", "trainable": "last-3-blocks"}},
            },
            "arms.few.trainable: last-3-blocks, but TensorNet has 2 blocks",
        ),
        (
            {
                "architecture": ["chgnet-0.3.0", "mine"],
                "checkpoints": {"mine": OWN},
                "arms": {"sum": {"init": "random", "references": "residual", "delta": True}},
            },
            "arms.sum: `delta: true` corrects a published checkpoint, and mine is a file of yours",
        ),
        (
            {"checkpoints": {"mine": {**OWN, "architecture": "sevenet"}}},
            "checkpoints.mine.architecture: no architecture 'sevenet'",
        ),
        ({"checkpoints": {"7net-0": OWN}}, "checkpoints.7net-0: this is the name of a published checkpoint"),
        (
            {
                "architecture": ["chgnet-0.3.0", "7net-0"],
                "pretraining": {"base": {"size": "all", "steps": 10}},
                "arms": {"own": {"init": "base", "references": "target"}},
            },
            "arms.own: starts from base, which is a network of chgnet-0.3.0",
        ),
    ],
    ids=[
        "empty",
        "no name",
        "twice",
        "unknown",
        "without weights",
        "predictions of random weights",
        "no checkpoint",
        "target",
        "blocks",
        "delta",
        "kind",
        "name",
        "pretraining",
    ],
)
def test_what_cannot_be_done_is_refused_once_under_the_key_that_was_written(
    changes: dict[str, Any], message: str
) -> None:
    (line,) = refused(**changes)
    assert line.startswith(message)


def test_a_file_of_the_user_is_a_checkpoint_with_the_stated_facts() -> None:
    found = loaded(
        architecture=["chgnet-0.3.0", "mine"], checkpoints={"mine": OWN}, tests={"softening": {"models": ["mine"]}}
    )
    assert card_in(found, "mine") is CARDS["sevennet"]
    facts = facts_in(found, "mine")
    assert facts is not None
    assert (facts.functional, facts.label_scale) == ("PBE", "VASP, no corrections")


@pytest.mark.parametrize("key", ["functional", "label_scale"])
def test_a_file_of_the_user_needs_its_functional_and_label_scale(key: str) -> None:
    (line,) = refused(checkpoints={"mine": {k: v for k, v in OWN.items() if k != key}})
    assert line == f"checkpoints.mine.{key}: this key is required"


def test_random_weights_may_take_frames_of_both_fidelities() -> None:
    found = loaded(architecture="mace", arms={"both": {"init": "random", "replay": 0.5, "fidelities": "joint"}})
    assert found.arms["both"].fidelities == "joint"
