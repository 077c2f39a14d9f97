"""Section of the study file about labels that the study computes itself."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from uprung.config.base import Section


class OwnDFT(Section):
    """Labels computed with GPAW: plane waves, PAW set-ups of PBE for every functional, spin-paired, no U."""

    structures: str | None = Field(
        default=None,
        description="File of structures (extended XYZ, CIF, POSCAR, ...), a Parquet file of the frames table, or a "
        "folder of them, for fidelities with `computed: true`; relative to the folder in which Snakemake runs.",
    )
    cutoff: float = Field(default=450.0, gt=0, description="Kinetic energy of the plane waves, eV.")
    k_density: float = Field(
        default=1.5,
        gt=0,
        description="k points per Å⁻¹ along a reciprocal vector, Å, gamma included. All structures of a material share "
        "one grid: the largest that this asks for in any of them, or `kpts` of their info.",
    )
    smearing: float = Field(default=0.1, gt=0, description="Width of the Fermi-Dirac occupations, eV.")
    convergence: float = Field(
        default=1e-5, gt=0, description="Energy (eV) and density (electrons) per valence electron between steps."
    )
    max_steps: int = Field(
        default=80, gt=0, description="Electronic steps after which a calculation is listed as not converged."
    )
    net_force: float = Field(
        default=0.02,
        gt=0,
        description="Labels whose forces sum to more than this in a component are listed, not used, eV/Å.",
    )
    chunk_size: int = Field(
        default=20, gt=0, description="Structures per job. A killed job goes on where it was; chunks run side by side."
    )
    minutes: float = Field(
        default=5.0, gt=0, description="Time that a job asks its scheduler for, per structure, minutes."
    )
    memory_mb: int = Field(default=2000, gt=0, description="Memory that a job asks its scheduler for, MB.")

    def scheme(self, functional: str) -> dict[str, Any]:
        """Return what decides a label (the fields of `uprung.dft.labels.Scheme`); the rest is how jobs are run."""
        decides = {"cutoff", "k_density", "smearing", "convergence", "max_steps"}
        return {"functional": functional, **self.model_dump(include=decides)}
