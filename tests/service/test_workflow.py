"""A study on pulled fidelities, by real Snakemake: planned, killed, resumed, and not run again without need."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from outcome import account
from servers import Service
from world import World, simple_world

from uprung.frames.table import read_frames

sys.path.append(str(Path(__file__).parents[1] / "workflow"))
from workplace import NOTHING, Workplace, checkout, stop

STUDY = "config/pulled.yaml"


@pytest.fixture
def world() -> World:
    return simple_world(20)


@pytest.fixture
def place(tmp_path: Path) -> Workplace:
    """Return a copy of the repository with a small study on pulled fidelities."""
    place = checkout(tmp_path / "fresh")
    paper = yaml.safe_load((place.folder / "config/paper.yaml").read_text())
    study = {**paper, "study": "pulled", "sizes": ["50%"], "seeds": [5]}
    (place.folder / STUDY).write_text(yaml.safe_dump(study))
    return place


def rejected_or_there(place: Workplace, world: World) -> None:
    from outcome import Outcome

    for fidelity, functional in (("gga", "PBE"), ("r2scan", "r2SCAN")):
        folder = place.folder / "results/pulled/frames" / fidelity
        listed = pq.read_table(folder / "not_used.parquet").to_pylist()
        account(world, Outcome(functional, read_frames(folder / "manifest.json"), listed))


def test_frames_of_a_pulled_study(service: Service, world: World, place: Workplace) -> None:
    targets = [f"results/pulled/frames/{name}/manifest.json" for name in ("gga", "r2scan")]
    done = place.snakemake(*targets, "--cores", "1", study=STUDY, timeout=300)
    assert done.returncode == 0, done.stdout
    rejected_or_there(place, world)
    manifest = json.loads((place.folder / targets[0]).read_text())
    (reader,) = manifest["readers"]
    assert reader["excluded_batches"] == ["gnome_r2scan_statics"]
    assert reader["energies_repaired"] == 20
    assert manifest["sources"].keys() == {"download/manifest.json"}
    again = place.snakemake(*targets, "-n", study=STUDY)
    assert NOTHING in again.stdout
    assert os.environ["MP_API_KEY"] not in done.stdout
    told = [path for path in (place.folder / "results").rglob("*") if path.is_file()]
    told += [path for path in (place.folder / ".snakemake").rglob("*") if path.is_file()]
    assert not [path for path in told if os.environ["MP_API_KEY"].encode() in path.read_bytes()]

    # another filter selects anew, but does not pull anew
    place.edit("config/pulled.yaml", "converged: true", "converged: false")
    planned = place.planned(*targets, study=STUDY)
    assert planned == {"downloaded_frames": 2}
    corrections = read_frames(place.folder / targets[0]).table["correction"].to_pylist()
    scale = dict(zip(read_frames(place.folder / targets[0]).strings("frame_id"), corrections, strict=True))
    assert scale["mp-3000010-0-0"] == pytest.approx(-0.687)  # MgO: one oxide ion
    assert scale["mp-3000000-0-0"] == pytest.approx(-0.614)  # NaCl: one chloride ion
    assert scale["mp-3000020-0-0"] == pytest.approx(-0.687 - 2.256)  # FeO with U


@pytest.mark.long
def test_snakemake_killed_in_the_middle_goes_on(service: Service, world: World, place: Workplace) -> None:
    service.s3.order({"match": "core/trajectories/run_type=r2SCAN", "times": 10_000, "delay": 60})
    process = place.start("results/pulled/download/manifest.json", "--cores", "1", study=STUDY)
    end = time.monotonic() + 240
    while not any("run_type=r2SCAN" in entry["path"] for entry in service.s3.log()):
        assert time.monotonic() < end, "it did not get there"
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGKILL)
    stop(process) if process.poll() is None else process.communicate()
    state = place.folder / "results/pulled/state/download"
    before = (state / "journal.jsonl").read_text()
    assert before.count("\n") >= 3
    service.s3.order()
    unlocked = place.snakemake("--unlock", study=STUDY)
    assert unlocked.returncode == 0, unlocked.stdout
    done = place.snakemake("data", "--until", "downloaded_frames", "--cores", "1", study=STUDY, timeout=300)
    assert done.returncode == 0, done.stdout
    assert (state / "journal.jsonl").read_text().startswith(before)
    rejected_or_there(place, world)


def test_a_missing_key_is_one_clear_line(
    service: Service, world: World, place: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    for material in world.materials:
        material.entries_in_table = False
    service.load(world)
    monkeypatch.delenv("MP_API_KEY")
    done = place.snakemake("results/pulled/download/manifest.json", "--cores", "1", study=STUDY, timeout=300)
    assert done.returncode != 0
    assert "uprung: DownloadError: the environment variable MP_API_KEY is not set" in done.stdout
    assert "Traceback" not in done.stdout
