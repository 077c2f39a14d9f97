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
    unseen: Literal["prior", "source", "error"] = Field(
        default="prior",
        description="Elements without training structures: `prior`, source reference plus a shift smooth in Z; "
        "`source`, the source reference as it is; or an error.",
    )
    estimator: Literal["least-squares", "ridge", "huber", "prior-ridge", "elemental-solid", "isolated-atom"] = Field(
        default="least-squares",
        description="`ridge` pulls towards a common energy, `prior-ridge` towards source references plus a shift "
        "smooth in Z; `huber` limits the pull of outliers; `elemental-solid` and `isolated-atom` take energies from "
        "`elements`. See docs/concepts.md.",
    )
    strength: float | None = Field(
        default=None,
        gt=0,
        description="Of a ridge: the number of structures of the pure element that weigh as much as the expectation. "
        "Default: the smallest squared error on what is left out, where the split's group is left out at once.",
    )
    threshold: float | None = Field(
        default=None, gt=0, description="Of `huber`, in scales of the residuals; default 1.345."
    )
    elements: Name | None = Field(
        default=None,
        description="Fidelity that holds the solids or atoms, on the label scale of the target (source formats "
        "`elements`, `atoms`).",
    )
    bootstrap: int | None = Field(
        default=None,
        ge=2,
        description="Resamples of materials behind the standard errors; default: analytic ones, clustered by material.",
    )

    @model_validator(mode="after")
    def _options_of_the_estimator(self) -> Self:
        of_elements = self.estimator in ("elemental-solid", "isolated-atom")
        allowed = {
            "strength": self.estimator in ("ridge", "prior-ridge"),
            "threshold": self.estimator == "huber",
            "elements": of_elements,
            "bootstrap": not of_elements,
        }
        for key, fits in allowed.items():
            if getattr(self, key) is not None and not fits:
                raise ValueError(f"`{key}` means nothing to `estimator: {self.estimator}`; take it out")
        if of_elements and self.elements is None:
            raise ValueError(f"`estimator: {self.estimator}` needs `elements: <fidelity>`, which holds the energies")
        if of_elements and self.labels != "target":
            raise ValueError(f"`estimator: {self.estimator}` gives energies of the target: use `labels: target`")
        if self.estimator == "prior-ridge" and self.labels == "source":
            raise ValueError("`estimator: prior-ridge` leans on source references, so it cannot fit `labels: source`")
        return self


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
