"""Filters of the published sets, each a pure function of numbers: what MPtrj keeps of the Materials Project.

Deng et al., Nat. Mach. Intell. 5, 1031 (2023), and the query published beside it. Where the published script and the
text differ the options decide. Energies are σ→0, eV/atom, uncorrected, on both sides of every comparison.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Lattice, Structure

from uprung.config.data import Tolerance
from uprung.frames.schema import Floats


def same_hubbard(task: Mapping[str, float], entry: Mapping[str, float]) -> bool:
    """Return whether two sets of U values (element -> eV) are the same; zeros do not count."""
    return {k: v for k, v in task.items() if v} == {k: v for k, v in entry.items() if v}


def near_main_entry(last: float, entry: float, tolerance: float) -> bool:
    """Return whether a calculation ends at the energy of its material's main entry, all in eV/atom."""
    return bool(abs(last - entry) < tolerance)


def converged(n_scf: ArrayLike, nelm: int) -> NDArray[np.bool_]:
    """Return which ionic steps stopped before the last electronic step that was allowed, (n,)."""
    return np.asarray(n_scf) < nelm


def inside(per_atom: ArrayLike, entry: float, window: tuple[float, float]) -> NDArray[np.bool_]:
    """Return which energies are inside a window around the main entry's, bounds included, (n,); all in eV/atom."""
    above = np.asarray(per_atom, dtype=np.float64) - entry
    return np.asarray((above >= window[0]) & (above <= window[1]))


@dataclass(frozen=True)
class Candidate:
    """A frame on its way through the search for duplicates."""

    energy: float  # eV/atom
    Z: NDArray[np.uint8]
    lattice: Floats  # (3, 3)
    frac: Floats  # (N, 3)

    @cached_property
    def volume(self) -> float:
        """Volume per atom, Å³."""
        return float(abs(np.linalg.det(self.lattice))) / len(self.Z)

    @cached_property
    def reduced(self) -> Structure:
        """The structure as the matcher compares it: reduced once here, where the matcher would for every pair."""
        structure = Structure(Lattice(self.lattice), self.Z.astype(int), self.frac)
        return structure.get_reduced_structure(reduction_algo="niggli").get_primitive_structure()


def unique(candidates: Sequence[Candidate], schedule: Sequence[Tolerance]) -> NDArray[np.bool_]:
    """Return which frames of one material are new, in the order given, (n,).

    A frame is a duplicate when a kept one has both its energy and its structure, within tolerances that widen with
    the number of kept frames.
    """
    keep = np.ones(len(candidates), dtype=np.bool_)
    kept = list[Candidate]()
    for row, candidate in enumerate(candidates):
        tolerance = next((t for t in reversed(schedule) if len(kept) >= t.frames), None)
        if tolerance is not None:
            energies = np.array([other.energy for other in kept])
            close = np.flatnonzero(np.abs(energies - candidate.energy) <= tolerance.energy)
            keep[row] = not any(_alike(candidate, kept[k], tolerance) for k in close)
        if keep[row]:
            kept.append(candidate)
    return keep


def _alike(first: Candidate, second: Candidate, tolerance: Tolerance) -> bool:
    """Return whether two frames match as pymatgen's StructureMatcher without scaling has it.

    Volumes that no cell within the tolerances can have are told apart without it: three edges, and the angles of a
    Niggli cell, which change the volume by less than 3 % a degree each.
    """
    widest = 3 * np.log1p(tolerance.ltol) + 3 * 0.03 * tolerance.angle
    if abs(np.log(first.volume / second.volume)) > widest:
        return False
    matcher = StructureMatcher(
        ltol=tolerance.ltol, stol=tolerance.stol, angle_tol=tolerance.angle, scale=False, primitive_cell=False
    )
    return bool(matcher.fit(first.reduced, second.reduced, skip_structure_reduction=True))
