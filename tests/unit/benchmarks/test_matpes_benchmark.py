"""The generated MatPES files are read whole, and the structures of both functionals are found to be the same."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from matpes import ELEMENTS, FILES, generate

from uprung.frames.intake import write_frames
from uprung.frames.table import Frames, read_frames
from uprung.labels.identical import identical_labels
from uprung.sources import open_source
from uprung.structures.pairs import match_frames

COUNTS = {"PBE": 120, "r2SCAN": 100}


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Frames]:
    folder = tmp_path_factory.mktemp("matpes")
    generate(folder, COUNTS)
    found = {}
    for functional, file in FILES.items():
        source = open_source("matpes", folder / file, functional)
        manifest = write_frames([(source.records(), frozenset())], folder / functional, functional=functional)
        assert manifest["rejected"] == []
        assert manifest["labels"]["stress_gpa"] == manifest["written"] == COUNTS[functional]
        found[functional] = read_frames(folder / functional / "manifest.json")
    return found


def test_every_structure_of_the_smaller_file_has_its_partner(tables: dict[str, Frames]) -> None:
    pairs, counts = match_frames(tables["PBE"], tables["r2SCAN"])
    assert counts["pairs"] == COUNTS["r2SCAN"]
    assert (pairs["frame_id_low"] == pairs["frame_id_high"]).all()
    same = identical_labels(tables["PBE"], tables["r2SCAN"], pairs, ("energy", "energy"))
    assert json.dumps(same)
    assert not np.allclose(tables["PBE"].label("energy")[:100], tables["r2SCAN"].label("energy"))


def test_elements_are_those_of_the_data_set() -> None:
    assert len(ELEMENTS) == 89
    assert not {84, 85, 86, 87, 88} & set(ELEMENTS.tolist())


def test_a_record_has_the_keys_of_a_real_one(tmp_path: Path) -> None:
    generate(tmp_path, {"PBE": 1, "r2SCAN": 1})
    (record,) = json.loads((tmp_path / FILES["r2SCAN"]).read_text())
    real = {"matpes_id", "structure", "energy", "forces", "stress", "bandgap", "functional", "cohesive_energy_per_atom"}
    assert real | {"nsites", "provenance", "abs_forces", "bader_charges", "bader_magmoms"} <= record.keys()
    assert (len(record["stress"]), record["functional"]) == (6, "r2SCAN")
