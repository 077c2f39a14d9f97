"""Section of the study file about properties of crystals: surfaces, vacancies, mixing, elasticity, phonons, volumes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from uprung.config.base import Checkpoint, FileName, Name, Section, suggest, unique
from uprung.config.data import ForceSet

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
#: Tests of own labels alone.
OWN: tuple[PhysicsTest, ...] = ("equation-of-state", "elastic-constants", "frozen-phonons", "vacancy-cells", "paths")
#: Tests that evaluate each of their cells once.
AS_THEY_ARE: tuple[PhysicsTest, ...] = ("surfaces", "mixing", *OWN)


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


class Repair(Section):
    """Properties after a repair with k labelled structures: by one number, and by training the checkpoint on them."""

    pools: Annotated[list[Name], AfterValidator(unique)] = Field(
        min_length=1,
        description="Sets of `tests.softening.sets` that the labelled structures are drawn from, one for each "
        "functional: its labels repair the sets of that functional.",
    )
    labels: Literal["others", "same"] = Field(
        default="others",
        description="Whose labels: `others`, drawn from the whole pool, and a value is judged only where no structure "
        "of its composition is among them; `same`, of the composition that is judged, but no structure that it is "
        "judged on.",
    )
    shots: Annotated[list[Annotated[int, Field(ge=1)]], AfterValidator(unique)] = Field(
        default=[1, 2, 5, 10], min_length=1, description="Numbers k of labelled structures."
    )
    draws: int = Field(default=5, ge=1, description="Random draws of the k structures; below three, no intervals.")
    fine_tuned: Annotated[list[Name], AfterValidator(unique)] | None = Field(
        default=None,
        description="Sets to test again after fine-tuning, with the recipe of `tests.softening.correction.training`; "
        "default: those whose cells are evaluated as they are, `[]` for none.",
    )
    tolerance: float = Field(
        default=0.1,
        gt=0,
        lt=1,
        description="k labels count as enough where the interval of a ratio lies within so much of 1.",
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
    repair: Repair | None = Field(
        default=None, description="Properties of the checkpoints after a repair with few labels; off by default."
    )

    def tested(self, architecture: str) -> list[str]:
        """Return the checkpoints to test; with trained networks, the one that they start from is among them."""
        return list(dict.fromkeys([*self.models, *([] if self.runs == "none" else [architecture])]))

    def repaired(self, functional: str) -> list[str]:
        """Return the sets of a functional, which labels of it repair."""
        return [name for name, entry in self.sets.items() if _same(entry.functional, functional)]

    def tuned(self, functional: str) -> list[str]:
        """Return the sets of a functional that are tested again after fine-tuning."""
        chosen = self.repair.fine_tuned if self.repair else []
        return [
            name
            for name in self.repaired(functional)
            if (name in chosen if chosen is not None else self.sets[name].test in AS_THEY_ARE)
        ]


def _same(first: str, second: str) -> bool:
    return first.lower() == second.lower()


def repair_contradictions(physics: Physics | None, pools: Mapping[str, ForceSet]) -> Iterator[str]:
    """Yield a message for every name in `repair` that is not there, and for pools that repair nothing.

    Args:
        physics: the section.
        pools: `tests.softening.sets`.
    """
    repair = physics.repair if physics else None
    if physics is None or repair is None:
        return
    where, known = "tests.physics.repair", list[str]()
    for name in repair.pools:
        if name not in pools:
            yield f"{where}.pools: no set of tests.softening.sets named {name!r}{suggest(name, list(pools))}"
            continue
        functional = pools[name].functional
        if not physics.repaired(functional):
            has = ", ".join(dict.fromkeys(entry.functional for entry in physics.sets.values()))
            yield f"{where}.pools: {name} has labels of {functional}, but the sets of tests.physics are of {has}"
        if any(_same(functional, other) for other in known):
            yield f"{where}.pools: {name} is the second one of {functional}; give one for each functional"
        known.append(functional)
    for name in repair.fine_tuned or []:
        if name not in physics.sets:
            yield f"{where}.fine_tuned: no set of tests.physics named {name!r}{suggest(name, list(physics.sets))}"
        elif not any(_same(physics.sets[name].functional, functional) for functional in known):
            yield (
                f"{where}.fine_tuned: {name} is of {physics.sets[name].functional}, of which no pool has labels; name "
                "one in `pools`"
            )
