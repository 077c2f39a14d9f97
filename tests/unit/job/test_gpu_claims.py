"""GPUs are taken by lock files: jobs side by side get distinct ones, and a killed job gives its own back."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from uprung.job.devices import DeviceError, claim, lock_free

HOLD = """
import sys, time
from pathlib import Path
from uprung.job.devices import lock_free
print(*lock_free(sys.argv[3:], int(sys.argv[2]), Path(sys.argv[1])), flush=True)
time.sleep(60)
"""


class Job:
    """A process that takes GPUs and holds them."""

    def __init__(self, folder: Path, count: int, devices: list[str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(folder), str(count), *devices], stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        self.gpus = self.process.stdout.readline().split()

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


@pytest.fixture
def jobs() -> Iterator[list[Job]]:
    started: list[Job] = []
    yield started
    for job in started:
        job.kill()


def test_jobs_side_by_side_take_distinct_gpus_and_a_killed_one_gives_back(tmp_path: Path, jobs: list[Job]) -> None:
    devices = ["0", "1", "2", "3"]
    jobs += [Job(tmp_path, 2, devices), Job(tmp_path, 1, devices)]
    assert [job.gpus for job in jobs] == [["0", "1"], ["2"]]
    jobs[0].kill()
    jobs.append(Job(tmp_path, 2, devices))
    assert jobs[-1].gpus == ["0", "1"]


def test_more_jobs_than_gpus_share_and_say_so(
    tmp_path: Path, jobs: list[Job], caplog: pytest.LogCaptureFixture
) -> None:
    jobs.append(Job(tmp_path, 1, ["0"]))
    with caplog.at_level(logging.WARNING):
        assert lock_free(["0"], 1, tmp_path) == ["0"]
    assert "GPU 0 is used by another job too" in caplog.text


def test_a_schedulers_choice_is_obeyed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-8f3a, 5")
    assert claim("cuda") == "cuda"
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "GPU-8f3a"
    monkeypatch.setenv("LOCAL_RANK", "1")  # started by the process that has chosen
    claim("cuda")
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "GPU-8f3a"


def test_without_a_scheduler_all_gpus_of_the_machine_are_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    claim("cuda", 2)
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "0,1"


def test_missing_gpus_are_told_before_anything_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with pytest.raises(DeviceError, match=r"1 GPU\(s\) asked for, but this machine shows 0 .*allowed: device: cpu"):
        claim("cuda")


def test_a_cpu_needs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert claim("cpu") == "cpu"
    assert "CUDA_VISIBLE_DEVICES" not in os.environ
