"""Stages that are forced by name, and results of runs that the study no longer plans, with the finished micro study."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from test_reruns import ANALYSED, TRAINED
from workplace import DRY_TIMEOUT, MICRO, Workplace, job_counts

from uprung.job.stages import STAGES


def uprung(place: Workplace, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command in the folder of a study, with the files of that folder."""
    environment = {k: v for k, v in os.environ.items() if k != "SNAKEMAKE_PROFILE"}
    return subprocess.run(
        [sys.executable, "-m", "uprung", *arguments],
        cwd=place.folder,
        env={**environment, "PYTHONPATH": str(place.folder / "src")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=DRY_TIMEOUT,
        check=False,
    )


def test_forcing_a_stage_of_snakemake_says_what_does(finished: Workplace) -> None:
    for options in (("--forcerun", "train"), ("train", "-f")):
        done = finished.snakemake("-n", *options)  # the command line itself is read
        assert done.returncode == 1, done.stdout
        assert "uprung: forcing train runs nothing" in done.stdout
        assert "--forcerun train_run (" in done.stdout
        assert "Traceback" not in done.stdout


def test_the_rules_that_are_named_train_every_run_anew(finished: Workplace) -> None:
    assert finished.planned(options=("--forcerun", "train_run")) == TRAINED


@pytest.mark.parametrize(("stage", "expected"), [("train", TRAINED), ("analysis", ANALYSED)])
def test_the_command_forces_a_stage_by_its_name(finished: Workplace, stage: str, expected: dict[str, int]) -> None:
    done = uprung(finished, "run", MICRO, "--cores", "2", "--", "-n", "--forcerun", stage)
    assert done.returncode == 0, done.stdout
    assert job_counts(done.stdout) == expected


@pytest.mark.long
@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_that_is_forced_either_runs_or_says_why_not(finished: Workplace, stage: str) -> None:
    done = uprung(finished, "run", MICRO, "--cores", "2", "--", "-n", "--forcerun", stage)
    told = f"uprung: {stage}: this study has no such stage to force"
    nothing = stage in ("dft", "pretraining", "snapshots", "softening")  # rules without a job in this study
    own = job_counts(done.stdout).keys() & {*STAGES[stage]}
    assert told in done.stdout if stage == "physics" else nothing or own, done.stdout


def test_runs_of_a_budget_with_another_name_are_listed_and_removed(finished: Workplace) -> None:
    def rename(content: dict) -> None:
        content["budgets"] = {"short": {"steps": content.pop("steps")}}

    before = {path: path.read_bytes() for path in finished.results.rglob("*") if path.is_file()}
    assert "every run is one that" in uprung(finished, "stale", MICRO).stdout
    finished.configure(rename)
    notes = Path(finished.results, "runs/steps30/scratch/n60/seed0/notes.txt")
    notes.write_text("mine", encoding="utf-8")
    listed = uprung(finished, "stale", MICRO)
    assert listed.returncode == 0, listed.stdout
    assert listed.stdout.count("  run steps30/") == 9
    assert all(path.exists() for path in before)
    removed = uprung(finished, "stale", MICRO, "--remove")
    assert removed.returncode == 0, removed.stdout
    gone = {path.relative_to(finished.results).as_posix() for path in before if not path.exists()}
    assert gone
    assert all("steps30" in name for name in gone)
    left = {path for path in finished.results.rglob("*steps30*") if path.is_file()}
    assert {path for path in finished.results.rglob("*") if "steps30" in str(path) and path.is_file()} - left == {notes}
    assert notes.exists()
    assert finished.planned()["train_run"] == 9
    # Snakemake makes no input of a result that is current, so runs that are gone are asked for
    finished.configure(lambda content: content.update(budgets={"steps30": {"steps": 30}}))
    assert finished.planned(options=("--forcerun", "train_run"))["train_run"] == 9
    assert yaml.safe_load((finished.folder / MICRO).read_text())["study"] == "micro"
