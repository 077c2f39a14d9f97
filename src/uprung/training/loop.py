"""Training of one run: the published recipe, in optimiser steps, resumable to the same numbers.

Recipe and schedule follow Huang et al., npj Comput. Mater. 11, 313 (2025). Every choice of the data order
is a function of seed and step alone, so that a run that was interrupted continues as if it had not been.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from uprung.config.training import Budget, Training
from uprung.datasets.store import Rows
from uprung.job.logs import progress
from uprung.models.interface import REFERENCES, Potential
from uprung.models.memory import CostLimit
from uprung.training.adam import Adam
from uprung.training.arms import ReplayedFrames
from uprung.training.captured import captured
from uprung.training.fisher import Elastic, ElasticPull
from uprung.training.gradient import accumulate_gradient, cost_limit, fold_parts, predictions, sum_over_processes
from uprung.training.losses import error_sums, label_counts, loss_sums, pairs_of
from uprung.training.processes import Processes
from uprung.training.resume import TrainingRun, identity_of, resume_state, save_state

LOG = logging.getLogger(__name__)


class TrainingError(RuntimeError):
    """A run cannot go on; the message says at which step and why."""


@dataclass(frozen=True)
class Schedule:
    """Length of a run in optimiser steps, and what happens at each of them."""

    n_train: int
    batch_size: int
    steps: int
    seed: int

    @property
    def steps_per_epoch(self) -> int:
        """Optimiser steps in one pass; the last batch of a pass may be smaller."""
        return math.ceil(self.n_train / self.batch_size)

    def batch(self, step: int) -> NDArray[np.int64]:
        """Return which training frames step `step` (from 0) sees: a permutation per pass, cut into batches."""
        epoch, k = divmod(step, self.steps_per_epoch)
        order = np.random.default_rng([self.seed, epoch]).permutation(self.n_train)
        return order[k * self.batch_size : (k + 1) * self.batch_size]

    def validation_steps(self, count: int) -> set[int]:
        """Return the numbers of finished steps after which the validation set is scored; the last is one of them."""
        return {max(1, round(self.steps * (k + 1) / count)) for k in range(count)}


def schedule(budget: Budget, n_train: int, batch_size: int, seed: int) -> Schedule:
    """Turn a budget in epochs or steps into a schedule for a subset of `n_train` frames."""
    steps = budget.steps or (budget.epochs or 0) * math.ceil(n_train / batch_size)
    return Schedule(n_train, batch_size, steps, seed)


class Batches:
    """The optimiser batches of a run, a function of the step alone."""

    def __init__(
        self, frames: Rows, batch_size: int, budget: Budget, seed: int, replay: ReplayedFrames | None = None
    ) -> None:
        """Plan the run; `batch_size` counts the frames of both fidelities, an epoch those of the target alone."""
        self.frames, self.replay = frames, replay
        count = min(max(round(batch_size * replay.fraction), 1), batch_size - 1) if replay else 0
        self.plan = schedule(budget, len(frames.rows), batch_size - count, seed)
        # Another stream of random numbers than the target's, which therefore is that of a run without replay.
        self.replay_plan = (
            Schedule(len(replay.frames.rows), count, self.plan.steps, seed + 2**32) if replay is not None else None
        )

    def at(self, step: int) -> list[Rows]:
        """Return the batch of step `step` (from 0), one entry per fidelity."""
        batch = [self.frames.take(self.plan.batch(step))]
        if self.replay is not None and self.replay_plan is not None:
            batch.append(self.replay.frames.take(self.replay_plan.batch(step)))
        return batch


class L2SP:
    """L2-SP: a quadratic pull of the network's trainable weights towards where they began."""

    def __init__(self, potential: Potential, strength: float | None) -> None:
        """Remember the weights as they are; None pulls nothing."""
        layers = {} if strength is None else potential.layers()
        network = [p for layer, parameters in layers.items() if layer != REFERENCES for p in parameters]
        self.strength = strength or 0.0
        self.pairs = [(p, p.detach().clone()) for p in network if p.requires_grad]

    def add_gradient(self) -> None:
        """Add α·(w − w₀) to the gradients; a weight without one gets it."""
        for p, start in self.pairs:
            gap = (p.detach() - start) * self.strength
            p.grad = gap if p.grad is None else p.grad.add_(gap)


