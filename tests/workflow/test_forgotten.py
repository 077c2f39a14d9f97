"""Results whose memory (`.snakemake`) is gone: what a study would make otherwise is listed and refused."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
import sys
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from workplace import MICRO, Workplace, job_counts

from uprung.job.made import FOLDER, others

pytestmark = pytest.mark.long

DATA = "data/diatomics/diatomics-dft.json.gz"
RUN = "results/micro/runs/steps30/scratch/n60/seed0/model.pth.tar"
RUNS = "results/micro/runs/steps30/*/*/seed0/model.pth.tar"


def forget(place: Workplace) -> None:
    shutil.rmtree(place.folder / ".snakemake")


def refused(place: Workplace, *options: str) -> list[str]:
    """Return the lines of a refusal."""
    done = place.snakemake("all", "--cores", "1", *options)
    assert done.returncode != 0, done.stdout
    text = done.stdout[done.stdout.index("uprung: results/") :]
    assert "Traceback" not in text
    return text.splitlines()


def relabel(place: Workplace) -> None:
    """Change the data file, and neither its size nor its date."""
    path = place.folder / DATA
    times, curves = path.stat(), json.loads(gzip.decompress(path.read_bytes()))
    curves["note"] = "another release"
    path.write_bytes(gzip.compress(json.dumps(curves).encode()))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def configured(change: Callable[[dict[str, Any]], Any]) -> Callable[[Workplace], None]:
    return lambda place: place.configure(change)


CHANGES: dict[str, tuple[Callable[[Workplace], None], str, str]] = {
    "batch size": (
        configured(lambda study: study["training"].update(batch_size=16)),
        f"  {RUN}: recipe.batch_size 32, now 16",
        RUNS,
    ),
    "learning rate": (
        configured(lambda study: study["training"].update(learning_rate=0.003)),
        f"  {RUN}: recipe.learning_rate",
        RUNS,
    ),
    "an arm": (
        configured(lambda study: study["arms"]["scratch"].update(references_trainable=True)),
        f"  {RUN}: arm.references_trainable ",
        RUNS.replace("*", "scratch", 1),
    ),
    "the selection": (
        configured(lambda study: study["transfer"]["select"].update(max_force=9.0)),
        "  results/micro/split/manifest.json: select.max_force 10.0, now 9.0",
        "results/micro/split/manifest.json",
    ),
    "a data file": (
        relabel,
        "  results/micro/frames/pbe/manifest.json: other data files",
        "results/micro/frames/*/manifest.json",
    ),
    "the fit of references": (
        configured(lambda study: study["references"].update(residual={"labels": "residual", "estimator": "ridge"})),
        "  results/micro/references/residual/n60/seed0.csv: ",
        "results/micro/references/residual/*/seed0.csv",
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_would_be_made_otherwise_is_listed_and_refused(name: str, finished: Workplace) -> None:
    """The command that the refusal names makes just these results anew, and what follows from them."""
    change, line, doomed = CHANGES[name]
    remembering = shutil.copytree(finished.folder, finished.folder.with_name("remembering"), symlinks=True)
    change(Workplace(remembering))
    expected = Workplace(remembering).planned()
    forget(finished)
    change(finished)
    for options in ((), ("-n",)):
        lines = refused(finished, *options)
        assert any(each.startswith(line) for each in lines), lines
    (command,) = [each.strip() for each in lines if each.startswith("  rm -f ")]
    assert doomed in command.split()
    subprocess.run(command, shell=True, cwd=finished.folder, check=True)
    assert finished.planned() == expected


def test_results_that_agree_are_current_without_a_memory(finished: Workplace) -> None:
    forget(finished)
    assert finished.planned() == {}


def test_what_is_added_or_gone_is_seen_without_a_memory(finished: Workplace) -> None:
    """Snakemake alone has nothing to do where a result is there and what it is made from is not."""
    forget(finished)
    finished.configure(lambda study: study.update(seeds=[0, 1]))
    lines = refused(finished, "-n")
    assert any(line.startswith("  results/micro/models/index.csv: other inputs: ") for line in lines), lines
    assert not any("/n60/seed0/model.pth.tar: " in line for line in lines)
    (command,) = [each.strip() for each in lines if each.startswith("  rm -f ")]
    subprocess.run(command, shell=True, cwd=finished.folder, check=True)
    assert finished.planned()["train_run"] == 9
    finished.configure(lambda study: study.update(seeds=[0]))
    (finished.folder / RUN).unlink()
    lines = refused(finished, "-n")
    assert f"  {RUN.replace('model.pth.tar', 'metrics.json')}: made from {RUN}, which is gone" in lines


@pytest.mark.parametrize("empty", [False, True], ids=["gone", "empty"])
def test_a_memory_that_is_lost_in_part(finished: Workplace, empty: bool) -> None:
    """An empty record is what a power cut leaves."""
    record = finished.folder / ".snakemake/metadata" / urlsafe_b64encode(RUN.encode()).decode()
    record.write_text("") if empty else record.unlink()
    finished.configure(lambda study: study["training"].update(batch_size=16))
    lines = refused(finished, "-n")
    assert [line for line in lines if line.startswith("  results/")] == [f"  {RUN}: recipe.batch_size 32, now 16"]
    assert RUN in next(line for line in lines if line.startswith("  rm -f ")).split()  # and no other network


def test_other_ways_to_start(finished: Workplace, tmp_path: Path) -> None:
    """What makes all anew, or says that results are current, is not refused; another folder is."""
    forget(finished)
    finished.configure(lambda study: study["training"].update(batch_size=16))
    for option in ("--forceall", "-nF"):
        done = finished.snakemake("all", "-n", option)
        assert job_counts(done.stdout)["train_run"] == 9, done.stdout
    assert finished.snakemake("--unlock", "--cores", "1").returncode == 0
    shutil.move(finished.folder, tmp_path / "elsewhere")
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "snakemake",
            "--snakefile",
            tmp_path / "elsewhere/Snakefile",
            "--directory",
            tmp_path / "elsewhere",
            "--cores",
            "1",
            "-n",
            "--configfile",
            tmp_path / "elsewhere" / MICRO,
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert f"  {RUN}: recipe.batch_size 32, now 16" in done.stderr + done.stdout


def test_results_under_another_name_are_compared(finished: Workplace) -> None:
    """Nobody remembers results of a name that a study did not have."""
    shutil.copytree(finished.results, finished.results.with_name("other"))
    finished.configure(lambda study: study.update(study="other"))
    finished.configure(lambda study: study["training"].update(batch_size=16))
    lines = refused(finished, "-n")
    assert f"  {RUN.replace('micro', 'other')}: recipe.batch_size 32, now 16" in lines


def test_results_without_a_note_are_refused(finished: Workplace) -> None:
    """Those of an earlier version, for one."""
    forget(finished)
    shutil.rmtree(finished.results / FOLDER)
    assert f"  {RUN}: nobody noted how it was made" in refused(finished, "-n")


def test_a_memory_that_is_whole_costs_no_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """10,000 runs, trained and tested: one look at the record of each."""
    monkeypatch.chdir(tmp_path)
    notes, memory = Path("results/s", FOLDER), Path(".snakemake/metadata")
    notes.mkdir(parents=True)
    memory.mkdir(parents=True)
    paths = [f"runs/b/a/n{n}/seed{seed}/{file}" for n in range(100) for seed in range(100) for file in ("m", "e.json")]
    for path in paths:
        (notes / f"{path.replace('/', '%2F')}.json").touch()
        (memory / urlsafe_b64encode(f"results/s/{path}".encode()).decode()).write_text("{}")
    start = time.process_time()
    assert others("s", [], [f"results/s/{path}" for path in paths[::2]]) == []
    assert time.process_time() - start < 1  # 0.15 s of an idle core
