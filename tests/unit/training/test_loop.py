from __future__ import annotations

import io
import json
import logging
import math
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from ase.data import chemical_symbols
from chgnet.model import CHGNet
from factories import DATA, table_of
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.core import Lattice, Structure

import uprung.training.gradient as step
import uprung.training.loop as training
from uprung.config.tracking import Tracking
from uprung.config.training import Budget, Training
from uprung.datasets.store import Dataset, Rows
from uprung.models import interface
from uprung.models.data import open_dataset, write_dataset
from uprung.models.interface import Potential
from uprung.models.predict import predict
from uprung.models.registry import CARDS, architecture, load
from uprung.sources import READERS
from uprung.training.adam import Adam
from uprung.training.arms import Beginning, ReplayedFrames
from uprung.training.gradient import launch
from uprung.training.loop import (
    Schedule,
    TrainingError,
    evaluate_loss,
    learning_rate,
    schedule,
    train,
)
from uprung.training.resume import TrainingRun, forget
from uprung.training.run import Job, run_card, save_run

TARGETS = ("energy", "force")
RECIPE = Training(batch_size=3, learning_rate=1e-3, final_learning_rate=1e-5, validations=3, checkpoint_minutes=1e-9)
NINE = Budget(steps=9)
ONE = launch(RECIPE)


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def frames():
    path = DATA / "diatomics" / "diatomics-dft.json.gz"
    found = [
        f
        for f in READERS["diatomics"].read(path, "r2SCAN")
        if f.material_id in ("N2", "O2", "Si2") and np.abs(f.forces).max() < 10 and float(f.frame_id.split("2-")[1]) < 3
    ]
    return table_of(found[::3])


