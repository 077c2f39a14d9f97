"""Section of the study file about properties of crystals: surfaces, vacancies, mixing, elasticity, phonons, volumes."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from uprung.config.base import Checkpoint, FileName, Name, Section, unique

PhysicsTest = Literal[
    "surfaces",
    "vacancies",
    "mixing",
    "elasticity",
    "phonons",
    "heat-capacity",
    "volumes",
    "formation-energy",
    "equation-of-state",
    "elastic-constants",
    "frozen-phonons",
    "vacancy-cells",
    "paths",
]


class PhysicsSet(Section):
    """Published reference values of one property, and the crystals that they belong to."""

    test: PhysicsTest = Field(
        description="The property, which says what `files` hold (docs/physics.md): `surfaces` and `mixing`, records of "
        "mlearn and snap; `vacancies`, tables of elements; `phonons`, a phonopy file with force constants; "
        "`elasticity`, `heat-capacity` and `volumes`, benchmark files of matcalc; `formation-energy`, the same beside "
        "a file of element crystals. The others read own labels "
        "(data/physics/own), as `surfaces` and `mixing` do of JSON lines."
    )
    files: Annotated[list[FileName], AfterValidator(unique)] = Field(
        min_length=1, description="Files of the set, JSON, YAML or CSV, also compressed."
    )
    functional: str = Field(min_length=1, description="Functional of the reference values.")
    caveat: str = Field(default="", description="What is not verified about the set; the report prints it.")
    materials: Annotated[list[str], AfterValidator(unique)] = Field(
        default=[], description="Only these materials, by element, system or id as in the files; default: all."
    )
    most: int | None = Field(
        default=None, ge=1, description="At most so many materials, in the order of their smallest cells; default: all."
    )
    arrangements: int | None = Field(
        default=None, ge=1, description="`mixing`: the first so many arrangements of a composition; default: all."
    )
    structure: Literal["fcc", "hcp"] = Field(default="fcc", description="`vacancies`: lattice of the table.")
    supercell: Annotated[int, Field(ge=2, le=6)] = Field(
        default=3, description="`vacancies` and `heat-capacity`: repeats of the cell along each direction."
    )
    migration: bool = Field(
        default=False, description="`vacancies`: migration energies as well, by nudged elastic bands (fcc alone)."
    )


class Physics(Section):
    """Test of properties that follow from energies, forces and stresses, against published values."""

    sets: dict[Name, PhysicsSet] = Field(
        min_length=1,
        description="Reference values, by name; or a list of presets, with other options where needed: "
        "`[surfaces, {vacancies: {materials: [Al]}}]`.",
    )
    models: Annotated[list[Checkpoint], AfterValidator(unique)] = Field(
        default=["chgnet-0.3.0", "chgnet-r2scan"],
        description="Checkpoints to test: published ones, or those of `checkpoints`.",
    )
    runs: Literal["none", "largest", "all"] = Field(
        default="largest",
        description="Trained networks to test: none, those of the last of `sizes`, or all. The network that they start "
        "from is tested as well.",
    )
    force: float = Field(default=0.02, gt=0, description="Largest force on an atom of a relaxed structure, eV/Å.")
    stress: float = Field(default=0.1, gt=0, description="Largest stress of a relaxed cell, GPa.")
    steps: int = Field(default=300, ge=1, description="Largest number of steps of a relaxation or elastic band.")
    bootstrap: int = Field(default=1000, ge=100, description="Bootstrap resamples of materials.")
    threads: int = Field(default=1, ge=1, description="Threads of a job.")

    def tested(self, architecture: str) -> list[str]:
        """Return the checkpoints to test; with trained networks, the one that they start from is among them."""
        return list(dict.fromkeys([*self.models, *([] if self.runs == "none" else [architecture])]))
