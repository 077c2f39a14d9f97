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
from chgnet.model import CHGNet
from factories import DATA, table_of
from hypothesis import given
from hypothesis import strategies as st

from uprung.config import Budget, Training
from uprung.dataset import Dataset, open_dataset, write_dataset
from uprung.potential.checkpoint import load_chgnet, new_chgnet
from uprung.potential.module import Packed
from uprung.sources import READERS
from uprung.step import accumulate_gradient, launch, share
from uprung.training import train

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
    solids = list(READERS["solids"](DATA / "solids" / "solids.jsonl.gz", "r2SCAN"))[::25]
    dimers = list(READERS["diatomics"](DATA / "diatomics" / "diatomics-dft.json.gz", "r2SCAN"))[15::400]
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
    write_dataset(table, energy, place)
    return place


@pytest.fixture(scope="module")
def dataset(folder: Path) -> Dataset:
    return open_dataset(folder / "manifest.json")


def gradient(model: CHGNet, dataset: Dataset, rows: np.ndarray, limit: int) -> tuple[float, dict[str, Any]]:
    recipe = Training(micro_batch_cost=limit)
    model.zero_grad()
    module = Packed(model, TARGETS).train()
    loss = accumulate_gradient(launch(recipe), module, dataset, rows, targets=TARGETS, recipe=recipe)
    return loss, {name: None if p.grad is None else p.grad.clone() for name, p in model.named_parameters()}


@pytest.mark.parametrize("limit", [1, 150, 600])
def test_the_gradient_of_the_parts_is_that_of_the_batch(dataset: Dataset, limit: int) -> None:
    model, rows = load_chgnet("0.3.0").double(), np.random.default_rng(1).permutation(len(dataset.energy))
    parts = dataset.chunks(rows, limit)
    assert len(parts) > 1
    labels = [dataset.labels(part) for part in parts]
    assert any(np.isnan(label.stress).all() for label in labels) == (limit < 600)
    loss, whole = gradient(model, dataset, rows, 10**9)
    split_loss, split = gradient(model, dataset, rows, limit)
    assert split_loss == pytest.approx(loss, rel=1e-12)
    assert loss > 0.1
    for name, wanted in whole.items():
        if wanted is None:
            assert split[name] is None
        else:
            scale = wanted.abs().max().item()
            torch.testing.assert_close(split[name], wanted, atol=1e-11 * scale, rtol=1e-9, msg=name)


def test_normalisers_of_a_part_alone_would_give_another_gradient(dataset: Dataset) -> None:
    """The comparison above is not empty: the mean of the parts' losses is not the loss of the batch."""
    model, rows = load_chgnet("0.3.0").double(), np.arange(len(dataset.energy))
    loss, _ = gradient(model, dataset, rows, 10**9)
    alone = [gradient(model, dataset, part, 10**9)[0] for part in dataset.chunks(rows, 150)]
    assert abs(np.mean(alone) - loss) > 1e-3 * loss


def test_the_limit_on_cost_holds(dataset: Dataset) -> None:
    rows, costs = np.arange(len(dataset.energy)), dataset.graphs.costs()
    for part in dataset.chunks(rows, 400):
        assert costs[part].sum() <= 400 or len(part) == 1


def test_a_cpu_computes_in_smaller_parts_than_a_gpu() -> None:
    assert Training().cost_limit < Training(device="cuda").cost_limit
    assert Training(micro_batch_cost=7).cost_limit == Training(micro_batch_cost=7, device="cuda").cost_limit == 7


# ------------------------------------------------------------------------------------------- several processes


def run_on(devices: int, folder: Path, out: Path) -> None:
    """Train twelve steps from scratch on the data of `folder`, in batches of 8 and a last one of a single structure."""
    torch.set_num_threads(1)
    recipe = Training(batch_size=8, validations=3, devices=devices, clip_norm=5.0)
    fabric = launch(recipe)
    dataset, model = open_dataset(folder / "manifest.json"), new_chgnet(0)
    run = train(
        fabric,
        model,
        dataset,
        np.arange(9),
        np.arange(9, len(dataset.energy)),
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
