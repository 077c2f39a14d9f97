from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from factories import DATA, table_of

from uprung.config.training import Budget, Training
from uprung.datasets.store import Dataset, Rows
from uprung.models.chgnet.batch import PackedBatch
from uprung.models.chgnet.potential import CHGNetPotential
from uprung.models.data import open_dataset, write_dataset
from uprung.models.interface import Potential
from uprung.models.memory import CostLimit, OutOfMemoryError, Shortage, if_it_fits, is_out_of_memory
from uprung.models.predict import predict
from uprung.models.registry import architecture, load
from uprung.sources import READERS
from uprung.training.gradient import accumulate_gradient, cost_limit, launch
from uprung.training.loop import evaluate_loss, train

TARGETS = ("energy", "force", "stress")
CPU = "[enforce fail at alloc_cpu.cpp:119] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate"


def cost(batch: PackedBatch) -> int:
    return len(batch.vector) + len(batch.angle_centre)


class Small:
    """A memory that holds batches up to a cost; it remembers what was asked of it."""

    def __init__(self, capacity: int, error: Callable[[str], Exception] = torch.OutOfMemoryError) -> None:
        self.capacity, self.error = capacity, error
        self.asked: list[int] = []

    def install(self, patch: pytest.MonkeyPatch) -> Small:
        forward = CHGNetPotential.forward

        def limited(module: CHGNetPotential, batch: PackedBatch, *rest: Any) -> dict[str, torch.Tensor]:
            self.asked.append(cost(batch))
            if self.asked[-1] > self.capacity:
                raise self.error(f"{CPU} {self.asked[-1]} bytes")
            return forward(module, batch, *rest)

        patch.setattr(CHGNetPotential, "forward", limited)
        return self


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    solids = list(READERS["solids"].read(DATA / "solids" / "solids.jsonl.gz", "r2SCAN"))[::25]
    dimers = list(READERS["diatomics"].read(DATA / "diatomics" / "diatomics-dft.json.gz", "r2SCAN"))[15::400]
    table = table_of([replace(frame, label_scale="one") for frame in (*solids, *dimers)])
    place = tmp_path_factory.mktemp("data")
    write_dataset(table, table.label("energy"), place, name="chgnet")
    return place


@pytest.fixture(scope="module")
def dataset(folder: Path) -> Dataset:
    return open_dataset(folder / "manifest.json")


@pytest.fixture(scope="module")
def everything(dataset: Dataset) -> Rows:
    return Rows(dataset, np.random.default_rng(1).permutation(len(dataset.energy)))


@pytest.fixture(scope="module")
def largest(everything: Rows) -> int:
    return int(everything.costs.max())


def gradient(model: Potential, rows: Rows, recipe: Training, limit: CostLimit) -> tuple[float, dict[str, Any]]:
    model.zero_grad()
    model.train()
    loss = accumulate_gradient(launch(recipe), model, [rows], targets=TARGETS, recipe=recipe, limit=limit)
    return loss, {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


# ------------------------------------------------------------------------------------------------- what is an error


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError(f"{CPU} 10 bytes. Error code 12 (Cannot allocate memory)"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:80] data. DefaultCPUAllocator: not enough memory: you tried"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        MemoryError(),
        np._core._exceptions._ArrayMemoryError((10**9,), np.dtype(float)),
    ],
    ids=str,
)
def test_memory_that_ran_out_is_known_by_its_error(error: Exception) -> None:
    assert is_out_of_memory(error)

    def fail() -> None:
        raise error

    assert isinstance(if_it_fits(fail), Shortage)


@pytest.mark.parametrize("error", [RuntimeError("mat1 and mat2 shapes cannot be multiplied"), ValueError("memory")])
def test_other_errors_are_raised(error: Exception) -> None:
    def fail() -> None:
        raise error

    with pytest.raises(type(error)) as found:
        if_it_fits(fail)
    assert found.value is error


def test_the_allocator_of_this_pytorch_is_understood() -> None:
    """The words are those of the installed version."""
    assert isinstance(if_it_fits(lambda: torch.empty(2**60, dtype=torch.uint8)), Shortage)


