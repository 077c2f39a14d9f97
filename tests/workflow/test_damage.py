"""What results say is what their inputs are: changed labels train anew, a damaged file stops the job that reads it."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import numpy as np
import pytest
from workplace import STUDY_TIMEOUT, Workplace

from uprung.job.checksums import verify

DATA = "data/diatomics/diatomics-dft.json.gz"
ORDER = "results/micro/split/order/seed0.parquet"
METRICS = "results/micro/runs/steps30/scratch/n60/seed0/metrics.json"


def relabel(place: Workplace) -> None:
    """Change the small forces of every curve by 1 %, so that as many frames with as many labels take part."""
    path = place.folder / DATA
    curves = json.loads(gzip.decompress(path.read_bytes()))
    for curve in curves["r2SCAN"].values():
        forces = [np.array(each) for each in curve["forces"]]
        curve["forces"] = [(each * (1.01 if np.abs(each).max() < 5 else 1)).tolist() for each in forces]
    path.write_bytes(gzip.compress(json.dumps(curves).encode()))


def flip(path: Path) -> None:
    """Change one bit in the middle of a file, and not its times."""
    content, times = bytearray(path.read_bytes()), path.stat()
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


@pytest.mark.long
def test_changed_labels_train_every_network_anew_whatever_ran_before(finished: Workplace) -> None:
    """One stage after the other, as a person looks at them: nothing below may take old networks for current ones."""
    relabel(finished)
    for stage in ("graphs", "atomref"):
        done = finished.snakemake(stage, "--cores", "1", timeout=STUDY_TIMEOUT)
        assert done.returncode == 0, done.stdout
        planned = finished.planned()
        assert (planned["train_run"], planned["evaluate_run"], planned["write_report"]) == (9, 9, 1)


@pytest.mark.parametrize(
    ("damaged", "made"),
    [("results/micro/split/split.parquet", ORDER), (METRICS, "results/micro/models/index.csv")],
    ids=["a table", "the errors of a run"],
)
def test_a_damaged_result_stops_the_next_job_that_reads_it(finished: Workplace, damaged: str, made: str) -> None:
    flip(finished.folder / damaged)
    (finished.folder / made).unlink()
    done = finished.snakemake(made, "--cores", "1", timeout=STUDY_TIMEOUT)
    assert done.returncode != 0
    lines = [line for line in done.stdout.splitlines() if line.startswith("uprung: ")]
    assert lines == [
        f"uprung: DamagedError: {damaged} has another content: it is not what it was when it was written. Delete "
        f"{damaged} and start the same command again: it is made anew"
    ]
    assert not (finished.folder / made).exists()


def test_every_output_of_a_study_has_its_checksum(micro: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(micro.folder)
    folder = Path("results/micro/checksums")
    named = [Path("results/micro") / file.relative_to(folder).with_suffix("") for file in folder.rglob("*.json")]
    assert {Path(ORDER), Path(METRICS), Path("results/micro/report.html")} <= set(named)
    verify(named)
    beside = {"logs", "benchmarks", "state", "tensorboard", "checksums", "graphs", "frames"}  # listed in manifests
    outputs = {file for file in Path("results/micro").rglob("*") if file.is_file() and file.parts[2] not in beside}
    assert outputs <= set(named)
