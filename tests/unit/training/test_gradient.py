from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from factories import DATA, table_of
from hypothesis import given
from hypothesis import strategies as st

from uprung.config.training import Budget, Training
from uprung.datasets.store import Dataset, Rows
from uprung.models.data import open_dataset, write_dataset
from uprung.models.interface import Potential
from uprung.models.registry import architecture, load
from uprung.sources import READERS
from uprung.training.gradient import accumulate_gradient, cost_limit, launch, micro_batches, share, workers_of
from uprung.training.loop import train

TARGETS = ("energy", "force", "stress", "magmom")


# ------------------------------------------------------------------------------------------------- who does what


@given(costs=st.lists(st.integers(1, 10_000), min_size=1, max_size=80), ranks=st.integers(1, 9))
def test_every_structure_is_dealt_once_and_no_rank_waits_long(costs: list[int], ranks: int) -> None:
    parts = share(np.array(costs), ranks)
    assert sorted(np.concatenate(parts)) == list(range(len(costs)))
    loads = [sum(costs[k] for k in part) for part in parts]
    assert max(loads) - min(loads) <= max(costs)


# ---------------------------------------------------------------------------------------------- micro-batches


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Crystals and dimers (no angle), with gaps in every label, so that some parts of a batch have none of a kind."""
    rng = np.random.default_rng(0)
    solids = list(READERS["solids"].read(DATA / "solids" / "solids.jsonl.gz", "r2SCAN"))[::25]
    dimers = list(READERS["diatomics"].read(DATA / "diatomics" / "diatomics-dft.json.gz", "r2SCAN"))[15::400]
    frames = []
    for k, frame in enumerate([*solids, *dimers]):
        n = len(frame.Z)
        changes: dict[str, Any] = {"label_scale": "one", "magmom": rng.normal(size=n) if k % 3 == 0 else None}
        if k % 4 == 1:
            changes["stress_gpa"] = None
        frames.append(replace(frame, **changes))
    place = tmp_path_factory.mktemp("data")
    table = table_of(frames)
    energy = table.label("energy").copy()
    energy[::5] = np.nan
    write_dataset(table, energy, place, name="chgnet")
    return place


@pytest.fixture(scope="module")
def dataset(folder: Path) -> Dataset:
    return open_dataset(folder / "manifest.json")


def gradient(
    model: Potential, dataset: Dataset, rows: np.ndarray, limit: int, threads: int = 1
) -> tuple[float, dict[str, Any]]:
    recipe = Training(micro_batch_cost=limit, threads=threads)
    model.zero_grad()
    model.train()
    loss = accumulate_gradient(launch(recipe), model, [Rows(dataset, rows)], targets=TARGETS, recipe=recipe)
    return loss, {name: None if p.grad is None else p.grad.clone() for name, p in model.named_parameters()}


def assert_same(found: dict[str, Any], wanted: dict[str, Any]) -> None:
    for name, value in wanted.items():
        if value is None:
            assert found[name] is None
        else:
            scale = value.abs().max().item()
            torch.testing.assert_close(found[name], value, atol=1e-11 * scale, rtol=1e-9, msg=name)


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("limit", [1, 150, 600])
def test_the_gradient_of_the_parts_is_that_of_the_batch(dataset: Dataset, limit: int, threads: int) -> None:
    model, rows = load("chgnet-0.3.0").double(), np.random.default_rng(1).permutation(len(dataset.energy))
    parts = micro_batches(dataset.inputs.costs()[rows], limit, threads)
    assert len(parts) > 1
    if limit < 600:
        assert any(np.isnan(dataset.labels(rows[part]).stress).all() for part in parts)
    loss, whole = gradient(model, dataset, rows, 10**9)
    split_loss, split = gradient(model, dataset, rows, limit, threads)
    assert split_loss == pytest.approx(loss, rel=1e-12)
    assert loss > 0.1
    assert_same(split, whole)


def test_threads_add_the_parts_in_a_fixed_order(dataset: Dataset) -> None:
    model, rows = load("chgnet-0.3.0"), np.arange(len(dataset.energy))
    (loss, first), *others = [gradient(model, dataset, rows, 20, threads=4) for _ in range(4)]
    for other, found in others:
        assert other == loss
        assert all(value is None or torch.equal(value, found[name]) for name, value in first.items())


def test_normalisers_of_a_part_alone_would_give_another_gradient(dataset: Dataset) -> None:
    """The comparison above is not empty: the mean of the parts' losses is not the loss of the batch."""
    model, rows = load("chgnet-0.3.0").double(), np.arange(len(dataset.energy))
    loss, _ = gradient(model, dataset, rows, 10**9)
    alone = [gradient(model, dataset, part, 10**9)[0] for part in micro_batches(dataset.inputs.costs(), 150, 1)]
    assert abs(np.mean(alone) - loss) > 1e-3 * loss


