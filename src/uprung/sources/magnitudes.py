"""Label and distance magnitudes that only another unit explains; works without consecutive frames.

Medians decide: no crystal whose atoms are a bond apart is under hundreds of GPa, or has forces of 50 eV/Å on its
atoms; no set of structures has its nearest neighbours all at twice the sum of their radii. Values that are too
small look like a structure at rest; the slopes of pairs and the work test find those.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from ase.units import Bohr

from uprung.frames.neighbours import nearest, room
from uprung.frames.schema import EV_PER_A3, Frame, FramesError, Rejected

MOST = 200  # frames that are looked at, thinned evenly
#: Medians beyond these are no result of a calculation on a crystal: largest force of a frame, eV/Å, and stress, GPa.
FORCE, STRESS = 50.0, 100.0
#: Nearest neighbours by the sum of their covalent radii: closer ones push hard, none of a set is farther apart.
CLOSE, APART = 0.75, 1.45
#: Volume by that of covalent spheres: a smaller one takes pressures of its own.
COMPRESSED = 0.8


@dataclass
class Magnitudes:
    """Collects sizes of labels over a source of any length.

    Attributes:
        trusted: labels whose unit the study states; they are not judged.
    """

    trusted: frozenset[str] = frozenset()
    sizes: list[tuple[float, ...]] = field(default_factory=list)  # force, stress, nearest neighbours, volume
    met: int = 0
    every: int = 1

    def add(self, frame: Frame) -> None:
        """Take the next frame."""
        self.met += 1
        if self.met % self.every:
            return
        self.sizes.append((_largest(frame.forces), _largest(frame.stress_gpa), nearest(frame), room(frame)))
        if len(self.sizes) == MOST:
            self.sizes, self.every = self.sizes[::2], 2 * self.every

    def problem(self) -> str | None:
        """Return what only another unit explains, with the guess, or None."""
        if not self.sizes:
            return None
        force, stress, near, volume = np.array(self.sizes).T
        near = near[np.isfinite(near)]
        if len(near) and np.quantile(near, 0.1) > APART and np.median(near) < 1.4 / Bohr:
            return (
                f"the nearest neighbours are {np.median(near):.2g} times the sum of their covalent radii apart "
                f"(median of {len(near)} frames); are positions and cell in bohr ({Bohr:.3f} Å)?"
            )
        pushed = len(near) > 0 and np.median(near) < CLOSE
        if "forces" not in self.trusted and (size := _median(force)) > FORCE and not pushed:
            return (
                f"the largest force of a frame is {size:.3g} eV/Å (median); are they in meV/Å, or kcal/mol/Å? State "
                "the unit of the file (keys: {forces: {key: …, unit: …}})"
            )
        size = _median(stress)
        if "stress" not in self.trusted and size > STRESS and np.median(volume) > COMPRESSED:
            real = size / EV_PER_A3
            return (
                f"the largest stress of a frame is {size:.3g} GPa (median), which no crystal of these volumes has; is "
                f"it in GPa or kbar in the file, which would make it {real:.2g} or {real / 10:.2g} GPa? State the unit "
                "of the file (keys: {stress: {key: …, unit: …, sign: …}})"
            )
        return None


def _largest(values: np.ndarray | None) -> float:
    return float(np.abs(values).max()) if values is not None and values.size else np.nan


def _median(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(np.quantile(known, 0.5, method="lower")) if len(known) else 0.0  # of two, one may be a slip


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