def test_what_the_failed_part_held_is_freed() -> None:
    class Held:
        alive = 0

        def __init__(self) -> None:
            Held.alive += 1

        def __del__(self) -> None:
            Held.alive -= 1

    def fail() -> None:
        held = Held()
        raise torch.OutOfMemoryError(f"with {held}")

    if_it_fits(fail)
    assert Held.alive == 0


# ---------------------------------------------------------------------------------------------------- one process


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("error", [torch.OutOfMemoryError, RuntimeError], ids=["GPU", "CPU"])
def test_a_batch_that_does_not_fit_is_cut_and_its_gradient_stays(
    everything: Rows,
    largest: int,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    threads: int,
    error: Callable[[str], Exception],
) -> None:
    model, recipe = load("chgnet-0.3.0").double(), Training(micro_batch_cost=10**9, threads=threads)
    loss, whole = gradient(model, everything, recipe, cost_limit(model, recipe))
    memory, limit = Small(largest, error).install(monkeypatch), cost_limit(model, recipe)
    with caplog.at_level(logging.WARNING):
        split_loss, split = gradient(model, everything, recipe, limit)
    assert split_loss == pytest.approx(loss, rel=1e-12)
    assert split.keys() == whole.keys()
    for name, value in whole.items():
        torch.testing.assert_close(split[name], value, atol=1e-11 * value.abs().max().item(), rtol=1e-9, msg=name)
    lines = [record.getMessage() for record in caplog.records]
    assert lines
    assert all("out of memory with" in line and "can't allocate memory" in line for line in lines)
    assert f"at most about {limit.value} instead of" in lines[-1]
    assert "instead of 1000000000" in lines[0]
    # it stays: the next batch is cut before anything fails
    failed = len(lines)
    memory.asked.clear()
    gradient(model, everything, recipe, limit)
    assert max(memory.asked) <= largest
    assert len(caplog.records) == failed


