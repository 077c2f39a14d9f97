from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from factories import DATA, make_frame, table_of

from uprung.atomref.references import ReferenceEnergies
from uprung.datasets.store import Dataset
from uprung.evaluation.errors import evaluate_run, frame_errors, mean_errors, source_errors
from uprung.models.data import open_dataset, write_dataset
from uprung.models.interface import Potential
from uprung.models.predict import predict
from uprung.models.registry import architecture, load
from uprung.sources import READERS

TARGETS = ("energy", "force", "stress", "magmom")


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Crystals with stress, dimers with forces, one of them with moments, a chain with energy only."""
    rng = np.random.default_rng(0)
    solids = list(READERS["solids"].read(DATA / "solids" / "solids.jsonl.gz", "PBE"))
    frames = table_of(
        [
            solids[0],  # aluminium
            make_frame("d", forces=rng.normal(size=(2, 3)), magmom=np.array([1.5, -0.5])),
            make_frame("three", Z=(8, 14, 8), forces=None),
            solids[1],
            make_frame("o", Z=(8, 8), bond=1.3, forces=rng.normal(size=(2, 3))),
        ]
    )
    folder = tmp_path_factory.mktemp("graphs")
    write_dataset(frames, frames.label("energy"), folder, name="chgnet")
    return open_dataset(folder / "manifest.json")


@pytest.fixture(scope="module")
def model() -> Potential:
    return load("chgnet-0.3.0")


ROWS = np.array([3, 1, 2, 4])


@pytest.fixture(scope="module")
def found(model: Potential, dataset: Dataset) -> dict[str, np.ndarray]:
    return predict(model, dataset, ROWS, targets=TARGETS)


def test_predictions_do_not_depend_on_their_batch(model, dataset, found, monkeypatch: pytest.MonkeyPatch) -> None:
    atoms = np.diff(dataset.offsets)[ROWS]
    assert {name: values.shape for name, values in found.items()} == {
        "energy": (4,),
        "network": (4,),
        "force": (atoms.sum(), 3),
        "stress": (4, 3, 3),
        "magmom": (atoms.sum(),),
    }
    monkeypatch.setattr(Dataset, "chunks", lambda _, rows, limit: [rows[:1], rows[1:2], rows[2:]])
    for name, values in predict(model, dataset, ROWS, targets=TARGETS).items():
        np.testing.assert_allclose(values, found[name], atol=2e-5, err_msg=name)


def test_only_what_is_asked_for_is_predicted(model: Potential, dataset: Dataset) -> None:
    assert set(predict(model, dataset, ROWS, targets=["energy"])) == {"energy", "network"}
    assert set(predict(model, dataset, ROWS, targets=["force"])) == {"energy", "network", "force"}


def test_energy_is_network_plus_references(model: Potential, dataset: Dataset, found) -> None:
    references = dataset.composition(ROWS) @ model.references
    np.testing.assert_allclose(found["energy"], found["network"] + references, atol=1e-5)


def table(dataset: Dataset, found: dict[str, np.ndarray], baseline: np.ndarray) -> pd.DataFrame:
    return frame_errors(found, dataset, ROWS, targets=TARGETS, baseline_energy=baseline)


def test_errors_are_those_computed_frame_by_frame(dataset: Dataset, found) -> None:
    baseline = np.array([1.0, 2.0, 3.0, 4.0])
    errors = table(dataset, found, baseline)
    assert errors["frame_id"].tolist() == dataset.keys[ROWS].tolist()
    ends = np.cumsum(np.diff(dataset.offsets)[ROWS])
    for k, row in enumerate(ROWS):
        labels = dataset.labels(np.array([row]))
        atoms = slice(ends[k] - len(labels.magmom), ends[k])
        wanted = {
            "energy": (found["energy"][k] - labels.energy, baseline[k] - labels.energy),
            "force": (found["force"][atoms] - labels.forces, labels.forces),
            "stress": (found["stress"][k] - labels.stress[0], labels.stress[0]),
            "magmom": (found["magmom"][atoms] - labels.magmom, labels.magmom),
        }
        for target, (error, base) in wanted.items():
            entry = errors.iloc[k]
            assert entry[f"{target}_n"] == np.isfinite(error).sum(), (target, k)
            assert entry[f"{target}_abs"] == pytest.approx(np.nansum(np.abs(error)), rel=1e-6, abs=1e-12)
            assert entry[f"{target}_base"] == pytest.approx(np.nansum(np.abs(base)), rel=1e-6, abs=1e-12)


def test_mean_errors_are_means_over_all_labels(dataset: Dataset, found) -> None:
    labels = dataset.labels(ROWS)
    means = mean_errors(table(dataset, found, np.zeros(4)), TARGETS)
    assert means["force"]["mae"] == pytest.approx(np.nanmean(np.abs(found["force"] - labels.forces)), rel=1e-6)
    assert means["force"]["baseline"] == pytest.approx(np.nanmean(np.abs(labels.forces)), rel=1e-6)  # F = 0
    assert means["stress"]["baseline"] == pytest.approx(np.nanmean(np.abs(labels.stress)), rel=1e-6)
    assert means["magmom"]["baseline"] == pytest.approx(1.0)  # |1.5|, |−0.5|
    assert means["energy"]["mae"] == pytest.approx(np.abs(found["energy"] - labels.energy).mean())
    assert means["energy"]["baseline"] == pytest.approx(np.abs(labels.energy).mean())
    assert {t: m["labels"] for t, m in means.items()} == {"energy": 4, "force": 18, "stress": 9, "magmom": 2}


def test_a_target_without_any_label_has_no_error(dataset: Dataset, found) -> None:
    errors = table(dataset, found, np.zeros(4))
    assert set(mean_errors(errors[errors["frame_id"] == "three"], TARGETS)) == {"energy"}
    assert mean_errors(errors[:0], TARGETS) == {}


def test_evaluation_of_a_run(model: Potential, dataset: Dataset) -> None:
    train, test = np.array([0, 1]), ROWS  # silicon and the first crystal are seen, oxygen is not
    values = np.arange(1.0, 95.0)
    baseline = ReferenceEnergies(values, np.full(94, np.nan), np.ones(94, dtype=np.int64), np.full(94, "fit"), "x")
    other = architecture("chgnet").new(0)
    metrics, frames, sums, single = evaluate_run(
        {"last": model, "val-loss": other},
        dataset,
        test=test,
        train=train,
        groups=np.array(["g3", "g1", "g2", "g4"], dtype=object),
        baseline=baseline,
        targets=["energy", "force"],
    )
    assert frames["checkpoint"].value_counts().to_dict() == {"last": 4, "val-loss": 4}
    known = set(np.flatnonzero(dataset.composition(train).any(axis=0)) + 1)
    X = dataset.composition(test)
    seen = [set(np.flatnonzero(x) + 1) <= known for x in X]
    assert seen[1:] == [True, False, False]
    assert frames["elements_seen"].tolist() == seen * 2
    assert frames.set_index("frame_id").loc["d", "group"].tolist() == ["g1", "g1"]
    for name, network in (("last", model), ("val-loss", other)):
        energies = predict(network, dataset, test, targets=["energy"])["energy"]
        errors = np.abs(energies - dataset.energy[test])
        assert metrics[name]["all"]["energy"]["mae"] == pytest.approx(errors.mean(), rel=1e-5)
        assert metrics[name]["elements_seen"]["energy"]["mae"] == pytest.approx(errors[seen].mean(), rel=1e-5)
        assert metrics[name]["elements_seen"]["energy"]["frames"] == sum(seen)
        reference = np.abs(X @ values - dataset.energy[test]).mean()
        assert metrics[name]["all"]["energy"]["baseline"] == pytest.approx(reference)
    assert metrics["last"] != metrics["val-loss"]
    of_kinds = sums[(sums["by"] == "kind") & (sums["target"] == "energy")]
    scored = frames[frames["checkpoint"] == "last"]
    assert of_kinds["absolute"].sum() == pytest.approx(scored["energy_abs"].sum())
    assert of_kinds["n"].sum() == scored["energy_n"].sum()
    mean = np.abs(single["predicted"] - single["label"]).mean()
    assert mean == pytest.approx(metrics["last"]["all"]["force"]["mae"], rel=1e-4)


def test_forgetting_takes_away_what_is_linear_in_composition_only(model: Potential, dataset: Dataset) -> None:
    """Another choice of reference energies changes the raw errors by it, and the re-referenced ones not at all."""
    moved = load("chgnet-0.3.0")
    moved.set_references(moved.references + np.linspace(1.0, 3.0, 94), trainable=False)
    options = {"test": ROWS[:3], "train": np.arange(5), "targets": ["energy", "force"]}
    own, other = (source_errors(network, dataset, **options) for network in (model, moved))
    assert other["raw"]["energy"]["mae"] != pytest.approx(own["raw"]["energy"]["mae"], abs=0.1)
    assert other["raw"]["force"] == own["raw"]["force"]
    assert other["rereferenced"]["energy"]["mae"] == pytest.approx(own["rereferenced"]["energy"]["mae"], abs=1e-5)
    assert (own["frames"], own["unseen"], own["rereferenced"]["energy"]["frames"]) == (3, 0, 3)
    few = source_errors(model, dataset, **{**options, "train": np.array([0])})
    assert few["unseen"] == 3
    assert few["rereferenced"] == {}
