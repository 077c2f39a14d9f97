"""The gradient of one optimiser batch, computed in micro-batches and on one or several devices.

A batch is a stated number of structures, but structures differ a hundredfold in cost (edges + angles). So a batch is
dealt to the devices and then to micro-batches by cost. The loss is a mean over the labels of the whole batch; every
part divides by the counts of the whole, so that the parts' gradients add up to that of the batch in one.

When a part does not fit into memory, its batch is computed again in smaller parts (`models.memory`). Every process
decides that for itself: the parts of all of them meet in one sum at the end of the batch.

On a CPU the threads of a run take whole micro-batches: each stays in the cache of its core, and nobody waits at the end
of every small operation, as threads do that share operations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from uprung.config.training import Training
from uprung.datasets.store import Rows
from uprung.job.devices import claim
from uprung.models.interface import Potential
from uprung.models.memory import CostLimit, Shortage, if_it_fits
from uprung.training.losses import label_counts, loss_sums, pairs_of, total_loss
from uprung.training.processes import Alone, Processes

_TINY = 200  # cost below which a micro-batch of its own is not worth the Python around it
Result = TypeVar("Result")
Total = TypeVar("Total")


def launch(recipe: Training) -> Processes:
    """Start the processes of a run, one per device, and return this one's part in them.

    With several devices Lightning runs the calling script again for each of them, so this comes before anything that
    must happen once. The environment is Lightning's own, whatever scheduler started the job, because a run is one task.
    Operations get one thread: the run's threads share micro-batches.
    """
    torch.set_num_threads(1)
    claim(recipe.device, recipe.devices)
    if recipe.devices == 1:
        return Alone(recipe.device)
    from lightning.fabric import Fabric  # seconds that a run in one process does not need
    from lightning.fabric.plugins.environments import LightningEnvironment

    fabric = Fabric(
        accelerator=recipe.device,
        devices=recipe.devices,
        strategy="ddp",
        precision="32-true",
        plugins=LightningEnvironment(),
    )
    fabric.launch()
    processes: Processes = fabric
    return processes


def share(costs: NDArray[np.int64], ranks: int) -> list[NDArray[np.int64]]:
    """Deal a batch to ranks: the costliest structure first, each to the rank with the least so far (Graham 1969).

    Args:
        costs: (n,) cost of every structure.
        ranks: how many parts.

    Returns:
        Positions in `costs` of every part, ascending; a part is empty when there are fewer structures than ranks.
    """
    if ranks == 1:
        return [np.arange(len(costs))]
    load = np.zeros(ranks, dtype=np.int64)
    owner = np.empty(len(costs), dtype=np.int64)
    for k in np.argsort(-costs, kind="stable"):
        owner[k] = load.argmin()
        load[owner[k]] += costs[k]
    return [np.flatnonzero(owner == rank) for rank in range(ranks)]


def micro_batches(costs: NDArray[np.int64], limit: int, workers: int) -> list[NDArray[np.int64]]:
    """Deal structures to micro-batches of about equal cost.

    Args:
        costs: (n,) cost of every structure.
        limit: mean cost of the parts at most; one part may exceed it by a structure.
        workers: how many parts are computed at once; their number is a multiple of it, unless parts would be tiny.

    Returns:
        Positions in `costs` of every part, none for no structures.
    """
    total = int(costs.sum())
    parts = workers * -(-total // (workers * limit))
    parts = min(parts, max(-(-total // limit), total // _TINY), len(costs))
    return [part for part in share(costs, max(parts, 1)) if len(part)]


def _parts(fabric: Processes, batch: Sequence[Rows], limit: int, workers: int) -> list[Rows]:
    """Return the micro-batches of this process; each holds frames of one fidelity."""
    owned = share(np.concatenate([part.costs for part in batch]), fabric.world_size)[fabric.global_rank]
    found, start = list[Rows](), 0
    for part in batch:
        here = owned[(owned >= start) & (owned < start + len(part.rows))] - start
        mine = part.take(here)
        found += [mine.take(k) for k in micro_batches(mine.costs, limit, workers)]
        start += len(part.rows)
    return found


def _map(parts: Sequence[Rows], workers: int, function: Callable[[Rows], Result]) -> Iterator[Result]:
    """Yield what a function returns for some parts, in their order; threads compute them."""
    if min(len(parts), workers) == 1:
        yield from map(function, parts)
        return
    with ThreadPoolExecutor(workers) as pool:
        yield from pool.map(function, parts)


def cost_limit(potential: Potential, recipe: Training) -> CostLimit:
    """Return how much of a batch is computed at once: what the recipe says, or what suits the network on its device."""
    return CostLimit(recipe.micro_batch_cost or potential.trained_at_once[recipe.device])


def workers_of(recipe: Training) -> int:
    """Return how many micro-batches are computed at once by a device."""
    return recipe.threads if recipe.device == "cpu" else 1


def fold_parts(
    fabric: Processes,
    batch: Sequence[Rows],
    recipe: Training,
    limit: CostLimit,
    *,
    function: Callable[[Rows], Result],
    fold: Callable[[Iterator[Result]], Total],
) -> Total:
    """Return one result from the micro-batches of this process, which fit into its memory.

    Args:
        fabric: the processes; each takes its share of the frames.
        batch: frames, one entry per fidelity.
        recipe: how many micro-batches are computed at once.
        limit: cost of a micro-batch, lowered when memory runs out.
        function: what is computed for a micro-batch.
        fold: makes one result of those of the micro-batches, which come in a fixed order. It is called anew, and what
            it had is dropped, when memory runs out; so it must not change anything outside.

    Raises:
        OutOfMemoryError: a single structure does not fit.
    """
    workers = workers_of(recipe)
    while True:
        parts = _parts(fabric, batch, limit.value, workers)
        found = if_it_fits(lambda parts=parts: fold(_map(parts, workers, function)))  # type: ignore[misc]
        if not isinstance(found, Shortage):
            return found
        limit.lower(parts, found)


def accumulate_gradient(
    fabric: Processes,
    potential: Potential,
    batch: Sequence[Rows],
    *,
    targets: Sequence[str],
    recipe: Training,
    limit: CostLimit | None = None,
) -> float:
    """Add the gradient of the loss of an optimiser batch to `.grad` of the parameters, on every process alike.

    Args:
        fabric: the processes; each computes its share of the frames.
        potential: in training mode.
        batch: the whole optimiser batch, the same on every process; one entry per fidelity.
        targets: what is in the loss.
        recipe: loss and cost of a micro-batch.
        limit: cost of a micro-batch where it may be lower than the recipe's, after memory has run out.

    Returns:
        The loss of the whole batch.

    Raises:
        OutOfMemoryError: a single structure does not fit.
    """
    counts = [label_counts(part.labels, targets) for part in batch]
    count = {target: sum(found[target] for found in counts) for target in targets}
    weights = recipe.weights.model_dump()
    parameters = [p for p in potential.parameters() if p.requires_grad]

    def part(chunk: Rows) -> tuple[Tensor, tuple[Tensor | None, ...]]:
        pairs = pairs_of(predictions(potential, chunk, targets), chunk.labels, targets)
        loss = total_loss(loss_sums(pairs, recipe.huber_delta), count, weights)
        # Not backward(): threads would add to the same gradients at once, in any order.
        return loss.detach(), torch.autograd.grad(loss, parameters, allow_unused=True)

    def fold(parts: Iterator[tuple[Tensor, tuple[Tensor | None, ...]]]) -> tuple[Tensor, list[Tensor | None]]:
        total = torch.zeros((), device=fabric.device, dtype=torch.float64)
        sums: list[Tensor | None] = [None] * len(parameters)
        for loss, gradients in parts:
            total += loss
            sums = [plus(known, gradient) for known, gradient in zip(sums, gradients, strict=True)]
        return total, sums

    limit = limit or cost_limit(potential, recipe)
    total, sums = fold_parts(fabric, batch, recipe, limit, function=part, fold=fold)
    for p, gradient in zip(parameters, sums, strict=True):
        p.grad = plus(p.grad, gradient)
    return _sum_over_processes(fabric, potential, total)


def plus(total: Tensor | None, gradient: Tensor | None) -> Tensor | None:
    """Return the sum of two gradients, either of which may be missing; the first is changed."""
    if total is None or gradient is None:
        return gradient if total is None else total
    return total.add_(gradient)


def predictions(potential: Potential, chunk: Rows, targets: Sequence[str]) -> dict[str, Tensor]:
    """Return what a network predicts for some structures, as tensors on its device."""
    found: dict[str, Tensor] = potential(potential.batch(chunk.dataset.inputs, chunk.rows), targets, chunk.side)
    return found


def _sum_over_processes(fabric: Processes, module: nn.Module, loss: Tensor) -> float:
    """Replace gradients by their sums over the processes and return the sum of the losses.

    One sum of one vector: a wrapper of the module would have to look for the parameters without a gradient (no angle
    in the batch, no target that needs them) at every step. A parameter that no process touched keeps none.
    """
    if fabric.world_size > 1:
        parameters = [p for p in module.parameters() if p.requires_grad]
        used = loss.new_tensor([p.grad is not None for p in parameters])
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        flat = torch.cat([*(g.reshape(-1).double() for g in gradients), used, loss.reshape(1)])
        flat = sum_over_processes(fabric, flat)
        sizes = [p.numel() for p in parameters]
        *gradients, used, loss = torch.split(flat, [*sizes, len(parameters), 1])
        for p, gradient, n in zip(parameters, gradients, used.tolist(), strict=True):
            p.grad = gradient.view_as(p).to(p.dtype) if n else None
    return float(loss)


def sum_over_processes(fabric: Processes, values: Tensor) -> Tensor:
    """Return the sum of a tensor over the processes, on every one of them."""
    result = fabric.all_reduce(values, reduce_op="sum")
    assert isinstance(result, Tensor)
    return result
