"""One run on several devices, as a job of the workflow: here two processes on the CPU."""

from __future__ import annotations

import json

import pandas as pd
import pytest
import yaml
from workplace import STUDY_TIMEOUT, Workplace

pytestmark = pytest.mark.long

RUN = "runs/steps30/scratch/n60/seed0"


def test_a_run_on_two_devices_gives_the_losses_of_one(finished: Workplace) -> None:
    history, metrics = finished.results / RUN / "history.csv", finished.results / RUN / "metrics.json"
    one, error = pd.read_csv(history), json.loads(metrics.read_text())
    finished.configure(lambda study: study["training"].update(devices=2))
    done = finished.snakemake(f"results/micro/{RUN}/metrics.json", "--cores", "2", timeout=STUDY_TIMEOUT)
    assert done.returncode == 0, done.stdout
    two = pd.read_csv(history)
    assert not two.equals(one)  # another order of summation, or it has not run again
    pd.testing.assert_frame_equal(two, one, rtol=1e-3)
    logs = finished.results / "logs" / RUN
    for log in ("train.log", "train.log.rank1"):
        assert "step 30 of 30" in (logs / log).read_text()
    assert yaml.safe_load((history.parent / "card.yaml").read_text())["options"]["recipe"]["devices"] == 2
    assert json.loads(metrics.read_text()).keys() == error.keys()


def test_a_failing_process_ends_the_job(finished: Workplace) -> None:
    finished.configure(lambda study: study["training"].update(devices=2, learning_rate=1e30))
    done = finished.snakemake(f"results/micro/{RUN}/metrics.json", "--cores", "2", timeout=STUDY_TIMEOUT)
    assert done.returncode != 0
    assert "lower training.learning_rate" in done.stdout


@pytest.mark.parametrize("devices", [0, 1.5])
def test_devices_are_counted_from_one(finished: Workplace, devices: float) -> None:
    finished.configure(lambda study: study["training"].update(devices=devices))
    done = finished.snakemake("-n")
    assert done.returncode != 0
    assert "training.devices" in done.stdout
