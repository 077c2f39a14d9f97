from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from uprung.job.parent import PARENT, has_ended, name_of_process

pytestmark = pytest.mark.skipif(not Path("/proc/self/ns/pid").is_symlink(), reason="needs /proc")

JOB = """
import subprocess, sys, time
from uprung.job.logs import logged
with logged(sys.argv[1]):
    child = subprocess.Popen(["sleep", "60"])  # as the pools of joblib, no child of multiprocessing
    print("running", child.pid, flush=True)
    time.sleep(float(sys.argv[2]))
"""


def start(log: Path, parent: str, seconds: float = 60) -> subprocess.Popen[str]:
    environment = {**os.environ, PARENT: parent, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", JOB, str(log), str(seconds)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


@pytest.fixture
def parent() -> subprocess.Popen[bytes]:
    process = subprocess.Popen(["sleep", "60"])
    yield process
    process.kill()
    process.wait()


def named(process: subprocess.Popen[bytes]) -> str:
    return f"{process.pid} {name_of_process().partition(' ')[2]}"


def wait_for_the_end_of(name: str) -> None:
    end = time.monotonic() + 10
    while not has_ended(name) and time.monotonic() < end:
        time.sleep(0.01)
    assert has_ended(name)


def test_a_process_that_has_ended_is_told_from_one_that_runs(parent: subprocess.Popen[bytes]) -> None:
    name = named(parent)
    assert not has_ended(name)
    assert not has_ended(name_of_process())
    parent.send_signal(signal.SIGKILL)
    wait_for_the_end_of(name)  # nobody has waited for it
    parent.wait()
    assert has_ended(name)


@pytest.mark.parametrize("name", ["", "999999999", "999999999 pid:[1]"])
def test_a_process_that_cannot_be_seen_is_taken_to_run(name: str) -> None:
    """Started by hand, without /proc, or in a container with process numbers of its own."""
    assert not has_ended(name)


def test_a_job_and_its_pool_end_with_their_parent(parent: subprocess.Popen[bytes], tmp_path: Path) -> None:
    job = start(tmp_path / "log", named(parent))
    assert job.stdout is not None
    word, child = job.stdout.readline().split()
    assert word == "running"
    parent.kill()
    assert job.wait(20) == 1
    assert f"(process {parent.pid}) was killed; this job ends, too" in (tmp_path / "log").read_text()
    wait_for_the_end_of(f"{child} {name_of_process().partition(' ')[2]}")


def test_a_job_whose_parent_ended_while_it_was_starting_does_nothing(
    parent: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    name = named(parent)
    parent.kill()
    parent.wait()
    job = start(tmp_path / "log", name)
    output, _ = job.communicate(timeout=30)
    assert (job.returncode, output) == (1, "")


@pytest.mark.parametrize("name", ["", name_of_process()], ids=["unknown", "this process"])
def test_a_job_runs_to_its_end_beside_its_parent(name: str, tmp_path: Path) -> None:
    job = start(tmp_path / "log", name, 0)
    assert job.stdout is not None
    _, child = job.stdout.readline().split()
    os.kill(int(child), signal.SIGKILL)
    assert job.wait(20) == 0
    assert (tmp_path / "log").read_text() == ""
