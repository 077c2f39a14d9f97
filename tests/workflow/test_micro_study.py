"""What one command leaves behind."""

from __future__ import annotations

import json
import re
import socket
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from chgnet.model import CHGNet
from pymatgen.core import Lattice, Structure
from workplace import MICRO, TARGETS, Workplace

from uprung.frames.table import Frames, read_frames
from uprung.job.files import sha256

ARMS, SIZES = ("scratch", "checkpoint-ref", "residual-ref"), (60, 120, 240)
RUNS = [f"runs/steps30/{arm}/n{size}/seed0" for arm in ARMS for size in SIZES]
FIGURES = (
    *(f"dimers-{name}" for name in ("energy", "labels", "shift", "elements", "importance")),
    *("references", "reference-errors", "learning-curves", "data-multiplier", "law-comparison", "convergence"),
    *("errors-force", "parity", "forgetting", "dynamics"),
)


def keys_of(content: Any) -> set[str]:
    """Return the keys of nested dictionaries."""
    if not isinstance(content, dict):
        return set()
    return set(content).union(*(keys_of(value) for value in content.values()))


def test_report_is_one_page_with_the_title_and_every_figure(micro: Workplace) -> None:
    page = (micro.results / "report.html").read_text()
    assert "<title>A study for tests" in page
    assert page.count("<svg") >= len(FIGURES) - 1
    loaded = re.findall(r"""(?:src|href)\s*=\s*["'](?!#|data:)([^"']+)""", page)
    assert [link for link in loaded if re.search(r"\.(js|css|svg|png|woff2?)$", link)] == []


@pytest.mark.parametrize("name", FIGURES)
def test_figures_are_svg_and_png(micro: Workplace, name: str) -> None:
    assert "<svg" in (micro.results / f"figures/{name}.svg").read_text()[:2000]
    assert (micro.results / f"figures/{name}.png").read_bytes().startswith(b"\x89PNG")


def test_metrics_of_all_runs(micro: Workplace) -> None:
    for run in RUNS:
        text = (micro.results / run / "metrics.json").read_text()
        metrics = json.loads(text)
        assert metrics["n_train"] == int(run.split("/n")[1].split("/")[0])
        assert metrics["kept"] == "last"
        assert metrics["steps"] == 30
        assert metrics["n_test"] > 50
        source = metrics["source"]
        assert source["frames"] > 50
        assert source["rereferenced"]["energy"]["mae"] <= source["raw"]["energy"]["mae"] * 1.2
        for checkpoint in ("last", "val-loss"):
            errors = metrics[checkpoint]["all"]
            assert set(errors) == {"energy", "force"}
            assert all(0 < errors[t]["mae"] < 100 and errors[t]["labels"] > 50 for t in errors)
        assert socket.gethostname() not in text
        assert not re.search(r"\d\d:\d\d|\d{4}-\d\d-\d\d", text)
        words = {word for key in keys_of(metrics) for word in re.split(r"[_-]", key)}
        assert not words & {"time", "seconds", "wall", "host", "hostname", "date", "hardware", "versions"}


def test_cards_tell_how_a_run_was_made(micro: Workplace) -> None:
    for run in RUNS:
        card = yaml.safe_load((micro.results / run / "card.yaml").read_text())
        assert {"kept", "n_train", "n_val", "label_scale", "inputs", "options"} <= card.keys()
        assert {"versions", "hardware", "wall_seconds", "resumed"} <= card.keys()
        assert card["n_val"] > 20
        assert card["options"]["targets"] == ["energy", "force"]
        assert {"torch", "chgnet", "python"} <= card["versions"].keys()
        expected = {"graphs/r2scan/manifest.json", "split/split.parquet", "split/order/seed0.parquet"}
        if "checkpoint-ref" not in run:  # the others rest on a table of references
            fitted = "residual" if "residual-ref" in run else "target"
            expected |= {f"references/{fitted}/{run.split('/')[-2]}/seed0.csv"}
        assert {name.removeprefix("results/micro/") for name in card["inputs"]} == expected
        for name, digest in card["inputs"].items():
            assert digest == sha256(micro.folder / name)


def test_histories_score_the_validation_set_evenly_in_steps(micro: Workplace) -> None:
    columns = ["step", "epoch", "learning_rate", "train_loss", "val_energy", "val_force", "val_loss"]
    layers = ["references", "embeddings", "readout", *(f"block{k}" for k in (1, 2, 3, 4))]
    for run in RUNS:
        history = pd.read_csv(micro.results / run / "history.csv")
        assert list(history)[:7] == columns
        assert set(list(history)[7:]) == {f"grad_{layer}" for layer in layers}
        assert history["step"].tolist() == [0, 10, 20, 30]
        assert np.isfinite(history[columns[4:]].to_numpy()).all()


