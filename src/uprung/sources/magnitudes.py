"""Sizes of labels and distances of a source that only another unit explains, also where no frame follows another.

Medians say it: no crystal whose atoms are a bond apart is under hundreds of GPa, or has forces of 50 eV/Å on its
atoms; no set of structures has its nearest neighbours all at twice the sum of their radii. A unit that is too small
cannot be told from a structure at rest; the slopes of pairs and the work test find that.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from ase.data import covalent_radii
from ase.geometry import minkowski_reduce
from ase.units import Bohr

from uprung.frames.schema import EV_PER_A3, Frame, FramesError, Rejected

MOST = 200  # frames that are looked at, thinned evenly
#: Medians beyond these are no result of a calculation on a crystal: largest force of a frame, eV/Å, and stress, GPa.
FORCE, STRESS = 50.0, 100.0
#: Nearest neighbours by the sum of their covalent radii: closer ones are compressed, ones beyond are none.
CLOSE, APART = 0.8, 1.45
_LOOSE = {2, 10, 18, 36, 54, 86}  # noble gases


@dataclass
class Magnitudes:
    """Collects sizes of labels over a source of any length.

    Attributes:
        trusted: labels whose unit the study states; they are not judged.
    """

    trusted: frozenset[str] = frozenset()
    sizes: list[tuple[float, float, float]] = field(default_factory=list)  # force, stress, nearest neighbours
    met: int = 0
    every: int = 1

    def add(self, frame: Frame) -> None:
        """Take the next frame."""
        self.met += 1
        if self.met % self.every:
            return
        self.sizes.append((_largest(frame.forces), _largest(frame.stress_gpa), nearest(frame)))
        if len(self.sizes) == MOST:
            self.sizes, self.every = self.sizes[::2], 2 * self.every

    def problem(self) -> str | None:
        """Return what only another unit explains, with the guess, or None."""
        if not self.sizes:
            return None
        force, stress, near = np.array(self.sizes).T
        near = near[np.isfinite(near)]
        if len(near) and np.quantile(near, 0.1) > APART and np.median(near) < 1.4 / Bohr:
            return (
                f"the nearest neighbours are {np.median(near):.2g} times the sum of their covalent radii apart "
                f"(median of {len(near)} frames); are positions and cell in bohr ({Bohr:.3f} Å)?"
            )
        if len(near) and np.median(near) < CLOSE:
            return None  # compressed: everything may be large
        if "forces" not in self.trusted and (size := _median(force)) > FORCE:
            return (
                f"the largest force of a frame is {size:.3g} eV/Å (median); are they in meV/Å, or kcal/mol/Å? State it "
                "(keys: {forces: {key: …, unit: …}})"
            )
        if "stress" not in self.trusted and (size := _median(stress)) > STRESS:
            unit, factor = ("kbar", 10) if size / EV_PER_A3 > 50 else ("GPa", 1)
            return (
                f"the largest stress of a frame is {size:.3g} GPa (median), which no crystal of these volumes has; is it "
                f"in {unit} in the file, which would make it {size / EV_PER_A3 / factor:.2g} GPa? State it (keys: {stress: {key: …, unit: …, sign: …}})"
            )
        return None


def _largest(values: np.ndarray | None) -> float:
    return float(np.abs(values).max()) if values is not None and values.size else np.nan


def _median(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else 0.0


def nearest(frame: Frame) -> float:
    """Return the distance of the nearest neighbours, as a share of the sum of their covalent radii.

    NaN for an isolated atom, and where all atoms are of noble gases, which no bond holds.
    """
    n = len(frame.Z)
    shapes = frame.lattice.shape == (3, 3) and frame.frac.shape == (n, 3)
    if not shapes or not n or set(frame.Z.tolist()) <= _LOOSE or not np.isfinite(frame.frac).all():
        return np.nan
    if n > MOST or not abs(np.linalg.det(frame.lattice)) > 1e-3:
        return np.nan
    cell, _ = minkowski_reduce(frame.lattice)
    positions = frame.frac @ frame.lattice @ np.linalg.inv(cell)
    radii = covalent_radii[frame.Z.astype(int)]
    images = np.stack(np.meshgrid(*[[-1, 0, 1]] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    apart = positions[:, None] - positions[None]
    apart -= np.rint(apart)
    distances = np.linalg.norm((apart[:, :, None] + images) @ cell, axis=-1)  # (n, n, 27)
    distances[distances < 1e-6] = np.inf
    shares = distances / (radii[:, None] + radii[None])[:, :, None]
    found = float(shares.min())
    return found if found < 2 * 1.4 / Bohr else np.nan


def plausible(records: Iterable[Frame | Rejected], sizes: Magnitudes, path: Path) -> Iterator[Frame | Rejected]:
    """Pass records on while their sizes are taken.

    Raises:
        FramesError: at the end of the records, sizes that only another unit explains.
    """
    for record in records:
        if isinstance(record, Frame):
            sizes.add(record)
        yield record
    if found := sizes.problem():
        raise FramesError(f"{path}: {found}")
