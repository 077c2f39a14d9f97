"""Training of one run: the published recipe, in optimiser steps, resumable to the same numbers.

Loss, weights and schedule follow Huang et al., npj Comput. Mater. 11, 313 (2025). Every choice of the data order
is a function of seed and step alone, so that a run that was interrupted continues as if it had not been.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from chgnet.model import CHGNet
from lightning.fabric import Fabric
from numpy.typing import NDArray
from torch import Tensor, nn

from uprung.config import Budget, Training
from uprung.dataset import Dataset, Labels
from uprung.frames import sha256
from uprung.logs import progress
from uprung.potential.checkpoint import save_chgnet
from uprung.potential.module import Packed
from uprung.potential.packed import PackedBatch
from uprung.provenance import hardware, versions

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


def pairs_of(
    predicted: Mapping[str, Tensor], labels: Labels, targets: Sequence[str]
) -> dict[str, tuple[Tensor, Tensor]]:
    """Return per target the predicted and labelled values where a label exists, flat.

    Energies are per structure (eV/atom), forces and stresses per component (eV/Å, GPa), moments per site (μB).
    """
    known_labels = {
        "energy": labels.energy,
        "force": labels.forces,
        "stress": labels.stress,
        "magmom": labels.magmom,
    }
    result = {}
    for target in targets:
        flat = predicted[target].reshape(-1)
        values = torch.from_numpy(np.ascontiguousarray(known_labels[target]).ravel()).to(flat.device, flat.dtype)
        known = torch.isfinite(values)
        result[target] = (flat, values) if bool(known.all()) else (flat[known], values[known])
    return result


def loss_sums(
    pairs: Mapping[str, tuple[Tensor, Tensor]], delta: float
) -> tuple[dict[str, Tensor], dict[str, float], dict[str, int]]:
    """Return per target the summed Huber loss, the summed absolute error and the number of labels."""
    huber, absolute, count = {}, {}, {}
    for target, (predicted, label) in pairs.items():
        huber[target] = nn.functional.huber_loss(predicted, label, delta=delta, reduction="sum")
        absolute[target] = float((predicted.detach() - label).abs().sum())
        count[target] = label.numel()
    return huber, absolute, count


def total_loss(huber: Mapping[str, Tensor], count: Mapping[str, int], weights: Mapping[str, float]) -> Tensor:
    """Return Σ_t w_t · (mean Huber loss of target t); a target without a label in the batch adds nothing."""
    return torch.stack([weights[t] * huber[t] / max(count[t], 1) for t in huber]).sum()


@dataclass
class Run:
    """State of a run: everything that a resumed run needs, in plain types."""

    step: int = 0
    seconds: float = 0.0
    resumed: int = 0
    best_step: int = 0
    best_score: float = math.inf
    best: dict[str, Tensor] = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)


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
    optimiser = torch.optim.Adam(trainable, lr=recipe.learning_rate, fused=True)
    module, optimiser = fabric.setup(module, optimiser)
    plan = schedule(budget, len(train_rows), recipe.batch_size, seed)
    score = "val_energy" if budget.kept == "val-energy" else "val_loss"
    window: list[float] = []  # losses since the last validation
    identity = _identity(model, dataset, (train_rows, val_rows), plan=plan, recipe=recipe, targets=targets, score=score)
    run = _resume(state, identity, model, optimiser, window, recipe.device) or Run()
    validate_at = plan.validation_steps(recipe.validations)
    weights = recipe.weights.model_dump()
    begin = saved = time.monotonic()
    before = run.seconds

    def note(train_loss: float) -> None:
        values = evaluate_loss(module, dataset, val_rows, targets=targets, recipe=recipe)
        rate = learning_rate(run.step, plan.steps, recipe.learning_rate, recipe.final_learning_rate)
        run.history.append(
            {
                "step": run.step,
                "epoch": run.step / plan.steps_per_epoch,
                "learning_rate": rate,
                "train_loss": train_loss,
                **values,
            }
        )
        if values[score] < run.best_score:
            run.best_score, run.best_step = values[score], run.step
            run.best = {k: v.detach().cpu().clone() for k, v in model.state_dict().items()}
        maes = "  ".join(f"{t} {values[f'val_{t}']:.4g}" for t in targets)
        LOG.info("step %d of %d  loss %.4g  validation MAE: %s", run.step, plan.steps, train_loss, maes)

    if run.step == 0 and not run.history:
        note(math.nan)
    with progress(plan.steps, what, "step", start=run.step) as bar:
        while run.step < plan.steps:
            chunk = train_rows[plan.batch(run.step)]
            rate = learning_rate(run.step, plan.steps, recipe.learning_rate, recipe.final_learning_rate)
            for group in optimiser.param_groups:
                group["lr"] = rate
            module.train()
            batch = PackedBatch.from_arrays(dataset.graphs.pack(chunk), fabric.device)
            huber, _, count = loss_sums(pairs_of(module(batch), dataset.labels(chunk), targets), recipe.huber_delta)
            loss = total_loss(huber, count, weights)
            value = float(loss.detach())
            if not math.isfinite(value):
                raise TrainingError(f"the loss is {value} at step {run.step}; lower training.learning_rate")
            optimiser.zero_grad(set_to_none=True)
            fabric.backward(loss)
            if recipe.clip_norm is not None:
                fabric.clip_gradients(module, optimiser, max_norm=recipe.clip_norm)
            optimiser.step()
            run.step += 1
            window.append(value)
            bar.update()
            if run.step in validate_at:
                note(float(np.mean(window)))
                window.clear()
            now = time.monotonic()
            if run.step in validate_at or now - saved > 60 * recipe.checkpoint_minutes:
                run.seconds = before + now - begin
                _save(state, identity, run, model, optimiser, window)
                saved = now
    run.seconds = before + time.monotonic() - begin
    return run


def _identity(
    model: CHGNet,
    dataset: Dataset,
    rows: tuple[NDArray[np.int64], NDArray[np.int64]],
    *,
    plan: Schedule,
    recipe: Training,
    targets: Sequence[str],
    score: str,
) -> str:
    """Return a digest of all that decides a run's numbers, so that no run continues the state of another."""
    facts = {
        "plan": asdict(plan),
        "recipe": recipe.model_dump(mode="json", exclude={"checkpoint_minutes", "minutes", "memory_mb"}),
        "targets": list(targets),
        "score": score,
        "data": dataset.manifest,
        "trainable": [name for name, p in model.named_parameters() if p.requires_grad],
    }
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    for chosen in rows:
        labels = dataset.labels(chosen)
        for values in (chosen, labels.energy, labels.forces, labels.stress, labels.magmom):
            digest.update(np.ascontiguousarray(values).tobytes())
    for weights in model.state_dict().values():
        digest.update(weights.detach().cpu().numpy().tobytes())
    return digest.hexdigest()


