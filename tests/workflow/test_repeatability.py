"""The same numbers however the study was run: on one core or two, at once or after an interruption."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from faults import children, kill
from workplace import STUDY_TIMEOUT, Workplace, checkout, stop

pytestmark = pytest.mark.slow


def metrics(place: Workplace) -> dict[str, bytes]:
    """Return run -> content of its metrics.json."""
    return {
        str(file.parent.relative_to(place.results)): file.read_bytes()
        for file in sorted(place.results.rglob("metrics.json"))
    }


def run(place: Workplace, *options: str) -> None:
    done = place.snakemake("train", *options, timeout=STUDY_TIMEOUT)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("cores", [1, 2])
def test_metrics_do_not_depend_on_the_number_of_cores(micro: Workplace, tmp_path: Path, cores: int) -> None:
    place = checkout(tmp_path / "study")
    run(place, "--cores", str(cores))
    found = metrics(place)
    assert len(found) == 9
    assert found == metrics(micro)


def states(place: Workplace) -> list[Path]:
    """Return the resumable states of trainings that have not written their outputs."""
    return list((place.results / "state").rglob("last.ckpt"))


def wait_for_a_state(place: Workplace) -> None:
    end = time.monotonic() + STUDY_TIMEOUT
    while not states(place):
        assert time.monotonic() < end, "no training has begun"
        time.sleep(0.02)


def test_a_killed_study_goes_on_to_the_same_numbers(micro: Workplace, tmp_path: Path) -> None:
    place = checkout(tmp_path / "study")
    process = place.start("train", "--cores", "2")
    try:
        wait_for_a_state(place)
    finally:
        jobs = children(process.pid)
        stop(process)
        for job in jobs:  # those that left the process group
            kill(job)
    assert not metrics(place), "the study had gone too far to show anything"
    interrupted = states(place)
    assert interrupted
    locked = place.snakemake("train", "--cores", "2")
    assert locked.returncode != 0
    assert "--unlock" in locked.stdout
    assert place.snakemake("train", "--unlock").returncode == 0
    run(place, "--cores", "2")
    assert metrics(place) == metrics(micro)
    logs = [log.read_text() for log in (place.results / "logs/runs").rglob("train.log")]
    assert sum("resumed at step" in log for log in logs) == len(interrupted)
