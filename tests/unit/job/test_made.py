"""Notes of how results were made, beside those of a workflow's tests (`tests/workflow/test_forgotten.py`)."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from uprung.job.made import FOLDER, note, others, refusal, remembered


class Rule:
    """As much of a rule of Snakemake as is looked at: `results/<study>/runs/<name>.csv` from a data file."""

    script = "train.py"

    def __init__(self, params: dict[str, Any], inputs: tuple[str, ...] = ("data.csv",)) -> None:
        self.name, self.params, self.inputs = "train", params, inputs

    def is_producer(self, path: str) -> bool:
        return "/runs/" in path

    def get_wildcards(self, path: str) -> dict[str, str]:
        return {"name": path}

    def expand_input(self, wildcards: Any) -> tuple[tuple[str, ...]]:
        return (self.inputs,)

    def expand_output(self, wildcards: Any) -> tuple[list[str]]:
        return ([wildcards.name],)

    def expand_params(self, *_: Any) -> dict[str, Any]:
        return self.params


PARAMS = {"recipe": {"steps": 3, "rate": 0.1}, "code": "abc", "results": "results/s", "targets": ["energy"]}


def made(name: str, params: dict[str, Any] = PARAMS) -> str:
    """Write a result and its note."""
    path = f"results/s/runs/{name}.csv"
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text("x", encoding="utf-8")
    note(SimpleNamespace(rule="train", input=["data.csv"], output=[path], params=params))
    return path


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("data.csv").touch()


def told(rule: Rule, study: str = "s") -> dict[str, str]:
    return {other.path: other.why for other in others(study, [rule])}


def test_what_agrees_is_current() -> None:
    made("a")
    assert told(Rule(PARAMS)) == {}
    assert told(Rule({**PARAMS, "targets": ("energy",)})) == {}  # a tuple is a list in JSON


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"recipe": {"steps": 4, "rate": 0.1}}, "recipe.steps 3, now 4"),
        ({"recipe": {"steps": 3}}, "recipe.rate 0.1, now not given"),
        ({"code": "def"}, "other code"),
        ({"data": ["0" * 64]}, "other data files"),
        ({"targets": ["force"]}, 'targets ["energy"], now ["force"]'),
        ({"extra": None}, "extra not given, now null"),
    ],
)
def test_a_change_is_told(changes: dict[str, Any], words: str) -> None:
    path = made("a")
    assert told(Rule({**PARAMS, **changes})) == {path: words}


def test_other_and_missing_inputs_are_told() -> None:
    path = made("a")
    assert told(Rule(PARAMS, ("other.csv",))) == {path: "other inputs: data.csv and 1 more"}
    Path("data.csv").unlink()
    assert told(Rule(PARAMS)) == {path: "made from data.csv, which is gone"}


@pytest.mark.parametrize("content", ["", "{", "[]", '{"rule": 1}', '{"params": 3}', "\ufeff"])
def test_a_damaged_note_is_told(content: str) -> None:
    path = made("a")
    (kept,) = Path("results/s", FOLDER).iterdir()
    kept.write_text(content, encoding="utf-8")
    assert told(Rule(PARAMS)) == {path: "the note of how it was made is damaged"}


def test_names_that_no_file_has_keep_their_note() -> None:
    """Percent signs, other scripts, and paths longer than a name of a file may be."""
    paths = [made(name) for name in ("50%", "ü b", "x" * 100 + "/" + "y" * 100, "a" * 150 + "/b" * 40)]
    assert told(Rule({**PARAMS, "code": "def"})) == dict.fromkeys(sorted(paths), "other code")
    assert told(Rule(PARAMS)) == {}


def test_another_name_of_the_study_is_no_difference_by_itself() -> None:
    made("a")
    Path("results/s").rename("results/s-2")
    assert told(Rule({**PARAMS, "results": "results/s-2"}), "s-2") == {}
    assert told(Rule({**PARAMS, "code": "d", "results": "results/s-2"}), "s-2") == {
        "results/s-2/runs/a.csv": "other code"
    }


def test_only_what_differs_is_to_be_deleted() -> None:
    """The pattern of the command matches no result that stays."""
    same, other = made("a"), made("b", {**PARAMS, "code": "old"})
    text = refusal("s", [Rule(PARAMS)], others("s", [Rule(PARAMS)]))
    assert f"  {other}: other code\n" in text
    assert f"  rm -f {other}\n" in text
    assert same not in text


def test_results_of_no_rule_and_files_elsewhere_have_no_note() -> None:
    note(SimpleNamespace(input=[], output=["results/s/a.csv"]))
    note(SimpleNamespace(rule="r", input=[], output=["elsewhere.csv"], params={}))
    note(SimpleNamespace(rule="r", input=[], output=[], params={}))
    assert not Path("results").exists()


def test_a_record_of_snakemake_counts_when_it_has_content() -> None:
    path = made("a")
    assert not remembered(path)
    for key, content in {"cmVzdWx0cy9zL3J1bnMvYS5jc3Y=": "", "x": "{}"}.items():
        Path(".snakemake/metadata").mkdir(parents=True, exist_ok=True)
        Path(".snakemake/metadata", key).write_text(content, encoding="utf-8")
        assert not remembered(path)
    Path(".snakemake/metadata/cmVzdWx0cy9zL3J1bnMvYS5jc3Y=").write_text("{}", encoding="utf-8")
    assert remembered(path)
    assert told(Rule({**PARAMS, "code": "def"})) == {}
