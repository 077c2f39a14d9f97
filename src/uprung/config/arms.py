"""Sections of the study file about strategies: reference energies and arms."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from uprung.config.base import Name, Section


class Reference(Section):
    """How elemental reference energies are fitted."""

    labels: Literal["target", "source", "residual"] = Field(
        description="`target`: target energies; `source`: the study's own low-fidelity energies; `residual`: target "
        "energy minus the pretrained prediction, added to the checkpoint's references."
    )
    scope: Literal["subset", "train"] = Field(
        default="subset",
        description="Fitted on the run's own subset, or on the whole training split (more labels than n: the report "
        "says so).",
    )
    unseen: Literal["prior", "error"] = Field(
        default="prior",
        description="Elements without training structures: source reference plus a shift smooth in Z, or an error.",
    )


class AtomRef(Section):
    """Reference energies of an arm: `fit: <name of a reference>` or `from: checkpoint`."""

    fit: Name | None = Field(default=None, description="Name of an entry of `references`.")
    from_: Literal["checkpoint"] | None = Field(
        default=None, alias="from", description="Keep the references of the pretrained checkpoint."
    )
    trainable: bool = Field(default=False, description="Whether training changes them.")

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if (self.fit is None) == (self.from_ is None):
            raise ValueError("give exactly one of `fit: <reference>` and `from: checkpoint`")
        return self


class Arm(Section):
    """A strategy, as a few orthogonal choices."""

    init: Literal["random", "pretrained"] = Field(description="Weights the network starts from.")
    atomref: AtomRef = Field(description="Elemental reference energies.")
    label: str = Field(default="", description="Name in figures and tables; default: the arm's key.")

    @model_validator(mode="after")
    def _checkpoint_needs_pretrained(self) -> Self:
        if self.init == "random" and self.atomref.from_ == "checkpoint":
            raise ValueError("`init: random` has no checkpoint to take references from; use `atomref: {fit: …}`")
        return self
