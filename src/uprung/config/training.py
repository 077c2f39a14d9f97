"""Sections of the study file about training: how long, and the recipe."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from uprung.config.base import Section, Seed, Size


class Budget(Section):
    """How long every run of this budget trains: epochs, or optimiser steps at every size."""

    epochs: int | None = Field(default=None, ge=1, description="Passes over the subset.")
    steps: int | None = Field(default=None, ge=1, description="Optimiser steps, the same at every size.")
    keep: Literal["last", "val-loss", "val-energy"] | None = Field(
        default=None,
        description="Checkpoint that is scored: default `last` under `steps`, `val-energy` (the paper's) under "
        "`epochs`. Last and best are both evaluated.",
    )

    @model_validator(mode="before")
    @classmethod
    def _keep_by_default(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("keep") is None:
            return {**data, "keep": "val-energy" if data.get("steps") is None else "last"}
        return data

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        if (self.epochs is None) == (self.steps is None):
            raise ValueError("give exactly one of `epochs` and `steps`")
        return self


class Pretraining(Budget):
    """A network that the study pretrains on the source fidelity, from random weights, for arms to start from.

    Its reference energies are fitted to all source training structures by least squares.
    """

    size: Size = Field(
        default="all", description="Source training structures: frames (400), share of the materials ('10%'), or all."
    )
    seed: Seed = Field(default=0, description="Which structures a smaller size takes, and the initial weights.")


class Weights(Section):
    """Weights of the targets in the loss."""

    energy: float = Field(default=3.0, ge=0, description="Per atom energy (eV/atom).")
    force: float = Field(default=1.0, ge=0, description="Force components (eV/Å).")
    stress: float = Field(default=0.1, ge=0, description="Stress components (GPa).")
    magmom: float = Field(default=1.0, ge=0, description="Absolute site moments (μB).")


class Optimisation(Section):
    """What decides the weights that a training ends with, but for its length."""

    batch_size: int = Field(default=64, ge=1, description="Structures in an optimiser step.")
    learning_rate: float = Field(default=1e-3, gt=0, description="Adam, at the first step.")
    final_learning_rate: float = Field(default=1e-5, ge=0, description="At the last step: cosine in optimiser steps.")
    huber_delta: float = Field(default=0.1, gt=0, description="Where the Huber loss turns from squared to linear.")
    weights: Weights = Field(default_factory=Weights, description="Weights of the targets.")
    clip_norm: float | None = Field(default=None, gt=0, description="Largest norm of the gradient; off by default.")


class Training(Optimisation):
    """Recipe of every run; the defaults are those of the published study."""

    validations: int = Field(
        default=25, ge=2, description="Times the validation set is scored during a run, evenly in steps."
    )
    checkpoint_minutes: float = Field(
        default=5.0, gt=0, description="Time between resumable checkpoints, also written at every validation."
    )
    device: Literal["cpu", "cuda"] = Field(default="cpu", description="`cuda` makes each run ask for GPUs.")
    devices: int = Field(
        default=1,
        ge=1,
        description="GPUs of one node (processes, on a CPU) that share each optimiser batch. Several runs side by side "
        "use a node better than one run on several GPUs.",
    )
    threads: int = Field(default=1, ge=1, description="Threads per device; on a CPU each computes micro-batches.")
    micro_batch_cost: int | None = Field(
        default=None,
        ge=1,
        description="Edges + angles that are computed at once, about; a batch with more is cut into parts whose "
        "gradients are added. It decides memory (some 40 kB each, for every thread) and speed, not the mathematics. "
        "Default: what suits the architecture (CHGNet: 12000 on a CPU, 200000 on a GPU).",
    )
    minutes: int = Field(
        default=120,
        ge=1,
        description="Run time to ask a scheduler for, first attempt. Under "
        "`epochs` this is for the largest size, and smaller ones ask for their share, a tenth at least.",
    )
    memory_mb: int = Field(
        default=4000,
        ge=500,
        description="Memory to ask a scheduler for, first attempt; 2 kB per training structure are added.",
    )


class ForceWeights(Weights):
    """Weights of the targets in the loss of a training on few structures."""

    energy: float = Field(default=0.1, ge=0, description="Per atom energy (eV/atom).")
    force: float = Field(default=100.0, ge=0, description="Force components (eV/Å).")
    magmom: float = Field(default=0.0, ge=0, description="Absolute site moments (μB).")


class FineTuning(Optimisation):
    """Training of a shipped checkpoint on k structures; the defaults are those of the published correction.

    Loss, rates and length of Deng et al., npj Comput. Mater. 11, 9 (2025).
    """

    draws: int = Field(
        default=3, ge=1, description="How many of `correction.draws` are trained: the first that are possible."
    )
    epochs: int = Field(default=100, ge=1, description="Passes over the k structures; the last step counts.")
    huber_delta: float = Field(
        default=1000.0,
        gt=0,
        description="Where the Huber loss turns from squared to linear; the default is beyond any error: squared.",
    )
    weights: ForceWeights = Field(
        default_factory=ForceWeights,
        description="Weights of the targets; one without labels in the k structures is left out.",
    )
    minutes: int = Field(default=240, ge=1, description="Run time to ask a scheduler for, all materials and draws.")

    def recipe(self, machine: Training) -> Training:
        """Return the recipe of a training on the device and with the threads of the study's runs."""
        own = {name: getattr(self, name) for name in Optimisation.model_fields}
        return machine.model_copy(update={**own, "validations": 2, "devices": 1})
