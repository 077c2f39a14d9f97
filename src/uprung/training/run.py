"""A whole training job: lock, training, and the networks, history and card that it leaves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from uprung.config.base import SYMBOLS
from uprung.config.tracking import Tracking
from uprung.config.training import Budget, Training
from uprung.job.files import sha256
from uprung.job.provenance import hardware
from uprung.models.interface import Potential
from uprung.training.arms import Beginning
from uprung.training.fisher import Elastic
from uprung.training.gradient import launch
from uprung.training.loop import train
from uprung.training.resume import TrainingRun, forget, hold
from uprung.training.tracking import Events, send


@dataclass(frozen=True)
class Job:
    """What a training job is told.

    Attributes:
        name: path of the run below the results folder.
        what: its name on the progress bar.
        results: folder of the study.
        recipe: of the training.
        budget: its length, and which checkpoint counts.
        seed: of the data order.
        targets: what is in the loss.
        ewc: pull to the initial weights by their Fisher information; None for none.
        watched: what else validation errors are recorded of.
        l2_sp: strength of the pull to the initial weights; None for none.
        target: fidelity that the network is trained for.
        source: fidelity that it is transferred from.
        corrects: shipped checkpoint that a Δ-learning network is added to; None for any other.
        options: what the card says was asked for.
        tracking: services that the finished run is sent to.
    """

    name: str
    what: str
    results: Path
    recipe: Training
    budget: Budget
    seed: int
    targets: Sequence[str]
    target: str
    source: str
    options: Mapping[str, Any]
    tracking: Tracking
    l2_sp: float | None = None
    ewc: Elastic | None = None
    watched: Sequence[str] = ()
    corrects: str | None = None


def run_job(
    job: Job,
    begin: Callable[..., Beginning],
    subset: pd.DataFrame,
    *,
    inputs: Sequence[str],
    outputs: Mapping[str, str],
    code: str,
) -> None:
    """Train a network and write what the run leaves behind; an interrupted run goes on where it was.

    Args:
        job: what to do.
        begin: returns the run as it begins, given `device`, that of the training.
        subset: the training frames, rows of an order.
        inputs: files that the run read, for the card.
        outputs: files by name: model, other, history, card.
        code: fingerprint of the job's code; see `train`.

    Raises:
        TrainingError: see `train`.
    """
    state = job.results / "state" / job.name / "last.ckpt"
    hold(state)
    fabric = launch(job.recipe)
    own = begin(device=str(fabric.device))
    run = train(
        fabric,
        own.potential,
        own.frames,
        own.validation,
        targets=job.targets,
        recipe=job.recipe,
        budget=job.budget,
        seed=job.seed,
        state=state,
        replay=own.replay,
        l2_sp=job.l2_sp,
        ewc=job.ewc,
        watched=job.watched,
        code=code,
        what=job.what,
        watch=Events(job.results / "tensorboard" / job.name),
    )
    if not fabric.is_global_zero:
        return
    card = run_card(run, own, subset, job, inputs)
    save_run(run, own.potential, job, model_file=outputs["model"], other_file=outputs["other"])
    pd.DataFrame(run.history).to_csv(outputs["history"], index=False)
    Path(outputs["card"]).write_text(yaml.safe_dump(card, sort_keys=False, allow_unicode=True), encoding="utf-8")
    forget(state)
    send(job.tracking, run.history, results=job.results, run=job.name, options=dict(job.options))


def save_run(run: TrainingRun, potential: Potential, job: Job, *, model_file: str, other_file: str) -> None:
    """Write the scored checkpoint and the other one: last and best by validation, whichever the budget keeps.

    The network is left with the weights of the best checkpoint.
    """
    save = partial(potential.save, target=job.target, source=job.source, corrects=job.corrects)
    last_file, best_file = (model_file, other_file) if job.budget.keep == "last" else (other_file, model_file)
    save(last_file)
    potential.load_state_dict(run.best)
    save(best_file)


def run_card(run: TrainingRun, own: Beginning, subset: pd.DataFrame, job: Job, inputs: Sequence[str]) -> dict[str, Any]:
    """Return what a reader needs to trust or repeat a run: data, options, versions, hardware, time."""
    dataset, card = own.frames.dataset, own.potential.card
    seen = dataset.composition(own.frames.rows).any(axis=0)
    return {
        "architecture": card.name,
        "kept": job.budget.keep,
        "other": "val-loss" if job.budget.keep == "last" else "last",
        "n_train": len(subset),
        "n_materials": int(subset["material_id"].nunique()),
        "n_val": len(own.validation.rows),
        "n_replay": len(own.replay.frames.rows) if own.replay else 0,
        "elements": [SYMBOLS[k] for k in np.flatnonzero(seen)],
        "steps": run.step,
        "best_step": run.best_step,
        "wall_seconds": round(run.seconds, 1),
        "resumed": run.resumed,
        "loads_in": "" if job.corrects else card.own_package,
        "label_scale": dataset.manifest["label_scale"],
        "inputs": {str(file): sha256(Path(file)) for file in inputs},
        "options": dict(job.options),
        "versions": own.potential.versions,
        "hardware": hardware(),
    }
