"""A first study of one's own: the first screen of config/README.md, with two files of extended XYZ."""

from __future__ import annotations

import html
import json
from pathlib import Path

import ase.io
import pandas as pd
import pytest
import yaml
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from workplace import STUDY_TIMEOUT, Workplace, checkout

from uprung.config.docs import FIRST_STUDY
from uprung.sources import solids

pytestmark = pytest.mark.long

STUDY = "mine.yaml"


def write(functional: str, embedded: Path, target: Path) -> None:
    """Write the embedded crystals of two light atoms as somebody would who has labels in ASE."""
    structures = []
    for frame in solids.read(embedded, functional):
        if len(frame.Z) == 2 and frame.Z.max() <= 20:
            atoms = Atoms(frame.Z, cell=frame.lattice, scaled_positions=frame.frac, pbc=True)
            atoms.calc = SinglePointCalculator(atoms, energy=frame.energy, forces=frame.forces)
            atoms.info = {"frame_id": frame.frame_id, "material_id": frame.material_id}
            structures.append(atoms)
    ase.io.write(target, structures, format="extxyz")


@pytest.fixture(scope="module")
def mine(tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    """Return the folder in which the first study has run, shorter and with one seed."""
    place = checkout(tmp_path_factory.mktemp("mine"))
    for functional, file in (("PBE", "pbe.extxyz"), ("r2SCAN", "r2scan.extxyz")):
        write(functional, place.folder / "data/solids/solids.jsonl.gz", place.folder / file)
    short = yaml.safe_load(FIRST_STUDY) | {"sizes": [40, "all"], "seeds": 1, "steps": 20}
    (place.folder / STUDY).write_text(yaml.safe_dump(short))
    done = place.snakemake("--cores", "2", study=STUDY, timeout=STUDY_TIMEOUT)
    assert done.returncode == 0, done.stdout
    return place


def test_a_first_study_runs_to_its_report(mine: Workplace) -> None:
    results = mine.folder / "results/mine"
    curves = pd.read_csv(results / "scaling/curves.csv", keep_default_na=False)
    assert set(curves["arm"]) == {"scratch", "transfer"}
    assert set(curves["target"]) == {"energy", "force"}
    assert curves["size"].astype(str).unique().tolist() == ["40", "all"]
    assert mine.planned(study=STUDY) == {}


def test_what_was_not_stated_is_said(mine: Workplace) -> None:
    results = mine.folder / "results/mine"
    for side, functional, file in (("low", "PBE", "pbe.extxyz"), ("high", "r2SCAN", "r2scan.extxyz")):
        manifest = json.loads((results / f"frames/{side}/manifest.json").read_text())
        assert (manifest["functional"], manifest["label_scale"]) == (functional, f"not stated ({file})")
        assert f"not stated ({file})" in html.unescape((results / "report.html").read_text())


def test_a_missing_file_is_told_by_the_key_that_was_written(mine: Workplace) -> None:
    study = yaml.safe_load((mine.folder / STUDY).read_text())
    study["data"]["low"] = "gone.extxyz"
    (mine.folder / "gone.yaml").write_text(yaml.safe_dump(study))
    done = mine.snakemake("-n", study="gone.yaml")
    assert "gone.yaml: data.low: file 'gone.extxyz' does not exist" in done.stdout
