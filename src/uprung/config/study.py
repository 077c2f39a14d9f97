"""The study file, whole. `config/schema.json` and `config/README.md` are generated from it."""

from __future__ import annotations

from collections.abc import Iterator
from os.path import normpath
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from uprung.config.arms import Arm, ReferenceFit
from uprung.config.base import Checkpoint, Name, Section, Seed, Size, Target, suggest, unique
from uprung.config.data import EvalSet, Fidelity, MaterialsProject, Pair, Select, Split
from uprung.config.dft import OwnDFT
from uprung.config.laws import Laws
from uprung.config.report import Report
from uprung.config.snapshots import States
from uprung.config.tracking import Tracking
from uprung.config.training import Budget, FineTuning, Pretraining, Training

#: Arms that the figures tell apart by colour and marker.
MOST_ARMS = 16
DEFAULT_REFERENCES: dict[str, dict[str, str]] = {
    "target": {"labels": "target"},
    "source": {"labels": "source"},
    "residual": {"labels": "residual"},
}


CorrectionName = Literal["number", "per-element", "training"]


class Transfer(Section):
    """The question: which fidelity is the network moved to, and what is learnt."""

    pair: Name = Field(description="Pair of fidelities: `low` is the source, `high` the target.")
    pretrained: Checkpoint = Field(
        default="chgnet-0.3.0",
        description="Checkpoint of the pretrained arms: `chgnet-0.3.0` or `chgnet-r2scan`.",
    )
    pretraining_materials: str | None = Field(
        default=None,
        description="Text file with the material id of every structure that the checkpoint was pretrained on, one per "
        "line; the report then says which share of the test materials is among them. Default: unknown.",
    )
    targets: Annotated[list[Target], AfterValidator(unique)] = Field(
        default=["energy", "force", "stress", "magmom"],
        min_length=1,
        description="Labels in the loss. One that the target fidelity has no labels for is an error.",
    )
    select: Select = Field(default_factory=Select, description="Frames that take part.")


class Forgetting(Section):
    """Test of every trained network on the source fidelity."""

    frames: int = Field(
        default=2000,
        ge=0,
        description="Held-out source frames that every run is tested on at most, and training ones that its energies "
        "are re-referenced with; 0 turns the test off.",
    )


class ForceCorrection(Section):
    """Correction of softness, fitted to k labelled structures of a set and judged on those of other trajectories."""

    methods: Annotated[list[CorrectionName], AfterValidator(unique)] = Field(
        default=["number"],
        min_length=1,
        description="`number`: one number multiplies the forces. `per-element`: one number per element multiplies the "
        "energies of its atoms. `training`: the checkpoints of `softening.models` are "
        "trained on the k structures (runs of the study are not).",
    )

    shots: Annotated[list[Annotated[int, Field(ge=1)]], AfterValidator(unique)] = Field(
        default=[1, 2, 5, 10], min_length=1, description="Numbers k of labelled structures."
    )
    draws: int = Field(default=50, ge=10, description="Draws of the k structures.")
    training: FineTuning = Field(default_factory=FineTuning, description="Recipe of the method `training`.")

    @model_validator(mode="after")
    def _trained_draws_are_judged_beside(self) -> Self:
        if self.training.draws > self.draws:
            raise ValueError(
                f"training.draws: {self.training.draws}, but there are {self.draws} `draws` to be the first of"
            )
        return self


class Softening(Section):
    """Which models are held against the forces of `evalsets`."""

    models: Annotated[list[Checkpoint], AfterValidator(unique)] = Field(
        default=["chgnet-0.3.0", "chgnet-r2scan"], description="Shipped checkpoints."
    )
    runs: Literal["none", "largest", "all"] = Field(
        default="largest", description="Trained networks of the study: none, those of the last of `sizes`, all."
    )
    bootstrap: int = Field(default=500, ge=100, description="Resamples over frames and materials.")
    correction: ForceCorrection = Field(
        default_factory=ForceCorrection, description="Correction of softness with few labelled structures."
    )

    @model_validator(mode="after")
    def _something_is_trained(self) -> Self:
        if "training" in self.correction.methods and not self.models:
            raise ValueError("correction.methods: `training` trains checkpoints, but `models` names none")
        return self


class Scaling(Section):
    """Learning curves and the laws fitted to them."""

    baseline: Name = Field(default="target", description="Reference whose prediction alone is the energy baseline.")
    falling: float = Field(
        default=0.1,
        gt=0,
        description="A run whose validation error fell by more than this share over the last fifth of its budget is "
        "still falling, hence unconverged.",
    )
    show_published: bool = Field(default=False, description="Draw the published study's points as well.")
    bootstrap: int = Field(default=1000, ge=100, description="Resamples over test groups.")
    laws: Laws = Field(default_factory=Laws, description="Laws and what is asked of them.")


class Analysis(Section):
    """Energy shift and label correlation."""

    force_limit: float = Field(default=10.0, gt=0, description="Second subset: low-fidelity forces below this, eV/Å.")
    bootstrap: int = Field(default=500, ge=100, description="Resamples over materials.")


