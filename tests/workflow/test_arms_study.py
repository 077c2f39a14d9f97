"""Arms beyond the published ones in a real run of the workflow, to the report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from chgnet.model import CHGNet
from workplace import STUDY_TIMEOUT, Workplace, checkout

from uprung.datasets.store import rows_of
from uprung.job.files import sha256
from uprung.models.chgnet.potential import layer_of
from uprung.models.data import open_dataset
from uprung.models.predict import predict
from uprung.models.registry import CARDS, load

pytestmark = pytest.mark.long

STUDY = "tests/workflow/arms.yaml"
LOADS_IN = CARDS["chgnet"].own_package
ARMS = ("readout", "pulled", "replay", "joint", "delta", "own")


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of the study of arms."""
    workplace: Workplace = checkout(tmp_path_factory.mktemp("arms"))
    run = workplace.snakemake("--cores", "2", study=STUDY, timeout=STUDY_TIMEOUT)
    assert run.returncode == 0, run.stdout
    assert workplace.planned(study=STUDY) == {}
    return workplace.folder / "results/arms"


def folder(done: Path, arm: str) -> Path:
    return done / f"runs/steps20/{arm}/n120/seed0"


def read(done: Path, arm: str) -> tuple[dict[str, Any], dict[str, Any]]:
    metrics = json.loads((folder(done, arm) / "metrics.json").read_text())
    return metrics, yaml.safe_load((folder(done, arm) / "card.yaml").read_text())


@pytest.mark.parametrize("arm", ARMS)
def test_every_arm_is_trained_and_tested_at_both_fidelities(done: Path, arm: str) -> None:
    metrics, card = read(done, arm)
    assert metrics["steps"] == 20
    assert 0 < metrics["last"]["all"]["energy"]["mae"] < 10
    assert metrics["source"]["frames"] == 50
    assert set(metrics["source"]["raw"]) == {"energy", "force"}
    assert card["architecture"] == "chgnet"
    assert card["loads_in"] == ("" if arm == "delta" else LOADS_IN)
    assert (card["n_replay"] > 100) is (arm in ("replay", "joint"))
    history = pd.read_csv(folder(done, arm) / "history.csv")
    assert history["val_loss"].iloc[-1] < history["val_loss"].iloc[0]


def test_every_arm_and_the_checkpoint_are_searched_for_holes(done: Path) -> None:
    arms, networks = (pd.read_csv(done / f"holes/{name}.csv", keep_default_na=False) for name in ("arms", "networks"))
    assert arms["arm"].tolist() == ["chgnet-0.3.0", *ARMS]
    assert (arms["starts"] == 5).all()
    assert ((arms["low"] <= arms["share"]) & (arms["share"] <= arms["high"])).all()
    assert networks["arm"].tolist() == arms["arm"].tolist()
    starts = [pd.read_parquet(file)["start"].tolist() for file in done.glob("holes/**/*.parquet")]
    assert len(starts) == 1 + len(ARMS)
    assert all(names == starts[0] for names in starts)
    page = (done / "report.html").read_text(encoding="utf-8")
    assert "Holes in the energy surface" in page
    assert "chgnet-0.3.0, untouched" in page


def test_frozen_layers_are_those_of_the_checkpoint(done: Path) -> None:
    start = load("chgnet-0.3.0").chgnet.state_dict()
    moved = {}
    for arm in ("readout", "pulled"):
        weights = CHGNet.from_file(str(folder(done, arm) / "model.pth.tar")).state_dict()
        moved[arm] = {layer_of(name) for name, value in weights.items() if not torch.equal(value, start[name])}
    assert moved["readout"] == {"references", "readout"}
    assert moved["pulled"] == {"references", "readout", "block1", "block2", "block3", "block4"}


def test_a_network_pretrained_here_is_what_an_arm_starts_from(done: Path) -> None:
    at = done / "pretraining/low-300"
    card = yaml.safe_load((at / "card.yaml").read_text())
    assert (card["n_train"], card["steps"], card["options"]["pretraining"]["seed"]) == (300, 20, 1)
    assert card["label_scale"] == open_dataset(done / "graphs/pbe/manifest.json").manifest["label_scale"]
    history = pd.read_csv(at / "history.csv")
    assert history["val_loss"].iloc[-1] < history["val_loss"].iloc[0]
    start = CHGNet.from_file(str(at / "model.pth.tar")).state_dict()
    weights = CHGNet.from_file(str(folder(done, "own") / "model.pth.tar")).state_dict()
    moved = {layer_of(name) for name, value in weights.items() if not torch.equal(value, start[name])}
    assert moved == {"references", "readout"}
    # the reference of the arm is what its own network leaves over, not what the shipped one does
    network = pd.read_parquet(done / "references/low-300.parquet").set_index("frame_id")["network"]
    shipped = pd.read_parquet(done / "references/pretrained.parquet").set_index("frame_id")["network"]
    assert np.abs(network - shipped).mean() > 0.01
    dataset = open_dataset(done / "graphs/r2scan/manifest.json")
    rows = np.arange(20)
    found = predict(load(at / "model.pth.tar"), dataset, rows, targets=["energy"])["network"]
    np.testing.assert_allclose(found, network.loc[dataset.keys[:20]], atol=1e-5)


