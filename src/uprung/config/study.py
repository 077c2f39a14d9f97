"""The study file, whole. `config/schema.json` and `config/README.md` are generated from it."""

from __future__ import annotations

from collections.abc import Iterator
from os.path import normpath
from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, model_validator

from uprung.config.architectures import DEFAULT, slug
from uprung.config.arms import CHECKPOINT, DEFAULT_REFERENCES, Arm, ReferenceFit
from uprung.config.base import Checkpoint, FileName, Name, Section, Seeds, Size, Target, suggest, unique
from uprung.config.checkpoints import OwnCheckpoint
from uprung.config.data import Fidelity, MaterialsProject, Pair, Select, Split, strangers_in_mix
from uprung.config.dft import OwnDFT
from uprung.config.labels import label_contradictions, label_words
from uprung.config.laws import Laws
from uprung.config.physics import repair_contradictions
from uprung.config.report import Report
from uprung.config.resources import Resources
from uprung.config.runs import PlannedRun, runs_of, unknown_runs
from uprung.config.tests import Tests
from uprung.config.tracking import Tracking
from uprung.config.training import Budget, Longer, Pretraining, Training, Tune

#: Arms that the figures tell apart by colour and marker.
MOST_ARMS = 16


class Transfer(Section):
    """Which fidelity the network is moved to, and what it learns."""

    pair: Name = Field(
        description="Pair of fidelities: `low` is the source, `high` the target. Default: the pair of `data`, or the "
        "only pair."
    )
    pretraining_materials: FileName | None = Field(
        default=None,
        description="Text file with the ids of the materials that the checkpoint was pretrained on, one per line. The "
        "report then states which share of the test materials is among them. Default: unknown.",
    )
    targets: Annotated[list[Target], AfterValidator(unique)] = Field(
        default=["energy", "force"],
        min_length=1,
        description="What networks are tested on, and trained on unless `labels` says otherwise. The target fidelity "
        "has to have labels of each.",
    )
    labels: Annotated[list[Target], AfterValidator(unique)] = Field(
        default=[],
        description="Labels that arms train on, some of `targets` (`[energy]`); default: all of them. An arm may have "
        "`labels` of its own.",
    )
    select: Select = Field(default_factory=Select, description="Frames that take part.")


class Scaling(Section):
    """Learning curves and the laws fitted to them."""

    baseline: Name = Field(default="target", description="Reference fit that alone serves as the energy baseline.")
    falling: float = Field(
        default=0.1,
        gt=0,
        description="A run enters no law if its validation error fell by more than this share over the last fifth of "
        "its budget.",
    )
    settled: float = Field(
        default=0.1,
        gt=0,
        lt=1,
        description="A point is settled if a second budget, twice as long or more, changes its error by no more than "
        "this share.",
    )
    show_published: bool = Field(default=False, description="Draw the points of the published study as well.")
    bootstrap: int = Field(default=1000, ge=100, description="Bootstrap resamples of test groups.")
    laws: Laws = Field(default_factory=Laws, description="Scaling laws.")


class Analysis(Section):
    """Energy shift and correlation of the labels."""

    force_limit: float = Field(
        default=10.0, gt=0, description="Largest low-fidelity force of the second subset of the analysis, eV/Å."
    )
    bootstrap: int = Field(default=500, ge=100, description="Bootstrap resamples of materials.")


