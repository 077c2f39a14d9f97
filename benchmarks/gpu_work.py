"""What the parts of `gpu.py` share: options, rows of results, structures, a clock, a training step."""

from __future__ import annotations

import json
import math
import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sides import memory, reset_peak
from throughput_sides import RATE, TARGETS, frames_of

from uprung.config.training import Training
from uprung.datasets.store import Dataset, Rows
from uprung.models.chgnet import padding
from uprung.models.chgnet.batch import PackedBatch
from uprung.models.chgnet.checkpoint import shipped_chgnet
from uprung.models.chgnet.potential import CHGNetPotential
from uprung.models.chgnet.store import Graphs
from uprung.models.data import dataset_of
from uprung.models.memory import CostLimit
from uprung.training.adam import Adam
from uprung.training.captured import CapturedGradient
from uprung.training.gradient import accumulate_gradient
from uprung.training.processes import Alone

WHOLE = 10**12  # cost limit under which a batch is computed at once


@dataclass(frozen=True)
class Options:
    """What a part is told: device, size of the work, and until when it may measure (`time.monotonic`)."""

    device: str
    set_name: str
    structures: int
    batches: Sequence[int]
    repeats: int
    output: Path
    ends: float
    backend: str

    @property
    def left(self) -> float:
        """Seconds that are left."""
        return self.ends - time.monotonic()