def test_a_part_that_fails_after_others_have_been_added_leaves_nothing_behind(
    everything: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory that runs out once, in the third of several parts: in the end no part is counted twice."""
    model, recipe = load("chgnet-0.3.0").double(), Training(micro_batch_cost=200)
    loss, whole = gradient(model, everything, recipe, CostLimit(200))
    real, calls = torch.autograd.grad, []

    def third(outputs: torch.Tensor, inputs: Any, *rest: Any, **options: Any) -> Any:
        calls.append(1)
        if len(calls) == 3:
            raise torch.OutOfMemoryError("once")
        return real(outputs, inputs, *rest, **options)

    monkeypatch.setattr(torch.autograd, "grad", third)
    again, found = gradient(model, everything, recipe, CostLimit(200))
    assert len(calls) > 6
    assert again == pytest.approx(loss, rel=1e-12)
    for name, value in whole.items():
        torch.testing.assert_close(found[name], value, atol=1e-11 * value.abs().max().item(), rtol=1e-9, msg=name)


def test_the_gradient_is_added_to_what_is_there(everything: Rows, largest: int, monkeypatch) -> None:
    model, recipe = architecture("chgnet").new(0).double(), Training()
    _, once = gradient(model, everything, recipe, CostLimit(10**9))
    Small(largest).install(monkeypatch)
    model.train()
    fabric = launch(recipe)
    accumulate_gradient(fabric, model, [everything], targets=TARGETS, recipe=recipe)
    for name, p in model.named_parameters():
        if p.grad is not None:
            scale = once[name].abs().max().item()
            torch.testing.assert_close(p.grad, 2 * once[name], atol=1e-11 * scale, rtol=1e-9, msg=name)


def test_a_structure_that_does_not_fit_alone_is_named(everything: Rows, largest: int, monkeypatch) -> None:
    memory = Small(largest - 1).install(monkeypatch)
    name = everything.dataset.keys[everything.rows[everything.costs.argmax()]]
    with pytest.raises(OutOfMemoryError, match=f"(?s)one structure at a time.*largest is {name} with {largest} edges"):
        gradient(architecture("chgnet").new(0), everything, Training(), CostLimit(10**9))
    assert len(memory.asked) < 200


def test_validation_and_prediction_fit_themselves_in(
    everything: Rows, largest: int, monkeypatch, caplog: pytest.LogCaptureFixture
) -> None:
    model, recipe = load("chgnet-0.3.0").double(), Training(micro_batch_cost=10**9)

    def scored() -> dict[str, float]:
        return evaluate_loss(launch(recipe), model, everything, targets=TARGETS, recipe=recipe)

    def predicted() -> dict[str, np.ndarray]:
        return predict(load("chgnet-0.3.0"), everything.dataset, everything.rows, targets=TARGETS)

    score, prediction = scored(), predicted()
    Small(largest).install(monkeypatch)
    assert scored() == pytest.approx(score, rel=1e-12)
    caplog.clear()
    for name, values in predicted().items():
        np.testing.assert_allclose(values, prediction[name], atol=2e-4, err_msg=name)
    assert "out of memory with" in caplog.text


def test_a_run_without_a_shortage_is_the_same_to_the_last_bit(everything: Rows, tmp_path: Path, monkeypatch) -> None:
    """A memory that is large enough changes nothing; one that is not changes the last digits only."""
    first, second, third = (architecture("chgnet").new(0) for _ in range(3))
    runs = [trained(first, everything, tmp_path / "a")]
    Small(10**9).install(monkeypatch)
    runs.append(trained(second, everything, tmp_path / "b"))
    memory = Small(int(everything.costs.max())).install(monkeypatch)
    runs.append(trained(third, everything, tmp_path / "c"))
    assert sum(asked > memory.capacity for asked in memory.asked) <= 8  # its limit stays from step to step
    assert repr(runs[0].history) == repr(runs[1].history)
    assert all(torch.equal(x, y) for x, y in zip(first.parameters(), second.parameters(), strict=True))
    for a, b in zip(runs[0].history, runs[2].history, strict=True):
        assert b == pytest.approx(a, rel=1e-3, nan_ok=True)
    assert not all(torch.equal(x, y) for x, y in zip(first.parameters(), third.parameters(), strict=True))


def trained(model: Potential, rows: Rows, state: Path, devices: int = 1) -> Any:
    recipe = Training(batch_size=16, validations=2, micro_batch_cost=10**9, devices=devices)
    return train(
        launch(recipe),
        model,
        rows,
        rows,
        targets=TARGETS,
        recipe=recipe,
        budget=Budget(steps=6),
        seed=0,
        state=state,
    )


# ------------------------------------------------------------------------------------------- several processes


def run_on(devices: int, folder: Path, out: Path, short: str) -> None:
    """Train on one or two processes; memory is short on the ranks that are named."""
    rank = int(os.environ.get("LOCAL_RANK", 0))
    logging.basicConfig(filename=f"{out}.rank{rank}.log", level=logging.INFO)
    dataset = open_dataset(folder / "manifest.json")
    rows = Rows(dataset, np.random.default_rng(1).permutation(len(dataset.energy)))
    if str(rank) in short:
        Small(int(rows.costs.max())).install(pytest.MonkeyPatch())
    model = architecture("chgnet").new(0)
    run = trained(model, rows, out.with_suffix(".ckpt"), devices)
    torch.save({"history": run.history, "model": model.state_dict()}, f"{out}.rank{rank}")


@pytest.mark.long
def test_processes_cut_their_own_shares_and_end_together(folder: Path, tmp_path: Path) -> None:
    """Memory is short on the second process alone, then on both: neither waits for the other for ever."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    for name, short in (("none", "-"), ("second", "1"), ("both", "01")):
        command = [sys.executable, __file__, "2", str(folder), str(tmp_path / name), short]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=180, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
    found = {file.name: torch.load(file) for file in tmp_path.glob("*.rank[01]")}
    assert len(found) == 6
    cut = {file.name for file in tmp_path.glob("*.log") if "out of memory with" in file.read_text()}
    assert cut == {"second.rank1.log", "both.rank0.log", "both.rank1.log"}
    for name in ("none", "second", "both"):
        first, other = found[f"{name}.rank0"], found[f"{name}.rank1"]
        assert repr(first["history"]) == repr(other["history"])
        assert all(torch.equal(value, other["model"][key]) for key, value in first["model"].items())
        for a, b in zip(found["none.rank0"]["history"], first["history"], strict=True):
            assert b == pytest.approx(a, rel=1e-3, nan_ok=True)


if __name__ == "__main__":
    run_on(int(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4])
