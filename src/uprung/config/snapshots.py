"""Section of the study file about snapshots: high-energy structures sampled by molecular dynamics, to be labelled."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from uprung.config.base import Checkpoint, FileName, Section, Seed


class Snapshots(Section):
    """Snapshots of molecular dynamics of given crystals, some of them strained, to be labelled by DFT."""

    structures: FileName = Field(
        description="File of crystals (extended XYZ, CIF, POSCAR, ...), Parquet file of the frames table, or a folder "
        "of them; relative to the folder in which Snakemake runs."
    )
    model: Checkpoint = Field(
        default="chgnet-0.3.0",
        description="Potential that moves the atoms; it favours structures whose energy it finds low.",
    )
    temperature: float = Field(default=1000.0, gt=0, description="Temperature, K. Defaults: the published protocol.")
    length: float = Field(default=20.0, gt=0, description="Length of each run, ps.")
    timestep: float = Field(default=2.0, gt=0, description="Time step, fs.")
    frames: int = Field(default=10, ge=1, description="Snapshots of each crystal, at equal intervals.")
    strained: int = Field(default=4, ge=0, description="How many of them are strained, in alternating directions.")
    strain: float = Field(default=0.03, ge=0, lt=0.5, description="Relative change of every lattice vector.")
    seed: Seed = Field(default=0, description="Seed of velocities, thermostat and the choice of strained snapshots.")
    vasp: list[Literal["PBE", "r2SCAN"]] = Field(
        default=[], description="Functionals for which inputs of static VASP calculations are written (no POTCAR)."
    )
    chunk_size: int = Field(default=5, ge=1, description="Crystals per job; chunks run side by side.")

    @model_validator(mode="after")
    def _frames_fit(self) -> Self:
        if self.strained > self.frames:
            raise ValueError(f"`strained: {self.strained}` of `frames: {self.frames}` cannot be strained")
        steps = round(1000 * self.length / self.timestep)
        if self.frames > steps:
            raise ValueError(f"`frames: {self.frames}` need as many steps; `length` and `timestep` give {steps}")
        return self

    def protocol(self) -> dict[str, Any]:
        """Return what decides the snapshots of a crystal (the fields of `uprung.softening.snapshots.Protocol`)."""
        return self.model_dump(include={"temperature", "length", "timestep", "frames", "strained", "strain"})
