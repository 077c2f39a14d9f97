"""Results on a full disk and on a read-only one. A small tmpfs is mounted for it, which needs root."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from faults import contents, differing
from workplace import STUDY_TIMEOUT, Workplace

pytestmark = pytest.mark.long

RUN = "runs/steps30/scratch/n60/seed0"
FILLER = "results/filler"
MIB = 2**20


def mount(*arguments: str) -> None:
    done = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"mount {' '.join(arguments)}: {done.stderr.strip()}")


@pytest.fixture
def small(micro: Workplace, tmp_path: Path) -> Iterator[Workplace]:
    """Return a copy of the finished study whose results are on a small disk of their own."""
    if os.geteuid() or not shutil.which("mount"):
        pytest.skip("mounting a small disk needs root")
    place = Workplace(tmp_path / "study")
    study = str(micro.folder)
    shutil.copytree(study, place.folder, symlinks=True, ignore=lambda at, _: {"results"} if at == study else set())
    disk = place.folder / "results"
    disk.mkdir()
    mount("-t", "tmpfs", "-o", "size=160M", "tmpfs", str(disk))
    try:
        shutil.copytree(micro.folder / "results", disk, symlinks=True, dirs_exist_ok=True)
        yield place
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def fill(place: Workplace, left: int) -> None:
    """Leave so many bytes."""
    disk = os.statvfs(place.folder / "results")
    with (place.folder / FILLER).open("wb") as stream:
        os.posix_fallocate(stream.fileno(), 0, disk.f_bavail * disk.f_frsize - left)


def remove(place: Workplace, what: str) -> None:
    path = place.results / what
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def fails_then_completes(place: Workplace, removed: str, target: str, left: int) -> str:
    """Remove something, make it again on a disk that is too small, then on one with space; return the first output."""
    wanted = contents(place.results)
    remove(place, removed)
    others = contents(place.results)
    fill(place, left)
    failed = place.snakemake(f"results/micro/{target}", "--cores", "1", timeout=STUDY_TIMEOUT)
    assert failed.returncode != 0, failed.stdout
    assert "the disk is full. Free some space, then start the same command again" in failed.stdout
    assert not (place.results / target).exists()
    now = contents(place.results)
    manifests = [name for name in others if name.endswith(".json")]
    assert all(now.get(name) == others[name] for name in manifests)
    (place.folder / FILLER).unlink()
    done = place.snakemake(f"results/micro/{target}", "--cores", "1", timeout=STUDY_TIMEOUT)
    assert done.returncode == 0, done.stdout
    assert differing(contents(place.results), wanted) == []
    return failed.stdout


def test_a_disk_that_fills_up_in_a_training_leaves_a_state_to_go_on_from(small: Workplace) -> None:
    """There is room for two checkpoints of 5 MB, not for three."""
    output = fails_then_completes(small, RUN, f"{RUN}/metrics.json", 10 * MIB)
    assert re.search(r"uprung: \S+/last\.ckpt cannot be written: the disk is full", output)
    assert "Traceback" not in output
    assert re.search(r"resumed at step (10|20)\b", (small.results / f"logs/{RUN}/train.log").read_text())
    assert not list((small.results / "state").rglob("*.tmp"))


WRITERS: dict[str, tuple[str, str]] = {
    "frames": ("frames/pbe", "frames/pbe/manifest.json"),  # Parquet by parts
    "graphs": ("graphs/r2scan", "graphs/r2scan/manifest.json"),  # NumPy
    "network": (RUN, f"{RUN}/metrics.json"),  # PyTorch; the log cannot be written either
    "evaluation": (f"{RUN}/metrics.json", f"{RUN}/metrics.json"),  # Parquet, CSV, JSON
    "table": ("scaling/curves.csv", "scaling/curves.csv"),
    "figure": ("figures/learning-curves.svg", "figures/learning-curves.svg"),
}


@pytest.mark.slow
@pytest.mark.parametrize("what", WRITERS)
def test_every_writer_says_that_the_disk_is_full(small: Workplace, what: str) -> None:
    fails_then_completes(small, *WRITERS[what], 0)


def read_only(place: Workplace) -> Callable[[], None]:
    mount("-o", "remount,ro", str(place.folder / "results"))
    return lambda: mount("-o", "remount,rw", str(place.folder / "results"))


def test_a_read_only_disk_is_told_before_anything_runs(small: Workplace) -> None:
    wanted = contents(small.results)
    remove(small, RUN)
    release = read_only(small)
    assert small.planned(f"results/micro/{RUN}/metrics.json") == {"train_run": 1, "evaluate_run": 1}
    failed = small.snakemake(f"results/micro/{RUN}/metrics.json", "--cores", "1")
    assert failed.returncode != 0
    assert "uprung: results/micro cannot be written (read-only, or of another user)" in failed.stdout
    assert "Traceback" not in failed.stdout
    assert "rule train_run:" not in failed.stdout
    release()
    done = small.snakemake(f"results/micro/{RUN}/metrics.json", "--cores", "1", timeout=STUDY_TIMEOUT)
    assert done.returncode == 0, done.stdout  # no lock was left
    assert differing(contents(small.results), wanted) == []
