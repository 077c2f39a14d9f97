"""What a study asks of its architecture: refused with the key, the name and what is allowed, before any job."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from uprung.config.load import StudyError, load_study
from uprung.models import registry, shipped
from uprung.models.registry import CARDS, OWNERS, contradictions

ROOT = Path(__file__).parents[3]
STUDIES = [p for p in sorted((ROOT / "config").glob("*.yaml")) if "study" in yaml.safe_load(p.read_text())]


def study(**changes: Any) -> dict[str, Any]:
    source = {"format": "diatomics", "file": "data/diatomics/diatomics-dft.json.gz"}
    return {
        "study": "small",
        "fidelities": {
            "pbe": {"functional": "PBE", "sources": [source]},
            "r2scan": {"functional": "r2SCAN", "sources": [source]},
        },
        "pairs": {"dimers": {"low": "pbe", "high": "r2scan"}},
        "transfer": {"pair": "dimers"},
        "arms": {"scratch": {"init": "random", "references": "target"}},
        "sizes": [100],
        "seeds": [0],
        "budgets": {"short": {"steps": 10}},
        **changes,
    }


def lines(data: dict[str, Any]) -> list[str]:
    """Return the lines of the message with which a study is refused; none for one that is not."""
    try:
        load_study(data, where="small.yaml", contradictions=contradictions)
    except StudyError as error:
        return str(error).splitlines()
    return []


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_study_files_of_the_repository_ask_for_nothing_impossible(path: Path) -> None:
    assert lines(yaml.safe_load(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    ("where", "changes"),
    [
        ("architecture", {"architecture": "chgnet-0.3.1"}),
        ("tests.softening.models", {"tests": {"softening": {"models": ["chgnet-r2scan", "chgnet-0.3.1"]}}}),
    ],
)
def test_a_checkpoint_that_nobody_ships_is_refused(where: str, changes: dict[str, Any]) -> None:
    (line,) = lines(study(**changes))
    assert line == (
        f"small.yaml: {where}: no checkpoint named 'chgnet-0.3.1'; did you mean 'chgnet-0.3.0'? "
        f"(allowed: {', '.join(OWNERS)}, mace)"
    )


@pytest.mark.parametrize("name", ["../model.pth.tar", "/etc/passwd", "a" * 65, ""])
def test_a_file_is_no_name_of_a_checkpoint(name: str) -> None:
    (line,) = lines(study(architecture=name))
    assert line.startswith("small.yaml: architecture: ")


@pytest.fixture
def limited(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take from CHGNet's card all that a network can do without."""
    card = replace(CARDS["chgnet"], targets=("energy", "force"), abilities=frozenset(), blocks=2)
    for module in (registry, shipped):
        monkeypatch.setattr(module, "OWNERS", dict.fromkeys(card.checkpoints, card))


ARM = {"init": "pretrained", "references": "checkpoint"}


@pytest.mark.usefixtures("limited")
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"transfer": {"pair": "dimers", "targets": ["energy", "force", "stress"]}},
            "transfer.targets: CHGNet predicts no stress (allowed: energy, force)",
        ),
        (
            {"arms": {"sum": {"init": "random", "references": "residual", "delta": True}}},
            "arms.sum: CHGNet cannot do `delta`",
        ),
        ({"arms": {"old": {**ARM, "replay": 0.5}}}, "arms.old: CHGNet cannot do `replay`"),
        (
            {"arms": {"few": {**ARM, "trainable": "last-3-blocks"}}},
            "arms.few.trainable: last-3-blocks, but CHGNet has 2",
        ),
        (
            {"tests": {"softening": {"correction": {"methods": ["per-element"]}}}},
            "tests.softening.correction.methods: CHGNet has no forces by element",
        ),
    ],
    ids=["target", "delta", "replay", "blocks", "forces by element"],
)
def test_what_an_architecture_does_not_claim_is_refused(changes: dict[str, Any], message: str) -> None:
    changes = {"transfer": {"pair": "dimers", "targets": ["energy", "force"]}, **changes}
    (line,) = lines(study(**changes))
    assert line.startswith(f"small.yaml: {message}")


@pytest.mark.usefixtures("limited")
def test_two_fidelities_in_one_network_are_an_ability_of_their_own() -> None:
    arm = {**ARM, "replay": 0.5, "fidelities": "joint"}
    found = lines(study(transfer={"pair": "dimers", "targets": ["energy"]}, arms={"both": arm}))
    assert found == [f"small.yaml: arms.both: CHGNet cannot do `{ability}`" for ability in ("replay", "joint")]
