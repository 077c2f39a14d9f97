"""The correction by training, on dimers: what is shifted, what is trained, what is judged."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from factories import DATA, table_of

from uprung.atomref.least_squares import LeastSquares
from uprung.config.tests import ForceCorrection, Softening
from uprung.config.training import FineTuning, Training
from uprung.datasets.store import Dataset, Rows, rows_of
from uprung.models.data import open_dataset, write_dataset
from uprung.models.interface import REFERENCES
from uprung.models.predict import predict
from uprung.models.registry import load
from uprung.softening.draws import frames_of, possible_draws
from uprung.softening.fine_tuning import FineTuned, shifted, trained_targets
from uprung.softening.force_correction import by_number, drawn
from uprung.softening.slopes import cloud, forces_of
from uprung.sources import READERS
from uprung.training.gradient import launch

RECIPE = FineTuning().recipe(Training())
ONE = launch(RECIPE)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    found = [
        frame
        for frame in READERS["diatomics"].read(DATA / "diatomics" / "diatomics-dft.json.gz", "r2SCAN")
        if frame.material_id in ("N2", "Si2") and 0.1 < np.abs(frame.forces).max() < 10
    ]
    # another convention, and energies that some frames do not have
    found = [
        replace(frame, energy=None if k % 3 == 0 else frame.energy - 20.0 * sum(frame.Z == 7))
        for k, frame in enumerate(found)
        if float(frame.frame_id.split("2-")[1]) < 3
    ]
    frames = table_of(found)
    folder = tmp_path_factory.mktemp("dimers")
    write_dataset(frames, frames.label("energy"), folder, name="chgnet")
    return open_dataset(folder / "manifest.json")


@pytest.fixture(scope="module")
def clouds(dataset: Dataset) -> pd.DataFrame:
    rows = np.arange(len(dataset.energy))
    predicted = predict(load("chgnet-0.3.0"), dataset, rows, targets=["force"])["force"]
    names = np.array(dataset.keys, dtype=object)
    material = np.array([name.split("-")[0] for name in names], dtype=object)
    forces, _ = forces_of(dataset.labels(rows).forces, predicted, np.diff(dataset.offsets), material, material)
    trajectories = np.array([f"{name}-{k // 2}" for k, name in enumerate(material)], dtype=object)
    return cloud(forces, names, trajectories)


def trained(dataset: Dataset, clouds: pd.DataFrame, *, epochs: int, k: int = 3, draws: int = 2) -> pd.DataFrame:
    method = FineTuned(ONE, "chgnet-0.3.0", dataset, RECIPE, epochs)
    return drawn(clouds, method, name="training", shots=[k], draws=draws, seed=0)


def test_without_an_epoch_the_forces_are_those_before(dataset: Dataset, clouds: pd.DataFrame) -> None:
    """So neither the shift of the references nor the way back to the judged structures changes a force."""
    found = trained(dataset, clouds, epochs=0)
    assert set(found["material"]) == {"N2", "Si2"}
    for name in ("slope", "mae", "cmae"):
        np.testing.assert_allclose(found[f"{name}_after"], found[f"{name}_before"], rtol=2e-6)
    np.testing.assert_array_equal(found["loss_after"], found["loss_before"])


def test_training_lowers_its_loss_and_the_same_seed_gives_the_same_numbers(
    dataset: Dataset, clouds: pd.DataFrame
) -> None:
    found = trained(dataset, clouds, epochs=12, draws=1)
    assert (found["loss_after"] < 0.7 * found["loss_before"]).all()
    assert (found["mae_after"] != found["mae_before"]).all()
    assert (found["stresses"] == 0).all()
    pd.testing.assert_frame_equal(found, trained(dataset, clouds, epochs=12, draws=1))


def test_what_is_judged_is_what_the_number_is_judged_on(dataset: Dataset, clouds: pd.DataFrame) -> None:
    number = drawn(clouds, by_number, name="number", shots=[3], draws=5, seed=0).query("draw < 2")
    both = ["material", "draw", "slope_before", "mae_before", "cmae_before", "cmae_ratio"]
    found = trained(dataset, clouds, epochs=0)
    pd.testing.assert_frame_equal(found[both], number[both].reset_index(drop=True))


def test_structures_without_a_label_train_on_what_they_have(dataset: Dataset, clouds: pd.DataFrame) -> None:
    (chosen,) = possible_draws(frames_of(clouds)["N2"], 4, draws=1, seed=0)
    frames = Rows(dataset, rows_of(dataset, [frame.name for frame in chosen.fitted]))
    has = np.isfinite(frames.labels.energy)
    assert trained_targets(frames, RECIPE) == ["energy", "force"]  # no stress, and no weight for moments
    without = frames.take(np.flatnonzero(~has)) if (~has).any() else None
    found = drawn(
        clouds, FineTuned(ONE, "chgnet-0.3.0", dataset, RECIPE, 0), name="training", shots=[4], draws=1, seed=0
    )
    assert found.set_index("material").loc["N2", "energies"] == has.sum()
    if without is not None:
        assert trained_targets(without, RECIPE) == ["force"]


def test_references_move_to_the_labels_and_nothing_else_does(dataset: Dataset) -> None:
    labelled = np.flatnonzero(np.isfinite(dataset.energy))
    frames = Rows(dataset, labelled)
    before = load("chgnet-0.3.0")
    after = shifted(load("chgnet-0.3.0"), frames, device="cpu")
    old, new = (predict(model, dataset, labelled, targets=["energy", "force"]) for model in (before, after))
    np.testing.assert_array_equal(old["force"], new["force"])
    # what is left over has nothing linear in composition
    left = LeastSquares().fit(dataset.composition(labelled), dataset.energy[labelled] - new["energy"])
    np.testing.assert_allclose(left.coef_[left.seen_], 0, atol=1e-4)
    moved = np.flatnonzero(np.abs(after.references - before.references) > 0) + 1
    assert list(moved) == [7, 14]
    assert (after.references - before.references)[6] == pytest.approx(-20, abs=5)
    assert not any(parameter.requires_grad for parameter in after.layers()[REFERENCES])


def test_without_energies_the_references_stay(dataset: Dataset) -> None:
    nothing = Rows(dataset, np.flatnonzero(~np.isfinite(dataset.energy)))
    assert len(nothing.rows)
    after = shifted(load("chgnet-0.3.0"), nothing, device="cpu")
    np.testing.assert_array_equal(after.references, load("chgnet-0.3.0").references)


def test_the_default_recipe_is_the_published_one() -> None:
    options = FineTuning()
    assert options.weights.model_dump() == {"energy": 0.1, "force": 100, "stress": 0.1, "magmom": 0}
    assert (RECIPE.learning_rate, RECIPE.final_learning_rate, options.epochs) == (1e-3, 1e-5, 100)
    assert RECIPE.huber_delta > 100  # squared
    machine = Training(threads=3, device="cuda", micro_batch_cost=5, devices=2, learning_rate=1.0)
    recipe = options.recipe(machine)
    assert (recipe.threads, recipe.device, recipe.micro_batch_cost, recipe.devices) == (3, "cuda", 5, 1)
    assert recipe.learning_rate == 1e-3


def test_training_without_a_checkpoint_to_train_is_refused() -> None:
    with pytest.raises(ValueError, match="`models` names none"):
        Softening.model_validate({"models": [], "correction": {"methods": ["training"]}})


def test_more_trained_draws_than_draws_are_refused() -> None:
    with pytest.raises(ValueError, match=r"training\.draws: 30"):
        ForceCorrection.model_validate({"draws": 20, "training": {"draws": 30}})