def test_errors_before_training_are_those_of_the_networks_the_arms_start_from(done: Path) -> None:
    table = pd.read_csv(done / "scaling/before_after.csv")
    assert set(table["init"]) == {"pretrained", "low-300"}
    start = table.pivot_table(index="arm", columns="target", values="before")
    # same network, same references
    assert start.loc["readout", "force"] == pytest.approx(start.loc["pulled", "force"], rel=1e-6)
    assert start.loc["own", "force"] > 1.5 * start.loc["readout", "force"]
    assert "before-after" in (done / "report.html").read_text()


def test_the_network_of_an_arm_predicts_what_its_test_says(done: Path) -> None:
    torch.set_num_threads(1)
    dataset = open_dataset(done / "graphs/r2scan/manifest.json")
    for arm in ARMS:
        table = pd.read_parquet(folder(done, arm) / "predictions.parquet").query("checkpoint == 'last'")
        potential = load(folder(done, arm) / "model.pth.tar", "r2scan" if arm == "joint" else None)
        found = predict(potential, dataset, rows_of(dataset, table["frame_id"]), targets=["energy"])
        np.testing.assert_allclose(found["energy"], table["energy"], atol=1e-4)


def test_a_joint_network_is_better_at_the_source_when_it_is_told_so(done: Path) -> None:
    dataset = open_dataset(done / "graphs/pbe/manifest.json")
    rows = np.flatnonzero(np.isfinite(dataset.energy))[:200]
    error = {}
    for fidelity in ("pbe", "r2scan"):
        potential = load(folder(done, "joint") / "model.pth.tar", fidelity)
        found = predict(potential, dataset, rows, targets=["energy"])["energy"]
        error[fidelity] = np.abs(found - dataset.energy[rows]).mean()
    assert error["pbe"] < error["r2scan"]


def test_what_was_forgotten_is_in_the_report(done: Path) -> None:
    table = pd.read_csv(done / "forgetting/forgetting.csv")
    assert set(table["arm"]) == set(ARMS)
    assert set(table["target"]) == {"energy", "force"}
    before = json.loads((done / "forgetting/pretrained.json").read_text())
    assert before["frames"] == 50
    page = (done / "report.html").read_text()
    assert "Forgetting and gradients" in page
    assert "one network for both fidelities" in page
    assert "correction to the frozen pretrained network" in page
    for name in ("forgetting", "dynamics"):
        assert "<svg" in (done / f"figures/{name}.svg").read_text()[:2000]


def test_softening_of_checkpoints_and_arms(done: Path) -> None:
    table = pd.read_csv(done / "softening/li-ge/softening.csv", keep_default_na=False)
    whole = table[table["subset"] == "all"].set_index(["model", "arm", "material"])["slope"].astype(float)
    assert whole["chgnet-0.3.0", "", "Li"] == pytest.approx(0.812, abs=0.005)
    assert whole["chgnet-r2scan", "", "Ge"] == pytest.approx(0.280, abs=0.005)
    assert {arm for model, arm, _ in whole.index if model == "run"} == set(ARMS)
    # frozen but for the readout and 20 steps: near the checkpoint it began as; a joint network from scratch is not
    assert abs(whole["run", "readout", "Li"] - 0.812) < abs(whole["run", "joint", "Li"] - 0.812)
    clouds = pd.read_parquet(done / "softening/li-ge/runs/steps20/delta/n120/seed0.parquet")
    assert len(clouds) == open_dataset(done / "softening/li-ge/graphs/chgnet/manifest.json").offsets[-1]
    corrected = pd.read_csv(done / "softening/li-ge/correction.csv", keep_default_na=False)
    first = corrected[(corrected["model"] == "chgnet-0.3.0") & (corrected["material"] == "Li")].iloc[0]
    assert (first["shots"], first["draws"]) == (1, 10)
    assert float(first["slope_after"]) == pytest.approx(1, abs=0.1)
    trained = corrected[corrected["method"] == "training"]
    assert set(trained["model"]) == {"chgnet-0.3.0", "chgnet-r2scan"}
    assert set(trained["draws"]) == {1}
    assert (trained["loss_after"].astype(float) < trained["loss_before"].astype(float)).all()
    draws = pd.read_parquet(done / "softening/li-ge/correction.parquet").query("draw == 0 and model == 'chgnet-0.3.0'")
    before = draws.pivot_table(index=["material", "shots"], columns="method", values="mae_before")
    np.testing.assert_array_equal(before["training"], before["number"])
    # one element in each material; also of a correction, which is the sum of two networks
    every = pd.read_parquet(done / "softening/li-ge/correction.parquet")
    after = every.pivot_table(index=["model", "arm", "material", "shots", "draw"], columns="method", values="mae_after")
    np.testing.assert_allclose(after["per-element"], after["number"], rtol=1e-3)
    assert "Softening of the forces" in (done / "report.html").read_text()


