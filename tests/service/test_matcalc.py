"""Slopes of forces against those of the benchmark that the first author of the softening study released (matcalc)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from monty.serialization import dumpfn
from pymatgen.core import Lattice, Structure

from uprung.frames.intake import write_frames
from uprung.frames.table import read_frames
from uprung.models.data import open_dataset, write_dataset
from uprung.models.predict import predict
from uprung.models.registry import load
from uprung.softening.slopes import statistics
from uprung.sources import open_source

ROOT = Path(__file__).parents[2]
MATCALC = ROOT / ".venv-service/matcalc"
EVERY = {"Li": 4, "Ge": 6, "Mo": 5}  # every so many of the test frames: Li is quick

pytestmark = pytest.mark.skipif(not MATCALC.is_dir(), reason="matcalc is not installed: make service")


def slopes(frames: Path, predicted: str) -> dict[str, float]:
    paths = [str(MATCALC), str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]
    run = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("matcalc_slopes.py")), str(frames), predicted],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths)), "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert run.returncode == 0, run.stderr
    found: dict[str, float] = json.loads(run.stdout.strip().splitlines()[-1])
    return found


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, dict[str, float]]:
    """Frames and predicted forces as matcalc reads them, and the slopes that uprung finds."""
    folder = tmp_path_factory.mktemp("matcalc")
    content: dict[str, dict[str, object]] = {}
    forces: list[list[list[float]]] = []
    ours: dict[str, float] = {}
    for element, step in EVERY.items():
        records = [*open_source("mlearn", ROOT / f"data/mlearn/{element}_test.json.gz", "PBE", None).records()]
        # matcalc gives up, and says so in its log only, where the frames of a material differ in their number of atoms
        usual = Counter(len(record.Z) for record in records).most_common(1)[0][0]
        records = [record for record in records if len(record.Z) == usual][::step]
        manifest = folder / element / "frames/manifest.json"
        sources = [(iter(records), frozenset())]
        write_frames(sources, manifest.parent, functional="PBE", needed=["force"], about=dict)
        frames = read_frames(manifest)
        write_dataset(frames, frames.label("energy"), folder / element / "graphs", processes=1, name="chgnet")
        dataset = open_dataset(folder / element / "graphs/manifest.json")
        rows = np.arange(len(dataset.energy))
        predicted = predict(load("chgnet-0.3.0"), dataset, rows, targets=["force"])["force"]
        label = dataset.labels(rows).forces.astype(float)
        ours[element] = statistics(label.ravel(), predicted.ravel())["slope"]
        own = content.setdefault(element, {})
        for k, record in enumerate(records):
            assert dataset.keys[k] == record.frame_id
            here = slice(dataset.offsets[k], dataset.offsets[k + 1])
            structure = Structure(Lattice(record.lattice), record.Z.astype(int).tolist(), record.frac)
            own[record.frame_id] = {"structure": structure, "vasp_f": label[here].tolist()}
            forces.append(predicted[here].tolist())
    dumpfn(content, folder / "frames.json")
    (folder / "forces.json").write_text(json.dumps(forces))
    return folder / "frames.json", folder / "forces.json", ours


def test_the_same_forces_have_the_same_slopes(study: tuple[Path, Path, dict[str, float]]) -> None:
    frames, forces, ours = study
    theirs = slopes(frames, str(forces))
    assert theirs == pytest.approx(ours, abs=1e-6)
    assert len(set(np.round(list(ours.values()), 3))) == len(EVERY)


def test_slopes_of_the_packed_forward_are_those_of_stock_chgnet(study: tuple[Path, Path, dict[str, float]]) -> None:
    frames, _, ours = study
    assert slopes(frames, "chgnet") == pytest.approx(ours, abs=1e-4)
