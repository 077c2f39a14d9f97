"""Section of the study file about labels that the study computes with GPAW."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from uprung.config.base import FileName, Section


class OwnDFT(Section):
    """Labels computed with GPAW: plane waves, PBE PAW set-ups for every functional, spin-paired, no U."""

    structures: FileName | None = Field(
        default=None,
        description="File of structures (extended XYZ, CIF, POSCAR, ...), Parquet file of the frames table, or a "
        "folder of them, for fidelities with `computed: true`; relative to the folder in which Snakemake runs.",
    )
    cutoff: float = Field(default=450.0, gt=0, description="Cutoff energy of the plane waves, eV.")
    k_density: float = Field(
        default=1.5,
        gt=0,
        description="Density of the gamma-centred k grid, points per Å⁻¹ along a reciprocal vector. All structures of "
        "a material share the largest grid that any of them needs, or the one that `kpts` in their info names.",
    )
    smearing: float = Field(default=0.1, gt=0, description="Width of the Fermi-Dirac occupations, eV.")
    convergence: float = Field(
        default=1e-5, gt=0, description="Largest change of energy (eV) and density between steps, per valence electron."
    )
    max_steps: int = Field(
        default=80,
        gt=0,
        description="Largest number of electronic steps; beyond it a calculation is listed as not converged.",
    )
    density_floor: float | None = Field(
        default=None,
        gt=0,
        le=1e-3,
        description="For slabs and other cells with vacuum at r²SCAN, which otherwise diverge: no exchange and "
        "correlation where the pseudo-density is below this (1e-5 electrons per bohr³, say). Default: none.",
    )
    net_force: float = Field(
        default=0.02,
        gt=0,
        description="Labels with a larger net force in any component are listed, not used, eV/Å.",
    )
    chunk_size: int = Field(
        default=20, gt=0, description="Structures per job. A killed job resumes; jobs run side by side."
    )

    def scheme(self, functional: str) -> dict[str, Any]:
        """Return the settings that labels depend on (the fields of `uprung.dft.labels.Scheme`)."""
        decides = {"cutoff", "k_density", "smearing", "convergence", "max_steps", "density_floor"}
        return {"functional": functional, **self.model_dump(include=decides, exclude_none=True)}