def test_a_batch_of_small_crystals_is_shared_between_threads() -> None:
    """Eight crystals of two or three atoms, some hundred pairs each, had stayed in one part."""
    assert [len(part) for part in micro_batches(np.full(8, 110), 40_000, 2)] == [4, 4]
    assert len(micro_batches(np.full(8, 20), 40_000, 2)) == 1


@given(costs=st.lists(st.integers(1, 5000), max_size=60), limit=st.integers(1, 20_000), workers=st.integers(1, 4))
def test_micro_batches_hold_every_structure_once_and_keep_to_the_limit(
    costs: list[int], limit: int, workers: int
) -> None:
    parts = micro_batches(np.array(costs, dtype=np.int64), limit, workers)
    assert sorted(np.concatenate([*parts, []])) == list(range(len(costs)))
    loads = [sum(costs[k] for k in part) for part in parts]
    assert all(load <= limit + max(costs) for load in loads)
    assert len(parts) <= max(1, workers * -(-sum(costs) // limit))


def test_micro_batches_keep_all_workers_busy_unless_they_would_be_tiny() -> None:
    assert len(micro_batches(np.full(16, 2800), 12_000, 1)) == 4
    assert len(micro_batches(np.full(16, 2800), 12_000, 3)) == 6
    assert len(micro_batches(np.full(16, 500), 12_000, 2)) == 2
    assert len(micro_batches(np.full(32, 1), 12_000, 2)) == 1
    assert micro_batches(np.array([], dtype=np.int64), 12_000, 2) == []


def test_a_cpu_computes_in_smaller_parts_than_a_gpu() -> None:
    potential = architecture("chgnet").new(0)

    def limit(**options: Any) -> int:
        return cost_limit(potential, Training(**options)).value

    assert limit() < limit(device="cuda")
    assert limit(micro_batch_cost=7) == limit(micro_batch_cost=7, device="cuda") == 7


def test_threads_of_a_cpu_compute_micro_batches_of_their_own() -> None:
    assert workers_of(Training(threads=3)) == 3
    assert workers_of(Training(threads=3, device="cuda")) == 1


# ------------------------------------------------------------------------------------------- several processes


def run_on(devices: int, folder: Path, out: Path) -> None:
    """Train twelve steps from scratch on the data of `folder`, in batches of 8 and a last one of a single structure."""
    recipe = Training(batch_size=8, validations=3, devices=devices, clip_norm=5.0)
    fabric = launch(recipe)
    dataset, model = open_dataset(folder / "manifest.json"), architecture("chgnet").new(0)
    run = train(
        fabric,
        model,
        Rows(dataset, np.arange(9)),
        Rows(dataset, np.arange(9, len(dataset.energy))),
        targets=TARGETS,
        recipe=recipe,
        budget=Budget(steps=12),
        seed=0,
        state=out.with_suffix(".ckpt"),
    )
    torch.save({"history": run.history, "model": model.state_dict()}, f"{out}.rank{fabric.global_rank}")


@pytest.fixture(scope="module")
def runs(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Results of one process and of two that talk through gloo."""
    place = tmp_path_factory.mktemp("runs")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    for devices in (1, 2):
        command = [sys.executable, __file__, str(devices), str(folder), str(place / f"on{devices}")]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
    return {file.name: torch.load(file) for file in place.glob("on*.rank*")}


def test_two_processes_give_the_losses_of_one(runs: dict[str, dict[str, Any]]) -> None:
    assert set(runs) == {"on1.rank0", "on2.rank0", "on2.rank1"}
    one, two = (runs[name]["history"] for name in ("on1.rank0", "on2.rank0"))
    assert [line["step"] for line in one] == [0, 4, 8, 12]
    assert one[-1]["val_loss"] < one[0]["val_loss"]
    for a, b in zip(one, two, strict=True):
        assert b == pytest.approx(a, rel=2e-4, nan_ok=True)


def test_the_processes_of_a_run_stay_alike(runs: dict[str, dict[str, Any]]) -> None:
    first, second = runs["on2.rank0"], runs["on2.rank1"]
    assert [repr(line) for line in first["history"]] == [repr(line) for line in second["history"]]
    assert all(torch.equal(value, second["model"][name]) for name, value in first["model"].items())


if __name__ == "__main__":
    run_on(int(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]))
