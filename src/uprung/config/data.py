"""Sections of the study file about data: where labels come from, which are compared, how they are split."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from uprung.config.base import Elements, EnergyLabel, Name, Section

#: frames, eV/atom, ltol, stol, degrees: MPtrj's duplicates (Deng et al. 2023 and the query published beside it).
MPTRJ_TOLERANCES = (
    (0, 0.002, 0.002, 0.001, 0.05),
    (11, 0.005, 0.01, 0.01, 0.1),
    (31, 0.010, 0.1, 0.1, 1.0),
    (51, 0.030, 0.3, 0.2, 3.0),
)


class Source(Section):
    """One file (or folder) of labelled structures."""

    format: Literal[
        "diatomics",
        "solids",
        "elements",
        "mlearn",
        "atoms",
        "frames",
        "gpaw",
        "mptrj",
        "mp-r2scan",
        "matpes",
        "mp-aloe",
        "wbm-high-energy",
        "omat",
        "ase",
        "vasprun",
    ] = Field(
        description="Reader: `diatomics`, `solids`, `elements`, `atoms` and `mlearn` are the embedded sets; `frames` "
        "is a Parquet file or folder that already has the columns of the frames table; `gpaw` holds labels that uprung "
        "computed (`own_dft`); `mptrj`, `mp-r2scan`, `matpes`, `mp-aloe`, `wbm-high-energy` (JSON) and `omat` "
        "(OMat24, sAlex) are published sets; `ase` is extended XYZ or an ASE database; `vasprun` is a vasprun.xml or a "
        "folder of runs. See docs/data-sources.md."
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
        own = ("diatomics", "solids", "elements", "atoms", "mlearn", "frames", "gpaw")
        if self.format in own and self.label_scale is not None:
            raise ValueError(f"label_scale: format {self.format!r} has its own; take this key out")
        return self


class Fidelity(Section):
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
    computed: bool = Field(
        default=False,
        description="The study computes the labels itself, in place of `sources`, as the section `own_dft` says.",
    )

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if [self.pulled, self.computed, bool(self.sources)].count(True) != 1:
            raise ValueError("give one of `sources`, `pulled: true` and `computed: true`")
        if self.pulled and self.functional not in ("PBE", "r2SCAN"):
            raise ValueError(f"functional: the Materials Project is pulled for PBE or r2SCAN, not {self.functional!r}")
        if self.computed and self.functional not in ("PBE", "r2SCAN"):
            raise ValueError(f"functional: labels are computed for PBE or r2SCAN, not {self.functional!r}")
        if self.computed and self.energy == "energy+correction":
            raise ValueError("energy: computed labels have no correction (allowed: energy, energy_free)")
        return self


class EvalSet(Fidelity):
    """Frames far from equilibrium whose forces potentials are held against."""

    states: Name | None = Field(
        default=None,
        description="Sampled states (`states`) that the study labels itself with GPAW, as the section `own_dft` says, "
        "in place of `sources`.",
    )

    @property
    def labelled_here(self) -> bool:
        """Whether the study computes the labels."""
        return self.states is not None

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if self.pulled or self.computed:
            raise ValueError("give `sources` or `states`; only fidelities can be pulled or computed")
        if [self.labelled_here, bool(self.sources)].count(True) != 1:
            raise ValueError("give one of `sources` and `states`")
        if self.labelled_here and self.functional not in ("PBE", "r2SCAN"):
            raise ValueError(f"functional: labels are computed for PBE or r2SCAN, not {self.functional!r}")
        return self


class Tolerance(Section):
    """How alike two frames of a material are to count as one."""

    frames: int = Field(ge=0, description="From this number of kept frames on.")
    energy: float = Field(gt=0, description="Difference of the energies, eV/atom.")
    ltol: float = Field(gt=0, description="Lengths of the cell, relative (pymatgen's StructureMatcher).")
    stol: float = Field(gt=0, description="Sites, relative to the mean free length per atom.")
    angle: float = Field(gt=0, description="Angles of the cell, degrees.")


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


class MaterialsProject(Section):
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
    validation: bool = Field(
        default=True,
        description="pymatgen-io-validation looks at the calculations that frames are from: its "
        "findings are flags of the frames, counted and listed; nothing is left out for them.",
    )
    filters: Filters = Field(default_factory=Filters, description="Which calculations and steps become frames.")


class Pair(Section):
    """Two fidelities whose labels are compared."""

    low: Name = Field(description="Fidelity of the cheap labels.")
    high: Name = Field(description="Fidelity of the better labels.")
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
    note: str = Field(default="", description="One sentence about the data, printed in the report.")

    @model_validator(mode="after")
    def _two_fidelities(self) -> Self:
        if self.low == self.high:
            raise ValueError(f"low and high are both {self.low!r}; a pair compares two fidelities")
        return self


class Select(Section):
    """Which frames of the target fidelity may be trained and tested on; the others are listed as excluded."""

    max_force: float | None = Field(default=None, gt=0, description="Largest force on an atom, eV/Å.")
    max_energy_range: float | None = Field(
        default=None,
        gt=0,
        description="Largest energy above the lowest frame of the same material, eV/atom.",
    )


class Split(Section):
    """Train, validation and test, by a keyed hash of the group, so that it does not move when data grow."""

    group: Literal["material", "formula", "chemical_system", "frame"] = Field(
        default="material", description="What is kept together. `frame` makes the test an interpolation."
    )
    draw: Literal["material", "frame"] = Field(
        default="material", description="What the nested training subsets are drawn from."
    )
    sampling: Literal["random", "stratified", "diverse"] = Field(
        default="random",
        description="Which units small subsets take first: `random`, `stratified` (chemical systems in proportion) or "
        "`diverse` (spread over composition and distances). Subsets are nested in every case.",
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
