"""Exported networks: name, card, references, and a file that loads; Croissant metadata of a frames table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml
from factories import make_frame

from uprung.evaluation.export import export_run
from uprung.frames.croissant import ABOUT, croissant
from uprung.frames.intake import write_frames
from uprung.frames.schema import SCHEMA
from uprung.models.registry import load

CHGNET = "chgnet-0.3.0"
SHIFT = 0.25


def run(folder: Path, **arm: Any) -> Path:
    """Return the folder of a finished run whose references are moved by SHIFT."""
    results = folder / "results/mine"
    place = results / "runs/steps10/transfer/nall/seed0"
    place.mkdir(parents=True)
    network = load(CHGNET)
    joint, delta = arm.get("fidelities") == "joint", arm.get("delta", False)
    if joint:
        network.add_source(network.references, embedding=True)
    moved = network.references + SHIFT
    if delta:
        network.zero_output()
        moved = np.full(94, SHIFT)
    network.set_references(moved, trainable=False)
    network.save(place / "model.pth.tar", target="high", source="low", corrects=CHGNET if delta else None)
    for name, functional in (("low", "PBE"), ("high", "r2SCAN")):
        frames = [make_frame("a", functional=functional)]
        about = {"sources": {f"{name}.xyz": f"hash of {name}"}}
        write_frames([(frames, frozenset())], results / f"frames/{name}", functional=functional, about=about)
    graphs = ["results/mine/graphs/high/manifest.json", *(["results/mine/graphs/low/manifest.json"] if joint else [])]
    card = {
        "architecture": "chgnet",
        "kept": "last",
        "n_train": 21,
        "n_materials": 11,
        "n_val": 6,
        "elements": ["Si"],
        "steps": 10,
        "loads_in": "" if delta else "chgnet: CHGNet.from_file",
        "label_scale": "not stated (high.xyz)",
        "inputs": dict.fromkeys(graphs, "hash"),
        "options": {"arm": arm, "pretrained": CHGNET, "targets": ["energy", "force"]},
    }
    errors = {"energy": {"mae": 0.0512, "baseline": 0.2}, "force": {"mae": 0.09}}
    metrics = {
        "run": {"budget": "steps10", "arm": "transfer", "size": "all", "seed": 0},
        "kept": "last",
        "n_test": 12,
        "last": {"all": errors},
    }
    (place / "card.yaml").write_text(yaml.safe_dump(card), encoding="utf-8")
    (place / "metrics.json").write_text(json.dumps(metrics), encoding="utf-8")
    return place


ARMS: dict[str, dict[str, Any]] = {
    "fine-tuned": {"init": "pretrained", "references": "residual"},
    "random": {"init": "random", "references": "target"},
    "delta": {"delta": True, "references": "residual"},
    "joint": {"init": "pretrained", "fidelities": "joint"},
}


@pytest.mark.parametrize("kind", ARMS)
def test_what_is_exported_loads_and_says_what_it_is(kind: str, tmp_path: Path) -> None:
    name = export_run(run(tmp_path, **ARMS[kind]), tmp_path / "out", version="2", licence="cc-by-4.0")
    assert name == ("CHGNet-mine-r2SCAN-2" if kind == "random" else "CHGNet-mine-r2SCAN-ft-2")
    fidelity = "high" if kind == "joint" else None
    references = load(tmp_path / "out/model.pth.tar", fidelity).references
    np.testing.assert_allclose(references, load(CHGNET).references + SHIFT, atol=1e-5)
    table = pd.read_csv(tmp_path / "out/references.csv", keep_default_na=False)
    np.testing.assert_allclose(table["energy_ev"], references, atol=1e-6)
    assert table.loc[table["in_training"], "element"].tolist() == ["Si"]
    card = (tmp_path / "out/README.md").read_text(encoding="utf-8")
    head = yaml.safe_load(card.split("---")[1])
    assert head["license"] == "cc-by-4.0"
    assert head.get("base_model") == (None if kind == "random" else CHGNET)
    assert f"# {name}" in card
    assert "| energy | 0.0512 eV/atom | 0.2 eV/atom |" in card
    assert "high.xyz: sha256 `hash of high`" in card
    assert ("low.xyz: sha256" in card) == (kind == "joint")
    assert ("fidelity='high'" in card) == (kind == "joint")
    assert ("correction to chgnet-0.3.0" in card) == (kind == "delta")
    assert "11 materials are few" in card


def test_what_is_no_run_is_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no finished run: model.pth.tar, card.yaml, metrics.json is missing"):
        export_run(tmp_path, tmp_path / "out")
    place = run(tmp_path, **ARMS["random"])
    (tmp_path / "out").mkdir()
    with pytest.raises(ValueError, match="this folder is there"):
        export_run(place, tmp_path / "out")
    (tmp_path / "results/mine/frames/high/manifest.json").unlink()
    with pytest.raises(ValueError, match="the frames that the run was trained on are not here"):
        export_run(place, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_croissant_describes_the_files_and_columns_of_a_table(tmp_path: Path) -> None:
    frames = [make_frame("a"), make_frame("b", bond=2.4)]
    manifest = write_frames([(frames, frozenset())], tmp_path, functional="PBE")
    found = croissant(manifest, name="mine", licence="cc-by-4.0")
    (part,), (records,) = found["distribution"], found["recordSet"]
    assert part["sha256"] == manifest["parts"][0]["sha256"]
    assert found["conformsTo"] == "http://mlcommons.org/croissant/1.0"
    stored = pq.read_table(tmp_path / part["contentUrl"])
    assert [field["source"]["extract"]["column"] for field in records["field"]] == stored.column_names
    assert set(ABOUT) == set(SCHEMA.names)
    kinds = {field["name"]: (field["dataType"], field.get("repeated", False)) for field in records["field"]}
    assert kinds["energy"] == ("sc:Float", False)
    assert kinds["Z"] == ("sc:Integer", True)
    assert kinds["flags"] == ("sc:Text", True)
    json.dumps(found)
