"""Sections of the study file about strategies: reference energies and arms."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from uprung.config.base import Name, Section
from uprung.config.estimators import ESTIMATORS, EstimatorName, FittedTo, contradiction, takes

TrainablePart = Literal["all", "readout", "all-but-embeddings", "last-1-block", "last-2-blocks", "last-3-blocks"]


def _as_replay(value: Any) -> Any:
    return {"fraction": value} if isinstance(value, int | float) and not isinstance(value, bool) else value


class ReferenceFit(Section):
    """How elemental reference energies are fitted."""

    labels: FittedTo = Field(
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
    estimator: EstimatorName = Field(
        default="least-squares",
        description=f"{'; '.join(f'`{name}` {kind.what}' for name, kind in ESTIMATORS.items())}. See docs/concepts.md.",
    )
    strength: float | None = Field(
        default=None,
        gt=0,
        description=f"Of {takes('strength')}: the number of structures of the pure element that weigh as much as the "
        "expectation. Default: the smallest squared error on what is left out, where the split's group is left out "
        "at once.",
    )
    threshold: float | None = Field(
        default=None, gt=0, description=f"Of {takes('threshold')}, in scales of the residuals; default 1.345."
    )
    model: Name = Field(
        default="pretrained",
        description="Of `labels: residual`, the network whose prediction is subtracted: `pretrained` or an entry of "
        "`pretraining`.",
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
        options = {key: getattr(self, key) for key in ("strength", "threshold", "elements", "bootstrap")}
        if found := contradiction(self.estimator, self.labels, options):
            raise ValueError(found)
        if self.model != "pretrained" and self.labels != "residual":
            raise ValueError(f"`model` means nothing to `labels: {self.labels}`; take it out")
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


class Replay(Section):
    """Frames of the source fidelity that every optimiser batch holds beside those of the target."""

    fraction: float = Field(default=0.5, gt=0, lt=1, description="Share of the optimiser batch.")
    labels: Literal["source", "pretrained"] = Field(
        default="source",
        description="`source`: labels of the source fidelity; `pretrained`: predictions of the pretrained checkpoint.",
    )


class Arm(Section):
    """A strategy, as a few orthogonal choices."""

    init: Name = Field(
        description="Weights the network starts from: `random`, `pretrained` (the checkpoint of `transfer`), or an "
        "entry of `pretraining`."
    )
    atomref: AtomRef = Field(description="Elemental reference energies.")
    trainable: TrainablePart = Field(
        default="all",
        description="Part of the network that training changes: `all`, `readout`, `all-but-embeddings`, or the readout "
        "and the last blocks of convolutions (`last-1-block`, `last-2-blocks`, `last-3-blocks`).",
    )
    l2_sp: float | None = Field(
        default=None,
        gt=0,
        description="Strength α of a pull towards the initial weights: α/2·|w − w₀|² is added to the loss.",
    )
    replay: Annotated[Replay | None, BeforeValidator(_as_replay)] = Field(
        default=None,
        description="Source frames of training materials in every batch, with reference energies of their own: a share "
        "(`0.5`), or the options.",
    )
    fidelities: Literal["target", "joint"] = Field(
        default="target",
        description="`joint`: one network for both fidelities, which an embedding tells apart; needs `replay`.",
    )
    delta: bool = Field(
        default=False,
        description="Δ-learning: a new network is trained as a correction to the frozen pretrained one; needs "
        "`init: random` and a residual reference.",
    )
    label: str = Field(default="", description="Name in figures and tables; default: the arm's key.")

    @model_validator(mode="after")
    def _choices_agree(self) -> Self:
        found = list(self._contradictions())
        if found:
            raise ValueError("; ".join(found))
        return self

    def _contradictions(self) -> Iterator[str]:
        if self.init == "random":
            if self.atomref.from_ == "checkpoint":
                yield "`init: random` has no checkpoint to take references from; use `atomref: {fit: …}`"
            if self.trainable != "all":
                yield f"`trainable: {self.trainable}` would freeze random weights; use `init: pretrained`"
            if self.l2_sp is not None:
                yield "`l2_sp` would pull towards random weights; use `init: pretrained`"
        if self.fidelities == "joint" and self.replay is None:
            yield "`fidelities: joint` needs source frames in the batches; give `replay: 0.5`, for example"
        if self.delta and (self.init != "random" or self.atomref.fit is None or self.atomref.trainable):
            yield (
                "`delta: true` needs `init: random` and `atomref: {fit: residual}`, not trainable: the correction is a "
                "new network, and references of both networks have to be right together"
            )
        if self.delta and self.replay is not None:
            yield "`delta: true` has no labels for source frames; take `replay` out"
