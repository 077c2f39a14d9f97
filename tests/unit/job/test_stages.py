"""Stages that are forced by name: which command lines do, and which rules do their work."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from uprung.cli.workflow import snakemake
from uprung.job.stages import STAGES, forced_stages, refusal_to_force, with_rules

ROOT = Path(__file__).parents[3]
RULES = {rule for rules in STAGES.values() for rule in rules}


@pytest.mark.parametrize(
    ("line", "stages"),
    [
        ("--cores 2 --forcerun train", ["train"]),
        ("--forcerun=train --cores 2", ["train"]),
        ("-R train softening --cores 2", ["train", "softening"]),
        ("-Rtrain", ["train"]),
        ("--forcer train", ["train"]),
        ("--forcerun train_run data/x.csv -- report", []),
        ("--forcerun train_run --until train", []),
        ("train report --cores 2", []),
        ("--cores 2 train -f", ["train"]),
        ("--force --cores 2 train", ["train"]),
        ("-f train", ["train"]),
        ("-n train -f", ["train"]),
        ("-f --until train", []),
        ("-f --cores 2 results/a/models/index.csv", []),
        ("--forceall train", []),
        ("--cores all --forcerun", []),
    ],
)
def test_a_stage_that_is_forced_is_found(line: str, stages: list[str]) -> None:
    assert forced_stages(line.split()) == stages


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("--forcerun train -n", "--forcerun train_run -n"),
        ("-R train softening -n", "-R train_run soften_model soften_run fine_tune_softening -n"),
        ("--forcerun=train -n", "--forcerun train_run -n"),
        ("-Rtrain", "--forcerun train_run"),
        ("train --forcerun train_run", "train --forcerun train_run"),
        ("--forcerun physics", "--forcerun physics"),
    ],
)
def test_the_rules_of_a_stage_stand_in_its_place(line: str, wanted: str) -> None:
    assert with_rules(line.split(), RULES - {*STAGES["physics"]}) == wanted.split()


def test_the_message_names_the_rules_and_only_those_of_the_study() -> None:
    assert "--forcerun fit_reference compare_references (" in refusal_to_force(["atomref"], RULES)
    assert refusal_to_force(["report"], {"write_report"}).count("write_points_report") == 0
    assert refusal_to_force(["physics"], set()) == "physics: this study has no such stage to force"


def test_every_stage_of_the_workflow_is_known_with_rules_that_exist() -> None:
    """A stage is a rule without output; the one of everything has `--forceall`."""
    text = "\n".join(file.read_text() for file in [ROOT / "Snakefile", *(ROOT / "rules").glob("*.smk")])
    defined = {*re.findall(r"^ *rule (\w+):", text, re.MULTILINE), *re.findall(r" as (\w+) with:", text)}
    assert defined >= RULES
    blocks = re.split(r"^ *(?:use )?rule ", text, flags=re.MULTILINE)[1:]
    collecting = {re.match(r"\w+", block)[0] for block in blocks if not re.search(r"^ +output:$", block, re.MULTILINE)}
    assert collecting == {*STAGES, "all"}


def test_the_command_prints_why_the_rules_stop(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(arguments: list[str]) -> None:
        raise SystemExit("uprung: physics: this study has no such stage to force")

    monkeypatch.setattr("snakemake.cli.main", stop)
    monkeypatch.setattr("sys.argv", ["uprung"])
    assert snakemake(["-n"]) == 1
    assert capsys.readouterr().err == "uprung: physics: this study has no such stage to force\n"
