"""High-energy states in a real run of the workflow: from crystals to frames that the importers read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import pytest
from ase.build import bulk
from workplace import STUDY_TIMEOUT, checkout

from uprung.dft.structures import read_structures

pytestmark = pytest.mark.long

STATES = {"structures": "crystals.extxyz", "length": 0.02, "frames": 4, "strained": 2, "chunk_size": 1, "vasp": ["PBE"]}


def test_states_of_two_crystals(tmp_path: Path) -> None:
    place = checkout(tmp_path / "study")
    crystals = [bulk("Si", cubic=True), bulk("MgO", "rocksalt", a=4.2, cubic=True)]
    for name, atoms in zip(("si", "mgo"), crystals, strict=True):
        atoms.info = {"frame_id": name, "material_id": name.upper()}
    ase.io.write(place.folder / "crystals.extxyz", crystals)

    def change(content: dict[str, Any]) -> None:
        content["tests"] = {"softening": {"snapshots": {"hot": STATES}}}

    place.configure(change)
    assert place.planned("snapshots") == {"sample_snapshots": 2, "collect_snapshots": 1}
    run = place.snakemake("--cores", "2", "snapshots", timeout=STUDY_TIMEOUT)
    assert run.returncode == 0, run.stdout
    at = place.results / "snapshots/hot"
    frames = ase.io.read(at / "snapshots.extxyz", ":")
    names = [f"{name}-{k:02d}" for name in ("si", "mgo") for k in range(4)]
    assert [frame.info["frame_id"] for frame in frames] == names
    assert {frame.info["trajectory"] for frame in frames} == {"si", "mgo"}
    for name, crystal in zip(("si", "mgo"), crystals, strict=True):
        own = [frame for frame in frames if frame.info["trajectory"] == name]
        strains = [frame.cell.lengths()[0] / crystal.cell.lengths()[0] - 1 for frame in own]
        np.testing.assert_allclose(sorted(strains), [-0.03, 0, 0, 0.03], atol=1e-6)
    manifest = json.loads((at / "manifest.json").read_text())
    assert (manifest["crystals"], manifest["frames"], manifest["given_up"]) == (2, 8, [])
    assert sorted(p.name for p in (at / "vasp/PBE").iterdir()) == sorted(names)
    # what labels structures reads them as states of their crystals
    assert [s.material for s in read_structures(at / "snapshots.extxyz", 1.5)] == ["SI"] * 4 + ["MGO"] * 4
    assert place.planned("snapshots") == {}
    place.configure(lambda content: content["tests"]["softening"]["snapshots"]["hot"].update(temperature=500))
    assert place.planned("snapshots") == {"sample_snapshots": 2, "collect_snapshots": 1}
