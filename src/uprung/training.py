"""Training of one run: the published recipe, in optimiser steps, resumable to the same numbers.

Recipe and schedule follow Huang et al., npj Comput. Mater. 11, 313 (2025). Every choice of the data order
is a function of seed and step alone, so that a run that was interrupted continues as if it had not been.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from chgnet.model import CHGNet
from lightning.fabric import Fabric
from numpy.typing import NDArray
from torch import Tensor, nn

from uprung.config.base import SYMBOLS
from uprung.config.training import Budget, Training
from uprung.dataset import Dataset, rows_of
from uprung.files import sha256
from uprung.logs import progress
from uprung.losses import error_sums, label_counts, loss_sums, pairs_of
from uprung.potential.checkpoint import save_chgnet
from uprung.potential.module import Packed
from uprung.provenance import hardware, versions
from uprung.run_state import Run, identity_of, resume_state, save_state
from uprung.step import accumulate_gradient, batch_of, map_parts, sum_over_processes

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


def learning_rate(step: int, steps: int, first: float, last: float) -> float:
    """Cosine from `first` to `last` over the optimiser steps of a run, whatever the size of its data."""
    return last + (first - last) * 0.5 * (1 + math.cos(math.pi * min(step / max(steps - 1, 1), 1.0)))


def evaluate_loss(
    fabric: Fabric,
    module: nn.Module,
    dataset: Dataset,
    rows: NDArray[np.int64],
    *,
    targets: Sequence[str],
    recipe: Training,
) -> dict[str, float]:
    """Return the loss and the mean absolute error of every target over some frames, on every process alike."""
    module.eval()
    count = label_counts(dataset.labels(rows), targets)
    sums = torch.zeros(2, len(targets), dtype=torch.float64, device=fabric.device)

    def part(chunk: NDArray[np.int64]) -> Tensor:
        pairs = pairs_of(module(batch_of(module, dataset, chunk)), dataset.labels(chunk), targets)
        lines = (loss_sums(pairs, recipe.huber_delta), error_sums(pairs))
        return torch.stack([torch.stack([line[t].detach().double() for t in targets]) for line in lines])

    for found in map_parts(fabric, dataset, rows, recipe, part):
        sums += found
    huber, absolute = sum_over_processes(fabric, sums).tolist()
    weights = recipe.weights.model_dump()
    result = {f"val_{t}": e / count[t] if count[t] else math.nan for t, e in zip(targets, absolute, strict=True)}
    result["val_loss"] = sum(weights[t] * h / count[t] for t, h in zip(targets, huber, strict=True) if count[t])
    return result


def train(
    fabric: Fabric,
    model: CHGNet,
    dataset: Dataset,
    train_rows: NDArray[np.int64],
    val_rows: NDArray[np.int64],
    *,
    targets: Sequence[str],
    recipe: Training,
    budget: Budget,
    seed: int,
    state: Path,
    what: str = "training",
) -> Run:
    """Train a model in place; it ends with the weights of the last step, `Run.best` holds the best ones.

    Args:
        fabric: the processes that share each optimiser batch; all of them call this with the same arguments.
        model: initialised CHGNet; parameters that do not require a gradient stay as they are.
        dataset: graphs and labels.
        train_rows: rows of the training subset.
        val_rows: rows of the validation split.
        targets: what is in the loss.
        recipe: batch size, learning rates, loss.
        budget: length and which checkpoint counts as best.
        seed: of the data order.
        state: file of the resumable checkpoint; removed by the caller when the outputs are written.
        what: name of the run on the progress bar.

    Raises:
        TrainingError: no frame to train on or to validate with; a loss that is not finite, with the step.
    """
    for rows, side in ((train_rows, "training"), (val_rows, "validation")):
        if not len(rows):
            raise TrainingError(f"no {side} frame; give `split` other shares or another key, or use more data")
    fabric.to_device(model)
    module = Packed(model, targets)
    trainable = [p for p in model.parameters() if p.requires_grad]
    optimiser: Any = torch.optim.Adam(trainable, lr=recipe.learning_rate, fused=True)
    plan = schedule(budget, len(train_rows), recipe.batch_size, seed)
    score = "val_energy" if budget.kept == "val-energy" else "val_loss"
    window: list[float] = []  # losses since the last validation
    identity = identity_of(
        model, dataset, (train_rows, val_rows), plan=plan, recipe=recipe, targets=targets, score=score
    )
    run = resume_state(state, identity, model, optimiser, window, fabric.device) or Run()
    validate_at = plan.validation_steps(recipe.validations)
    begin = saved = time.monotonic()
    before = run.seconds

    def rate() -> float:
        return learning_rate(run.step, plan.steps, recipe.learning_rate, recipe.final_learning_rate)

    def validate() -> None:
        values = evaluate_loss(fabric, module, dataset, val_rows, targets=targets, recipe=recipe)
        course = {"step": run.step, "epoch": run.step / plan.steps_per_epoch, "learning_rate": rate()}
        _record(run, model, course, window, values, score)
        maes = "  ".join(f"{t} {values[f'val_{t}']:.4g}" for t in targets)
        train_loss = run.history[-1]["train_loss"]
        LOG.info("step %d of %d  loss %.4g  validation MAE: %s", run.step, plan.steps, train_loss, maes)

    if not run.history:
        validate()
    with progress(plan.steps, what, "step", start=run.step, show=fabric.is_global_zero) as bar:
        while run.step < plan.steps:
            module.train()
            optimiser.zero_grad(set_to_none=True)
            chunk = train_rows[plan.batch(run.step)]
            loss = accumulate_gradient(fabric, module, dataset, chunk, targets=targets, recipe=recipe)
            if not math.isfinite(loss):
                raise TrainingError(f"the loss is {loss} at step {run.step}; lower training.learning_rate")
            for group in optimiser.param_groups:
                group["lr"] = rate()
            if recipe.clip_norm is not None:
                nn.utils.clip_grad_norm_(trainable, recipe.clip_norm)
            optimiser.step()
            run.step += 1
            window.append(loss)
            bar.update()
            if run.step in validate_at:
                validate()
            now = time.monotonic()
            if run.step in validate_at or now - saved > 60 * recipe.checkpoint_minutes:
                run.seconds, saved = before + now - begin, now
                if fabric.is_global_zero:
                    save_state(state, identity, run, model, optimiser, window)
    run.seconds = before + time.monotonic() - begin
    return run


def _record(
    run: Run, model: CHGNet, course: dict[str, float], window: list[float], values: dict[str, float], score: str
) -> None:
    """Add a line to the history, empty the window of losses, keep the weights if they are the best so far."""
    train_loss = float(np.mean(window)) if window else math.nan
    window.clear()
    run.history.append({**course, "train_loss": train_loss, **values})
    if values[score] < run.best_score:
        run.best_score, run.best_step = values[score], run.step
        run.best = {name: value.detach().cpu().clone() for name, value in model.state_dict().items()}


def save_run(run: Run, model: CHGNet, budget: Budget, *, model_file: str, other_file: str) -> None:
    """Write the scored checkpoint and the other one: last and best by validation, whichever the budget keeps.

    Both load in stock chgnet with `CHGNet.from_file`. The model is left with the weights of the best checkpoint.
    """
    last_file, best_file = (model_file, other_file) if budget.kept == "last" else (other_file, model_file)
    save_chgnet(model, last_file)
    model.load_state_dict(run.best)
    save_chgnet(model, best_file)


def run_card(
    run: Run,
    dataset: Dataset,
    subset: pd.DataFrame,
    *,
    budget: Budget,
    n_val: int,
    params: Mapping[str, Any],
    inputs: Sequence[str],
) -> dict[str, Any]:
    """Return what a reader needs to trust or repeat a run: data, options, versions, hardware, time."""
    seen = dataset.composition(rows_of(dataset, list(subset["frame_id"]))).any(axis=0)
    return {
        "kept": budget.kept,
        "other": "val-loss" if budget.kept == "last" else "last",
        "n_train": len(subset),
        "n_materials": int(subset["material_id"].nunique()),
        "n_val": n_val,
        "elements": [SYMBOLS[k] for k in np.flatnonzero(seen)],
        "steps": run.step,
        "best_step": run.best_step,
        "wall_seconds": round(run.seconds, 1),
        "resumed": run.resumed,
        "label_scale": dataset.manifest["label_scale"],
        "inputs": {str(file): sha256(Path(file)) for file in inputs},
        "options": {key: params[key] for key in ("arm", "budget", "size", "recipe", "pretrained", "targets")},
        "versions": versions(),
        "hardware": hardware(),
    }
