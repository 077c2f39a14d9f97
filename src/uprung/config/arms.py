"""Sections of the study file about reference fits and arms."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from uprung.config.base import Checkpoint, Name, Section, Seed, Seeds, Target, unique
from uprung.config.estimators import ESTIMATORS, EstimatorName, FittedTo, contradiction, takes

#: In place of the name of a reference fit: the initial network keeps its own reference energies.
CHECKPOINT = "checkpoint"
#: Reference fits that always exist.
DEFAULT_REFERENCES: dict[str, dict[str, str]] = {
    "target": {"labels": "target"},
    "source": {"labels": "source"},
    "residual": {"labels": "residual"},
}
TrainablePart = Literal["all", "readout", "all-but-embeddings", "last-1-block", "last-2-blocks", "last-3-blocks"]


def _as_replay(value: Any) -> Any:
    # YAML has 5e-1 as a text: pydantic reads the number
    return {"fraction": value} if isinstance(value, int | float | str) and not isinstance(value, bool) else value


class ReferenceFit(Section):
    """How elemental reference energies are fitted."""

    labels: FittedTo = Field(
        description="Energies to fit: `target`, of the target fidelity; `source`, of the source fidelity; `residual`, "
        "target energy minus the pretrained prediction, added to the checkpoint's references."
    )
    scope: Literal["subset", "train"] = Field(
        default="subset",
        description="Fit to the run's own subset, or to the whole training split (more labels than n, as the report "
        "states).",
    )
    unseen: Literal["prior", "source", "error"] = Field(
        default="prior",
        description="Reference of elements without training structures: `prior`, the source's plus a shift smooth in "
        "Z; `source`, the source's unchanged; or an error.",
    )
    estimator: EstimatorName = Field(
        default="least-squares",
        description=f"{'; '.join(f'`{name}` {kind.what}' for name, kind in ESTIMATORS.items())}. See docs/concepts.md.",
    )
    strength: float | None = Field(
        default=None,
        gt=0,
        description=f"Strength of {takes('strength')}: number of structures of the pure element that weigh as much "
        "as the expectation. Default: chosen by cross-validation that leaves out one group of the split at a time.",
    )
    threshold: float | None = Field(
        default=None,
        gt=0,
        description=f"Threshold of {takes('threshold')}, in scales of the residuals; default: 1.345.",
    )
    model: Name = Field(
        default="pretrained",
        description="Network whose prediction `labels: residual` subtracts: `pretrained`, an entry of `pretraining`, "
        "or the checkpoint of an arm with an `architecture` of its own (`7net-0`; points become hyphens).",
    )
    elements: Name | None = Field(
        default=None,
        description="Fidelity with the elemental solids or atoms, on the label scale of the target (source formats "
        "`elements`, `atoms`).",
    )
    bootstrap: int | None = Field(
        default=None,
        ge=2,
        description="Bootstrap resamples of materials for standard errors; default: analytic, clustered by material.",
    )

    @model_validator(mode="after")
    def _options_of_the_estimator(self) -> Self:
        options = {key: getattr(self, key) for key in ("strength", "threshold", "elements", "bootstrap")}
        if found := contradiction(self.estimator, self.labels, options):
            raise ValueError(found)
        if self.model != "pretrained" and self.labels != "residual":
            raise ValueError(f"`model` means nothing to `labels: {self.labels}`; take it out")
        return self


class Replay(Section):
    """Frames of the source fidelity in every optimiser batch, beside those of the target."""

    fraction: float = Field(default=0.5, gt=0, lt=1, description="Share of the optimiser batch.")
    labels: Literal["source", "pretrained", "teachers"] = Field(
        default="source",
        description="`source`: labels of the source fidelity; `pretrained`: predictions of the pretrained checkpoint; "
        "`teachers`: means of the predictions of several networks, of the frames on which they agree.",
    )
    teachers: Annotated[list[Name], AfterValidator(unique)] = Field(
        default=[],
        description="Networks that label the frames with `labels: teachers`, two or more: `pretrained`, entries of "
        "`pretraining`, or checkpoints of arms (`7net-0`; points become hyphens).",
    )
    agree: dict[Target, Annotated[float, Field(gt=0)]] = Field(
        default={},
        description="Largest standard deviation among the teachers at which a frame is accepted, by target, for "
        "example `{force: 0.1}`: eV/atom; eV/Å, GPa and μB of the worst component.",
    )

    @model_validator(mode="after")
    def _teachers_agree(self) -> Self:
        if self.labels != "teachers" and (self.teachers or self.agree):
            raise ValueError("`teachers` and `agree` belong to `labels: teachers`; give it, or take them out")
        if self.labels == "teachers" and (len(self.teachers) < 2 or not self.agree):
            raise ValueError(
                "`labels: teachers` needs two `teachers` or more and what they have to `agree` on, for example "
                "`teachers: [pretrained, small], agree: {force: 0.1}`"
            )
        return self


def _as_ewc(value: Any) -> Any:
    return {"strength": value} if isinstance(value, int | float | str) and not isinstance(value, bool) else value


class Ewc(Section):
    """Elastic weight consolidation: a pull to the initial weights, as strong as the source structures need each."""

    strength: float = Field(
        gt=0,
        description="λ: λ/2·Σ F·(w − w₀)² is added to the loss, F the diagonal Fisher information of the initial "
        "network.",
    )
    structures: int = Field(
        default=1000, ge=1, description="Source structures of training materials that F is estimated on; at most all."
    )
    seed: Seed = Field(default=0, description="Seed of the choice of structures and of the random signs.")


class Arm(Section):
    """A strategy: independent choices of initial weights, references and training."""

    init: Name = Field(
        default="pretrained",
        description="Initial weights: `random`, `pretrained` (the checkpoint that `architecture` names), or an entry "
        "of `pretraining`.",
    )
    references: Name = Field(
        description="Elemental reference energies: `target`, `source`, `residual` or another entry of `references`, or "
        "`checkpoint` for those of the initial network. Default with `init: random`: `target`.",
    )
    references_trainable: bool = Field(default=False, description="Whether training changes the reference energies.")
    trainable: TrainablePart = Field(
        default="all",
        description="Part of the network that is trained: `all`, `readout`, `all-but-embeddings`, or the readout and "
        "the last blocks of convolutions (`last-1-block`, `last-2-blocks`, `last-3-blocks`).",
    )
    l2_sp: float | None = Field(
        default=None,
        gt=0,
        description="Strength α of L2-SP: α/2·|w − w₀|², with the initial weights w₀, is added to the loss.",
    )
    replay: Annotated[Replay | None, BeforeValidator(_as_replay, json_schema_input_type=float | Replay | None)] = Field(
        default=None,
        description="Source frames of training materials in every batch, with their own reference energies: a share "
        "(`0.5`) or options.",
    )
    fidelities: Literal["target", "joint"] = Field(
        default="target",
        description="`joint`: one network for both fidelities, told apart by an embedding; needs `replay`.",
    )
    delta: bool = Field(
        default=False,
        description="Δ-learning: train a new network as a correction to the frozen pretrained one; needs `init: "
        "random` and a residual reference.",
    )
    labels: Annotated[list[Target], AfterValidator(unique)] = Field(
        default=[],
        description="Labels that this arm trains on, some of `transfer.targets`; default: `transfer.labels`. Its test "
        "has all targets.",
    )
    ewc: Annotated[
        Ewc | None,
        BeforeValidator(_as_ewc, json_schema_input_type=float | Ewc | None),
    ] = Field(
        default=None,
        description="Pull to the initial weights by their Fisher information on source structures: its strength "
        "(`100`) or options.",
    )
    architecture: Checkpoint | None = Field(
        default=None, description="Checkpoint of this arm, and with it its architecture; default: that of the study."
    )
    seeds: Annotated[Seeds, AfterValidator(unique)] = Field(
        default=[], description="Some of the study's `seeds`, for an arm that needs fewer; default: all."
    )
    label: str = Field(default="", description="Name in figures and tables; default: the arm's key.")

    @model_validator(mode="before")
    @classmethod
    def _references_of_random_weights(cls, data: Any) -> Any:
        return {"references": "target", **data} if isinstance(data, dict) and data.get("init") == "random" else data

    @model_validator(mode="after")
    def _choices_agree(self) -> Self:
        found = list(self._contradictions())
        if found:
            raise ValueError("; ".join(found))
        return self

    def _contradictions(self) -> Iterator[str]:
        if self.init == "random":
            if self.references == CHECKPOINT:
                yield "`init: random` has no checkpoint to take references from; use `references: target`"
            if self.trainable != "all":
                yield f"`trainable: {self.trainable}` would freeze random weights; use `init: pretrained`"
            if self.l2_sp is not None:
                yield "`l2_sp` would pull towards random weights; use `init: pretrained`"
            if self.ewc is not None:
                yield "`ewc` would pull towards random weights; use `init: pretrained`"
        if self.fidelities == "joint" and self.replay is None:
            yield "`fidelities: joint` needs source frames in the batches; give `replay: 0.5`, for example"
        if self.delta and (self.init != "random" or self.references == CHECKPOINT or self.references_trainable):
            yield (
                "`delta: true` needs `init: random` and `references: residual`, not trainable: the correction is a new "
                "network, and the references of both networks have to be right together"
            )
        if self.delta and self.replay is not None:
            yield "`delta: true` has no labels for source frames; take `replay` out"
