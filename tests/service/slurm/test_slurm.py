"""A study submitted to a real SLURM through the profile, and what a cluster does to jobs.

Every training has a GPU of its own, the tests share an allocation without one. One training is killed, one is requeued,
one runs into its time limit; each goes on from its checkpoint, and the numbers are those of a study left in peace.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml
from cluster import Cluster, environment, missing
from workplace import Workplace, checkout, stop

STUDY = "tests/service/slurm/study.yaml"
RUNS = "results/cluster/runs/steps250/residual-ref"
STATES = "results/cluster/state/runs/steps250/residual-ref"
SIZES = ("60", "120", "240")
PROFILE = (
    *("--workflow-profile", "profiles/slurm"),
    *("--slurm-status-command", "squeue"),  # there is no slurmdbd
    *("--slurm-init-seconds-before-status-checks", "3"),
    *("--set-resources", "train_run:gpu=1"),  # the study is for CPUs; GPUs are only counted here
    *("--latency-wait", "5"),
)
TIMEOUT = 1200
pytestmark = [
    pytest.mark.slow,  # it waits for status checks and a time limit most of the time
    pytest.mark.skipif(missing() is not None, reason=str(missing())),
]


@pytest.fixture
def place(tmp_path: Path) -> Workplace:
    """Return a copy of the repository in which everything before the trainings is done."""
    place = checkout(tmp_path / "study")
    done = place.snakemake("train", "--until", "fit_reference", "--cores", "2", study=STUDY, timeout=TIMEOUT)
    assert done.returncode == 0, done.stdout
    return place


@pytest.fixture
def undisturbed(place: Workplace, tmp_path: Path) -> Workplace:
    """Return a copy in which the runs were trained here, without a scheduler."""
    shutil.copytree(place.folder, tmp_path / "undisturbed", symlinks=True)
    other = Workplace(tmp_path / "undisturbed")
    done = other.snakemake("train", "--cores", "2", study=STUDY, timeout=TIMEOUT)
    assert done.returncode == 0, done.stdout
    return other


def numbers(place: Workplace, size: str) -> tuple[dict, pd.DataFrame, dict, pd.DataFrame]:
    """Return all numbers of a run: metrics, predictions, weights, history."""
    folder = place.folder / RUNS / f"n{size}/seed0"
    weights = torch.load(folder / "model.pth.tar", weights_only=True)["model"]["state_dict"]
    history = pd.read_csv(folder / "history.csv")
    return (
        json.loads((folder / "metrics.json").read_text()),
        pd.read_parquet(folder / "predictions.parquet"),
        {name: tensor.tolist() for name, tensor in weights.items()},
        history,
    )


def training_process(job: str) -> int | None:
    """Return the process that trains in a SLURM job, None when there is none."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (
                b".train.py" in (process / "cmdline").read_bytes()
                and variable(int(process.name), "SLURM_JOB_ID") == job
            ):
                return int(process.name)
        except (FileNotFoundError, ProcessLookupError):
            continue
    return None


def variable(pid: int, name: str) -> str | None:
    """Return a variable of a process's environment."""
    lines = Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace").split("\0")
    return dict(line.partition("=")[::2] for line in lines).get(name)


def job_of(slurm: Cluster, size: str) -> str:
    """Return the running SLURM job of a size."""
    found = [job for job, (state, comment) in slurm.jobs().items() if state == "RUNNING" and is_training(comment, size)]
    assert len(found) == 1, slurm.jobs()
    return found[0]


def is_training(comment: str, size: str) -> bool:
    return "train_run" in comment and re.search(rf"(?<!\d){size}(?!\d)", comment) is not None


