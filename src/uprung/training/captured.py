"""Gradients by CUDA graphs: a GPU repeats a step that it was told once, instead of being told thousands of operations.

A step on a few structures is over before the host has named the next operation, so that a GPU waits for most of the
time. A CUDA graph names them all at once, for tensors of one shape. Micro-batches are filled up with ghosts to a few
shapes (`FixedShapes`); loss and gradients are those of the batch up to the order of sums. A batch that is too large for
the shapes is computed as it comes. The next batch is made while the GPU works.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any, NamedTuple

import torch
from torch import Tensor

from uprung.config.training import Training
from uprung.datasets.store import Rows
from uprung.models.interface import FixedShapes, Potential
from uprung.models.memory import CostLimit, Shortage, if_it_fits
from uprung.training.gradient import micro_batches, plus
from uprung.training.losses import label_counts
from uprung.training.padded import PaddedLabels, padded_labels, padded_loss

LOG = logging.getLogger(__name__)
CLASSES = 3  # sizes that batches are filled up to
PLANNED = 1000  # optimiser batches that decide about the sizes
LEAST_STEPS = 100  # below which recording takes longer than it saves
Gradient = Callable[[int], float]


class Filled(NamedTuple):
    """A micro-batch and its labels, filled up to a size class."""

    size: Any
    batch: Any
    labels: PaddedLabels


class StaticStep:
    """Loss and gradients for the batches of one size class, from buffers that stay where they are.

    On a GPU the work is recorded as a CUDA graph after warming up on the stream that records: what a first call sets up
    (handles, workspaces, autograd's streams) must not happen meanwhile. Nothing in it asks the device, and no shape
    depends on the batch. Gradients are tensors of the graph: each replay overwrites them, as it may those of other
    graphs of the pool, so they are used or copied before the next replay.
    """

    def __init__(self, potential: Potential, targets: Sequence[str], delta: float, first: Filled, pool: Any) -> None:
        """Take the first batch as the buffers, and record what is done with them."""
        self.potential, self.targets, self.delta = potential, targets, delta
        self.parameters = [p for p in potential.parameters() if p.requires_grad]
        self.batch = type(first.batch)(**{f.name: _copy(getattr(first.batch, f.name)) for f in fields(first.batch)})
        self.labels = PaddedLabels(*({name: _copy(value) for name, value in part.items()} for part in first.labels))
        self.graph: torch.cuda.CUDAGraph | None = None
        self.loss = torch.zeros(())
        self.gradients: Sequence[Tensor | None] = []
        if next(potential.parameters()).is_cuda:
            self._record(pool)

    def _record(self, pool: Any) -> None:
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(3):
                self._compute()
            stream.synchronize()
            self.graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self.graph, pool=pool, stream=stream):
                self._compute()
        torch.cuda.current_stream().wait_stream(stream)

    def _compute(self) -> None:
        found = self.potential(self.batch, self.targets)
        loss = padded_loss(found, self.labels, self.targets, self.delta)
        self.gradients = torch.autograd.grad(loss, self.parameters, allow_unused=True)
        self.loss = loss.detach()

    def __call__(self, filled: Filled) -> Tensor:
        """Compute another batch of the class into `gradients`; the loss that it returns stays on the device."""
        for field in fields(self.batch):
            if isinstance(buffer := getattr(self.batch, field.name), Tensor):
                buffer.copy_(getattr(filled.batch, field.name), non_blocking=True)
        for mine, new in zip(self.labels, filled.labels, strict=True):
            for name, buffer in mine.items():
                buffer.copy_(new[name], non_blocking=True)
        if self.graph is None:
            self._compute()
        else:
            self.graph.replay()
        return self.loss


def _copy(value: Any) -> Any:
    return value.detach().clone() if isinstance(value, Tensor) else value


class CapturedGradient:
    """The gradient of the batch of a step, in `.grad` of the parameters, and its loss."""

    def __init__(
        self,
        potential: Potential,
        shapes: FixedShapes,
        at: Callable[[int], Sequence[Rows]],
        steps: int,
        *,
        targets: Sequence[str],
        recipe: Training,
        limit: CostLimit,
        otherwise: Gradient,
        classes: int = CLASSES,
    ) -> None:
        """Choose the size classes.

        Args:
            potential: in training mode when it is called.
            shapes: what fills up its batches.
            at: step -> its batch, of one fidelity.
            steps: of the run.
            targets: what is in the loss.
            recipe: loss.
            limit: cost of a micro-batch.
            otherwise: computes the gradient for a step of whose batch a part has no class.
            classes: how many at most.
        """
        self.potential, self.shapes, self.at, self.steps = potential, shapes, at, steps
        self.targets, self.recipe, self.limit, self.otherwise = targets, recipe, limit, otherwise
        self.weights = recipe.weights.model_dump()
        self.device = next(potential.parameters()).device
        self.parameters = [p for p in potential.parameters() if p.requires_grad]
        sizes = {step: [self.size(part) for part in self.parts(step)] for step in range(min(steps, PLANNED))}
        self.classes = shapes.size_classes([size for each in sizes.values() for size in each], classes)
        self._examples = {shapes.fitting(size, self.classes): step for step, each in sizes.items() for size in each}
        self._recorded: dict[Any, StaticStep] = {}
        self._next: tuple[int, list[Filled] | None] | None = None

    def record(self) -> None:
        """Record the step of every class, the largest first, in whose memory the others find room."""
        began = time.monotonic()
        pool = torch.cuda.graph_pool_handle() if self.device.type == "cuda" else None
        for size in reversed(self.classes):
            first = next(part for part in self._filled(self._examples[size]) or () if part.size == size)
            self._recorded[size] = StaticStep(self.potential, self.targets, self.recipe.huber_delta, first, pool)
        LOG.info("CUDA graphs of %d sizes of batches, %.1f s", len(self._recorded), time.monotonic() - began)

    def parts(self, step: int) -> list[Rows]:
        """Return the micro-batches of a step."""
        (batch,) = self.at(step)
        return self._cut(batch)

    def _cut(self, batch: Rows) -> list[Rows]:
        return [batch.take(part) for part in micro_batches(batch.costs, self.limit.value, 1)]

    def size(self, part: Rows) -> Any:
        """Return what a micro-batch has, before it is filled up."""
        return self.shapes.sizes_at(part.dataset.inputs, part.rows)

    def _filled(self, step: int) -> list[Filled] | None:
        """Return the micro-batches of a step, filled up; None where one has no class."""
        (batch,) = self.at(step)
        count = label_counts(batch.labels, self.targets)  # of the whole batch
        found = []
        for part in self._cut(batch):
            size = self.shapes.fitting(self.size(part), self.classes)
            if size is None:
                return None
            room = {"structures": size.structures, "atoms": size.atoms, "device": self.device}
            labels = padded_labels(part.labels, count, self.weights, **room)
            made = self.shapes.padded(self.potential.batch(part.dataset.inputs, part.rows), size)
            found.append(Filled(size, made, labels))
        return found

    def __call__(self, step: int) -> float:
        """Compute the gradient for the batch of a step (from 0) and return its loss."""
        known, self._next = self._next, None
        parts = known[1] if known and known[0] == step else self._filled(step)
        if parts is None:
            return self.otherwise(step)
        loss = torch.zeros((), dtype=torch.float64, device=self.device)
        sums: list[Tensor | None] = [None] * len(self.parameters)
        for part in parts:
            static = self._recorded[part.size]
            loss += static(part)
            mine = static.gradients
            if len(parts) > 1:  # the next replay overwrites them
                mine = [None if gradient is None else gradient.clone() for gradient in mine]
            sums = [plus(known, gradient) for known, gradient in zip(sums, mine, strict=True)]
        for p, gradient in zip(self.parameters, sums, strict=True):
            p.grad = gradient
        if step + 1 < self.steps:
            self._next = step + 1, self._filled(step + 1)
        return float(loss)  # waits for the device


def captured(
    potential: Potential,
    at: Callable[[int], Sequence[Rows]],
    steps: int,
    *,
    targets: Sequence[str],
    recipe: Training,
    limit: CostLimit,
    otherwise: Gradient,
) -> Gradient:
    """Return what computes the gradient of a step: by CUDA graphs where these are possible and worth it.

    They are where the recipe allows them, one GPU computes a run of some length on one fidelity, and the architecture
    can fill up batches. Arguments are those of `CapturedGradient`.
    """
    possible = recipe.device == "cuda" and recipe.devices == 1 and recipe.cuda_graphs and steps >= LEAST_STEPS
    if not possible or potential.shapes is None or len(at(0)) > 1:
        return otherwise
    found = CapturedGradient(
        potential, potential.shapes, at, steps, targets=targets, recipe=recipe, limit=limit, otherwise=otherwise
    )
    potential.train()
    if isinstance(short := if_it_fits(found.record), Shortage):
        LOG.warning("no CUDA graphs: they do not fit into memory (%s)", short.reason)
        return otherwise
    return found
