"""Networks trained on few structures, and the properties that they give; what is finished survives a kill."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from ase.calculators.calculator import Calculator

from uprung.config.physics import PhysicsSet
from uprung.config.training import Training
from uprung.datasets.store import Dataset, Rows
from uprung.models.calculator import PotentialCalculator
from uprung.models.registry import load
from uprung.physics.compute import outcome
from uprung.physics.labels import Fit
from uprung.physics.networks import VALUES, Kept
from uprung.physics.references import Material
from uprung.physics.results import Accuracy
from uprung.softening.fine_tuning import FineTuned
from uprung.training.gradient import launch
from uprung.training.resume import identity_of

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Retested:
    """Trains a checkpoint on the structures of a draw and asks it for properties anew.

    Args:
        method: how it is trained.
        sets: name -> set and its materials, those that are tested again.
        accuracy: of relaxations.
        folder: where outcomes are kept.
        identity: what decides an outcome beside the draw, set and material.
    """

    method: FineTuned
    sets: Mapping[str, tuple[PhysicsSet, Sequence[Material]]]
    accuracy: Accuracy
    folder: Path
    identity: Mapping[str, Any]

    @classmethod
    def of(
        cls,
        checkpoint: str,
        dataset: Dataset,
        sets: Mapping[str, tuple[PhysicsSet, Sequence[Material]]],
        accuracy: Accuracy,
        folder: Path,
        *,
        recipe: Training,
        epochs: int,
        code: str,
    ) -> Retested:
        """Return what trains a checkpoint on structures of an evaluation set.

        Args:
            checkpoint: name of a shipped one, or a file.
            dataset: inputs and labels of the evaluation set.
            sets: those that are tested again.
            accuracy: of relaxations.
            folder: where outcomes are kept.
            recipe: of `uprung.training.loop.train`.
            epochs: passes over the structures of a draw.
            code: fingerprint of the job's code.
        """
        facts = {"epochs": epochs, "accuracy": [accuracy.force, accuracy.stress, accuracy.steps]}
        everything = Rows(dataset, np.arange(len(dataset.energy)))
        identity = identity_of(load(checkpoint), [everything], facts=facts, recipe=recipe, code=code)
        return cls(FineTuned(launch(recipe), checkpoint, dataset, recipe, epochs), sets, accuracy, folder, identity)

    def __call__(self, chosen: Fit) -> pd.DataFrame:
        """Return the values of all judged materials, with the columns of `uprung.physics.networks.VALUES`."""
        kept = Kept(self.folder, {**self.identity, "labels": chosen.names, "draw": chosen.draw})
        rows = list[dict[str, Any]]()
        calculator: Calculator | None = None
        for name, (entry, materials) in self.sets.items():
            for material in materials:
                if (name, material.name) not in chosen.judged:
                    continue
                file = kept.file(name, entry, material)
                found = kept.read(file)
                if found is None:
                    if calculator is None and not material.unusable:  # what cannot be tested needs no network
                        calculator = self.trained(chosen)
                    found = outcome(material, entry, calculator or Calculator(), self.accuracy)
                    kept.write(file, found)
                rows += [{"set": name, "material": material.name} | asdict(value) for value in found.values]
        return pd.DataFrame(rows, columns=VALUES)

    def trained(self, chosen: Fit) -> Calculator:
        """Return the network that is trained on the structures of a draw."""
        potential, about = self.method.tuned("properties", chosen.names, seed=chosen.draw)
        LOG.info("loss %.3g before, %.3g after", about["loss_before"], about["loss_after"])
        return PotentialCalculator(potential, device=str(self.method.fabric.device))
