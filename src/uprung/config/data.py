"""Sections of the study file about data: where labels come from, which are compared, how they are split."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from uprung.config.base import Elements, EnergyLabel, FileName, Name, Section, suggest
from uprung.config.formats import FORMATS, FormatName, quoted
from uprung.config.keys import Keys


def _listed(given: object) -> object:
    """Return a value, or a list of values, as a list of texts."""
    values = given if isinstance(given, list) else [given]
    if not values or not all(isinstance(value, str | int | float) for value in values):
        raise ValueError(f"{given!r} is neither a value nor a list of values, such as 520, [520, 680], T or any")
    return [str(value) for value in values]


#: Values of one setting, as text.
Values = Annotated[list[str], BeforeValidator(_listed)]


class Source(Section):
    """One file (or folder) of labelled structures."""

    format: FormatName = Field(
        description=f"Reader. {'; '.join(f'`{name}`: {known.what}' for name, known in FORMATS.items())}. "
        "See docs/data-sources.md."
    )
    file: FileName = Field(description="Path of a file or folder, relative to the folder in which Snakemake runs.")
    label_scale: str | None = Field(
        default=None,
        min_length=1,
        description="Code, pseudopotentials, U rule and corrections of the labels, in words. "
        f"Required for {quoted('needed')}; replaces that of the set for {quoted('published')}; not allowed otherwise.",
    )
    keys: Keys | None = Field(
        default=None,
        description="Keys under which the file has its labels, where they are not the format's own; for "
        f"{', '.join(f'`{name}`' for name, known in FORMATS.items() if known.keys)}.",
    )
    settings: dict[str, Values] = Field(
        default={},
        description="Settings of the calculations that are unusual, or of which the source has several values: "
        "`{ENCUT: [520, 680], LSOL: T, charge: any}`. A run with another value than those is rejected. Without it, a "
        "fidelity has one value of each. A name that no run has is refused. Not allowed for embedded sets and "
        "own labels.",
    )
    name: Name | None = Field(
        default=None, description="Name of the source in the frames table and in `split.mix`; default: its format."
    )
    exclude_elements: Elements = Field(
        default=[],
        description="Structures with these elements are left out and counted: symbols or ranges of atomic numbers "
        "(`Yb`, `58-71`, `84-`).",
    )

    @model_validator(mode="after")
    def _scale_where_needed(self) -> Self:
        rule = FORMATS[self.format].label_scale
        if rule == "needed" and self.label_scale is None:
            raise ValueError(
                f"label_scale: format {self.format!r} needs one, since its files do not say code, potentials and U "
                "rule (for example: VASP PBE_64 PAW, r2SCAN, no U, uncorrected)"
            )
        if rule == "own" and self.label_scale is not None:
            raise ValueError(f"label_scale: format {self.format!r} has its own; take this key out")
        if self.keys is not None and not FORMATS[self.format].keys:
            raise ValueError(f"keys: format {self.format!r} has its own; take this key out")
        if self.settings and rule == "own" and not FORMATS[self.format].keys:
            raise ValueError(f"settings: those of format {self.format!r} are known; take this key out")
        return self


class LabelledSet(Section):
    """Labelled structures of one functional, on one label scale."""

    functional: str = Field(description="Functional of the labels, as the files spell it (`PBE`, `r2SCAN`).")
    energy: EnergyLabel = Field(
        default="energy",
        description="Energy that serves as label: `energy` (E0, σ→0), `energy_free` (the forces are its gradients) or "
        "`energy+correction`.",
    )
    sources: list[Source] = Field(default=[], description="Files and folders with the structures.")

    def _only(self, **origins: bool) -> None:
        """Check that the structures have one origin, and a functional that uprung can provide if it is not `sources`.

        Args:
            origins: key other than `sources` -> whether it is used.

        Raises:
            ValueError: none or several are used, or the functional is not available.
        """
        used = [key for key, value in {"sources": bool(self.sources), **origins}.items() if value]
        if len(used) != 1:
            *keys, last = (f"`{key}`" for key in ("sources", *origins))
            raise ValueError(f"give exactly one of {', '.join(keys)} and {last}")
        if used != ["sources"] and self.functional not in ("PBE", "r2SCAN"):
            raise ValueError(f"functional: `{used[0]}` is for PBE or r2SCAN, not {self.functional!r}")


class Fidelity(LabelledSet):
    """One level of theory."""

    download: bool = Field(
        default=False,
        description="Take the structures from the Materials Project instead of `sources`; see `materials_project`.",
    )
    computed: bool = Field(
        default=False, description="Compute the labels in this study instead of reading `sources`; see `own_dft`."
    )

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        self._only(download=self.download, computed=self.computed)
        if self.computed and self.energy == "energy+correction":
            raise ValueError("energy: computed labels have no correction (allowed: energy, energy_free)")
        return self


class ForceSet(LabelledSet):
    """Structures far from equilibrium, with forces that models are tested on."""

    snapshots: Name | None = Field(
        default=None,
        description="Entry of `snapshots` that the study labels with GPAW instead of reading `sources`; see `own_dft`.",
    )

    @property
    def labelled_here(self) -> bool:
        """Whether the study computes the labels."""
        return self.snapshots is not None

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        self._only(snapshots=self.labelled_here)
        return self


class Tolerance(Section):
    """How alike two frames of a material are to count as one."""

    frames: int = Field(ge=0, description="From this number of kept frames on.")
    energy: float = Field(gt=0, description="Difference of the energies, eV/atom.")
    ltol: float = Field(gt=0, description="Lengths of the cell, relative (pymatgen's StructureMatcher).")
    stol: float = Field(gt=0, description="Sites, relative to the mean free length per atom.")
    angle: float = Field(gt=0, description="Angles of the cell, degrees.")


#: MPtrj's duplicates (Deng et al. 2023 and the query published beside it).
MPTRJ_TOLERANCES = [
    Tolerance(frames=0, energy=0.002, ltol=0.002, stol=0.001, angle=0.05),
    Tolerance(frames=11, energy=0.005, ltol=0.01, stol=0.01, angle=0.1),
    Tolerance(frames=31, energy=0.010, ltol=0.1, stol=0.1, angle=1.0),
    Tolerance(frames=51, energy=0.030, ltol=0.3, stol=0.2, angle=3.0),
]


class Filters(Section):
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
        default_factory=lambda: list(MPTRJ_TOLERANCES),
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


class MaterialsProject(Section):
    """Download from the Materials Project. The API key is read from the environment (`MP_API_KEY`) only."""

    release: str | None = Field(default=None, description="Database release (`2026.04.13`); null: the current one.")
    exclude_batches: list[str] = Field(
        default=["gnome_r2scan_statics"],
        description="Batches of calculations to leave out; by default those with a non-commercial licence.",
    )
    exclude_restricted: bool = Field(
        default=True, description="Leave out the batches that the service marks as access-controlled as well."
    )
    exclude_elements: Elements = Field(
        default=[], description="Leave out structures with these elements, and count them, as for other sources."
    )
    correction: Literal["none", "mp2020"] = Field(
        default="none",
        description="`mp2020` computes the corrections of GGA and GGA+U energies (for `energy: energy+correction`).",
    )
    validation: bool = Field(
        default=True,
        description="Validate the calculations with pymatgen-io-validation. Its findings are flags of the frames, "
        "counted and listed; nothing is left out for them.",
    )
    filters: Filters = Field(default_factory=Filters, description="Which calculations and steps become frames.")


class Pair(Section):
    """Two fidelities whose labels are compared."""

    low: Name = Field(description="Fidelity with the cheap labels.")
    high: Name = Field(description="Fidelity with the better labels.")
    match: Literal["geometry", "material"] = Field(
        default="geometry",
        description="`geometry`: the same crystal, however it is written and whatever it is called; `material`: the "
        "lowest-energy frame of each material.",
    )
    tolerance: float = Field(
        default=1e-3,
        gt=0,
        description="Largest root-mean-square displacement of a geometry match, Å, over atoms and vectors of the "
        "reduced cell.",
    )
    identical_labels: bool = Field(
        default=False,
        description="Both fidelities may have the same labels. Otherwise a study stops where nearly all pairs have, "
        "since that is one functional twice.",
    )
    unlike_labels: bool = Field(
        default=False,
        description="Forces, stresses or energies may differ by a factor below 0.5 or above 2 between the fidelities. "
        "Otherwise a study stops where they do, since that is a unit or a sign.",
    )
    note: str = Field(default="", description="A sentence about the data, printed in the report.")

    @model_validator(mode="after")
    def _two_fidelities(self) -> Self:
        if self.low == self.high:
            raise ValueError(f"low and high are both {self.low!r}; a pair compares two fidelities")
        return self


class Select(Section):
    """Which frames of the target fidelity training and test may use; the others are listed as excluded."""

    max_force: float | None = Field(default=None, gt=0, description="Largest force on an atom, eV/Å.")
    max_energy_range: float | None = Field(
        default=None, gt=0, description="Largest energy above the lowest frame of the same material, eV/atom."
    )


class Split(Section):
    """Training, validation and test set, by a keyed hash of the group, so that the split does not move as data grow."""

    group: Literal["material", "formula", "chemical_system", "frame"] = Field(
        default="material",
        description="What never crosses the split. With `frame` the test measures interpolation only.",
    )
    draw: Literal["material", "frame"] = Field(
        default="material", description="Unit that the nested training subsets are drawn in."
    )
    sampling: Literal["random", "stratified", "diverse"] = Field(
        default="random",
        description="Order in which units are drawn: `random`, `stratified` (chemical systems in proportion) or "
        "`diverse` (spread over composition and distances). Subsets are always nested.",
    )
    mix: dict[Name, Annotated[float, Field(gt=0)]] = Field(
        default={},
        description="Shares of the target's sources in the training subset of every size, by name: `{old: 1, new: 3}`. "
        "Frames beyond what the shares allow are left out of training, and counted. Default: sources as they come.",
    )
    train: float = Field(default=8, gt=0, description="Share of the groups for training.")
    val: float = Field(default=1, gt=0, description="Share for validation.")
    test: float = Field(default=1, gt=0, description="Share for the test.")
    key: str = Field(default="uprung", description="Key of the hash; another key gives another split.")

    @model_validator(mode="after")
    def _draw_keeps_groups(self) -> Self:
        if self.group == "frame" and self.draw == "material":
            raise ValueError("`group: frame` cuts through materials, so it needs `draw: frame`")
        return self


def strangers_in_mix(split: Split, name: str, target: Fidelity | None) -> Iterator[str]:
    """Yield a message for every source in `split.mix` that the target, a fidelity of this name, does not have."""
    known = [source.name or source.format for source in target.sources] if target else []
    for wanted in split.mix if target else ():
        if wanted not in known:
            yield f"split.mix: {name} has no source named {wanted!r}{suggest(wanted, known)}"
