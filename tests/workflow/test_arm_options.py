"""Options of arms beyond those of `arms.yaml`, in a real run of the workflow, to the report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from workplace import STUDY_TIMEOUT, Workplace, checkout

from uprung.job.files import sha256
from uprung.training.fisher import importance_digest, read_importance

pytestmark = pytest.mark.long

STUDY = "tests/workflow/options.yaml"


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of the study."""
    workplace: Workplace = checkout(tmp_path_factory.mktemp("options"))
    run = workplace.snakemake("--cores", "2", study=STUDY, timeout=STUDY_TIMEOUT)
    assert run.returncode == 0, run.stdout
    assert workplace.planned(study=STUDY) == {}
    return workplace.folder / "results/options"


def folder(done: Path, arm: str) -> Path:
    return done / f"runs/steps20/{arm}/n120/seed0"


def read(done: Path, arm: str) -> tuple[dict[str, Any], dict[str, Any]]:
    metrics = json.loads((folder(done, arm) / "metrics.json").read_text())
    return metrics, yaml.safe_load((folder(done, arm) / "card.yaml").read_text())


def test_an_arm_of_energies_alone_is_named_so_and_tested_on_forces(done: Path) -> None:
    metrics, card = read(done, "energies")
    assert card["options"]["arm"]["labels"] == ["energy"]
    assert "labels" not in read(done, "elastic")[1]["options"]["arm"]
    assert 0 < metrics["last"]["all"]["force"]["mae"] < 10
    history = pd.read_csv(folder(done, "energies") / "history.csv")
    assert {"val_energy", "val_force"} <= set(history)
    assert (history["val_loss"] <= 0.3 * history["val_energy"] + 1e-9).all()  # Huber: no force in it
    index = pd.read_csv(done / "models/index.csv").set_index("arm")["labels"]
    assert index["energies"] == "energy"
    assert index["elastic"] == "energy force"
    page = (done / "report.html").read_text()
    assert "energies (E)" in page
    assert "Trained energies (E) on energy labels only" in page
    assert "energies (E)" in (done / "figures/learning-curves.svg").read_text()


def test_an_elastic_arm_is_pulled_by_the_fisher_information_that_its_card_names(done: Path) -> None:
    file, facts = done / "fisher/elastic/importance.pt", json.loads((done / "fisher/elastic/manifest.json").read_text())
    assert sha256(file) == facts["sha256"]
    assert importance_digest(read_importance(file)) == facts["values_sha256"]
    assert (facts["structures"], facts["seed"], facts["network"]) == (20, 0, "chgnet-0.3.0")
    split = pd.read_parquet(done / "split/split.parquet").query("fidelity == 'pbe'").set_index("frame_id")
    assert set(split.loc[facts["frames"], "split"]) == {"train"}
    assert len(set(facts["frames"])) == 20
    card = read(done, "elastic")[1]
    assert card["inputs"]["results/options/fisher/elastic/importance.pt"] == facts["sha256"]
    assert card["options"]["arm"]["ewc"] == {"strength": 100.0, "structures": 20, "seed": 0}
    page = (done / "report.html").read_text()
    assert "by their Fisher information" in page
    assert "is estimated on 20 source frames of training materials with chgnet-0.3.0" in page


def test_an_arm_replays_what_its_teachers_agree_on_and_their_manifest_counts_it(done: Path) -> None:
    facts = json.loads((done / "teachers/taught/manifest.json").read_text())
    assert facts["teachers"] == ["pretrained", "low-300"]
    assert facts["networks"]["low-300"] == "results/options/pretraining/low-300/model.pth.tar"
    assert facts["accepted"] + facts["refused"] == facts["frames"]
    assert 0 < facts["accepted"] < facts["frames"]
    assert facts["refused_by"] == {"force": facts["refused"]}
    assert sha256(done / "teachers/taught/labels.pt") == facts["sha256"]
    page = (done / "report.html").read_text()
    assert f"pretrained and low-300, agree on {facts['accepted']:,} of {facts['frames']:,} source frames" in page
    assert 'href="teachers/taught/manifest.json"' in page
    card = read(done, "taught")[1]
    assert card["n_replay"] == facts["accepted"]
    assert card["inputs"]["results/options/teachers/taught/labels.pt"] == facts["sha256"]
    assert "the mean of pretrained, low-300 where they agree" in (done / "report.html").read_text()


def test_training_subsets_mix_their_sources_in_the_stated_shares(done: Path) -> None:
    sizes = pd.read_csv(done / "split/sizes.csv").iloc[0]
    assert (sizes["n_frames"], sizes["n_light"], sizes["n_heavy"]) == (120, 30, 90)
    facts = json.loads((done / "split/order/seed0-mix.json").read_text())
    order = pd.read_parquet(done / "split/order/seed0.parquet")
    split = pd.read_parquet(done / "split/split.parquet").query("fidelity == 'r2scan' and split == 'train'")
    assert facts["frames"] == order["source"].value_counts().to_dict()
    assert sum(facts["frames"].values()) + sum(facts["left_out"].values()) == len(split)
    assert min(facts["left_out"].values()) <= 1  # until a source ends
    assert "mix their sources: 25 % light, 75 % heavy (frames)" in (done / "report.html").read_text()
