"""Sections of the study file about tests beside the errors on the test set: forgetting, softening, holes, physics."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from uprung.config.base import Checkpoint, Name, Section, Seed, unique
from uprung.config.data import ForceSet
from uprung.config.physics import Physics
from uprung.config.snapshots import Snapshots
from uprung.config.training import FineTuning

CorrectionName = Literal["number", "per-element", "training"]


class Forgetting(Section):
    """Test of every trained network on the source fidelity."""

    frames: int = Field(
        default=2000,
        ge=0,
        description="Largest number of held-out source frames to test on, and of training ones to re-reference the "
        "energies with; 0 turns the test off.",
    )


class ForceCorrection(Section):
    """Correction of softness, fitted to k labelled structures of a set and tested on those of other trajectories."""

    methods: Annotated[list[CorrectionName], AfterValidator(unique)] = Field(
        default=["number"],
        min_length=1,
        description="`number`: one factor for all forces. `per-element`: one factor per element for the energies of "
        "its atoms. `training`: fine-tuning of the checkpoints in `models` (not of the study's runs).",
    )

    shots: Annotated[list[Annotated[int, Field(ge=1)]], AfterValidator(unique)] = Field(
        default=[1, 2, 5, 10], min_length=1, description="Numbers k of labelled structures."
    )
    draws: int = Field(default=50, ge=10, description="Random draws of the k structures.")
    training: FineTuning = Field(default_factory=FineTuning, description="Recipe of the method `training`.")

    @model_validator(mode="after")
    def _trained_draws_are_judged_beside(self) -> Self:
        if self.training.draws > self.draws:
            raise ValueError(
                f"training.draws: {self.training.draws}, but there are {self.draws} `draws` to be the first of"
            )
        return self


class Softening(Section):
    """Test of forces far from equilibrium, and their correction with few labels."""

    sets: dict[Name, ForceSet] = Field(
        default={}, description="Labelled structures to test on, by name; or a list of presets: `[mlearn, solids]`."
    )
    snapshots: dict[Name, Snapshots] = Field(
        default={}, description="Structures to sample by molecular dynamics and to label, by name."
    )
    models: Annotated[list[Checkpoint], AfterValidator(unique)] = Field(
        default=["chgnet-0.3.0", "chgnet-r2scan"], description="Checkpoints to test."
    )
    runs: Literal["none", "largest", "all"] = Field(
        default="largest", description="Trained networks to test: none, those of the last of `sizes`, or all."
    )
    bootstrap: int = Field(default=500, ge=100, description="Bootstrap resamples of frames and materials.")
    correction: ForceCorrection = Field(
        default_factory=ForceCorrection, description="Correction with few labelled structures."
    )

    @model_validator(mode="after")
    def _something_is_trained(self) -> Self:
        if "training" in self.correction.methods and not self.models:
            raise ValueError("correction.methods: `training` trains checkpoints, but `models` names none")
        return self


class Holes(Section):
    """Search for holes in the energy surface: random structures are relaxed and rattled with every network."""

    starts: int = Field(default=40, ge=1, description="Random structures, of the compositions of test frames.")
    most_atoms: int = Field(default=32, ge=1, description="Larger frames lend no composition.")
    rounds: int = Field(default=3, ge=1, description="Relaxations, with a rattle before each but the first.")
    steps: int = Field(default=50, ge=1, description="Largest number of steps of a relaxation.")
    rattle: float = Field(default=0.3, gt=0, description="Standard deviation of the displacements of a rattle, Å.")
    depth: float = Field(
        default=1.0,
        gt=0,
        description="A state this far below the lowest labelled frame of its composition is a hole, eV/atom; "
        "polymorphs differ by a few tenths.",
    )
    runs: Literal["largest", "all"] = Field(
        default="largest", description="Trained networks to test: those of the last of `sizes`, or all."
    )
    seed: Seed = Field(default=0, description="Seed of compositions, places and rattles.")


class Tests(Section):
    """Tests of the networks beside the errors on the test set."""

    forgetting: Forgetting = Field(
        default_factory=Forgetting, description="Test of every trained network on the source fidelity."
    )
    softening: Softening = Field(
        default_factory=Softening, description="Test of forces far from equilibrium; off without `sets`."
    )
    holes: Holes | None = Field(
        default=None, description="Search for holes in the energy surface; off by default, `holes: {}` for on."
    )
    physics: Physics | None = Field(
        default=None, description="Test of properties against published values; off unless it has `sets`."
    )