def test_the_index_lists_every_network(done: Path) -> None:
    whole = pd.read_csv(done / "models/index.csv", keep_default_na=False)
    assert set(whole.loc[whole["budget"] == "steps20x2", "arm"]) == {"pulled", "delta"}
    index = whole[whole["budget"] == "steps20"].set_index("arm")
    assert set(index.index) == set(ARMS)
    assert index["loads_in"].to_dict() == {arm: "" if arm == "delta" else LOADS_IN for arm in ARMS}
    for arm in ARMS:
        metrics, card = read(done, arm)
        assert sha256(done / index.loc[arm, "file"]) == index.loc[arm, "sha256"]
        assert index.loc[arm, "energy_mae_all"] == pytest.approx(metrics["last"]["all"]["energy"]["mae"])
        assert index.loc[arm, "label_scale"] == card["label_scale"]


def test_a_second_budget_says_what_is_settled_and_enters_no_curve(done: Path) -> None:
    curves, second = (pd.read_csv(done / f"scaling/{name}.csv") for name in ("curves", "second_budget"))
    assert set(curves["budget"]) == {"steps20"}
    assert set(second["arm"]) == {"pulled", "delta"}
    assert set(second["other"]) == {"steps20", "steps20x2"}
    assert json.loads((done / "runs/steps20x2/pulled/n120/seed0/metrics.json").read_text())["steps"] == 40
    untested = curves[~curves["arm"].isin(["pulled", "delta"])]
    assert not set(untested["settled"]) & {"settled", "between settled sizes"}


def test_every_arm_that_starts_from_a_network_is_set_against_it(done: Path) -> None:
    curves = (
        pd.read_csv(done / "scaling/curves.csv").query("target == 'force' and population == 'all'").set_index("arm")
    )
    assert curves["untouched"].isna().to_dict() == {arm: arm == "joint" for arm in ARMS}
    started = curves["untouched"].drop(["joint", "own"])
    assert (started == started.iloc[0]).all()  # the checkpoint, whatever the references
    assert curves.loc["own", "untouched"] != started.iloc[0]  # the network that the study pretrains


def test_a_chosen_learning_rate_is_that_of_all_runs_of_its_arm(done: Path) -> None:
    table = pd.read_csv(done / "tune/delta.csv")
    chosen = float(table.loc[table["val_loss"].idxmin(), "learning_rate"])
    assert table.set_index("learning_rate")["chosen"].to_dict() == {rate: rate == chosen for rate in (1e-2, 1e-3)}
    for budget in ("steps20", "steps20x2"):
        card = yaml.safe_load((done / f"runs/{budget}/delta/n120/seed0/card.yaml").read_text())
        recipe = card["options"]["recipe"]
        assert (recipe["learning_rate"], recipe["final_learning_rate"]) == (chosen, pytest.approx(chosen / 100))
    assert read(done, "pulled")[1]["options"]["recipe"]["learning_rate"] == 1e-3


def test_what_needs_no_network_stands_beside_the_arms(done: Path) -> None:
    found = pd.read_csv(done / "scaling/yardsticks.csv").query("population == 'all'")
    assert set(found["yardstick"]) == {"composition", "shift", "bond", "difference"}
    energy = found[found["target"] == "energy"].set_index("yardstick")["mae"]
    assert energy["difference"] < energy["bond"] < energy["composition"]
    page = (done / "report.html").read_text(encoding="utf-8")
    assert "no network: interpolation in the bond length" in page
    assert "before training (n = 0)" in page
