"""Gradients by CUDA graphs, computed here without a graph: those of the ordinary way, whatever the batch."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from uprung.config.training import Training
from uprung.datasets.store import Rows
from uprung.models.chgnet import padding
from uprung.models.memory import CostLimit
from uprung.models.registry import architecture
from uprung.training.captured import CapturedGradient, captured
from uprung.training.gradient import accumulate_gradient
from uprung.training.processes import Alone

TARGETS = ("energy", "force", "stress")
ORDER = [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9, 10, 11], [0, 5, 9]]
MANY = 10**9


@pytest.fixture
def frames(dataset) -> Rows:
    return Rows(dataset, np.arange(12))


def taken(frames: Rows):
    """Batches by step, the smallest first."""
    batches = sorted((frames.take(np.array(each)) for each in ORDER), key=lambda batch: batch.costs.sum())
    return lambda step: [batches[step % len(batches)]]


def other(potential, at, recipe):
    def gradient(step: int) -> float:
        return accumulate_gradient(Alone("cpu"), potential, at(step), targets=TARGETS, recipe=recipe)

    return gradient


def gradients(potential) -> list[torch.Tensor | None]:
    found = [None if p.grad is None else p.grad.clone() for p in potential.parameters()]
    for p in potential.parameters():
        p.grad = None
    return found


@pytest.mark.parametrize("limit", [MANY, 400], ids=["in one piece", "in micro-batches"])
@pytest.mark.parametrize("planned", [1000, 1], ids=["all fit", "some are too large"])
def test_losses_and_gradients_are_those_of_the_ordinary_way(
    frames: Rows, limit: int, planned: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("uprung.training.captured.PLANNED", planned)
    potential, recipe, at = architecture("chgnet").new(0).train(), Training(batch_size=3), taken(frames)
    ordinary, seen = other(potential, at, recipe), list[int]()

    def otherwise(step: int) -> float:
        seen.append(step)
        return ordinary(step)

    by_graphs = CapturedGradient(
        potential, padding, at, len(ORDER),
        targets=TARGETS, recipe=recipe, limit=CostLimit(limit), otherwise=otherwise,
    )  # fmt: skip
    by_graphs.record()
    assert any(len(by_graphs.parts(step)) > 1 for step in range(5)) == (limit != MANY)
    for step in [0, 1, 2, 3, 4, 1]:  # one out of turn: what was made ahead belongs to another step
        for p in potential.parameters():
            p.grad = None
        loss, mine = by_graphs(step), gradients(potential)
        assert loss == pytest.approx(ordinary(step), rel=1e-5)
        for found, wanted in zip(mine, gradients(potential), strict=True):
            assert (found is None) == (wanted is None)
            if wanted is not None:
                torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-5 * max(float(wanted.abs().max()), 1))
    assert bool(seen) == (planned == 1)


def test_gradients_follow_the_weights(frames: Rows) -> None:
    potential, recipe, at = architecture("chgnet").new(0).train(), Training(batch_size=3), taken(frames)
    by_graphs = CapturedGradient(
        potential, padding, at, 5, targets=TARGETS, recipe=recipe, limit=CostLimit(MANY), otherwise=lambda step: 0.0
    )
    by_graphs.record()
    before = by_graphs(0)
    with torch.no_grad():
        for p in potential.parameters():
            p.mul_(1.1)
    assert by_graphs(0) != before
    assert by_graphs(0) == pytest.approx(other(potential, at, recipe)(0), rel=1e-5)


@pytest.mark.parametrize(
    "changes",
    [{"device": "cpu"}, {"devices": 2}, {"cuda_graphs": False}, {"steps": 20}, {"shapes": None}],
    ids=str,
)
def test_runs_that_have_no_graphs(frames: Rows, changes: dict) -> None:
    potential, at, steps = architecture("chgnet").new(0), taken(frames), changes.pop("steps", 1000)
    if "shapes" in changes:
        potential.shapes = changes.pop("shapes")
    recipe = Training(**{"device": "cuda", "batch_size": 3} | changes)

    def otherwise(step: int) -> float:
        return 0.0

    found = captured(potential, at, steps, targets=TARGETS, recipe=recipe, limit=CostLimit(9), otherwise=otherwise)
    assert found is otherwise


def test_a_run_on_a_gpu_has_them(frames: Rows) -> None:
    """The device of the network decides whether anything is recorded; that of the recipe whether it is tried."""
    recipe = Training(device="cuda", batch_size=3)
    potential, at = architecture("chgnet").new(0), taken(frames)
    found = captured(
        potential, at, 1000, targets=TARGETS, recipe=recipe, limit=CostLimit(MANY), otherwise=lambda step: 0.0
    )
    assert isinstance(found, CapturedGradient)
    assert potential.training


def test_without_memory_a_run_goes_on_without(frames: Rows, monkeypatch, caplog) -> None:
    def full(self) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    def otherwise(step: int) -> float:
        return 0.0

    monkeypatch.setattr(CapturedGradient, "record", full)
    recipe, at = Training(device="cuda", batch_size=3), taken(frames)
    found = captured(
        architecture("chgnet").new(0), at, 1000,
        targets=TARGETS, recipe=recipe, limit=CostLimit(MANY), otherwise=otherwise,
    )  # fmt: skip
    assert found is otherwise
    assert "do not fit into memory" in caplog.text
