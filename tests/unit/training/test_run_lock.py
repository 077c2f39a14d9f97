from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import pytest

import uprung.training.resume as run_state
from uprung.training.resume import hold

HOLDER = """
import sys, time
from pathlib import Path
from uprung.training.resume import hold
hold(Path(sys.argv[1]))
print("held", flush=True)
time.sleep(float(sys.argv[2]))
"""


def start(state: Path, seconds: float) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", HOLDER, str(state), str(seconds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.fixture(autouse=True)
def _released(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_state, "_HELD", [])  # closed, and so released, when the test ends


def test_a_run_waits_for_the_process_that_has_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    state = tmp_path / "runs" / "last.ckpt"
    process = start(state, 1.5)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    with caplog.at_level(logging.INFO):
        hold(state)
    assert process.wait(30) == 0
    line = capsys.readouterr().err
    assert f"belongs to process {process.pid} on" in line
    assert "this job waits for it to end" in line
    assert "the other process has ended" in caplog.text


def test_a_killed_process_holds_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    process = start(tmp_path / "last.ckpt", 60)
    assert process.stdout is not None
    process.stdout.readline()
    process.kill()
    process.wait()
    hold(tmp_path / "last.ckpt")
    assert capsys.readouterr().err == ""


def test_the_other_processes_of_a_run_do_not_wait_for_the_first(tmp_path: Path, monkeypatch) -> None:
    hold(tmp_path / "last.ckpt")
    monkeypatch.setenv("LOCAL_RANK", "1")
    hold(tmp_path / "last.ckpt")


def test_a_file_system_without_locks_is_told(tmp_path: Path, monkeypatch, caplog: pytest.LogCaptureFixture) -> None:
    def unsupported(*_: object) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr("fcntl.flock", unsupported)
    hold(tmp_path / "last.ckpt")
    assert "cannot be locked" in caplog.text
