"""The micro study, run by real Snakemake in a copy of the repository's files.

It runs once per test session, whatever the number of pytest workers: the first worker that needs it runs it under a
lock in the folder that the workers share. A test that changes anything gets a copy of the finished folder (times of
change included, or Snakemake would see changes that nobody made).
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from workplace import STUDY_TIMEOUT, Workplace, checkout


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock that all workers of a test session respect."""
    with path.open("w", encoding="utf-8") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="session")
def micro(tmp_path_factory: pytest.TempPathFactory, worker: str) -> Workplace:
    """Return the folder in which the micro study has run; tests only read it."""
    base = tmp_path_factory.getbasetemp()
    shared = base if worker == "master" else base.parent
    folder, log = shared / "micro-study", shared / "micro-study.log"
    with locked(shared / "micro-study.lock"):
        if not log.exists():  # else another worker has run it, well or not
            log.write_text(f"timeout\nno end within {STUDY_TIMEOUT} s")
            done = checkout(folder).snakemake("all", "--cores", "2", timeout=STUDY_TIMEOUT)
            log.write_text(f"{done.returncode}\n{done.stdout}")
    status, output = log.read_text().split("\n", 1)
    assert status == "0", output
    return Workplace(folder)


@pytest.fixture(scope="session")
def worker() -> str:
    """Return the name of this pytest-xdist worker, `master` without workers."""
    return os.environ.get("PYTEST_XDIST_WORKER", "master")


@pytest.fixture
def finished(micro: Workplace, tmp_path: Path) -> Workplace:
    """Return a copy of the finished study that a test may change."""
    shutil.copytree(micro.folder, tmp_path / "study", symlinks=True)  # keeps the times of change
    return Workplace(tmp_path / "study")


@pytest.fixture
def fresh(tmp_path: Path) -> Workplace:
    """Return a copy of the repository's files in which nothing has run."""
    return checkout(tmp_path / "fresh")