def _save(
    state: Path, identity: str, run: Run, model: CHGNet, optimiser: torch.optim.Optimizer, window: list[float]
) -> None:
    """Write the resumable state aside and rename; the one before stays as `.previous`."""
    state.parent.mkdir(parents=True, exist_ok=True)
    aside = state.with_suffix(".tmp")
    torch.save(
        {
            "identity": identity,
            "run": {f: getattr(run, f) for f in run.__dataclass_fields__},
            "window": window,
            "model": model.state_dict(),
            "optimiser": optimiser.state_dict(),
        },
        aside,
    )
    if state.exists():
        state.replace(state.with_suffix(".previous"))
    aside.replace(state)


def _resume(
    state: Path, identity: str, model: CHGNet, optimiser: torch.optim.Optimizer, window: list[float], device: str
) -> Run | None:
    """Load the newest readable state of this very run into model and optimiser; None when there is none."""
    for path in (state, state.with_suffix(".previous")):
        if not path.exists():
            continue
        try:
            stored = torch.load(path, map_location=device, weights_only=True)
        except Exception as error:  # a truncated file raises whatever its first broken byte asks for
            LOG.warning("%s cannot be read (%s); trying the checkpoint before it", path, type(error).__name__)
            path.unlink()  # or the next save would keep it as the good one
            continue
        if stored.get("identity") != identity:
            LOG.warning("%s was written under other data, options or initial weights; not continued", path)
            continue
        model.load_state_dict(stored["model"])
        optimiser.load_state_dict(stored["optimiser"])
        window[:] = stored["window"]
        run = Run(**stored["run"])
        run.resumed += 1
        LOG.info("resumed at step %d", run.step)
        return run
    return None


def forget(state: Path) -> None:
    """Remove the resumable state of a run whose outputs are written."""
    for path in (state, state.with_suffix(".previous"), state.with_suffix(".tmp")):
        path.unlink(missing_ok=True)


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
    return {
        "kept": budget.kept,
        "other": "val-loss" if budget.kept == "last" else "last",
        "n_train": len(subset),
        "n_materials": int(subset["material_id"].nunique()),
        "n_val": n_val,
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
