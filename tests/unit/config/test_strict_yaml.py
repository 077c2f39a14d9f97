"""A study file means what it says: what YAML reads as something else is refused, with file, line and key."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from test_config import STUDIES, put, refused, study  # noqa: F401 - a fixture

from uprung.config.load import StudyError, load_study
from uprung.config.strict_yaml import places


def told(tmp_path: Path, text: str) -> list[str]:
    """Return the lines with which a text is refused before it is validated."""
    file = tmp_path / "my.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(StudyError) as caught:
        places(file, "config/my.yaml")
    return str(caught.value).splitlines()


MISREAD = {
    "an arm given twice": ("arms:\n  a: {init: random}\n  a: {init: pretrained}\n", 3, "arms.a: given twice", "line 2"),
    "a section given twice": ("seeds: 3\nsizes: [1]\nseeds: 4\n", 3, "seeds: given twice", "line 1"),
    "a key given twice in one line": ("training: {threads: 1, threads: 2}\n", 1, "training.threads: given twice", "1"),
    "a key in quotes and without": ("seeds: 3\n'seeds': 4\n", 2, "seeds: given twice", "line 1"),
    "an octal number": ("a: 1\ntraining:\n  batch_size: 0100\n", 3, "training.batch_size: ", "octal, that is 64"),
    "a negative octal number": ("a: -010\n", 1, "a: ", "octal, that is -8"),
    "octal in a list": ("sizes: [100, 0200]\n", 1, "sizes.1: ", "octal, that is 128"),
    "base 60": ("training:\n  checkpoint_minutes: 1:30\n", 2, "training.checkpoint_minutes: ", "base 60, that is 90"),
    "base 60 with a fraction": ("a: 1:30.5\n", 1, "a: ", "base 60, that is 90.5"),
    "an octal label": ("label: 0100\n", 1, "label: ", "'0100' for a text"),
    "infinity": ("training: {clip_norm: .inf}\n", 1, "training.clip_norm: .inf", "finite"),
    "minus infinity": ("a: -.INF\n", 1, "a: -.INF", "finite"),
    "no number": ("a: .NaN\n", 1, "a: .NaN", "finite"),
    "a key that is a truth value": ("arms:\n  on: {init: random}\n", 2, "arms.on: ", "'on' in quotes"),
    "below an anchor": ("x: &x {a: 1, a: 2}\ny: *x\n", 1, "x.a: given twice", "line 1"),
    "a date": ("study: 2024-01-01\n", 1, "study: YAML reads 2024-01-01 as a date", "'2024-01-01' for a text"),
    "a time": (
        "a: 1\nlabel: 2024-01-01 10:00:00\n",
        2,
        "label: YAML reads 2024-01-01 10:00:00 as a date",
        "for a text",
    ),
    "a name that is a date": ("arms:\n  2024-01-01: {}\n", 2, "arms.2024-01-01: ", "as a date; a key is a text"),
    "a name that is a number": ("arms:\n  7: {}\n", 2, "arms.7: ", "as a number; a key is a text: write '7' in quotes"),
    "a name that is nothing": ("arms:\n  ~: {}\n", 2, "arms.~: ", "as nothing; a key is a text"),
    "two merged anchors": ("a: &a {k: 1}\nb: &b {k: 2}\nc:\n  <<: *a\n  <<: *b\n", 5, "c.<<: given twice", "[*a, *b]"),
    "in JSON": ('{"seeds": 1,\n "seeds": 2}', 2, "seeds: given twice", "line 1"),
}


@pytest.mark.parametrize("name", MISREAD)
def test_what_is_read_as_something_else_is_refused(tmp_path: Path, name: str) -> None:
    text, line, *words = MISREAD[name]
    (message,) = told(tmp_path, text)
    assert message.startswith(f"config/my.yaml, line {line}: ")
    assert [word for word in words if word not in message] == []


def test_every_problem_is_told_at_once(tmp_path: Path) -> None:
    assert len(told(tmp_path, "a: 0100\nb: 1:30\na: .nan\n")) == 4


@pytest.mark.parametrize(
    "text",
    [
        "a: '0100'\nb: \"1:30\"\nc: [0, 0.5, 00.5, 08, 1_000, 0x40, 1e-3, .5]\n",
        "x: &x {a: 1}\ny: {<<: *x, a: 2}\n",
        "a: {k: 1}\nb: {k: 1}\nc: [{k: 1}, {k: 1}]\n",
        "robust: yes\nlabel: 12:99:x\n",
        "",
    ],
)
def test_what_means_what_it_says_passes(tmp_path: Path, text: str) -> None:
    (tmp_path / "my.yaml").write_text(text, encoding="utf-8")
    places(tmp_path / "my.yaml", "my.yaml")


def test_anchors_that_stand_for_more_than_a_study_are_refused(tmp_path: Path) -> None:
    layers = "".join(f"a{k}: &a{k} [{', '.join([f'*a{k - 1}'] * 9)}]\n" for k in range(1, 40))
    (line,) = told(tmp_path, f"a0: &a0 [x]\n{layers}")
    assert line.startswith("config/my.yaml: its anchors stand for ")
    (line,) = told(tmp_path, "sizes: &a [1, *a]\n")
    assert line.startswith("config/my.yaml: an anchor stands within itself")
    (tmp_path / "my.yaml").write_text("a: &a [1, 2]\nb: [*a, *a]\n", encoding="utf-8")
    assert places(tmp_path / "my.yaml", "my.yaml")["a.1"] == "my.yaml, line 1"


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_study_files_of_the_repository_pass(path: Path) -> None:
    assert places(path, path.name)["study"].startswith(f"{path.name}, line ")


def test_a_refused_value_is_told_with_its_line(tmp_path: Path, study: dict[str, Any]) -> None:  # noqa: F811
    file = tmp_path / "my.yaml"
    bad = put(study, "arms.scratch.references", "targets")
    file.write_text(yaml.safe_dump(bad, sort_keys=False), encoding="utf-8")
    lines = file.read_text(encoding="utf-8").splitlines()
    at = 1 + lines.index("    references: targets")
    with pytest.raises(StudyError, match=rf"^my\.yaml, line {at}: arms\.scratch\.references: no reference"):
        load_study(bad, where="my.yaml", places=places(file, "my.yaml"))


@pytest.mark.parametrize("value", [True, False])
@pytest.mark.parametrize(
    "key",
    [
        *("training.learning_rate", "training.batch_size", "training.weights.energy", "split.train", "seeds", "sizes"),
        *("scaling.laws.extrapolate", "tests.forgetting.frames", "training.clip_norm", "arms.scratch.label"),
        *("transfer.select.max_force", "pairs.dimers.tolerance", "arms.residual-ref.replay", "arms.residual-ref.l2_sp"),
    ],
)
def test_truth_values_are_no_numbers_and_no_texts(study: dict[str, Any], key: str, value: bool) -> None:  # noqa: F811
    assert refused(put(study, key, value))
    if key != "arms.residual-ref.replay":
        assert refused(put(study, key, [value]))


def test_truth_values_stay_where_they_belong(study: dict[str, Any]) -> None:  # noqa: F811
    loaded = load_study(put(put(study, "scaling.laws.robust", True), "tests.softening.models", []))
    assert loaded.scaling.laws.robust is True


@pytest.mark.parametrize("value", [float("inf"), float("nan"), "inf", "nan", "Infinity"])
@pytest.mark.parametrize("key", ["training.learning_rate", "training.clip_norm", "arms.residual-ref.replay"])
def test_numbers_are_finite(study: dict[str, Any], key: str, value: object) -> None:  # noqa: F811
    assert refused(put(study, key, value))
    assert refused(put(study, "scaling.laws.extrapolate", [1.0, value]))


def test_a_number_without_a_point_is_one(study: dict[str, Any]) -> None:  # noqa: F811
    small = yaml.safe_load("1e-3")
    assert isinstance(small, str)  # what YAML 1.1 makes of it
    loaded = load_study(put(put(study, "training.learning_rate", small), "arms.residual-ref.replay", "5e-1"))
    assert loaded.training.learning_rate == 1e-3
    assert json.loads(loaded.model_dump_json())["arms"]["residual-ref"]["replay"]["fraction"] == 0.5


def test_weights_that_are_all_zero(study: dict[str, Any]) -> None:  # noqa: F811
    weights = {"energy": 0, "force": 0.0}  # those of stress and magmom are not of the study's targets
    assert refused(put(study, "training.weights", weights)) == [
        "training.weights: 0 for all of transfer.targets (energy, force), so nothing would be learnt (allowed: one of "
        "them above 0)"
    ]
    load_study(put(study, "training.weights", {"energy": 0}))
    tuning = dict.fromkeys(("energy", "force", "stress", "magmom"), 0)
    (line,) = refused(put(study, "tests.softening.correction.training.weights", tuning))
    assert line.startswith("tests.softening.correction.training.weights: all 0")


@pytest.mark.parametrize("key", ["fidelities.pbe.sources.0.file", "transfer.pretraining_materials"])
def test_an_empty_file_name(study: dict[str, Any], key: str) -> None:  # noqa: F811
    (line,) = refused(put(study, key, ""))
    assert line.startswith(f"{key}: ''")
    assert "at least 1 character" in line


def test_two_arms_with_one_label(study: dict[str, Any]) -> None:  # noqa: F811
    same = put(put(study, "arms.scratch.label", "mine"), "arms.residual-ref.label", "mine")
    assert refused(same) == [
        "arms.residual-ref.label: 'mine' is that of arms.scratch, too; figures tell arms apart by labels"
    ]
    (line,) = refused(put(study, "arms.scratch.label", "residual-ref"))
    assert "'residual-ref' is that of arms.scratch, too" in line
    with pytest.raises(StudyError, match="labels: mine given more than once"):
        load_study({"study": "s", "points": "my.csv", "labels": {"a": "mine", "b": "mine"}})