class Study(Section):
    """A study file, after its short forms were expanded (`uprung.config.short`)."""

    study: Name = Field(description="Name of the study: results go to `results/<study>/`.")
    fidelities: dict[Name, Fidelity] = Field(min_length=2, description="Levels of theory, by name.")
    materials_project: MaterialsProject = Field(
        default_factory=MaterialsProject, description="Download for fidelities with `download: true`."
    )
    own_dft: OwnDFT | None = Field(
        default=None,
        description="Computation of labels with GPAW (docs/how-to/own-dft.md), for fidelities with `computed: true` "
        "and sets of snapshots.",
    )
    pairs: dict[Name, Pair] = Field(min_length=1, description="Pairs of fidelities to compare, by name.")
    architecture: Checkpoint = Field(
        default=DEFAULT,
        description="The pretrained network: a checkpoint that comes with its architecture, or one of `checkpoints`. "
        "A list makes every arm one for each, `<arm>-<checkpoint>`.",
    )
    checkpoints: dict[Name, OwnCheckpoint] = Field(
        default={}, description="Pretrained networks in files of yours, by name (docs/architectures.md)."
    )
    transfer: Transfer = Field(description="Target fidelity, targets, selection of frames.")
    split: Split = Field(default_factory=Split, description="Training, validation and test set; subsets.")
    references: dict[Name, ReferenceFit] = Field(
        default={name: ReferenceFit.model_validate(entry) for name, entry in DEFAULT_REFERENCES.items()},
        description="Reference fits, by name; `target`, `source` and `residual` always exist.",
    )
    arms: dict[Name, Arm] = Field(min_length=1, description="Strategies to compare, by name.")
    sizes: Annotated[list[Size], AfterValidator(unique)] = Field(
        min_length=1, description="Training-set sizes: frames (400), share of the materials ('0.1%'), or all."
    )
    seeds: Annotated[Seeds, AfterValidator(unique)] = Field(
        min_length=1,
        description="Seeds of subsets and initial weights: a list, or a number (`3` for 0, 1 and 2).",
    )
    pretraining: dict[Name, Pretraining] = Field(
        default={}, description="Networks that the study pretrains on the source fidelity, by name."
    )
    budgets: dict[Name, Budget] = Field(min_length=1, description="Lengths of training, by name.")
    longer: Longer | None = Field(
        default=None,
        description="Second budget for some runs: which points are settled. Without it, none is, unless `budgets` has "
        "two that differ by twice or more.",
    )
    training: Training = Field(default_factory=Training, description="Training recipe.")
    tune: Tune | None = Field(
        default=None, description="Choice of the learning rate of every arm on validation; default: the recipe's."
    )
    resources: Resources = Field(
        default_factory=Resources, description="Run time and memory that jobs ask a scheduler for."
    )
    tracking: Tracking = Field(default_factory=Tracking, description="Experiment trackers beside TensorBoard.")
    analysis: Analysis = Field(default_factory=Analysis, description="Energy shift and correlation of the labels.")
    tests: Tests = Field(default_factory=Tests, description="Tests beside the errors on the test set.")
    scaling: Scaling = Field(default_factory=Scaling, description="Learning curves and scaling laws.")
    report: Report = Field(default_factory=Report, description="Texts of the report page.")

    @model_validator(mode="before")
    @classmethod
    def _fill_references(cls, data: Any) -> Any:
        if isinstance(data, dict) and isinstance(data.get("references", {}), dict):
            return {**data, "references": {**DEFAULT_REFERENCES, **data.get("references", {})}}
        return data

    @model_validator(mode="after")
    def _names_exist(self) -> Self:
        found = [*self._unknown_names(), *unknown_runs(self), *self._contradictions()]
        if found:
            raise ValueError("\n".join(found))
        return self

    def _unknown_names(self) -> Iterator[str]:
        """Yield a message for every name that is used but not defined."""
        softening = self.tests.softening
        used: list[tuple[str, str, dict[str, Any], str]] = [
            *((pair.low, f"pairs.{name}.low", self.fidelities, "fidelity") for name, pair in self.pairs.items()),
            *((pair.high, f"pairs.{name}.high", self.fidelities, "fidelity") for name, pair in self.pairs.items()),
            (self.transfer.pair, "transfer.pair", self.pairs, "pair"),
            *(
                (arm.references, f"arms.{name}.references", {**self.references, CHECKPOINT: None}, "reference")
                for name, arm in self.arms.items()
            ),
            (self.scaling.baseline, "scaling.baseline", self.references, "reference"),
            *(
                (entry.snapshots, f"tests.softening.sets.{name}.snapshots", softening.snapshots, "snapshots")
                for name, entry in softening.sets.items()
                if entry.snapshots is not None
            ),
            *(
                (reference.elements, f"references.{name}.elements", self.fidelities, "fidelity")
                for name, reference in self.references.items()
                if reference.elements is not None
            ),
        ]
        networks = {**self.networks, **self.pretraining}
        for name, reference in self.references.items():
            used.append((reference.model, f"references.{name}.model", networks, "pretrained network"))
        for name, arm in self.arms.items():
            starts = {"random": None, "pretrained": None, **self.pretraining}
            used.append((arm.init, f"arms.{name}.init", starts, "initial weights"))
            for teacher in arm.replay.teachers if arm.replay else ():
                used.append((teacher, f"arms.{name}.replay.teachers", networks, "network"))
        for name, where, known, what in used:
            if name not in known:
                yield f"{where}: no {what} named {name!r}{suggest(name, list(known))}"

    def _contradictions(self) -> Iterator[str]:
        """Yield a message for every two choices that cannot go together."""
        for name, fidelity in self.fidelities.items():
            corrected = fidelity.functional == "PBE" and self.materials_project.correction != "none"
            if fidelity.download and fidelity.energy == "energy+correction" and not corrected:
                yield (
                    f"fidelities.{name}.energy: downloaded energies have no correction; PBE has one with "
                    "`materials_project: {correction: mp2020}`"
                )
        for name, pair in self.pairs.items():
            yield from self._one_source_twice(name, pair)
        computed = [name for name, fidelity in self.fidelities.items() if fidelity.computed]
        if computed and self.own_dft is None:
            yield f"fidelities.{computed[0]}: `computed: true` needs the section `own_dft`"
        labelled = [name for name, entry in self.tests.softening.sets.items() if entry.labelled_here]
        if labelled and self.own_dft is None:
            yield (
                f"tests.softening.sets.{labelled[0]}: `snapshots` needs the section `own_dft`, which may be empty: "
                "`own_dft: {}`"
            )
        if self.own_dft is not None and not computed and not labelled:
            yield "own_dft: unused; give `computed: true` in a fidelity or `snapshots` in a set of tests.softening"
        elif self.own_dft is not None and bool(computed) != (self.own_dft.structures is not None):
            yield "own_dft.structures: belongs to `computed: true` of a fidelity; give both or neither"
        residual = {name for name, reference in self.references.items() if reference.labels == "residual"}
        for name, arm in self.arms.items():
            if arm.references in residual and arm.init == "random" and not arm.delta:
                yield (
                    f"arms.{name}: a residual reference is fitted to target − pretrained prediction, so it needs "
                    "`init: pretrained` (or `delta: true`)"
                )
            elif arm.references in residual:
                start = self.start_of(name)
                fitted_to = self.references[arm.references].model
                known = {fitted_to, start} <= {*self.networks, *self.pretraining}
                if known and fitted_to != start:
                    yield (
                        f"arms.{name}: reference {arm.references} is fitted to the residual of {fitted_to}, but the "
                        f"arm starts from {start}; name a reference with `labels: residual, model: {start}`"
                    )
            if arm.delta and arm.references not in residual:
                yield f"arms.{name}: `delta: true` needs a residual reference ({', '.join(sorted(residual))})"
        for name, reference in self.references.items():
            yield from self._unlike_elements(name, reference)
        if self.scaling.baseline in residual:
            yield "scaling.baseline: a residual reference alone predicts nothing"
        if self.split.draw == "frame" and any("%" in size for size in self.sizes):
            yield "sizes: a share of the training materials needs `split: {draw: material}`, not draw: frame"
        yield from self._unweighted()
        yield from label_contradictions(self)
        yield from repair_contradictions(self.tests.physics, self.tests.softening.sets)
        if self.transfer.pair in self.pairs:
            yield from strangers_in_mix(self.split, self.high, self.fidelities.get(self.high))
        labels = [self.label_of(name) for name in self.arms]
        for name, label in zip(self.arms, labels, strict=True):
            if (first := [*self.arms][labels.index(label)]) != name:
                yield f"arms.{name}.label: {label!r} is that of arms.{first}, too; figures tell arms apart by labels"
        if len(self.arms) > MOST_ARMS:
            yield f"arms: {len(self.arms)} arms; figures can distinguish {MOST_ARMS} at most"
        for name, arm in self.arms.items():
            if arm.architecture not in (None, self.architecture) and arm.init in self.pretraining:
                yield (
                    f"arms.{name}: starts from {arm.init}, which is a network of {self.architecture}; take its "
                    f"`architecture: {arm.architecture}` out"
                )
        reserved = [f"pretraining.{name}" for name in ("random", *self.networks) if name in self.pretraining]
        for where in [*reserved, *(f"references.{name}" for name in (CHECKPOINT,) if name in self.references)]:
            yield f"{where}: this name is reserved; choose another"
        if self.split.draw == "frame" and any("%" in entry.size for entry in self.pretraining.values()):
            yield "pretraining: a share of the training materials needs `split: {draw: material}`, not draw: frame"
        budgets = {f"budgets.{name}": budget for name, budget in self.budgets.items()}
        for where, budget in {
            **budgets,
            **{f"pretraining.{k}": entry for k, entry in self.pretraining.items()},
        }.items():
            if budget.keep == "val-energy" and "energy" not in self.transfer.targets:
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

    def _unweighted(self) -> Iterator[str]:
        """Yield a message where all weights of a loss are zero, so that nothing would be learnt."""
        recipe, tuning = self.training.weights, self.tests.softening.correction.training.weights
        if not any(getattr(recipe, target) for target in self.transfer.targets):
            yield (
                f"training.weights: 0 for all of transfer.targets ({', '.join(self.transfer.targets)}), so nothing "
                "would be learnt (allowed: one of them above 0)"
            )
        if not any(dict(tuning).values()):
            yield "tests.softening.correction.training.weights: all 0: nothing would be learnt (allowed: one above 0)"

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
    def runs(self) -> list[PlannedRun]:
        """Runs of the learning curves."""
        return runs_of(self)

    def checkpoint_of(self, arm: str) -> str:
        """Return the checkpoint of an arm, which its architecture comes with."""
        return self.arms[arm].architecture or self.architecture

    def labels_of(self, arm: str) -> list[Target]:
        """Return the labels that an arm trains on, in the order of the targets."""
        chosen = self.arms[arm].labels or self.transfer.labels or self.transfer.targets
        return [target for target in self.transfer.targets if target in chosen]

    def label_of(self, arm: str) -> str:
        """Return the name of an arm in figures and tables: its label, or its key with labels of its own."""
        options = self.arms[arm]
        return options.label or (f"{arm} ({label_words(self.labels_of(arm))})" if options.labels else arm)

    @property
    def networks(self) -> dict[str, str]:
        """Checkpoints by name: `pretrained` for the study's own, and those of the arms that have another."""
        others = {arm.architecture for arm in self.arms.values() if arm.architecture} - {self.architecture}
        return {"pretrained": self.architecture} | {slug(name): name for name in sorted(others)}

    def start_of(self, arm: str) -> str | None:
        """Return the network that an arm starts from or corrects, as `networks` and `pretraining` name it, if any."""
        options = self.arms[arm]
        if options.init == "pretrained" or options.delta:
            return next(name for name, known in self.networks.items() if known == self.checkpoint_of(arm))
        return None if options.init == "random" else options.init

    @property
    def low(self) -> str:
        """Name of the source fidelity of the transfer."""
        return self.pairs[self.transfer.pair].low

    @property
    def high(self) -> str:
        """Name of the target fidelity of the transfer."""
        return self.pairs[self.transfer.pair].high
