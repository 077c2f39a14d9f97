"""Sections of the study file about training: budgets, recipe, fine-tuning."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from uprung.config.base import Name, Section, Seed, Seeds, Size, unique


class Budget(Section):
    """Length of training: epochs, or a number of optimiser steps that is the same at every size."""

    epochs: int | None = Field(default=None, ge=1, description="Passes over the training subset.")
    steps: int | None = Field(default=None, ge=1, description="Optimiser steps, the same at every size.")
    keep: Literal["last", "val-loss", "val-energy"] | None = Field(
        default=None,
        description="Checkpoint that is scored. Default: `last` with `steps`, `val-energy` (as published) with "
        "`epochs`. The last and the best are both evaluated.",
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


class Longer(Section):
    """A second, longer budget for some of the runs: a point is settled where it agrees with the first.

    Its runs enter no curve and no law; they say whether the length of training decides a point.
    """

    times: Literal[2, 4] = Field(default=2, description="How many times as long: 2 or 4.")
    sizes: Annotated[list[Size], AfterValidator(unique)] = Field(
        default=[], description="Some of `sizes`; default: the first, the middle and the last one."
    )
    arms: Annotated[list[Name], AfterValidator(unique)] = Field(default=[], description="Some of `arms`; default: all.")
    seeds: Annotated[Seeds, AfterValidator(unique)] = Field(
        default=[], description="Some of `seeds`; default: the first one."
    )


class Tune(Section):
    """Choice of the learning rate of every arm: the lowest validation loss of runs that differ in nothing else.

    One size and one seed decide for the whole study; the test set takes no part. The final learning rate keeps its
    ratio to the first.
    """

    learning_rates: Annotated[list[Annotated[float, Field(gt=0)]], AfterValidator(unique)] = Field(
        default=[3.0e-4, 1.0e-3, 3.0e-3], min_length=2, description="Learning rates that are tried."
    )
    size: Size | None = Field(default=None, description="One of `sizes`; default: the middle one.")
    arms: Annotated[list[Name], AfterValidator(unique)] = Field(
        default=[], description="Arms that are tuned, some of `arms`; default: all. Others keep the recipe's rate."
    )


class Pretraining(Budget):
    """A network that the study itself pretrains on the source fidelity, for arms to start from.

    It starts from random weights and from references fitted to all source training structures by least squares.
    """

    size: Size = Field(
        default="all", description="Source training structures: frames (400), share of the materials ('10%'), or all."
    )
    seed: Seed = Field(default=0, description="Seed of the subset, for a smaller size, and of the initial weights.")


class Weights(Section):
    """Weights of the targets in the loss."""

    energy: float = Field(default=3.0, ge=0, description="Per atom energy (eV/atom).")
    force: float = Field(default=1.0, ge=0, description="Force components (eV/Å).")
    stress: float = Field(default=0.1, ge=0, description="Stress components (GPa).")
    magmom: float = Field(default=1.0, ge=0, description="Absolute site moments (μB).")


class Optimisation(Section):
    """Settings of the optimiser and the loss."""

    batch_size: int = Field(default=64, ge=1, description="Structures per optimiser step.")
    learning_rate: float = Field(default=1e-3, gt=0, description="Initial learning rate of Adam.")
    final_learning_rate: float = Field(
        default=1e-5, ge=0, description="Final one; a cosine in optimiser steps between."
    )
    huber_delta: float = Field(default=0.1, gt=0, description="Error at which the Huber loss becomes linear.")
    weights: Weights = Field(default_factory=Weights, description="Weights of the targets.")
    clip_norm: float | None = Field(default=None, gt=0, description="Largest norm of the gradient; default: no limit.")


class Training(Optimisation):
    """Training recipe of every run; the defaults are those of the published study."""

    validations: int = Field(
        default=25, ge=2, description="Number of validations during a run, evenly spaced in steps."
    )
    checkpoint_minutes: float = Field(
        default=5.0, gt=0, description="Time between two checkpoints to resume from; every validation writes one, too."
    )
    device: Literal["cpu", "cuda"] = Field(
        default="cpu", description="Device to train on; with `cuda` each run asks for GPUs."
    )
    devices: int = Field(
        default=1,
        ge=1,
        description="GPUs of a node (processes, on a CPU) that share each batch. Several runs side by side use a node "
        "better than one run on several GPUs.",
    )
    threads: int = Field(default=1, ge=1, description="Threads per device.")
    cuda_graphs: bool = Field(
        default=True,
        description="Let a GPU repeat a step that it was told once, where the architecture can (CHGNet) and one GPU "
        "computes a run of 100 steps or more on one fidelity. It affects speed and a little memory, not the result.",
    )
    micro_batch_cost: int | None = Field(
        default=None,
        ge=1,
        description="Approximate number of edges + angles computed at once; the gradients of larger batches are "
        "accumulated. It affects memory (some 40 kB each, per thread) and speed, not the result. Default: that of the "
        "architecture (CHGNet: 12000 on a CPU, 200000 on a GPU).",
    )


class ForceWeights(Weights):
    """Weights of the targets in the loss of a fine-tuning."""

    energy: float = Field(default=0.1, ge=0, description="Per atom energy (eV/atom).")
    force: float = Field(default=100.0, ge=0, description="Force components (eV/Å).")
    magmom: float = Field(default=0.0, ge=0, description="Absolute site moments (μB).")


class FineTuning(Optimisation):
    """Fine-tuning of a shipped checkpoint on k structures; the defaults follow the published correction.

    Deng et al., npj Comput. Mater. 11, 9 (2025).
    """

    draws: int = Field(
        default=3, ge=1, description="How many of `correction.draws` are trained: the first possible ones."
    )
    epochs: int = Field(default=100, ge=1, description="Passes over the k structures; the last step is scored.")
    huber_delta: float = Field(
        default=1000.0,
        gt=0,
        description="Error at which the Huber loss becomes linear; the default, beyond any error, is the squared loss.",
    )
    weights: ForceWeights = Field(
        default_factory=ForceWeights,
        description="Weights of the targets; those without labels in the k structures are left out.",
    )

    def recipe(self, machine: Training) -> Training:
        """Return the training recipe, with the device and the threads of the study's runs."""
        own = {name: getattr(self, name) for name in Optimisation.model_fields}
        return machine.model_copy(update={**own, "validations": 2, "devices": 1})