def disturb(
    slurm: Cluster, place: Workplace, process: subprocess.Popen[str]
) -> tuple[dict[str, str], dict[str, str | None]]:
    """Kill, requeue and stop one training each as soon as it has a checkpoint.

    Returns:
        Size -> SLURM job, and size -> GPU that it was given.
    """
    jobs: dict[str, str] = {}
    gpus: dict[str, str | None] = {}
    end = time.monotonic() + TIMEOUT
    while len(jobs) < len(SIZES):
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < end, slurm.jobs()
        for size in set(SIZES) - set(jobs):
            if not (place.folder / STATES / f"n{size}/seed0/last.ckpt").exists():
                continue
            jobs[size] = job_of(slurm, size)
            pid = training_process(jobs[size])
            assert pid is not None
            gpus[size] = variable(pid, "CUDA_VISIBLE_DEVICES")
            if size == "60":
                os.kill(pid, signal.SIGKILL)
            elif size == "120":
                slurm.command("scontrol", "requeue", jobs[size])
                slurm.command("scontrol", "update", f"JobId={jobs[size]}", "StartTime=now")  # SLURM waits two minutes
            else:
                os.kill(pid, signal.SIGSTOP)  # a job that hangs: only its time limit ends it
        time.sleep(0.1)
    return jobs, gpus


def test_a_study_survives_what_a_cluster_does(
    place: Workplace, undisturbed: Workplace, slurm: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", environment()["PATH"])
    process = place.start("train", *PROFILE, study=STUDY)
    try:
        jobs, gpus = disturb(slurm, place, process)
        output, _ = process.communicate(timeout=TIMEOUT)
    except BaseException:
        stop(process)
        raise
    assert process.returncode == 0, output

    # every job was where it belongs, with what it needs
    ended = slurm.completed()
    asked = {job["JobId"]: job for job in ended}
    comments = {job: comment for job, (_, comment) in slurm.jobs().items()}
    for job, comment in comments.items():
        gpu = slurm.facts(job).get("TresPerJob") == "gres:gpu:1"
        assert (asked[job]["Partition"] == "gpu") == gpu == ("train_run" in comment), (comment, asked[job])
    assert sorted(gpus.values()) == ["0", "1", "2"]
    tests = [comment for comment in comments.values() if "evaluate_run" in comment]
    assert len(tests) == 1, tests  # three in one allocation

    # each run ended as was meant, and went on
    states = {size: [job["JobState"] for job in ended if job["JobId"] == jobs[size]] for size in SIZES}
    assert states["60"] == ["FAILED"]
    assert states["120"][-1] == "COMPLETED"
    assert slurm.facts(jobs["120"])["Restarts"] == "1"
    assert states["240"] == ["TIMEOUT"]
    retried = [job for job, comment in comments.items() if is_training(comment, "240") and job != jobs["240"]]
    limits = [int(asked[job]["TimeLimit"]) for job in (jobs["240"], *retried)]
    memory = [int(re.search(r"mem=(\d+)M", asked[job]["Tres"])[1]) for job in (jobs["240"], *retried)]
    assert limits == [2, 4]
    assert memory == [1501, 3002]
    for size in SIZES:
        card = yaml.safe_load((place.folder / RUNS / f"n{size}/seed0/card.yaml").read_text())
        assert card["resumed"] >= 1, (size, card)
        for found, expected in zip(numbers(place, size), numbers(undisturbed, size), strict=True):
            same = found.equals(expected) if isinstance(found, pd.DataFrame) else found == expected
            assert same, (size, found, expected)

    # logs are where the manual says
    assert list((place.folder / "results/slurm/rule_train_run").rglob(f"{jobs['60']}.log"))
    log = place.folder / "results/cluster/logs/runs/steps250/residual-ref/n60/seed0/train.log"
    assert "resumed at step" in log.read_text()
    assert place.planned("train", study=STUDY) == {}


def test_small_trainings_share_an_allocation_in_turn(
    place: Workplace, slurm: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", environment()["PATH"])
    packed = ("--groups", "train_run=trainings", "--group-components", "trainings=3")
    done = place.snakemake("train", "--until", "train_run", *PROFILE, *packed, study=STUDY, timeout=TIMEOUT)
    assert done.returncode == 0, done.stdout
    assert [comment for _, comment in slurm.jobs().values()] == ["rule_trainings_train_run"]
    (job,) = slurm.completed()
    assert job["TimeLimit"] == "6"  # minutes: two each
    assert "cpu=1,mem=1501M" in job["Tres"]
    assert slurm.facts(job["JobId"])["TresPerJob"] == "gres:gpu:1"
    assert len(list((place.folder / RUNS).glob("*/seed0/card.yaml"))) == len(SIZES)