class Study(Section):
    """A whole study file."""

    study: Name = Field(description="Name of the study: results go to `results/<study>/`.")
    fidelities: dict[Name, Fidelity] = Field(min_length=2, description="Levels of theory by name.")
    materials_project: MaterialsProject = Field(
        default_factory=MaterialsProject, description="Where fidelities with `pulled: true` come from."
    )
    own_dft: OwnDFT | None = Field(
        default=None,
        description="Where fidelities with `computed: true` come from; needs GPAW (docs/how-to/own-dft.md).",
    )
    pairs: dict[Name, Pair] = Field(min_length=1, description="Compared fidelities by name.")
    transfer: Transfer = Field(description="What is trained.")
    split: Split = Field(default_factory=Split, description="Train, validation, test; subsets.")
    references: dict[Name, ReferenceFit] = Field(
        default={name: ReferenceFit.model_validate(entry) for name, entry in DEFAULT_REFERENCES.items()},
        description="Reference fits by name; `target`, `source` and `residual` are always there.",
    )
    arms: dict[Name, Arm] = Field(min_length=1, description="Strategies by name.")
    sizes: Annotated[list[Size], AfterValidator(unique)] = Field(
        min_length=1, description="Training-set sizes: frames (400), share of the materials ('0.1%'), or all."
    )
    seeds: Annotated[list[Seed], AfterValidator(unique)] = Field(
        min_length=1, description="Each seed draws its own nested subsets and initial weights."
    )
    pretraining: dict[Name, Pretraining] = Field(
        default={}, description="Networks that the study pretrains on the source fidelity itself, by name."
    )
    budgets: dict[Name, Budget] = Field(min_length=1, description="Lengths of training by name.")
    training: Training = Field(default_factory=Training, description="Recipe.")
    tracking: Tracking = Field(
        default_factory=Tracking, description="Services that finished runs are sent to, beside TensorBoard's files."
    )
    analysis: Analysis = Field(default_factory=Analysis, description="Energy shift and correlation.")
    evalsets: dict[Name, EvalSet] = Field(
        default={},
        description="Frames far from equilibrium with forces, by name: functional, and sources (as of a fidelity) or "
        "states.",
    )
    softening: Softening = Field(
        default_factory=Softening, description="Which models are held against the forces of `evalsets`."
    )
    states: dict[Name, States] = Field(
        default={}, description="High-energy states to be sampled by molecular dynamics, by name."
    )
    forgetting: Forgetting = Field(
        default_factory=Forgetting, description="Test of every trained network on the source fidelity."
    )
    scaling: Scaling = Field(default_factory=Scaling, description="Learning curves and laws.")
    report: Report = Field(default_factory=Report, description="Words on the report page.")

    @model_validator(mode="before")
    @classmethod
    def _fill_references(cls, data: Any) -> Any:
        if isinstance(data, dict) and isinstance(data.get("references", {}), dict):
            return {**data, "references": {**DEFAULT_REFERENCES, **data.get("references", {})}}
        return data

    @model_validator(mode="after")
    def _names_exist(self) -> Self:
        found = [*self._unknown_names(), *self._contradictions()]
        if found:
            raise ValueError("\n".join(found))
        return self

    def _unknown_names(self) -> Iterator[str]:
        """Yield a message for every name that is used, but defined nowhere."""
        used: list[tuple[str, str, dict[str, Any], str]] = [
            *((pair.low, f"pairs.{name}.low", self.fidelities, "fidelity") for name, pair in self.pairs.items()),
            *((pair.high, f"pairs.{name}.high", self.fidelities, "fidelity") for name, pair in self.pairs.items()),
            (self.transfer.pair, "transfer.pair", self.pairs, "pair"),
            *(
                (arm.atomref.fit, f"arms.{name}.atomref.fit", self.references, "reference")
                for name, arm in self.arms.items()
                if arm.atomref.fit is not None
            ),
            (self.scaling.baseline, "scaling.baseline", self.references, "reference"),
            *(
                (evalset.states, f"evalsets.{name}.states", self.states, "sampled states")
                for name, evalset in self.evalsets.items()
                if evalset.states is not None
            ),
            *(
                (reference.elements, f"references.{name}.elements", self.fidelities, "fidelity")
                for name, reference in self.references.items()
                if reference.elements is not None
            ),
        ]
        networks = {"pretrained": None, **self.pretraining}
        for name, reference in self.references.items():
            used.append((reference.model, f"references.{name}.model", networks, "pretrained network"))
        for name, arm in self.arms.items():
            used.append((arm.init, f"arms.{name}.init", {"random": None, **networks}, "initial weights"))
        for name, where, known, what in used:
            if name not in known:
                yield f"{where}: no {what} named {name!r}{suggest(name, list(known))}"

    def _contradictions(self) -> Iterator[str]:
        """Yield a message for every two choices that cannot go together."""
        for name, fidelity in self.fidelities.items():
            corrected = fidelity.functional == "PBE" and self.materials_project.correction != "none"
            if fidelity.pulled and fidelity.energy == "energy+correction" and not corrected:
                yield (
                    f"fidelities.{name}.energy: pulled energies have no correction; PBE has one with "
                    "`materials_project: {correction: mp2020}`"
                )
        for name, pair in self.pairs.items():
            yield from self._one_source_twice(name, pair)
        computed = [name for name, fidelity in self.fidelities.items() if fidelity.computed]
        if computed and self.own_dft is None:
            yield f"fidelities.{computed[0]}: `computed: true` needs the section `own_dft`"
        labelled = [name for name, evalset in self.evalsets.items() if evalset.labelled_here]
        if labelled and self.own_dft is None:
            yield f"evalsets.{labelled[0]}: `states` need the section `own_dft`, which may be empty: `own_dft: {{}}`"
        if self.own_dft is not None and not computed and not labelled:
            yield "own_dft: no fidelity has `computed: true` and no evalset `states`; give one, or drop this section"
        elif self.own_dft is not None and bool(computed) != (self.own_dft.structures is not None):
            yield "own_dft.structures: goes with `computed: true` of a fidelity; give both, or neither"
        residual = {name for name, reference in self.references.items() if reference.labels == "residual"}
        for name, arm in self.arms.items():
            if arm.atomref.fit in residual and arm.init == "random" and not arm.delta:
                yield (
                    f"arms.{name}: a residual reference is fitted to target − pretrained prediction, so it needs "
                    "`init: pretrained` (or `delta: true`)"
                )
            elif arm.atomref.fit in residual:
                start = "pretrained" if arm.delta else arm.init
                fitted_to = self.references[arm.atomref.fit].model
                known = fitted_to in ("pretrained", *self.pretraining) and start in ("pretrained", *self.pretraining)
                if known and fitted_to != start:
                    yield (
                        f"arms.{name}: reference {arm.atomref.fit} is fitted to what {fitted_to} leaves over, but the "
                        f"arm starts from {start}; name a reference with `labels: residual, model: {start}`"
                    )
            if arm.delta and arm.atomref.fit not in residual:
                yield f"arms.{name}: `delta: true` needs a residual reference ({', '.join(sorted(residual))})"
        for name, reference in self.references.items():
            yield from self._unlike_elements(name, reference)
        if self.scaling.baseline in residual:
            yield "scaling.baseline: a residual reference predicts nothing by itself"
        if self.split.draw == "frame" and any("%" in size for size in self.sizes):
            yield "sizes: a share of the training materials needs `split: {draw: material}`, not draw: frame"
        if len(self.arms) > MOST_ARMS:
            yield f"arms: {len(self.arms)} of them; more than {MOST_ARMS} cannot be told apart in a figure"
        for name in self.pretraining:
            if name in ("random", "pretrained"):
                yield f"pretraining.{name}: the name has a meaning of its own; choose another"
        if self.split.draw == "frame" and any("%" in entry.size for entry in self.pretraining.values()):
            yield "pretraining: a share of the training materials needs `split: {draw: material}`, not draw: frame"
        budgets = {f"budgets.{name}": budget for name, budget in self.budgets.items()}
        for where, budget in {
            **budgets,
            **{f"pretraining.{k}": entry for k, entry in self.pretraining.items()},
        }.items():
            if budget.kept == "val-energy" and "energy" not in self.transfer.targets:
                yield f"{where}.keep: val-energy needs energy in transfer.targets (allowed: last, val-loss)"

    def _one_source_twice(self, name: str, pair: Pair) -> Iterator[str]:
        """Yield a message when both fidelities of a pair read one functional from one file."""
        sides = [self.fidelities[side] for side in (pair.low, pair.high) if side in self.fidelities]
        files = [{normpath(source.file) for source in side.sources} for side in sides]
        if len(sides) == 2 and sides[0].functional.lower() == sides[1].functional.lower() and not pair.identical_labels:
            for file in sorted(files[0] & files[1]):
                yield (
                    f"pairs.{name}: {pair.low} and {pair.high} both read {sides[0].functional} from {file}, which is "
                    "one functional twice; name another file or functional, or state it with `identical_labels: true`"
                )

    def _unlike_elements(self, name: str, reference: ReferenceFit) -> Iterator[str]:
        """Yield a message when energies of elements are of another kind than the target's; scales show in the data."""
        if reference.elements not in self.fidelities or self.transfer.pair not in self.pairs:
            return
        target, own = self.fidelities.get(self.high), self.fidelities[reference.elements]
        for key in ("functional", "energy"):
            if target is not None and getattr(own, key) != getattr(target, key):
                yield (
                    f"references.{name}.elements: {reference.elements} has {key} {getattr(own, key)!r}, but the target "
                    f"{self.high} has {getattr(target, key)!r}; references have to be energies of the same kind"
                )

    @property
    def low(self) -> str:
        """Name of the source fidelity of the transfer."""
        return self.pairs[self.transfer.pair].low

    @property
    def high(self) -> str:
        """Name of the target fidelity of the transfer."""
        return self.pairs[self.transfer.pair].high