def test_manifests_account_for_every_record(micro: Workplace) -> None:
    for fidelity, functional in (("pbe", "PBE"), ("r2scan", "r2SCAN")):
        manifest = json.loads((micro.results / f"frames/{fidelity}/manifest.json").read_text())
        assert manifest["functional"] == functional
        assert manifest["read"] == manifest["written"] + sum(manifest["left_out"].values()) + len(manifest["rejected"])
        assert max(map(int, manifest["elements"])) <= 18
        assert len(manifest["label_scale"]) > 5
        for part in manifest["parts"]:
            assert sha256(micro.results / f"frames/{fidelity}" / part["file"]) == part["sha256"]
    graphs = json.loads((micro.results / "graphs/r2scan/manifest.json").read_text())
    assert graphs["label_scale"] == manifest["label_scale"]
    split = pd.read_parquet(micro.results / "split/split.parquet")
    excluded = json.loads((micro.results / "split/manifest.json").read_text())["excluded"]
    assert len(excluded) == (split["split"] == "excluded").sum()
    assert all(entry["reason"] for entry in excluded)


def test_laws_and_curves_name_every_arm(micro: Workplace) -> None:
    curves = pd.read_csv(micro.results / "scaling/curves.csv", keep_default_na=False)
    assert set(curves["arm"]) == set(ARMS)
    assert set(curves["n_frames"]) == set(SIZES)
    laws = pd.read_csv(micro.results / "scaling/laws.csv")
    assert set(laws["arm"]) == set(ARMS)


def test_references_are_compared_on_the_test_frames_of_every_size(micro: Workplace) -> None:
    table = pd.read_csv(micro.results / "atomref/comparison.csv", keep_default_na=False)
    assert set(table["reference"]) == {"target", "source", "prior-ridge"}
    assert set(table["n_frames"]) == set(SIZES)
    assert (table["reason"] == "").all()
    metrics = json.loads((micro.results / RUNS[0] / "metrics.json").read_text())
    here = table[(table["reference"] == "target") & (table["n_frames"] == SIZES[0]) & (table["population"] == "all")]
    # The baseline of a run is the same prediction, from the table of references and 32-bit labels.
    assert float(here["mae"].iloc[0]) == pytest.approx(metrics["last"]["all"]["energy"]["baseline"], abs=1e-5)


def test_nothing_is_left_outside_the_results_folder(micro: Workplace) -> None:
    assert [path.name for path in (micro.folder / "results").iterdir()] == ["micro"]
    names = {path.name for path in micro.folder.iterdir()}
    assert not [name for name in names if "<" in name or "{" in name]
    leftovers = {path.suffix for path in (micro.results / "state").rglob("*") if path.is_file()}
    assert leftovers == {".lock"}, "resumable state stays only until the outputs of a run are written"


@pytest.mark.parametrize("target", TARGETS)
def test_nothing_is_to_be_done_afterwards(micro: Workplace, target: str) -> None:
    assert micro.planned(target) == {}


def test_a_model_predicts_the_same_in_stock_chgnet(micro: Workplace) -> None:
    torch.set_num_threads(1)
    frames = read_frames(micro.results / "frames/r2scan/manifest.json")
    for run in RUNS[1::3]:
        predictions = pd.read_parquet(micro.results / run / "predictions.parquet")
        for name, checkpoint in (("model", "last"), ("other", "val-loss")):
            network = CHGNet.from_file(str(micro.results / run / f"{name}.pth.tar"))
            rows = predictions[predictions["checkpoint"] == checkpoint].iloc[::23]
            assert len(rows) >= 3
            for frame_id, energy in zip(rows["frame_id"], rows["energy"], strict=True):
                found = network.predict_structure(structure_of(frames, frame_id), task="e")["e"]
                assert float(found) == pytest.approx(energy, abs=1e-5), f"{run} {name} {frame_id}"  # eV/atom


def structure_of(frames: Frames, frame_id: str) -> Structure:
    """Return a frame of the table as pymatgen knows it."""
    row = frames.table.slice(frames.strings("frame_id").index(frame_id), 1).to_pylist()[0]
    lattice = Lattice(np.reshape(row["lattice"], (3, 3)))
    return Structure(lattice, row["Z"], np.reshape(row["frac"], (-1, 3)))


@pytest.mark.parametrize("suffix", ["html", "zip"])
def test_snakemakes_own_report_needs_no_network(
    micro: Workplace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    for variable in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")  # nobody listens there
    target = tmp_path / f"report.{suffix}"
    done = micro.snakemake("all", "--report", str(target))
    assert done.returncode == 0, done.stdout
    assert target.stat().st_size > 100_000


def test_the_micro_study_is_what_these_tests_think_it_is(micro: Workplace) -> None:
    study = yaml.safe_load((micro.folder / MICRO).read_text())
    assert (tuple(study["arms"]), tuple(study["sizes"]), study["seeds"]) == (ARMS, SIZES, [0])


def test_every_file_that_the_page_links_to_exists(micro: Workplace) -> None:
    page = (micro.results / "report.html").read_text()
    linked = re.findall(r'<a href="([^"#][^"]*)"', page)
    assert "scaling/laws.csv" in linked
    assert [file for file in linked if not (micro.results / file).exists()] == []


def test_a_run_says_which_it_is(micro: Workplace) -> None:
    for run in RUNS:
        _, budget, arm, size, seed = run.split("/")
        expected = {"budget": budget, "arm": arm, "size": size[1:], "seed": int(seed[4:])}
        assert json.loads((micro.results / run / "metrics.json").read_text())["run"] == expected