class Sink:
    """Rows of a part, in a file as soon as they are there, so that a part that is stopped keeps what it had."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.unlink(missing_ok=True)

    def __call__(self, what: str, **values: Any) -> None:
        """Add a row: what it is about, and numbers or words by name."""
        with self.path.open("a", encoding="utf-8") as stream:
            # JSON has no nan and no infinity
            plain = {name: str(v) if isinstance(v, float) and not math.isfinite(v) else v for name, v in values.items()}
            stream.write(json.dumps({"what": what, **plain}, default=float, allow_nan=False) + "\n")


def wait(device: str) -> None:
    """Wait until a device has done all that it was told."""
    if device == "cuda":
        torch.cuda.synchronize()


def timed(device: str, work: Callable[[], object]) -> float:
    """Return the seconds that some work takes, its kernels included."""
    wait(device)
    began = time.perf_counter()
    work()
    wait(device)
    return time.perf_counter() - began


def peak_mib(device: str, work: Callable[[], object]) -> float | None:
    """Return the highest memory while some work is done: of the allocator on a GPU, of the process on a CPU."""
    if device != "cuda":
        reset_peak([os.getpid()])
        work()
        return memory("VmHWM")
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    work()
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated() / 2**20


def in_turn(
    options: Options, sides: Mapping[str, Callable[[], object]], *, warm_up: int = 2
) -> tuple[dict[str, list[float]], dict[str, str]]:
    """Time sides in turn, as often as told and as time is left, at least once.

    Returns:
        Seconds of every repeat by side, and why sides that failed did.
    """
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    failed: dict[str, str] = {}
    for repeat in range(options.repeats):
        if repeat and options.left < 2 * sum(each[-1] for each in seconds.values() if each):
            break
        for name in list(sides) if repeat % 2 == 0 else list(sides)[::-1]:
            if name in failed:
                continue
            try:
                for _ in range(warm_up if repeat == 0 else 0):
                    sides[name]()
                seconds[name].append(timed(options.device, sides[name]))
            except Exception as error:  # a row with the reason, and the other side goes on
                failed[name] = reason(error)
                seconds[name] = []
                if options.device == "cuda":
                    torch.cuda.empty_cache()
    return seconds, failed


def reason(error: BaseException) -> str:
    """Return the first line of an error, with its kind."""
    return f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')[:160]}"


def spread(seconds: Sequence[float], structures: int) -> dict[str, float]:
    """Return milliseconds of a step, the median and the extremes, and structures per second at the median."""
    if not seconds:
        return {}
    middle = statistics.median(seconds)
    return {
        "ms": round(1000 * middle, 3),
        "low_ms": round(1000 * min(seconds), 3),
        "high_ms": round(1000 * max(seconds), 3),
        "per_second": round(structures / middle, 1),
        "repeats": len(seconds),
    }


def against(seconds: Mapping[str, Sequence[float]], base: str, other: str) -> dict[str, float]:
    """Return how many times faster a side is than another: of the medians, and the extremes of any one repeat."""
    if not (seconds[base] and seconds[other]):
        return {}
    each = [a / b for a, b in zip(seconds[base], seconds[other], strict=False)]
    ratio = statistics.median(seconds[base]) / statistics.median(seconds[other])
    return {"ratio": round(ratio, 3), "low_ratio": round(min(each), 3), "high_ratio": round(max(each), 3)}


def network(device: str, dtype: torch.dtype = torch.float32) -> CHGNetPotential:
    """Return the network of the 0.3.0 checkpoint, in training mode."""
    potential = CHGNetPotential(shipped_chgnet("chgnet-0.3.0")).to(device, dtype)
    potential.train()
    return potential


class Work:
    """Structures of a set with labels, in a fixed random order, and the training step of uprung on them."""

    def __init__(self, options: Options, data: Any) -> None:
        frames = frames_of(data)
        self.options, self.device = options, options.device
        self.dataset: Dataset = dataset_of(frames, frames.label("energy"), name="chgnet")
        assert isinstance(self.dataset.inputs, Graphs)
        self.graphs: Graphs = self.dataset.inputs
        self.order = np.random.default_rng(0).permutation(len(self.graphs))[: options.structures]
        self.recipe = Training(device="cuda" if self.device == "cuda" else "cpu", threads=torch.get_num_threads())
        self.fabric = Alone(self.device)

    def rows(self, batch: int, k: int = 0) -> np.ndarray:
        """Return the rows of batch k; structures come again where the set is smaller than that."""
        return np.resize(np.roll(self.order, -k * batch), batch)

    def gradient(self, potential: CHGNetPotential, rows: np.ndarray, limit: int | None = None) -> float:
        """Compute the loss of a batch and the gradients of all parameters, as a training run does."""
        for p in potential.parameters():
            p.grad = None
        return accumulate_gradient(
            self.fabric,
            potential,
            [Rows(self.dataset, rows)],
            targets=TARGETS,
            recipe=self.recipe,
            limit=CostLimit(limit) if limit else None,
        )

    def stepper(self, potential: CHGNetPotential) -> Callable[[np.ndarray], float]:
        """Return what does an optimiser step on a batch, as a training run does between two validations."""
        optimiser = Adam([p for p in potential.parameters() if p.requires_grad])

        def step(rows: np.ndarray) -> float:
            loss = self.gradient(potential, rows)
            optimiser.step(RATE)
            return loss

        return step

    def batch(self, rows: np.ndarray, dtype: torch.dtype = torch.float32) -> PackedBatch:
        """Return structures as a batch on the device."""
        return PackedBatch.from_arrays(self.graphs.pack(rows), self.device, dtype)

    def captured(self, potential: CHGNetPotential, batches: Sequence[np.ndarray]) -> CapturedGradient:
        """Return what computes the loss and the gradient of batches in turn by CUDA graphs, as training runs do."""
        found = CapturedGradient(
            potential,
            padding,
            lambda k: [Rows(self.dataset, batches[k % len(batches)])],
            10**9,
            targets=TARGETS,
            recipe=self.recipe,
            limit=CostLimit(self.recipe.micro_batch_cost or potential.trained_at_once[self.device]),
            otherwise=lambda k: math.nan,
        )
        found.record()
        return found

    def replayer(self, potential: CHGNetPotential, batches: Sequence[np.ndarray]) -> Callable[[int], float]:
        """Return what does an optimiser step on batch k by CUDA graphs."""
        optimiser = Adam([p for p in potential.parameters() if p.requires_grad])
        captured = self.captured(potential, batches)

        def step(k: int) -> float:
            loss = captured(k)
            optimiser.step(RATE)
            return loss

        return step
