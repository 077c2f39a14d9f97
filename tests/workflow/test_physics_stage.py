"""Properties of crystals in a real run of the workflow: checkpoint, network from a file, trained run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from chgnet.model import CHGNet
from workplace import STUDY_TIMEOUT, checkout

pytestmark = pytest.mark.long

SETS: dict[str, dict[str, Any]] = {
    "metals": {
        **{"test": "vacancies", "functional": "PBE", "files": ["data/physics/vacancies-fcc.csv"]},
        **{"materials": ["Al", "Cu"], "supercell": 2},
    },
    "alloy": {
        **{"test": "mixing", "functional": "PBE", "files": ["data/physics/mixing-MoTa.json.gz"]},
        **{"arrangements": 1, "caveat": "Nobody looked."},
    },
    "perovskite": {"test": "phonons", "functional": "PBE", "files": ["data/physics/BaZrO3.json.gz"]},
}
LIGHT = {"exclude_elements": ["19-94"]}
OWN = {"sets": SETS, "models": ["chgnet-0.3.0", "mine"], "steps": 5, "bootstrap": 100}


def test_every_network_says_what_it_thinks_of_every_material(tmp_path: Path) -> None:
    place = checkout(tmp_path / "study")
    model = CHGNet.load(model_name="0.3.0", use_device="cpu", verbose=False)
    torch.save({"model": model.as_dict()}, place.folder / "mine.pth.tar")

    def change(content: dict[str, Any]) -> None:
        content["arms"] = {"checkpoint-ref": {"references": "checkpoint"}}
        content["sizes"], content["steps"] = [60], 2
        content["tests"] = {"physics": OWN}
        stated = {"architecture": "chgnet", "functional": "PBE", "label_scale": "MP2020"}
        content["checkpoints"] = {"mine": {"file": "mine.pth.tar", **stated}}

    place.configure(change)
    planned = place.planned("physics")
    counts = {"physics_model": 2, "physics_run": 1, "plot_physics": 1}
    assert planned.items() >= counts.items()
    run = place.snakemake("--cores", "2", "physics", timeout=STUDY_TIMEOUT)
    assert run.returncode == 0, run.stdout
    at = place.results / "physics"
    summary = pd.read_csv(at / "summary.csv", keep_default_na=False)
    assert summary["model"].drop_duplicates().tolist() == ["chgnet-0.3.0", "mine", "run"]
    values = pd.read_csv(at / "values.csv", keep_default_na=False)
    whole = values.groupby("model").size()
    assert len(set(whole)) == 1
    one, same = (values[values["model"] == name].reset_index(drop=True) for name in ("chgnet-0.3.0", "mine"))
    pd.testing.assert_frame_equal(one.drop(columns="model"), same.drop(columns="model"))
    assert set(values["set"]) == set(SETS)
    assert "False" in set(values["converged"].astype(str))  # five steps are too few
    log = (place.results / "logs/physics/models/chgnet-0.3.0.log").read_text()
    assert "4 materials, about" in log
    for name in ("physics", "physics-ratios", "physics-mixing", "physics-phonons"):
        assert (place.results / f"figures/{name}.svg").exists()
    assert place.planned("physics") == {}

    # an added set costs only itself: the materials of the others are kept
    kept = {file: file.stat().st_mtime_ns for file in (place.results / "state/physics/models").rglob("*.json")}
    assert len(kept) == 8  # of two networks
    metals = {**SETS["metals"], "materials": ["Al", "Cu", "Ni"]}
    place.configure(lambda content: content["tests"]["physics"]["sets"].update(metals=metals))
    assert place.planned("physics") == counts
    again = place.snakemake("--cores", "2", "results/micro/physics/models/chgnet-0.3.0.csv", timeout=STUDY_TIMEOUT)
    assert again.returncode == 0, again.stdout
    assert {file: file.stat().st_mtime_ns for file in kept} == kept
    assert len(list((place.results / "state/physics/models").rglob("*.json"))) > len(kept)


def test_a_set_that_cannot_be_read_is_refused_in_one_line(tmp_path: Path) -> None:
    place = checkout(tmp_path / "study")
    entry = SETS["metals"] | {"materials": ["Unobtainium"]}
    place.configure(lambda content: content.update(tests={"physics": {"sets": {"metals": entry}, "runs": "none"}}))
    run = place.snakemake("--cores", "1", "physics", timeout=STUDY_TIMEOUT)
    assert run.returncode != 0
    assert "no Unobtainium in the files" in run.stdout
    place.configure(lambda content: content["tests"]["physics"]["sets"]["metals"].update(files=["nowhere.csv"]))
    status, output = place.dry("physics", "--configfile", "tests/workflow/micro.yaml")
    assert status != 0
    assert "tests.physics.sets.metals" in output


def test_a_repair_is_added_to_what_is_there(tmp_path: Path) -> None:
    place = checkout(tmp_path / "study")
    own = {"test": "paths", "functional": "PBE", "files": ["data/physics/own/paths.jsonl.gz"]}
    slow = {"test": "volumes", "functional": "PBE", "files": ["data/physics/volumes.json.gz"], "most": 1}
    solids = {"functional": "PBE", "sources": [{**LIGHT, "format": "solids", "file": "data/solids/solids.jsonl.gz"}]}
    physics = {"sets": {"own": own, "slow": slow}, "models": ["chgnet-0.3.0"], "runs": "none", "steps": 2}
    softening = {
        **{"sets": {"pool": solids}, "models": [], "runs": "none", "bootstrap": 100},
        "correction": {"training": {"epochs": 2}},
    }
    place.configure(lambda content: content.update(tests={"softening": softening, "physics": physics}))
    run = place.snakemake("--cores", "2", "physics", timeout=STUDY_TIMEOUT)
    assert run.returncode == 0, run.stdout
    repair = {"pools": ["pool"], "shots": [1, 2], "draws": 3}
    place.configure(lambda content: content["tests"]["physics"].update(repair=repair))
    planned = place.planned("physics")
    assert planned.items() >= {"repair_physics": 1, "plot_repair": 1, "soften_model": 1}.items()
    assert not {"physics_model", "plot_physics"} & set(planned)  # what was computed stays
    run = place.snakemake("--cores", "2", "physics", timeout=STUDY_TIMEOUT)
    assert run.returncode == 0, run.stdout
    table = pd.read_csv(place.results / "physics/repair.csv", keep_default_na=False)
    counts = table.groupby(["set", "way", "shots"]).size().to_dict()
    ways = [("untouched", 0), *((way, k) for way in ("number", "training") for k in (1, 2))]
    assert counts == {
        **{("own", way, k): 2 for way, k in ways},  # barrier and curvature
        **{("slow", way, k): 1 for way, k in ways if way != "training"},
    }
    drawn = pd.read_csv(place.results / "physics/repair/pool/chgnet-0.3.0.csv", keep_default_na=False)
    for labels in drawn.loc[(drawn["material"] == "C") & (drawn["labels"] != ""), "labels"]:
        assert not any(name.startswith("C-") for name in labels.split())
    number = drawn[(drawn["way"] == "number") & (drawn["set"] == "own")]
    scaled = number["untouched"].astype(float) * number["multiplier"].astype(float)
    assert number["predicted"].astype(float).to_numpy() == pytest.approx(scaled.to_numpy())
    trained = drawn[(drawn["way"] == "training") & (drawn["set"] == "own")]
    assert (trained["predicted"].astype(float) != trained["untouched"].astype(float)).all()
    judged = trained[["shots", "draw", "material"]].drop_duplicates()
    assert {(1, 0), (2, 2)} <= set(zip(judged["shots"], judged["draw"], strict=True))
    assert len(list((place.results / "state/physics/repair").rglob("*.json"))) == len(judged)
    assert (place.results / "figures/physics-repair.svg").exists()
    assert place.planned("physics") == {}
