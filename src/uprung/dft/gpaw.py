"""GPAW as the engine: plane waves, PAW with PBE set-ups for every functional, spin-paired.

GPAW is needed for new labels only: it is the extra `dft`.
"""

from __future__ import annotations

import importlib.metadata
import traceback
from types import SimpleNamespace
from typing import Any

import ase
import numpy as np
from ase.units import Bohr, Hartree

from uprung.dft.labels import Engine, Scheme
from uprung.dft.structures import Grid
from uprung.frames.schema import Floats
from uprung.job.extras import extra

#: Functional -> GPAW's name; r²SCAN: Furness et al., J. Phys. Chem. Lett. 11, 8208 (2020), from libxc.
XC = {"PBE": "PBE", "r2SCAN": "MGGA_X_R2SCAN+MGGA_C_R2SCAN"}


def gpaw_engine() -> Engine:
    """Return GPAW as it is installed.

    Raises:
        ModuleNotFoundError: it is not; the message says how it is installed.
    """
    with extra("dft"):
        import gpaw

        setups = importlib.metadata.version("gpaw-data")
    return Engine(
        versions={
            "code": f"GPAW {gpaw.__version__}",
            "setups": f"gpaw-data {setups}, PBE",
            "libxc": gpaw.get_libraries()["libxc"],
        },
        calculator=_calculator,
        unusable=_unusable,
    )


def _unusable(error: Exception, scheme: Scheme) -> str | None:
    import gpaw
    from gpaw.utilities import AtomsTooClose

    if isinstance(error, gpaw.KohnShamConvergenceError):
        return f"SCF not converged in {scheme.max_steps} steps"
    if isinstance(error, AssertionError) and traceback.extract_tb(error.__traceback__)[-1].name == "findroot":
        return "SCF diverged: its eigenvalues have no Fermi level" + _hint(scheme)
    if isinstance(error, np.linalg.LinAlgError):
        return f"SCF diverged: {error}{_hint(scheme)}"
    return str(error) if isinstance(error, AtomsTooClose) else None


def _hint(scheme: Scheme) -> str:
    """Return what helps r²SCAN where there is much vacuum, unless it is set."""
    if scheme.functional != "r2SCAN" or scheme.density_floor is not None:
        return ""
    return "; in vacuum own_dft.density_floor of 1e-5 helps (docs/how-to/own-dft.md)"


def _calculator(scheme: Scheme, kpts: Grid) -> Any:
    from gpaw import GPAW, PW

    _floor(scheme.density_floor)
    return GPAW(mode=PW(scheme.cutoff), **_parameters(scheme, kpts))


def _floor(density: float | None) -> None:
    """Leave out exchange and correlation of libxc below a pseudo-density, until the next calculator is made.

    In vacuum the kinetic energy density, interpolated to the finer grid, passes zero, and the derivative of r²SCAN by
    it goes to -70: the kinetic operator with that in it has no lowest eigenvalue. GPAW does not offer libxc's own
    threshold.
    """
    from gpaw.xc.libxc import LibXC

    original = getattr(LibXC.calculate, "original", LibXC.calculate)
    if density is None:
        LibXC.calculate = original
        return

    def calculate(kernel: Any, energy: Floats, densities: Floats, *arrays: Floats | None) -> None:
        original(kernel, energy, densities, *arrays)
        low = densities < density
        energy[low.all(axis=0)] = 0.0
        for derivative in arrays[::2]:
            if derivative is not None:
                derivative[low] = 0.0

    calculate.original = original  # type: ignore[attr-defined]
    LibXC.calculate = calculate


def free_energy_in_basis(scheme: Scheme, kpts: Grid, reference: ase.Atoms, atoms: ase.Atoms) -> float:
    """Return a free energy in the plane waves and on the real-space grid of a reference cell, eV (for `dft.check`).

    GPAW chooses plane waves by the cutoff in the cell at hand, so that their number jumps with the strain. Here the
    same reciprocal vectors, as integers, are taken in every cell.
    """
    from gpaw import GPAW, PW
    from gpaw.core import plane_waves
    from gpaw.utilities.gpts import get_number_of_grid_points

    cell = reference.cell.array / Bohr
    points = get_number_of_grid_points(cell, mode=SimpleNamespace(name="pw", ecut=scheme.cutoff / Hartree))
    original = plane_waves.find_reciprocal_vectors

    def of_reference(ecut: float, own: Floats, kpt: Floats, dtype: Any) -> tuple[Floats, Floats, Any]:
        _, _, indices = original(ecut, cell, kpt, dtype)
        vectors = (indices.T + kpt) @ (2 * np.pi * np.linalg.inv(own).T)
        return vectors, 0.5 * (vectors**2).sum(axis=1), indices

    _floor(scheme.density_floor)
    changed = atoms.copy()
    changed.calc = GPAW(mode=PW(scheme.cutoff), gpts=points.tolist(), **_parameters(scheme, kpts))
    plane_waves.find_reciprocal_vectors = of_reference
    try:
        return float(changed.get_potential_energy(force_consistent=True))
    finally:
        plane_waves.find_reciprocal_vectors = original


def _parameters(scheme: Scheme, kpts: Grid) -> dict[str, Any]:
    """Return all parameters except the basis; any that changes a label must also be part of its settings."""
    from gpaw import FermiDirac

    return {
        "xc": XC[scheme.functional],
        "kpts": {"size": kpts, "gamma": True},
        "occupations": FermiDirac(scheme.smearing),
        "convergence": {"energy": scheme.convergence, "density": scheme.convergence},
        "maxiter": scheme.max_steps,
        "txt": None,
    }
