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
from torch import nn

from uprung.config import SYMBOLS, Budget, Training
from uprung.dataset import Dataset, rows_of
from uprung.frames import sha256
from uprung.logs import progress
from uprung.losses import loss_sums, pairs_of, total_loss
from uprung.potential.checkpoint import save_chgnet
from uprung.potential.module import Packed
from uprung.potential.packed import PackedBatch
from uprung.provenance import hardware, versions
from uprung.run_state import Run, identity_of, resume_state, save_state

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
    module: nn.Module, dataset: Dataset, rows: NDArray[np.int64], *, targets: Sequence[str], recipe: Training
) -> dict[str, float]:
    """Return the loss and the mean absolute error of every target over some frames."""
    module.eval()
    huber = dict.fromkeys(targets, 0.0)
    absolute = dict.fromkeys(targets, 0.0)
    count = dict.fromkeys(targets, 0)
    for chunk in dataset.chunks(rows):
        batch = PackedBatch.from_arrays(dataset.graphs.pack(chunk), device_of(module))
        pairs = pairs_of(module(batch), dataset.labels(chunk), targets)
        sums, errors, numbers = loss_sums(pairs, recipe.huber_delta)
        for t in targets:
            huber[t] += float(sums[t].detach())
            absolute[t] += errors[t]
            count[t] += numbers[t]
    weights = recipe.weights.model_dump()
    result = {f"val_{t}": absolute[t] / count[t] if count[t] else math.nan for t in targets}
    result["val_loss"] = sum(weights[t] * huber[t] / count[t] for t in targets if count[t])
    return result


def device_of(module: nn.Module) -> torch.device:
    """Return the device of a module's parameters."""
    return next(module.parameters()).device


def train(
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
    fabric = Fabric(accelerator=recipe.device, devices=1, precision="32-true")
    module = Packed(model, targets)
    trainable = [p for p in model.parameters() if p.requires_grad]
    optimiser: Any = torch.optim.Adam(trainable, lr=recipe.learning_rate, fused=True)
    module, optimiser = fabric.setup(module, optimiser)
    plan = schedule(budget, len(train_rows), recipe.batch_size, seed)
    score = "val_energy" if budget.kept == "val-energy" else "val_loss"
    window: list[float] = []  # losses since the last validation
    identity = identity_of(
        model, dataset, (train_rows, val_rows), plan=plan, recipe=recipe, targets=targets, score=score
    )
    run = resume_state(state, identity, model, optimiser, window, recipe.device) or Run()
    validate_at = plan.validation_steps(recipe.validations)
    begin = saved = time.monotonic()
    before = run.seconds

    if not run.history:
        _validate(run, module, dataset, val_rows, targets=targets, recipe=recipe, plan=plan, window=window, score=score)
    with progress(plan.steps, what, "step", start=run.step) as bar:
        while run.step < plan.steps:
            rate = learning_rate(run.step, plan.steps, recipe.learning_rate, recipe.final_learning_rate)
            chunk = train_rows[plan.batch(run.step)]
            loss = _step(fabric, module, optimiser, dataset, chunk, targets=targets, recipe=recipe, rate=rate)
            if not math.isfinite(loss):
                raise TrainingError(f"the loss is {loss} at step {run.step}; lower training.learning_rate")
            run.step += 1
            window.append(loss)
            bar.update()
            if run.step in validate_at:
                _validate(
                    run,
                    module,
                    dataset,
                    val_rows,
                    targets=targets,
                    recipe=recipe,
                    plan=plan,
                    window=window,
                    score=score,
                )
            now = time.monotonic()
            if run.step in validate_at or now - saved > 60 * recipe.checkpoint_minutes:
                run.seconds = before + now - begin
                save_state(state, identity, run, model, optimiser, window)
                saved = now
    run.seconds = before + time.monotonic() - begin
    return run


def _step(
    fabric: Fabric,
    module: nn.Module,
    optimiser: Any,
    dataset: Dataset,
    chunk: NDArray[np.int64],
    *,
    targets: Sequence[str],
    recipe: Training,
    rate: float,
) -> float:
    """Do one optimiser step on the structures of `chunk` and return its loss; a loss that is not finite does none."""
    for group in optimiser.param_groups:
        group["lr"] = rate
    module.train()
    batch = PackedBatch.from_arrays(dataset.graphs.pack(chunk), fabric.device)
    huber, _, count = loss_sums(pairs_of(module(batch), dataset.labels(chunk), targets), recipe.huber_delta)
    loss = total_loss(huber, count, recipe.weights.model_dump())
    value = float(loss.detach())
    if math.isfinite(value):
        optimiser.zero_grad(set_to_none=True)
        fabric.backward(loss)
        if recipe.clip_norm is not None:
            fabric.clip_gradients(module, optimiser, max_norm=recipe.clip_norm)
        optimiser.step()
    return value


def _validate(
    run: Run,
    module: nn.Module,
    dataset: Dataset,
    rows: NDArray[np.int64],
    *,
    targets: Sequence[str],
    recipe: Training,
    plan: Schedule,
    window: list[float],
    score: str,
) -> None:
    """Score the validation set, add a line to the history, keep the weights if they are the best so far."""
    values = evaluate_loss(module, dataset, rows, targets=targets, recipe=recipe)
    train_loss = float(np.mean(window)) if window else math.nan
    window.clear()
    rate = learning_rate(run.step, plan.steps, recipe.learning_rate, recipe.final_learning_rate)
    course = {"step": run.step, "epoch": run.step / plan.steps_per_epoch, "learning_rate": rate}
    run.history.append({**course, "train_loss": train_loss, **values})
    if values[score] < run.best_score:
        run.best_score, run.best_step = values[score], run.step
        weights = {name.removeprefix("chgnet."): value for name, value in module.state_dict().items()}
        run.best = {name: value.detach().cpu().clone() for name, value in weights.items()}
    maes = "  ".join(f"{t} {values[f'val_{t}']:.4g}" for t in targets)
    LOG.info("step %d of %d  loss %.4g  validation MAE: %s", run.step, plan.steps, train_loss, maes)


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