def gradient_norms(potential: Potential) -> dict[str, float]:
    """Return the norm of the gradient in every layer of the network, NaN where it has none.

    Embeddings, convolutions by block, readout, as in figure 3 of Huang et al., npj Comput. Mater. 11, 313 (2025).
    """
    norms = {}
    for layer, parameters in potential.layers().items():
        squares = [p.grad.detach().double().square().sum() for p in parameters if p.grad is not None]
        norms[f"grad_{layer}"] = math.sqrt(float(torch.stack(squares).sum())) if squares else math.nan
    return norms


def learning_rate(step: int, steps: int, first: float, last: float) -> float:
    """Cosine from `first` to `last` over the optimiser steps of a run, whatever the size of its data."""
    return last + (first - last) * 0.5 * (1 + math.cos(math.pi * min(step / max(steps - 1, 1), 1.0)))


def evaluate_loss(
    fabric: Processes,
    potential: Potential,
    frames: Rows,
    *,
    targets: Sequence[str],
    recipe: Training,
    limit: CostLimit | None = None,
    watched: Sequence[str] = (),
) -> dict[str, float]:
    """Return the loss and the mean absolute error of every target over some frames, on every process alike.

    Targets that are only watched have an error and no part in the loss.
    """
    potential.eval()
    asked = list(dict.fromkeys([*targets, *watched]))
    count = label_counts(frames.labels, asked)
    nothing = torch.zeros(2, len(asked), dtype=torch.float64, device=fabric.device)
    limit = limit or cost_limit(potential, recipe)

    def part(chunk: Rows) -> Tensor:
        pairs = pairs_of(predictions(potential, chunk, asked), chunk.labels, asked)
        lines = (loss_sums(pairs, recipe.huber_delta), error_sums(pairs))
        return torch.stack([torch.stack([line[t].detach().double() for t in asked]) for line in lines])

    sums = fold_parts(fabric, [frames], recipe, limit, function=part, fold=lambda found: sum(found, start=nothing))
    huber, absolute = sum_over_processes(fabric, sums).tolist()
    weights = recipe.weights.model_dump()
    result = {f"val_{t}": e / count[t] if count[t] else math.nan for t, e in zip(asked, absolute, strict=True)}
    losses = dict(zip(asked, huber, strict=True))
    result["val_loss"] = sum(weights[t] * losses[t] / count[t] for t in targets if count[t])
    return result


