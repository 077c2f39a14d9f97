"""The study file: one typed model per section. `config/schema.json` and `config/README.md` are generated from it.

A name that the user chooses (fidelity, pair, reference, arm, budget) becomes a folder name and a Snakemake
wildcard, so it is restricted to letters, digits and hyphens. Options never enter a path.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
    model_validator,
)

NAME = re.compile(r"[A-Za-z0-9]+(-[A-Za-z0-9]+)*")
SIZE = re.compile(r"all|[1-9]\d*|\d+(\.\d+)?%")
#: frames, eV/atom, ltol, stol, degrees: MPtrj's duplicates (Deng et al. 2023 and the query published beside it).
MPTRJ_TOLERANCES = (
    (0, 0.002, 0.002, 0.001, 0.05),
    (11, 0.005, 0.01, 0.01, 0.1),
    (31, 0.010, 0.1, 0.1, 1.0),
    (51, 0.030, 0.3, 0.2, 3.0),
)
# no library for these: the study file is checked before anything heavy is imported
SYMBOLS = (
    "H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Kr Rb Sr Y Zr "
    "Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu Hf Ta W Re Os Ir "
    "Pt Au Hg Tl Pb Bi Po At Rn Fr Ra Ac Th Pa U Np Pu"
).split()


def _name(value: str) -> str:
    if not NAME.fullmatch(value):
        raise ValueError(
            f"{value!r} is not a usable name: letters and digits, parts joined by single hyphens (it becomes a "
            "folder name)"
        )
    return value


def _size(value: object) -> str:
    token = str(value)
    share = float(token[:-1]) if SIZE.fullmatch(token) and token.endswith("%") else 100.0
    if isinstance(value, bool) or not SIZE.fullmatch(token) or not 0 < share <= 100:
        raise ValueError(
            f"{value!r} is not a size: give a number of frames (400), a share of the training materials "
            "('0.1%', up to '100%'), or 'all'"
        )
    return token


def _unique(values: list[Any]) -> list[Any]:
    double = sorted({str(v) for v in values if values.count(v) > 1})
    if double:
        raise ValueError(f"{', '.join(double)} given more than once")
    return values


def parse_elements(items: Sequence[str]) -> frozenset[int]:
    """Return the atomic numbers that a list of symbols and ranges names: `['Yb', '58-71', '84-']`.

    Raises:
        ValueError: an item is neither a symbol nor a rising range of atomic numbers within 1 to 94.
    """
    found = set[int]()
    for item in items:
        numbers = re.fullmatch(r"(\d+)(-(\d*))?", item)
        if item in SYMBOLS:
            found.add(SYMBOLS.index(item) + 1)
        elif numbers:
            first, last = int(numbers[1]), int(numbers[3] or (94 if numbers[2] else numbers[1]))
            if not 1 <= first <= last <= len(SYMBOLS):
                raise ValueError(f"{item!r} is not a rising range of atomic numbers within 1-{len(SYMBOLS)}")
            found.update(range(first, last + 1))
        else:
            raise ValueError(f"{item!r} is neither an element symbol (Yb) nor a range of atomic numbers (58-71, 84-)")
    return frozenset(found)


def _elements(items: list[str]) -> list[str]:
    parse_elements(items)
    return items


Name = Annotated[str, AfterValidator(_name)]
Elements = Annotated[list[str], AfterValidator(_elements)]
Size = Annotated[
    str,
    BeforeValidator(_size),
    WithJsonSchema(
        {"anyOf": [{"type": "integer", "minimum": 1}, {"type": "string", "pattern": f"^({SIZE.pattern})$"}]}
    ),
]
Target = Literal["energy", "force", "stress", "magmom"]
EnergyLabel = Literal["energy", "energy_free", "energy+correction"]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Source(_Section):
    """One file (or folder) of labelled structures."""

    format: Literal[
        "diatomics",
        "solids",
        "elements",
        "frames",
        "mptrj",
        "mp-r2scan",
        "matpes",
        "mp-aloe",
        "wbm-high-energy",
        "omat",
        "ase",
        "vasprun",
    ] = Field(
        description="Reader: `diatomics`, `solids` and `elements` are the embedded data sets; `frames` is a Parquet "
        "file or folder that already has the columns of the frames table; `mptrj`, `mp-r2scan`, `matpes`, `mp-aloe`, "
        "`wbm-high-energy` (JSON) and `omat` (OMat24, sAlex) are published sets; `ase` is extended XYZ or an ASE "
        "database; `vasprun` is a vasprun.xml or a folder of runs. See docs/data-sources.md."
    )
    file: str = Field(description="Path of a file or folder, relative to the folder in which Snakemake runs.")
    label_scale: str | None = Field(
        default=None,
        min_length=1,
        description="Code, pseudopotentials, U rule and corrections of the labels, in words. Required for `ase` and "
        "`vasprun`; in place of their own for published sets; not allowed for the others.",
    )
    exclude_elements: Elements = Field(
        default=[],
        description="Structures with these elements are left out and counted: symbols or ranges of atomic numbers "
        "(`Yb`, `58-71`, `84-`).",
    )

    @model_validator(mode="after")
    def _scale_where_needed(self) -> Self:
        if self.format in ("ase", "vasprun") and self.label_scale is None:
            raise ValueError(
                f"label_scale: format {self.format!r} needs one, since its files do not say code, potentials and U "
                "rule (for example: VASP PBE_64 PAW, r2SCAN, no U, uncorrected)"
            )
        if self.format in ("diatomics", "solids", "elements", "frames") and self.label_scale is not None:
            raise ValueError(f"label_scale: format {self.format!r} has its own; take this key out")
        return self


class Fidelity(_Section):
    """One level of theory: exactly one functional and one label scale."""

    functional: str = Field(description="Functional whose labels are read, as the files spell it (`PBE`, `r2SCAN`).")
    energy: EnergyLabel = Field(
        default="energy",
        description="Which energy is the label: `energy` (E0, σ→0), `energy_free` (what the forces are gradients "
        "of) or `energy+correction`.",
    )
    sources: list[Source] = Field(default=[], description="Files and folders that the structures come from.")
    pulled: bool = Field(
        default=False,
        description="The structures are pulled from the Materials Project, in place of `sources`, as the section "
        "`materials_project` says.",
    )

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if self.pulled == bool(self.sources):
            raise ValueError("give either `sources` or `pulled: true`")
        if self.pulled and self.functional not in ("PBE", "r2SCAN"):
            raise ValueError(f"functional: the Materials Project is pulled for PBE or r2SCAN, not {self.functional!r}")
        return self


class Tolerance(_Section):
    """How alike two frames of a material are to count as one."""

    frames: int = Field(ge=0, description="From this number of kept frames on.")
    energy: float = Field(gt=0, description="Difference of the energies, eV/atom.")
    ltol: float = Field(gt=0, description="Lengths of the cell, relative (pymatgen's StructureMatcher).")
    stol: float = Field(gt=0, description="Sites, relative to the mean free length per atom.")
    angle: float = Field(gt=0, description="Angles of the cell, degrees.")


class Filters(_Section):
    """Filters of the published sets. Every step that one takes out is counted and listed."""

    same_hubbard: bool = Field(default=True, description="A calculation needs the U values of its main entry.")
    main_entry: float | None = Field(
        default=0.020, gt=0, description="It ends this close to the main entry's energy, eV/atom; null: anywhere."
    )
    converged: bool = Field(default=True, description="Steps whose electronic iterations reached NELM are left out.")
    window: tuple[float, float] | None = Field(
        default=(-0.010, 1.0), description="Energies that stay, against the main entry, eV/atom; null: all."
    )
    duplicates: list[Tolerance] = Field(
        default_factory=lambda: [
            Tolerance(frames=frames, energy=energy, ltol=lengths, stol=sites, angle=angle)
            for frames, energy, lengths, sites, angle in MPTRJ_TOLERANCES
        ],
        description="A frame is left out when a kept one has its energy and structure; MPtrj's tolerances, which "
        "widen with the number of kept frames. An empty list keeps all.",
    )

    @model_validator(mode="after")
    def _rising(self) -> Self:
        if self.window is not None and not self.window[0] < self.window[1]:
            raise ValueError(f"window: {list(self.window)} is no lower and upper bound")
        frames = [tolerance.frames for tolerance in self.duplicates]
        if frames != sorted(set(frames)):
            raise ValueError(f"duplicates: `frames` has to rise, but is {frames}")
        return self


class MaterialsProject(_Section):
    """What is pulled from the Materials Project. The key to it is read from the environment (`MP_API_KEY`) only."""

    release: str | None = Field(default=None, description="Database release (`2026.04.13`); null: the current one.")
    exclude_batches: list[str] = Field(
        default=["gnome_r2scan_statics"],
        description="Batches of calculations that are left out; by default those whose licence is non-commercial.",
    )
    exclude_restricted: bool = Field(
        default=True, description="Batches that the service itself names as access-controlled are left out as well."
    )
    exclude_elements: Elements = Field(
        default=[], description="Structures with these elements are left out and counted, as for other sources."
    )
    correction: Literal["none", "mp2020"] = Field(
        default="none",
        description="`mp2020` fills the column of corrections of GGA and GGA+U (for `energy: energy+correction`).",
    )
    filters: Filters = Field(default_factory=Filters, description="Which calculations and steps become frames.")


class Pair(_Section):
    """Two fidelities whose labels are compared."""

    low: Name = Field(description="Fidelity of the cheap labels.")
    high: Name = Field(description="Fidelity of the better labels.")
    match: Literal["geometry", "material"] = Field(
        default="geometry",
        description="`geometry`: same cell and positions; `material`: the lowest-energy frame of each material.",
    )
    tolerance: float = Field(
        default=1e-3, gt=0, description="Largest root-mean-square displacement of a geometry match, Å."
    )
    note: str = Field(default="", description="One sentence about the data, printed in the report.")


class Select(_Section):
    """Which frames of the target fidelity may be trained and tested on; the others are listed as excluded."""

    max_force: float | None = Field(default=None, gt=0, description="Largest force on an atom, eV/Å.")
    max_energy_range: float | None = Field(
        default=None,
        gt=0,
        description="Largest energy above the lowest frame of the same material, eV/atom.",
    )


class Transfer(_Section):
    """The question: which fidelity is the network moved to, and what is learnt."""

    pair: Name = Field(description="Pair of fidelities: `low` is the source, `high` the target.")
    pretrained: Literal["chgnet-0.3.0", "chgnet-r2scan"] = Field(
        default="chgnet-0.3.0", description="Checkpoint of the pretrained arms, shipped in the chgnet package."
    )
    targets: Annotated[list[Target], AfterValidator(_unique)] = Field(
        default=["energy", "force", "stress", "magmom"],
        min_length=1,
        description="Labels in the loss. One that the target fidelity has no labels for is an error.",
    )
    select: Select = Field(default_factory=Select, description="Frames that take part.")


class Split(_Section):
    """Train, validation and test, by a keyed hash of the group, so that it does not move when data grow."""

    group: Literal["material", "formula", "chemical_system", "frame"] = Field(
        default="material", description="What is kept together. `frame` makes the test an interpolation."
    )
    draw: Literal["material", "frame"] = Field(
        default="material", description="What the nested training subsets are drawn from."
    )
    train: float = Field(default=8, gt=0, description="Share of the groups for training.")
    val: float = Field(default=1, gt=0, description="Share for validation.")
    test: float = Field(default=1, gt=0, description="Share for the test.")
    key: str = Field(default="uprung", description="Key of the hash: another key is another split.")

    @model_validator(mode="after")
    def _draw_keeps_groups(self) -> Self:
        if self.group == "frame" and self.draw == "material":
            raise ValueError("`group: frame` cuts through materials, so it needs `draw: frame`")
        return self


class Reference(_Section):
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


class AtomRef(_Section):
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


class Arm(_Section):
    """A strategy, as a few orthogonal choices."""

    init: Literal["random", "pretrained"] = Field(description="Weights the network starts from.")
    atomref: AtomRef = Field(description="Elemental reference energies.")
    label: str = Field(default="", description="Name in figures and tables; default: the arm's key.")

    @model_validator(mode="after")
    def _checkpoint_needs_pretrained(self) -> Self:
        if self.init == "random" and self.atomref.from_ == "checkpoint":
            raise ValueError("`init: random` has no checkpoint to take references from; use `atomref: {fit: …}`")
        return self


class Budget(_Section):
    """How long every run of this budget trains: epochs, or optimiser steps at every size."""

    epochs: int | None = Field(default=None, ge=1, description="Passes over the subset.")
    steps: int | None = Field(default=None, ge=1, description="Optimiser steps, the same at every size.")
    keep: Literal["last", "val-loss", "val-energy"] | None = Field(
        default=None,
        description="Checkpoint that is scored: default `last` under `steps`, `val-energy` (the paper's) under "
        "`epochs`. Last and best are both evaluated.",
    )

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        if (self.epochs is None) == (self.steps is None):
            raise ValueError("give exactly one of `epochs` and `steps`")
        return self

    @property
    def kept(self) -> Literal["last", "val-loss", "val-energy"]:
        """The checkpoint that is scored."""
        return self.keep or ("last" if self.steps else "val-energy")


class Weights(_Section):
    """Weights of the targets in the loss."""

    energy: float = Field(default=3.0, ge=0, description="Per atom energy (eV/atom).")
    force: float = Field(default=1.0, ge=0, description="Force components (eV/Å).")
    stress: float = Field(default=0.1, ge=0, description="Stress components (GPa).")
    magmom: float = Field(default=1.0, ge=0, description="Absolute site moments (μB).")


class Training(_Section):
    """Recipe of every run; the defaults are those of the published study."""

    batch_size: int = Field(default=64, ge=1, description="Structures in an optimiser step.")
    learning_rate: float = Field(default=1e-3, gt=0, description="Adam, at the first step.")
    final_learning_rate: float = Field(default=1e-5, ge=0, description="At the last step: cosine in optimiser steps.")
    huber_delta: float = Field(default=0.1, gt=0, description="Where the Huber loss turns from squared to linear.")
    weights: Weights = Field(default_factory=Weights, description="Weights of the targets.")
    clip_norm: float | None = Field(default=None, gt=0, description="Largest norm of the gradient; off by default.")
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
        "Default: 12000 on a CPU, 200000 on a GPU.",
    )
    minutes: int = Field(default=120, ge=1, description="Run time to ask a scheduler for, first attempt.")
    memory_mb: int = Field(default=4000, ge=500, description="Memory to ask a scheduler for, first attempt.")

    @property
    def cost_limit(self) -> int:
        """Edges + angles that are computed at once."""
        return self.micro_batch_cost or {"cpu": 12_000, "cuda": 200_000}[self.device]

    @property
    def workers(self) -> int:
        """Micro-batches that are computed at once by a device."""
        return self.threads if self.device == "cpu" else 1


class Scaling(_Section):
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


class Analysis(_Section):
    """Energy shift and label correlation."""

    force_limit: float = Field(default=10.0, gt=0, description="Second subset: low-fidelity forces below this, eV/Å.")
    bootstrap: int = Field(default=500, ge=100, description="Resamples over materials.")


class Report(_Section):
    """Words on the report page."""

    title: str = Field(default="", description="Title of the page; default: the study's name.")
    abstract: str = Field(default="", description="What this study is for, in a few sentences.")
    limits: list[str] = Field(default=[], description="What the study does not show, beside what uprung finds itself.")


DEFAULT_REFERENCES: dict[str, dict[str, str]] = {
    "target": {"labels": "target"},
    "source": {"labels": "source"},
    "residual": {"labels": "residual"},
}


class Study(_Section):
    """A whole study file."""

    study: Name = Field(description="Name of the study: results go to `results/<study>/`.")
    fidelities: dict[Name, Fidelity] = Field(min_length=2, description="Levels of theory by name.")
    materials_project: MaterialsProject = Field(
        default_factory=MaterialsProject, description="Where fidelities with `pulled: true` come from."
    )
    pairs: dict[Name, Pair] = Field(min_length=1, description="Compared fidelities by name.")
    transfer: Transfer = Field(description="What is trained.")
    split: Split = Field(default_factory=Split, description="Train, validation, test; subsets.")
    references: dict[Name, Reference] = Field(
        default={name: Reference.model_validate(entry) for name, entry in DEFAULT_REFERENCES.items()},
        description="Reference fits by name; `target`, `source` and `residual` are always there.",
    )
    arms: dict[Name, Arm] = Field(min_length=1, description="Strategies by name.")
    sizes: Annotated[list[Size], AfterValidator(_unique)] = Field(
        min_length=1, description="Training-set sizes: frames (400), share of the materials ('0.1%'), or all."
    )
    seeds: Annotated[list[Annotated[int, Field(ge=0)]], AfterValidator(_unique)] = Field(
        min_length=1, description="Each seed draws its own nested subsets and initial weights."
    )
    budgets: dict[Name, Budget] = Field(min_length=1, description="Lengths of training by name.")
    training: Training = Field(default_factory=Training, description="Recipe.")
    analysis: Analysis = Field(default_factory=Analysis, description="Energy shift and correlation.")
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
        ]
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
        residual = {name for name, reference in self.references.items() if reference.labels == "residual"}
        for name, arm in self.arms.items():
            if arm.atomref.fit in residual and arm.init != "pretrained":
                yield (
                    f"arms.{name}: a residual reference is fitted to target − pretrained prediction, so it needs "
                    "`init: pretrained`"
                )
        if self.scaling.baseline in residual:
            yield "scaling.baseline: a residual reference predicts nothing by itself"
        if self.split.draw == "frame" and any("%" in size for size in self.sizes):
            yield "sizes: a share of the training materials needs `split: {draw: material}`, not draw: frame"
        for name, budget in self.budgets.items():
            if budget.kept == "val-energy" and "energy" not in self.transfer.targets:
                yield f"budgets.{name}.keep: val-energy needs energy in transfer.targets (allowed: last, val-loss)"

    @property
    def low(self) -> str:
        """Name of the source fidelity of the transfer."""
        return self.pairs[self.transfer.pair].low

    @property
    def high(self) -> str:
        """Name of the target fidelity of the transfer."""
        return self.pairs[self.transfer.pair].high


def suggest(word: str, choices: list[str]) -> str:
    """Return what a message adds about a wrong word: the closest choice, and all of them."""
    close = difflib.get_close_matches(word, choices, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    return f"{hint} (allowed: {', '.join(choices)})"
