"""Correction of softness by training: the whole network, on the k structures that a number would be fitted to.

Deng et al., npj Comput. Mater. 11, 9 (2025) train on up to ten structures of one simulation with a squared loss that
weighs energies, forces and stresses as 0.1 : 100 : 0.1. There a tenth of the structures chooses the checkpoint; here
all k have gradients and the last step counts, as there for a single structure.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from uprung.atomref.least_squares import LeastSquares
from uprung.config.training import Budget, Training
from uprung.datasets.store import Dataset, Rows, rows_of
from uprung.models.interface import Potential
from uprung.models.predict import predict
from uprung.models.registry import load
from uprung.softening.draws import Draw
from uprung.training.loop import train
from uprung.training.losses import label_counts
from uprung.training.processes import Processes

LOG = logging.getLogger(__name__)
Floats = NDArray[np.float64]


def shifted(potential: Potential, frames: Rows, *, device: str) -> Potential:
    """Move the reference energies of a network by what it leaves over of the labels, and return it.

    Labels may be of another level of theory or convention than the network; a shift that is linear in composition
    is no business of the network. Least squares of minimum norm: what the labelled structures do not determine stays
    as it is. Forces and stresses do not change.
    """
    labelled = frames.rows[np.isfinite(frames.dataset.energy[frames.rows])]
    if len(labelled):
        predicted = predict(potential, frames.dataset, labelled, targets=["energy"], device=device)["energy"]
        left = LeastSquares().fit(frames.dataset.composition(labelled), frames.dataset.energy[labelled] - predicted)
        shift = np.where(left.seen_, left.coef_, 0.0)
    else:
        shift = np.zeros_like(potential.references)
    potential.set_references(potential.references + shift, trainable=False)
    return potential


def trained_targets(frames: Rows, recipe: Training) -> list[str]:
    """Return what the structures have labels of and the recipe has a weight for."""
    weights = recipe.weights.model_dump()
    counts = label_counts(frames.labels, list(weights))
    return [target for target in weights if weights[target] and counts[target]]


@dataclass(frozen=True)
class FineTuned:
    """Trains a checkpoint anew on the structures of each draw; a method of `uprung.softening.force_correction.drawn`.

    Reference energies are shifted by `shifted` and then frozen. A structure without energy or stress trains on what it
    has.

    Args:
        fabric: of `uprung.training.gradient.launch`.
        checkpoint: name of a shipped one.
        dataset: inputs and labels of the evaluation set.
        recipe: of `uprung.training.loop.train`.
        epochs: passes over the k structures.
    """

    fabric: Processes
    checkpoint: str
    dataset: Dataset
    recipe: Training
    epochs: int

    def __call__(self, material: str, chosen: Draw) -> tuple[Floats, dict[str, float]]:
        """Return the force components of the judged structures, (n,) in eV/Å, and what `tuned` tells."""
        potential, about = self.tuned(material, [frame.name for frame in chosen.fitted], seed=chosen.draw)
        judged = rows_of(self.dataset, [frame.name for frame in chosen.judged])
        found = predict(potential, self.dataset, judged, targets=["force"], device=str(self.fabric.device))
        return found["force"].ravel(), about

    def tuned(self, name: str, labelled: Sequence[str], *, seed: int) -> tuple[Potential, dict[str, float]]:
        """Return the checkpoint trained on some structures, and labels and losses of the training.

        energies, stresses: structures with such a label; loss_before, loss_after: on the k structures.

        Args:
            name: of the material, for the log.
            labelled: names of the k structures.
            seed: of their order.
        """
        frames = Rows(self.dataset, rows_of(self.dataset, labelled))
        potential = shifted(load(self.checkpoint), frames, device=str(self.fabric.device))
        targets = trained_targets(frames, self.recipe)
        labels = frames.labels
        energies = int(np.isfinite(labels.energy).sum())
        stresses = int(np.isfinite(labels.stress).all(axis=(1, 2)).sum())
        what = f"{name} k={len(frames.rows)} draw {seed}"
        LOG.info("%s: forces of all, energies of %d, stresses of %d structures", what, energies, stresses)
        with tempfile.TemporaryDirectory() as folder:
            run = train(
                self.fabric,
                potential,
                frames,
                frames,  # nothing is chosen by it: it only says what the training did to its own loss
                targets=targets,
                recipe=self.recipe,
                # zero epochs are no budget of a study file, but a way to see that nothing else changes a force
                budget=Budget.model_construct(epochs=self.epochs, steps=None, keep="last"),
                seed=seed,
                state=Path(folder) / "last.ckpt",
                what=what,
            )
        losses = {"loss_before": run.history[0]["val_loss"], "loss_after": run.history[-1]["val_loss"]}
        return potential, {"energies": energies, "stresses": stresses, **losses}