def train(
    fabric: Processes,
    potential: Potential,
    frames: Rows,
    validation: Rows,
    *,
    targets: Sequence[str],
    recipe: Training,
    budget: Budget,
    seed: int,
    state: Path,
    replay: ReplayedFrames | None = None,
    l2_sp: float | None = None,
    ewc: Elastic | None = None,
    watched: Sequence[str] = (),
    code: str = "",
    what: str = "training",
    watch: Callable[[Sequence[Mapping[str, float]]], None] = lambda history: None,
) -> TrainingRun:
    """Train a network in place; it ends with the weights of the last step, `Run.best` holds the best ones.

    Args:
        fabric: the processes that share each optimiser batch; all of them call this with the same arguments.
        potential: initialised network; parameters that do not require a gradient stay as they are.
        frames: the training subset.
        validation: the validation split.
        targets: what is in the loss.
        recipe: batch size, learning rates, loss.
        budget: length and which checkpoint counts as best.
        seed: of the data order.
        state: file of the resumable checkpoint; removed by the caller when the outputs are written.
        replay: source frames that take a share of every optimiser batch.
        l2_sp: strength α of the pull α/2·|w − w₀|² towards the initial weights of the network (Li et al., ICML 2018,
            L2-SP); reference energies are not pulled.
        ewc: pull towards the initial weights by their Fisher information.
        watched: targets whose validation errors are in the history, beside those in the loss; they decide nothing.
        code: fingerprint of the job's code; a state that was written under another one is not continued.
        what: name of the run on the progress bar.
        watch: gets the whole history after every validation, and when a run goes on; on the first process alone.

    Raises:
        TrainingError: no frame to train on or to validate with; a loss that is not finite, with the step.
        OutOfMemoryError: a single structure does not fit into memory.
    """
    for part, side in ((frames, "training"), (validation, "validation")):
        if not len(part.rows):
            raise TrainingError(f"no {side} frame; give `split` other shares or another key, or use more data")
    fabric.to_device(potential)
    trainable = [p for p in potential.parameters() if p.requires_grad]
    optimiser = Adam(trainable)
    batches = Batches(frames, recipe.batch_size, budget, seed, replay)
    steps = batches.plan.steps
    score = "val_energy" if budget.keep == "val-energy" else "val_loss"
    window: list[float] = []  # losses since the last validation
    limit = cost_limit(potential, recipe)  # a resumed run begins with the recipe's again
    others = {
        "replay": asdict(batches.replay_plan) if batches.replay_plan else None,
        **{"l2_sp": l2_sp, "ewc": ewc.digest if ewc else None},
    }
    identity = identity_of(
        potential,
        [frames, validation, *([replay.frames] if replay else [])],
        facts={
            "plan": asdict(batches.plan),
            **others,
            "targets": list(targets),
            "watched": list(watched),
            "score": score,
        },
        recipe=recipe,
        code=code,
    )
    pulls = (L2SP(potential, l2_sp), ElasticPull(potential, ewc))
    run = resume_state(state, identity, potential, optimiser, window, fabric.device) or TrainingRun()
    validate_at = batches.plan.validation_steps(recipe.validations)
    begin = saved = time.monotonic()
    before = run.seconds

    gradient = captured(
        potential,
        batches.at,
        steps,
        targets=targets,
        recipe=recipe,
        limit=limit,
        otherwise=lambda step: accumulate_gradient(
            fabric, potential, batches.at(step), targets=targets, recipe=recipe, limit=limit
        ),
    )

    def rate() -> float:
        return learning_rate(run.step, steps, recipe.learning_rate, recipe.final_learning_rate)

    def validate(norms: dict[str, float]) -> None:
        values = evaluate_loss(
            fabric, potential, validation, targets=targets, recipe=recipe, limit=limit, watched=watched
        )
        course = {"step": run.step, "epoch": run.step / batches.plan.steps_per_epoch, "learning_rate": rate()}
        _record(run, potential, course, window, values | norms, score)
        if fabric.is_global_zero:
            watch(run.history)
        maes = "  ".join(f"{t} {values[f'val_{t}']:.4g}" for t in targets)
        train_loss = run.history[-1]["train_loss"]
        loss = f"loss {train_loss:.4g}  " if math.isfinite(train_loss) else ""  # none before the first step
        LOG.info("step %d of %d  %svalidation MAE: %s", run.step, steps, loss, maes)

    if not run.history:
        validate(gradient_norms(potential))
    elif fabric.is_global_zero:
        watch(run.history)
    with progress(steps, what, "step", start=run.step, show=fabric.is_global_zero) as bar:
        while run.step < steps:
            potential.train()
            optimiser.zero_grad()
            loss = gradient(run.step)
            if not math.isfinite(loss):
                raise TrainingError(f"the loss is {loss} at step {run.step}; lower training.learning_rate")
            for pull in pulls:
                pull.add_gradient()
            scored = run.step + 1 in validate_at
            norms = gradient_norms(potential) if scored else {}
            if recipe.clip_norm is not None:
                nn.utils.clip_grad_norm_(trainable, recipe.clip_norm)
            optimiser.step(rate())
            run.step += 1
            window.append(loss)
            bar.update()
            if scored:
                validate(norms)
            now = time.monotonic()
            if scored or now - saved > 60 * recipe.checkpoint_minutes:
                run.seconds, saved = before + now - begin, now
                if fabric.is_global_zero:
                    save_state(state, identity, run, potential, optimiser, window)
    run.seconds = before + time.monotonic() - begin
    return run


def _record(
    run: TrainingRun,
    potential: Potential,
    course: dict[str, float],
    window: list[float],
    values: dict[str, float],
    score: str,
) -> None:
    """Add a line to the history, empty the window of losses, keep the weights if they are the best so far."""
    train_loss = float(np.mean(window)) if window else math.nan
    window.clear()
    run.history.append({**course, "train_loss": train_loss, **values})
    if values[score] < run.best_score:
        run.best_score, run.best_step = values[score], run.step
        run.best = {name: value.detach().cpu().clone() for name, value in potential.state_dict().items()}
