"""Elastic weight consolidation: the Fisher information against Jacobians, the pull, its file, resumption."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.fabric import Fabric

from uprung.config.arms import Ewc
from uprung.config.training import Budget, Training
from uprung.datasets.store import Dataset, Rows
from uprung.models.interface import REFERENCES, Potential
from uprung.models.registry import load
from uprung.training.fisher import (
    Elastic,
    ElasticPull,
    drawn,
    elastic_of,
    fisher_diagonal,
    importance_digest,
    network_parameters,
    read_importance,
    save_importance,
)
from uprung.training.loop import train

WEIGHTS = {"energy": 3.0, "force": 1.0, "stress": 0.1}


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def first(dataset: Dataset, count: int = 3) -> Rows:
    return Rows(dataset, np.arange(count))


def jacobians(potential: Potential, rows: Rows, target: str) -> list[dict[str, torch.Tensor]]:
    """Return the derivatives of every prediction of a structure, one backward pass each."""
    found = potential.train()(potential.batch(rows.dataset.inputs, rows.rows), [target])[target].reshape(-1)
    names, parameters = zip(*network_parameters(potential), strict=True)
    result = []
    for value in found:
        gradients = torch.autograd.grad(value, parameters, allow_unused=True, retain_graph=True)
        filled = (torch.zeros_like(p) if g is None else g for p, g in zip(parameters, gradients, strict=True))
        result.append(dict(zip(names, filled, strict=True)))
    return result


def test_of_energies_alone_it_is_the_mean_of_squared_derivatives(dataset: Dataset) -> None:
    model, rows = load("chgnet-0.3.0").double(), first(dataset)
    found = fisher_diagonal(model, rows, targets=["energy"], weights=WEIGHTS, seed=0)
    each = [jacobians(model, rows.take(np.array([k])), "energy")[0] for k in range(3)]
    for name, values in found.items():
        assert values.dtype == torch.float64
        torch.testing.assert_close(values, 3.0 * torch.stack([one[name].square() for one in each]).mean(dim=0))
    assert any(values.any() for values in found.values())


def test_with_forces_one_draw_is_a_signed_sum_and_its_mean_the_sum_of_squares(dataset: Dataset) -> None:
    model, row = load("chgnet-0.3.0").double(), first(dataset, 1)
    energy, force = (jacobians(model, row, target) for target in ("energy", "force"))
    scales = np.sqrt([3.0 / len(energy)] * len(energy) + [1.0 / len(force)] * len(force))
    found = fisher_diagonal(model, row, targets=["energy", "force"], weights=WEIGHTS, seed=5)
    rng = np.random.default_rng([5, 0])
    signs = np.concatenate([rng.choice([-1.0, 1.0], size=len(part)) for part in (energy, force)])
    for name, values in found.items():
        rows = torch.stack([one[name] for one in (*energy, *force)]).flatten(1)
        signed = torch.from_numpy(signs * scales) @ rows
        torch.testing.assert_close(values.flatten(), signed.square(), rtol=1e-6, atol=1e-12)
    # the mean over draws is the sum of squares that the definition has
    rows = torch.stack([one[name] for one in (*energy, *force)])
    rows = rows.flatten(1).numpy() * scales[:, None]
    draws = np.random.default_rng(0).choice([-1.0, 1.0], size=(20000, len(rows)))
    exact = (rows**2).sum(axis=0)
    np.testing.assert_allclose(((draws @ rows) ** 2).mean(axis=0), exact, rtol=0.1, atol=0.05 * exact.max())


def test_it_is_a_function_of_seed_and_structures_and_of_no_label(dataset: Dataset) -> None:
    everything = np.arange(len(dataset.energy))
    labels = dataset.labels(everything)
    blank = dataset.relabelled(everything, replace(labels, energy=labels.energy + 9, forces=labels.forces * np.nan))
    asked: dict[str, Any] = {"targets": list(WEIGHTS), "weights": WEIGHTS}
    one, again, other, two_threads = (
        importance_digest(fisher_diagonal(load("chgnet-0.3.0"), rows, **asked, seed=seed, threads=threads))
        for rows, seed, threads in (
            (first(dataset), 0, 1),
            (first(blank), 0, 1),
            (first(dataset), 1, 1),
            (first(dataset), 0, 2),
        )
    )
    assert one == again == two_threads
    assert one != other


def test_structures_are_drawn_without_repetition_by_the_seed(dataset: Dataset) -> None:
    rows = Rows(dataset, np.arange(3, len(dataset.energy)))
    chosen = drawn(rows, 4, 0).rows
    assert len(set(chosen.tolist())) == 4
    assert chosen.min() >= 3
    assert drawn(rows, 4, 0).rows.tolist() == chosen.tolist() != drawn(rows, 4, 1).rows.tolist()
    assert sorted(drawn(rows, 10**6, 0).rows) == rows.rows.tolist()
    with pytest.raises(ValueError, match="no source structure of a training material"):
        fisher_diagonal(load("chgnet-0.3.0"), rows.take(np.array([], dtype=int)), targets=[], weights={}, seed=0)


def test_the_pull_is_the_gradient_of_the_penalty() -> None:
    model = load("chgnet-0.3.0").double()
    model.set_references(model.references, trainable=True)
    references = {id(p) for p in model.layers()[REFERENCES]}
    generator = torch.Generator().manual_seed(0)
    importance = {name: torch.rand(p.shape, generator=generator).double() for name, p in network_parameters(model)}
    pull = ElasticPull(model, Elastic(0.3, importance))
    start = {name: p.detach().clone() for name, p in model.named_parameters()}
    with torch.no_grad():
        for p in model.parameters():
            p += 0.01 * torch.randn(p.shape, dtype=p.dtype, generator=generator)
    own = dict(model.named_parameters())
    terms = [(values * (own[name] - start[name]).square()).sum() for name, values in importance.items()]
    (0.15 * torch.stack(terms).sum()).backward()
    wanted = {name: p.grad for name, p in model.named_parameters()}
    model.zero_grad()
    pull.add_gradient()
    for name, p in model.named_parameters():
        if id(p) in references:
            assert p.grad is None
        else:
            torch.testing.assert_close(p.grad, wanted[name])


def test_an_importance_of_another_network_is_refused_and_a_new_embedding_is_free() -> None:
    model = load("chgnet-0.3.0")
    importance = {name: torch.ones(p.shape, dtype=torch.float64) for name, p in network_parameters(model)}
    with pytest.raises(ValueError, match="which the network lacks"):
        ElasticPull(model, Elastic(1.0, {**importance, "other.weight": torch.ones(2)}))
    model.add_source(np.linspace(-9, 1, 94), embedding=True)
    pull = ElasticPull(model, Elastic(1.0, importance))
    assert len(pull.pairs) == len(importance)
    assert ElasticPull(model, None).pairs == []


def test_a_file_holds_every_bit_and_refuses_others(tmp_path: Path) -> None:
    importance = {"a": torch.rand(3, dtype=torch.float64), "b": torch.tensor(1e-300, dtype=torch.float64)}
    save_importance(tmp_path / "one.pt", importance)
    save_importance(tmp_path / "two.pt", importance)
    found = elastic_of(Ewc(strength=2), [str(tmp_path / "one.pt")])
    assert found is not None
    assert (found.strength, importance_digest(found.importance)) == (2, importance_digest(importance))
    assert (tmp_path / "one.pt").read_bytes() == (tmp_path / "two.pt").read_bytes()
    assert elastic_of(None, []) is None
    load("chgnet-0.3.0").save(tmp_path / "net.pth.tar", target="a", source="b", corrects=None)
    with pytest.raises(ValueError, match="holds no Fisher information"):
        read_importance(tmp_path / "net.pth.tar")


def go(rows: Rows, state: Path, ewc: Elastic | None, stop: int | None = None) -> tuple[Any, Potential]:
    model = load("chgnet-0.3.0")

    def watch(history: Any) -> None:
        if stop is not None and history[-1]["step"] > stop:
            raise KeyboardInterrupt

    run = train(
        Fabric(accelerator="cpu", devices=1),
        model,
        rows,
        rows.take(np.arange(2)),
        targets=["energy", "force"],
        recipe=Training(batch_size=2, validations=4, checkpoint_minutes=1e-9),
        budget=Budget(steps=4),
        seed=0,
        state=state,
        ewc=ewc,
        watch=watch,
    )
    return run, model


def weights(model: Potential) -> torch.Tensor:
    return torch.cat([p.detach().reshape(-1) for p in model.parameters()])


def test_a_run_is_held_and_resumed_exactly_under_the_same_pull_alone(dataset: Dataset, tmp_path: Path) -> None:
    rows = first(dataset, 4)
    importance = fisher_diagonal(load("chgnet-0.3.0"), rows, targets=["energy", "force"], weights=WEIGHTS, seed=0)
    weak, strong = Elastic(10.0, importance), Elastic(1e6, importance)
    _, free = go(rows, tmp_path / "free", None)
    _, whole = go(rows, tmp_path / "whole", strong)
    with pytest.raises(KeyboardInterrupt):
        go(rows, tmp_path / "halted", strong, stop=2)
    run, resumed = go(rows, tmp_path / "halted", strong)
    assert run.resumed == 1
    assert torch.equal(weights(resumed), weights(whole))
    assert go(rows, tmp_path / "whole", weak)[0].resumed == 0
    other = {name: values * 2 for name, values in importance.items()}
    assert go(rows, tmp_path / "halted", Elastic(1e6, other))[0].resumed == 0

    def penalty(model: Potential) -> float:
        start, own = load("chgnet-0.3.0").state_dict(), model.state_dict()
        return sum(float((v * (own[n] - start[n]).double().square()).sum()) for n, v in importance.items())

    assert penalty(whole) < 0.5 * penalty(free)
