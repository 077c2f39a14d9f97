"""Labels of one's own in the workflow: planned without GPAW, told where it is missing, computed where it is there."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import pandas as pd
import pytest
from ase.build import bulk
from workplace import Workplace

FRAMES = [f"results/micro/frames/{name}/manifest.json" for name in ("pbe", "r2scan")]
PAIRS = "results/micro/pairs/dimers/manifest.json"
COUNT = 5


@pytest.fixture
def own(fresh: Workplace) -> Workplace:
    """Return the micro study with computed labels: five cells of LiH, two per chunk."""
    structures = []
    for n in range(COUNT):
        atoms = bulk("LiH", "rocksalt", a=4.08)
        atoms.rattle(0.05, seed=n)
        atoms.info = {"frame_id": f"LiH-{n}", "material_id": "LiH"}
        structures.append(atoms)
    ase.io.write(fresh.folder / "mine.extxyz", structures)

    def change(study: dict[str, Any]) -> None:
        for fidelity in study["fidelities"].values():
            del fidelity["sources"]
            fidelity["computed"] = True
        study["own_dft"] = {"structures": "mine.extxyz", "cutoff": 200, "k_density": 0.8, "chunk_size": 2}

    fresh.configure(change)
    return fresh


def test_the_plan_needs_no_gpaw(own: Workplace) -> None:
    counts = own.planned(*FRAMES, PAIRS)
    assert counts == {"label_structures": 2 * 3, "computed_frames": 2, "pairs": 1}
    assert own.planned("dft") == {"label_structures": 2 * 3}
    own.configure(lambda study: study["own_dft"].update(chunk_size=100))
    assert own.planned("dft") == {"label_structures": 2}


def test_a_study_without_own_labels_has_none_of_its_jobs(fresh: Workplace) -> None:
    assert not {"label_structures", "computed_frames"} & fresh.planned().keys()


def test_structures_are_checked_before_any_job(own: Workplace) -> None:
    (own.folder / "mine.extxyz").write_text("LiH\n")
    done = own.snakemake("dft", "-n")
    assert done.returncode == 1
    assert "uprung: the structures to be labelled cannot be used" in done.stdout
    assert "mine.extxyz: expected a number of atoms, but found 'LiH'" in done.stdout
    (own.folder / "mine.extxyz").unlink()
    done = own.snakemake("dft", "-n")
    assert "own_dft.structures: file 'mine.extxyz' does not exist" in done.stdout
    assert "Traceback" not in done.stdout


@pytest.mark.skipif(importlib.util.find_spec("gpaw") is not None, reason="GPAW is installed")
def test_a_missing_gpaw_is_one_clear_message(own: Workplace) -> None:
    done = own.snakemake("results/micro/own_dft/pbe/chunk0.jsonl", "--cores", "1")
    assert done.returncode == 1
    assert "uprung: the extra `dft` is not installed (`own_dft`): make gpaw" in done.stdout
    assert "Labelling structures" not in done.stdout  # no job has begun
    assert "Traceback" not in done.stdout
    assert not (own.results / "own_dft/pbe/chunk0.jsonl").exists()


@pytest.mark.gpaw
@pytest.mark.skipif(importlib.util.find_spec("gpaw") is None, reason="GPAW is not installed: make gpaw")
def test_labels_become_pairs_and_survive_a_rerun(own: Workplace) -> None:
    done = own.snakemake(*FRAMES, PAIRS, "--cores", "1", timeout=600)
    assert done.returncode == 0, done.stdout
    manifests = [json.loads((own.folder / file).read_text()) for file in FRAMES]
    assert [m["written"] for m in manifests] == [COUNT, COUNT]
    assert [m["functional"] for m in manifests] == ["PBE", "r2SCAN"]
    assert all("200 eV, k density 0.8 Å with one grid per material" in m["label_scale"] for m in manifests)
    assert json.loads((own.folder / PAIRS).read_text())["pairs"] == COUNT
    assert own.planned(*FRAMES, PAIRS) == {}
    labels = energies(own)
    assert len(labels) == 2 * COUNT
    assert np.isfinite(list(labels.values())).all()

    # one more structure: the last chunk is labelled again, with what exists taken from the state
    atoms = bulk("LiH", "rocksalt", a=4.08)
    atoms.rattle(0.05, seed=COUNT)
    atoms.info = {"frame_id": f"LiH-{COUNT}", "material_id": "LiH"}
    ase.io.write(own.folder / "mine.extxyz", atoms, append=True)
    state = {file: file.stat().st_size for file in (own.results / "state/own_dft/pbe").iterdir()}
    done = own.snakemake("results/micro/own_dft/pbe/chunk2.jsonl", "--cores", "1", timeout=600)
    assert done.returncode == 0, done.stdout
    grown = [file.name for file, size in state.items() if file.stat().st_size > size]
    assert grown == ["chunk2.jsonl"]
    assert energies(own).items() > labels.items()
    assert len(energies(own)) == 2 * COUNT + 1


@pytest.fixture
def hot(fresh: Workplace) -> Workplace:
    """Return the micro study with states of LiH: two runs of one material, labelled in chunks of three."""
    crystals = [bulk("LiH", "rocksalt", a=4.08) for _ in range(2)]
    for n, atoms in enumerate(crystals):
        atoms.info = {"frame_id": f"run{n}", "material_id": "LiH"}
    ase.io.write(fresh.folder / "crystals.extxyz", crystals)
    snapshots = {"structures": "crystals.extxyz", "length": 0.05, "frames": 2, "strained": 1, "timestep": 1.0}

    def change(study: dict[str, Any]) -> None:
        study["own_dft"] = {"cutoff": 200, "k_density": 0.8, "chunk_size": 3}
        sets = {f"hot-{name.lower()}": {"functional": name, "snapshots": "hot"} for name in ("PBE", "r2SCAN")}
        softening = {"models": ["chgnet-0.3.0"], "runs": "none", "correction": {"shots": [1]}}
        study["tests"] = {"softening": {"sets": sets, "snapshots": {"hot": snapshots}, **softening}}

    fresh.configure(change)
    return fresh


def test_states_are_labelled_and_judged_at_both_fidelities(hot: Workplace) -> None:
    labels = {"sample_snapshots": 1, "collect_snapshots": 1, "label_snapshots": 2 * 2}
    wanted = {**labels, "labelled_snapshots": 2, "soften_model": 2}
    assert wanted.items() <= hot.planned("softening").items()
    assert "evalset_frames" not in hot.planned("softening")
    assert hot.planned("dft") == labels


@pytest.mark.gpaw
@pytest.mark.skipif(importlib.util.find_spec("gpaw") is None, reason="GPAW is not installed: make gpaw")
def test_labelled_snapshots_keep_crystal_and_simulation(hot: Workplace) -> None:
    done = hot.snakemake("softening", "--cores", "2", timeout=900)
    assert done.returncode == 0, done.stdout
    for name in ("hot-pbe", "hot-r2scan"):
        frames = pd.read_parquet(hot.results / f"softening/{name}/models/chgnet-0.3.0.parquet")
        told = frames.groupby("frame_id")[["material", "trajectory"]].first()
        assert told.index.tolist() == ["run0-00", "run0-01", "run1-00", "run1-01"]
        assert told["material"].tolist() == ["LiH"] * 4
        assert told["trajectory"].tolist() == ["run0", "run0", "run1", "run1"]
        correction = pd.read_csv(hot.results / f"softening/{name}/correction.csv")
        assert correction["trajectories"].tolist() == [2]
        assert (correction["draws"] > 0).all()
    assert hot.planned("softening") == {}


def energies(own: Workplace) -> dict[tuple[str, str], float]:
    """Return (structure, functional) -> energy of all finished chunks."""
    files: list[Path] = sorted((own.results / "own_dft").glob("*/chunk*.jsonl"))
    records = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    return {(r["id"], r["xc"]): r["energy"] for r in records}
