from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from uprung.config.training import Training
from uprung.datasets.store import Labels
from uprung.training.losses import error_sums, label_counts, loss_sums, pairs_of, total_loss

SHAPES = {"energy": (2,), "force": (3, 3), "stress": (2, 3, 3), "magmom": (3,)}


def batch(**labels: Any) -> tuple[dict[str, torch.Tensor], Labels]:
    """Return a prediction of zeros for two structures with three atoms in all, and labels."""
    prediction = {name: torch.zeros(shape, requires_grad=True) for name, shape in SHAPES.items()}
    values = {name: labels.get(name, np.full(shape, 0.05)) for name, shape in SHAPES.items()}
    return prediction, Labels(values["energy"], values["force"], values["stress"], values["magmom"])


def loss_of(prediction: dict[str, torch.Tensor], labels: Labels, targets=("energy", "force", "stress", "magmom")):
    pairs, count = pairs_of(prediction, labels, targets), label_counts(labels, targets)
    absolute = {target: error.item() for target, error in error_sums(pairs).items()}
    return total_loss(loss_sums(pairs, 0.1), count, Training().weights.model_dump()), absolute, count


def test_loss_is_the_weighted_sum_of_mean_huber_losses() -> None:
    prediction, labels = batch(force=np.full((3, 3), 2.0), stress=np.full((2, 3, 3), -1.0))
    loss, absolute, count = loss_of(prediction, labels)
    small, large = lambda x: 0.5 * x**2, lambda x: 0.1 * (x - 0.05)  # Huber, δ = 0.1
    assert loss.item() == pytest.approx(3 * small(0.05) + large(2.0) + 0.1 * large(1.0) + small(0.05))
    assert absolute == pytest.approx({"energy": 0.1, "force": 18.0, "stress": 18.0, "magmom": 0.15})
    assert count == {"energy": 2, "force": 9, "stress": 18, "magmom": 3}


def test_missing_labels_are_masked_one_by_one() -> None:
    force = np.full((3, 3), 0.05)
    force[0] = np.nan
    prediction, labels = batch(force=force, energy=np.array([np.nan, 0.05]))
    loss, absolute, count = loss_of(prediction, labels, ("energy", "force"))
    assert count == {"energy": 1, "force": 6}
    assert absolute == pytest.approx({"energy": 0.05, "force": 0.3})
    assert loss.item() == pytest.approx(4 * 0.5 * 0.05**2)  # means, so what is missing costs nothing
    loss.backward()
    assert torch.isfinite(prediction["force"].grad).all()
    assert (prediction["force"].grad[0] == 0).all()
    assert (prediction["force"].grad[1:] != 0).all()


@pytest.mark.parametrize("missing", [("stress",), ("stress", "magmom"), ("energy", "force", "stress", "magmom")])
def test_a_target_without_labels_in_a_batch_adds_nothing(missing: tuple[str, ...]) -> None:
    prediction, labels = batch(**{name: np.full(SHAPES[name], np.nan) for name in missing})
    loss, _, count = loss_of(prediction, labels)
    weights = Training().weights.model_dump()
    expected = sum(w * 0.5 * 0.05**2 for name, w in weights.items() if name not in missing)
    assert loss.item() == pytest.approx(expected)
    loss.backward()
    for name in missing:
        assert (prediction[name].grad == 0).all()
        assert count[name] == 0