@pytest.fixture(scope="module")
def dataset(frames, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("graphs")
    write_dataset(frames, frames.label("energy"), folder, name="chgnet")
    return open_dataset(folder / "manifest.json")


TRAIN, VAL = np.arange(0, 8), np.arange(8, 11)


def go(
    dataset: Dataset, state: Path, *, weights: int = 0, seed: int = 0, **changes: Any
) -> tuple[TrainingRun, Potential]:
    options = {
        "train_rows": TRAIN,
        "val_rows": VAL,
        "targets": TARGETS,
        "recipe": RECIPE,
        "budget": NINE,
        "model": architecture("chgnet").new(weights),
        **changes,
    }
    model = options.pop("model")
    frames, validation = (Rows(dataset, options.pop(side)) for side in ("train_rows", "val_rows"))
    return train(ONE, model, frames, validation, seed=seed, state=state, **options), model


def job(budget: Budget, **changes: Any) -> Job:
    """Return what a run is told, as far as what it writes depends on it."""
    values = {
        **{"name": "run", "what": "run", "results": Path("nowhere"), "recipe": RECIPE, "budget": budget, "seed": 0},
        **{"targets": TARGETS, "target": "r2scan", "source": "pbe", "options": {}, "tracking": Tracking()},
    }
    return Job(**{**values, **changes})


def names_of(files: dict[str, Any]) -> dict[str, str]:
    return {"model_file": str(files["model"]), "other_file": str(files["other"])}


def same(a: torch.nn.Module, b: torch.nn.Module) -> bool:
    pairs = zip(a.state_dict().items(), b.state_dict().items(), strict=True)
    return all(n == m and torch.equal(x, y) for (n, x), (m, y) in pairs)


# ---------------------------------------------------------------------------------------------------- schedule


@settings(deadline=None)
@given(n=st.integers(1, 60), batch=st.integers(1, 25), seed=st.integers(0, 9), epoch=st.integers(0, 5))
def test_every_pass_sees_every_frame_once(n: int, batch: int, seed: int, epoch: int) -> None:
    plan = Schedule(n, batch, steps=1000, seed=seed)
    first = epoch * plan.steps_per_epoch
    batches = [plan.batch(first + k) for k in range(plan.steps_per_epoch)]
    assert sorted(np.concatenate(batches)) == list(range(n))
    assert all(len(b) == batch for b in batches[:-1])
    assert 1 <= len(batches[-1]) <= batch


def test_passes_and_seeds_differ_and_repeat() -> None:
    order = {(s, e): tuple(Schedule(50, 50, 9, s).batch(e)) for s in (0, 1) for e in (0, 1)}
    assert len(set(order.values())) == 4
    assert tuple(Schedule(50, 50, 9, 1).batch(1)) == order[1, 1]


def test_budget_in_epochs_or_steps() -> None:
    assert schedule(Budget(epochs=5), 10, 4, 0).steps == 15
    assert [schedule(Budget(steps=7), n, 4, 0).steps for n in (3, 3000)] == [7, 7]


@pytest.mark.parametrize(("steps", "count"), [(100, 5), (7, 3), (3, 25), (1, 2), (2000, 25)])
def test_validations_are_spread_evenly_and_end_with_the_run(steps: int, count: int) -> None:
    at = Schedule(10, 4, steps, 0).validation_steps(count)
    assert max(at) == steps
    assert min(at) >= 1
    assert len(at) == min(steps, count)
    gaps = np.diff(sorted(at))
    assert len(gaps) == 0 or gaps.max() - gaps.min() <= 1


def test_learning_rate_is_a_cosine_in_steps() -> None:
    rates = [learning_rate(k, 101, 1e-3, 1e-5) for k in range(101)]
    assert rates[0] == 1e-3
    assert rates[-1] == pytest.approx(1e-5)
    assert rates[50] == pytest.approx(0.5 * (1e-3 + 1e-5))
    assert rates[25] == pytest.approx(1e-5 + (1e-3 - 1e-5) * 0.5 * (1 + math.cos(math.pi / 4)))
    assert (np.diff(rates) < 0).all()
    assert learning_rate(0, 1, 1e-3, 1e-5) == 1e-3


def test_the_optimiser_gets_the_same_rates_whatever_the_size_of_the_data(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[int, list[float]] = {2: [], 8: []}
    step = Adam.step
    for n, rates in seen.items():

        def noted(optimiser: Adam, rate: float, rates: list[float] = rates) -> None:
            rates.append(rate)
            step(optimiser, rate)

        monkeypatch.setattr(Adam, "step", noted)
        go(dataset, tmp_path / str(n), train_rows=TRAIN[:n], budget=Budget(steps=5))
    assert seen[2] == seen[8] == [learning_rate(k, 5, 1e-3, 1e-5) for k in range(5)]
    assert seen[8][-1] == pytest.approx(1e-5)


# --------------------------------------------------------------------------------------------------- validation


def test_validation_loss_and_errors_are_those_of_the_predictions(dataset: Dataset, monkeypatch) -> None:
    model, rows = load("chgnet-0.3.0"), np.array([5, 0, 9, 3])
    found = predict(model, dataset, rows, targets=TARGETS)
    labels = dataset.labels(rows)
    energy, force = np.abs(found["energy"] - labels.energy), np.abs(found["force"] - labels.forces)
    values = evaluate_loss(ONE, model, Rows(dataset, rows), targets=TARGETS, recipe=RECIPE)
    assert values["val_energy"] == pytest.approx(energy.mean(), rel=1e-5)
    assert values["val_force"] == pytest.approx(force.mean(), rel=1e-5)
    huber = lambda x: np.where(x < 0.1, 0.5 * x**2, 0.1 * (x - 0.05)).mean()  # noqa: E731
    assert values["val_loss"] == pytest.approx(3 * huber(energy) + huber(force), rel=1e-5)
    cut = RECIPE.model_copy(update={"micro_batch_cost": 1})  # each structure alone
    again = evaluate_loss(ONE, model, Rows(dataset, rows), targets=TARGETS, recipe=cut)
    assert again == pytest.approx(values, rel=1e-5)


def test_a_watched_target_has_an_error_and_no_part_in_the_loss(dataset: Dataset) -> None:
    model, rows = load("chgnet-0.3.0"), Rows(dataset, VAL)
    both = evaluate_loss(ONE, model, rows, targets=TARGETS, recipe=RECIPE)
    alone = evaluate_loss(ONE, model, rows, targets=["energy"], recipe=RECIPE)
    watched = evaluate_loss(ONE, model, rows, targets=["energy"], recipe=RECIPE, watched=TARGETS)
    assert watched == pytest.approx({**both, "val_loss": alone["val_loss"]}, rel=1e-5)
    assert "val_force" not in alone


def test_labels_that_a_run_does_not_train_on_change_nothing_of_it(dataset: Dataset, tmp_path: Path) -> None:
    labels = dataset.labels(np.arange(len(dataset.energy)))
    wrong = dataset.relabelled(np.arange(len(dataset.energy)), replace(labels, forces=labels.forces + 7))
    options = {"targets": ("energy",), "watched": TARGETS}
    asked = list[set[str]]()
    model = architecture("chgnet").new(0)
    forward = model.forward
    model.forward = lambda batch, targets, side: (
        (asked.append({*targets}) if model.training else None) or forward(batch, targets, side)
    )
    known, network = go(dataset, tmp_path / "known", model=model, **options)
    other, its_network = go(wrong, tmp_path / "other", **options)
    assert {*map(frozenset, asked)} == {frozenset({"energy"})}  # no backward pass for forces
    assert same(network, its_network)
    assert (known.best_step, known.best_score) == (other.best_step, other.best_score)
    forces = [pd.DataFrame(run.history)["val_force"] for run in (known, other)]
    assert (forces[1] > forces[0] + 1).all()


# ------------------------------------------------------------------------------------------------------- runs


@pytest.fixture(scope="module")
def whole(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> tuple[TrainingRun, Potential]:
    """One uninterrupted run of nine steps with validations after 3, 6 and 9."""
    return go(dataset, tmp_path_factory.mktemp("whole") / "last.ckpt")


def assert_same_run(found: tuple[TrainingRun, Potential], wanted: tuple[TrainingRun, Potential]) -> None:
    pd.testing.assert_frame_equal(pd.DataFrame(found[0].history), pd.DataFrame(wanted[0].history), check_exact=True)
    assert (found[0].best_step, found[0].best_score) == (wanted[0].best_step, wanted[0].best_score)
    assert all(torch.equal(found[0].best[name], value) for name, value in wanted[0].best.items())
    assert same(found[1], wanted[1])


def test_history_of_a_run(whole: tuple[TrainingRun, Potential]) -> None:
    run, _ = whole
    table = pd.DataFrame(run.history)
    assert table["step"].tolist() == [0, 3, 6, 9]
    assert table["epoch"].tolist() == [0, 1, 2, 3]
    layers = [f"grad_{name}" for name in ("references", "embeddings", "readout")]
    layers += [f"grad_block{k}" for k in (1, 2, 3, 4)]
    assert table.drop(columns=["train_loss", *layers]).notna().all().all()
    assert table[layers].isna().all(axis=1).tolist() == [True, False, False, False]
    assert table["grad_references"].isna().all()  # they are not trained
    assert (table[layers[1:]].iloc[1:] > 0).all().all()
    assert table["train_loss"].isna().tolist() == [True, False, False, False]
    assert table["learning_rate"].iloc[-1] == pytest.approx(1e-5)
    assert run.best_score == table["val_loss"].min()
    assert run.best_step == table.loc[table["val_loss"].idxmin(), "step"]
    assert table["val_loss"].iloc[-1] < table["val_loss"].iloc[0]
    assert (run.step, run.resumed) == (9, 0)


def test_training_loss_is_the_mean_since_the_last_validation(
    dataset: Dataset, whole, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, losses = training.accumulate_gradient, []

    def recorded(*arguments: Any, **options: Any) -> float:
        losses.append(real(*arguments, **options))
        return losses[-1]

    monkeypatch.setattr(training, "accumulate_gradient", recorded)
    run, _ = go(dataset, tmp_path / "s")
    values = np.reshape(losses, (3, 3))
    assert [entry["train_loss"] for entry in run.history[1:]] == pytest.approx(values.mean(axis=1).tolist())


def test_seeds_decide_the_weights(dataset: Dataset, whole: tuple[TrainingRun, Potential], tmp_path: Path) -> None:
    assert_same_run(go(dataset, tmp_path / "same"), whole)
    assert not same(go(dataset, tmp_path / "order", seed=1)[1], whole[1])
    assert not same(go(dataset, tmp_path / "weights", weights=1)[1], whole[1])


class CancelledError(KeyboardInterrupt):
    """The user's Ctrl-C, or the end of a job's time."""


def interrupt(dataset: Dataset, state: Path, monkeypatch: pytest.MonkeyPatch, *, after: int, **changes: Any) -> None:
    """Run until the checkpoint of a step is written, then stop without warning."""
    save = training.save_state

    def save_and_stop(path: Path, identity: str, run: TrainingRun, *rest: Any) -> None:
        save(path, identity, run, *rest)
        if run.step == after:
            raise CancelledError

    with monkeypatch.context() as patch:
        patch.setattr(training, "save_state", save_and_stop)
        with pytest.raises(CancelledError):
            go(dataset, state, **changes)


@pytest.mark.parametrize("after", [5, 6])  # between validations, in the middle of a pass; at one
def test_a_resumed_run_gives_the_numbers_of_an_uninterrupted_one(
    dataset: Dataset, whole: tuple[TrainingRun, Potential], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    state = tmp_path / "state" / "last.ckpt"
    interrupt(dataset, state, monkeypatch, after=after)
    steps: list[int] = []
    original = Schedule.batch
    monkeypatch.setattr(Schedule, "batch", lambda self, step: steps.append(step) or original(self, step))
    found = go(dataset, state)
    assert steps == list(range(after, 9))
    assert found[0].resumed == 1
    assert_same_run(found, whole)


def test_a_truncated_checkpoint_falls_back_to_the_one_before(
    dataset: Dataset, whole, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    state = tmp_path / "last.ckpt"
    interrupt(dataset, state, monkeypatch, after=7)
    content = state.read_bytes()
    state.write_bytes(content[: len(content) // 2])
    with caplog.at_level(logging.INFO):
        found = go(dataset, state)
    assert "last.ckpt is not a checkpoint of plain tensors and values" in caplog.text
    assert "resumed at step 6" in caplog.text
    assert_same_run(found, whole)


def test_a_flipped_bit_in_a_state_falls_back_to_the_one_before(
    dataset: Dataset, whole, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    state = tmp_path / "last.ckpt"
    interrupt(dataset, state, monkeypatch, after=7)
    content = bytearray(state.read_bytes())
    content[len(content) // 2] ^= 16
    state.write_bytes(content)
    with caplog.at_level(logging.INFO):
        found = go(dataset, state)
    assert "the archive is damaged in" in caplog.text
    assert "trying the resume state before it" in caplog.text
    assert "resumed at step 6" in caplog.text
    assert_same_run(found, whole)


def test_without_a_readable_checkpoint_a_run_starts_again(
    dataset: Dataset, whole, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    state = tmp_path / "last.ckpt"
    interrupt(dataset, state, monkeypatch, after=4)
    for path in (state, state.with_suffix(".previous")):
        path.write_bytes(b"")
    with caplog.at_level(logging.INFO):
        found = go(dataset, state)
    assert caplog.text.count("not a checkpoint of plain tensors and values") == 2
    assert found[0].resumed == 0
    assert_same_run(found, whole)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"recipe": RECIPE.model_copy(update={"learning_rate": 5e-4})}, "options"),
        ({"budget": Budget(steps=10)}, "options"),
        ({"train_rows": TRAIN[:7]}, "options, data"),
        ({"val_rows": VAL[:2]}, "data"),
        ({"targets": ("energy",)}, "options"),
        ({"weights": 1}, "initial weights"),
        ({"seed": 1}, "options"),
        ({"code": "changed"}, "code"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_the_state_of_another_run_is_not_continued(
    dataset: Dataset, tmp_path: Path, monkeypatch, caplog: pytest.LogCaptureFixture, changes: dict[str, Any], why: str
) -> None:
    """An interrupted run whose options or code are then edited starts again under the new ones."""
    state = tmp_path / "last.ckpt"
    interrupt(dataset, state, monkeypatch, after=2)
    stopped = RECIPE.model_copy(update={"checkpoint_minutes": 60.0})
    found, _ = go(dataset, state, **{"recipe": stopped, "budget": Budget(steps=9), **changes})
    assert found.resumed == 0
    assert f"was written under other {why}: not continued, the run starts anew" in caplog.text


def test_a_state_under_other_versions_is_not_continued(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    state = tmp_path / "last.ckpt"
    interrupt(dataset, state, monkeypatch, after=2)
    monkeypatch.setattr(interface, "versions", lambda *packages: dict.fromkeys(packages, "9.9"))
    assert go(dataset, state)[0].resumed == 0
    assert "was written under other versions of packages: not continued, the run starts anew" in caplog.text


def test_relabelled_data_are_other_data(dataset: Dataset, tmp_path: Path, monkeypatch) -> None:
    state = tmp_path / "last.ckpt"
    interrupt(dataset, state, monkeypatch, after=2)
    assert go(replace(dataset, energy=dataset.energy + 0.1), state)[0].resumed == 0


def test_options_that_change_no_number_do_not_throw_a_state_away(dataset: Dataset, tmp_path: Path, monkeypatch) -> None:
    state = tmp_path / "last.ckpt"
    interrupt(dataset, state, monkeypatch, after=8)
    recipe = RECIPE.model_copy(update={"checkpoint_minutes": 7.0})
    assert go(dataset, state, recipe=recipe)[0].resumed == 1


def test_frozen_references_stay_and_trainable_ones_move(dataset: Dataset, tmp_path: Path) -> None:
    for trainable in (False, True):
        model = architecture("chgnet").new(0)
        model.set_references(model.references, trainable=trainable)
        before = model.references
        go(dataset, tmp_path / str(trainable), model=model, budget=Budget(steps=2))
        moved = model.references != before
        assert set(np.flatnonzero(moved) + 1) == ({7, 8} if trainable else set())  # silicon is not trained on


def test_missing_forces_train_on_energies_alone(dataset: Dataset, tmp_path: Path) -> None:
    """All-NaN forces give exactly the weights of a run without the target."""
    blank = replace(dataset, forces=np.full_like(dataset.forces, np.nan))
    run, masked = go(blank, tmp_path / "a", budget=Budget(steps=3))
    _, without = go(dataset, tmp_path / "b", budget=Budget(steps=3), targets=("energy",))
    assert math.isnan(run.history[-1]["val_force"])
    assert math.isfinite(run.history[-1]["val_loss"])
    for (name, x), y in zip(masked.state_dict().items(), without.state_dict().values(), strict=True):
        torch.testing.assert_close(x, y, atol=1e-6, rtol=1e-5, msg=name)


def test_a_loss_that_is_not_finite_stops_with_its_step(dataset: Dataset, tmp_path: Path, monkeypatch) -> None:
    real, calls = step.total_loss, []

    def poisoned(*arguments: Any) -> torch.Tensor:
        calls.append(1)
        return real(*arguments) * (math.nan if len(calls) == 3 else 1.0)

    monkeypatch.setattr(step, "total_loss", poisoned)
    with pytest.raises(TrainingError, match=r"the loss is nan at step 2; lower training\.learning_rate"):
        go(dataset, tmp_path / "s")


@pytest.mark.parametrize(("side", "word"), [("train_rows", "training"), ("val_rows", "validation")])
def test_a_run_without_frames_is_refused(dataset: Dataset, tmp_path: Path, side: str, word: str) -> None:
    with pytest.raises(TrainingError, match=f"no {word} frame"):
        go(dataset, tmp_path / "s", **{side: TRAIN[:0]})


def test_gradient_clipping_changes_the_run(dataset: Dataset, whole, tmp_path: Path) -> None:
    recipe = RECIPE.model_copy(update={"clip_norm": 1e-3})
    assert not same(go(dataset, tmp_path / "s", recipe=recipe)[1], whole[1])


# ---------------------------------------------------------------------------------------------- what is written


def test_a_trained_model_is_the_same_in_stock_chgnet(dataset: Dataset, frames, tmp_path: Path) -> None:
    run, model = go(dataset, tmp_path / "s", model=load("chgnet-0.3.0"), budget=Budget(steps=4))
    files = {name: tmp_path / f"{name}.pth.tar" for name in ("model", "other")}
    save_run(run, model, job(Budget(steps=4)), **names_of(files))
    rows = np.array([1, 4, 9])
    ours = predict(load(files["model"]), dataset, rows, targets=TARGETS)
    with redirect_stdout(io.StringIO()):
        stock = CHGNet.from_file(str(files["model"]))
    assert same(stock, load(files["model"]).chgnet)
    assert not same(stock, load("chgnet-0.3.0").chgnet)
    entries = frames.take(rows).table.to_pylist()
    structures = [
        Structure(Lattice(np.reshape(e["lattice"], (3, 3))), e["Z"], np.reshape(e["frac"], (-1, 3))) for e in entries
    ]
    for k, found in enumerate(stock.predict_structure(structures)):
        assert float(found["e"]) == pytest.approx(ours["energy"][k], abs=1e-5)
        np.testing.assert_allclose(found["f"], ours["force"][2 * k : 2 * k + 2], atol=1e-4)


@pytest.mark.parametrize("keep", ["last", "val-loss", "val-energy"])
def test_the_kept_checkpoint_is_the_model_and_the_other_one_lies_beside_it(keep: str, tmp_path: Path) -> None:
    model, best = architecture("chgnet").new(0), architecture("chgnet").new(1)
    run = TrainingRun(best={name: value.clone() for name, value in best.state_dict().items()})
    files = {name: str(tmp_path / name) for name in ("model", "other")}
    save_run(run, model, job(Budget(steps=5, keep=keep)), **names_of(files))
    expected = {"model": 0, "other": 1} if keep == "last" else {"model": 1, "other": 0}
    for name, seed in expected.items():
        assert same(load(files[name]), architecture("chgnet").new(seed))


@pytest.mark.parametrize(("keep", "column"), [("val-loss", "val_loss"), ("val-energy", "val_energy")])
def test_best_is_judged_by_what_the_budget_keeps(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keep: str, column: str
) -> None:
    scores = iter([(5.0, 5.0), (1.0, 4.0), (2.0, 3.0), (3.0, 3.5)])  # loss, energy error

    weights: list[dict[str, torch.Tensor]] = []
    model = architecture("chgnet").new(0)

    def scripted(*_: Any, **__: Any) -> dict[str, float]:
        loss, energy = next(scores)
        weights.append({name: value.clone() for name, value in model.state_dict().items()})
        return {"val_loss": loss, "val_energy": energy, "val_force": 1.0}

    monkeypatch.setattr(training, "evaluate_loss", scripted)
    run, _ = go(dataset, tmp_path / "s", model=model, budget=Budget(steps=3, keep=keep))
    assert all(torch.equal(value, weights[run.best_step][name]) for name, value in run.best.items())
    assert not all(torch.equal(value, weights[3][name]) for name, value in run.best.items())
    assert (run.best_step, run.best_score) == ((1, 1.0) if keep == "val-loss" else (2, 3.0))
    assert column in run.history[0]


def test_the_card_counts_labels_and_hashes_inputs(dataset: Dataset, tmp_path: Path) -> None:
    file = tmp_path / "split"
    file.write_text("x")
    subset = pd.DataFrame({"material_id": ["a", "a", "b"], "frame_id": dataset.keys[:3]})
    options = {k: k for k in ("budget", "size", "recipe", "pretrained", "targets")}
    parts = [Rows(dataset, np.arange(count)) for count in (3, 4)]
    own = Beginning(load("chgnet-0.3.0"), *parts, ReplayedFrames(Rows(dataset, np.arange(5), "source"), 0.5))
    for budget, kept, other in ((NINE, "last", "val-loss"), (Budget(epochs=1), "val-energy", "last")):
        card = run_card(TrainingRun(step=9, best_step=6), own, subset, job(budget, options=options), [str(file)])
        assert (card["kept"], card["other"]) == (kept, other)
        assert (card["n_train"], card["n_materials"], card["n_val"], card["n_replay"]) == (3, 2, 4, 5)
        assert (card["steps"], card["best_step"], card["options"]) == (9, 6, options)
        assert (card["architecture"], card["loads_in"]) == ("chgnet", CARDS["chgnet"].own_package)
        assert set(CARDS["chgnet"].packages) <= card["versions"].keys()
        numbers = dataset.numbers[: dataset.offsets[3]]
        assert card["elements"] == [chemical_symbols[z] for z in np.unique(numbers)]
        assert card["inputs"][str(file)] == "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"
        assert card["label_scale"] == dataset.manifest["label_scale"]
        json.dumps(card)
    delta = job(NINE, corrects="chgnet-0.3.0")
    card = run_card(TrainingRun(), replace(own, replay=None), subset, delta, [])
    assert (card["n_replay"], card["loads_in"]) == (0, "")  # a correction alone loads nowhere


def test_forget_removes_every_state_file(tmp_path: Path) -> None:
    for suffix in (".ckpt", ".previous", ".ckpt.tmp"):
        (tmp_path / f"last{suffix}").touch()
    forget(tmp_path / "last.ckpt")
    forget(tmp_path / "last.ckpt")
    assert list(tmp_path.iterdir()) == []
