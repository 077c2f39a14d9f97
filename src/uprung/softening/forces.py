"""Labelled and predicted forces of the frames of some materials, as one table."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from uprung.frames.table import Frames

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Forces:
    """Labelled and predicted forces of A atoms in frames of some materials.

    `label` and `predicted` (A, 3) in eV/Å; `frame` (A,) number of the frame; `material` and `group` (A,) names, the
    group being a kind of frames (molecular dynamics, surface, ...). `trajectory` (A,) number of the simulation that a
    frame is from, within its material; a frame that stands alone has one of its own. None: all frames stand alone.
    """

    label: Floats
    predicted: Floats
    frame: NDArray[np.int64]
    material: NDArray[np.object_]
    group: NDArray[np.object_]
    trajectory: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        """Raise ValueError on arrays that contradict each other or forces that are not finite."""
        n = len(self.label)
        expected = {"label": (n, 3), "predicted": (n, 3), "frame": (n,), "material": (n,), "group": (n,)}
        if self.trajectory is not None:
            expected["trajectory"] = (n,)
        shapes = {name: np.shape(getattr(self, name)) for name in expected}
        if shapes != expected:
            raise ValueError(f"forces need {expected}, got {shapes}")
        for name in ("label", "predicted"):
            if not np.isfinite(getattr(self, name)).all():
                raise ValueError(f"{name} forces that are not finite: leave those frames out and list them")

    def take(self, atoms: NDArray[np.bool_]) -> Forces:
        """Return some of the atoms."""
        own = None if self.trajectory is None else self.trajectory[atoms]
        frame, material, group = self.frame[atoms], self.material[atoms], self.group[atoms]
        return Forces(self.label[atoms], self.predicted[atoms], frame, material, group, own)


def forces_of_frames(frames: Frames, label: NDArray[np.floating], predicted: Floats) -> tuple[Forces, int]:
    """Return the forces of a frames table as `forces_of`: its materials, kinds of frames (run types), trajectories.

    Args:
        frames: the table.
        label: (A, 3), NaN where a frame has no forces.
        predicted: (A, 3).
    """
    names = (np.array(frames.strings(name), dtype=object) for name in ("material_id", "run_type", "trajectory"))
    return forces_of(label, predicted, frames.nsites, *names)


def forces_of(
    label: NDArray[np.floating],
    predicted: Floats,
    counts: NDArray[np.int64],
    material: NDArray[np.object_],
    group: NDArray[np.object_],
    trajectory: NDArray[np.object_] | None = None,
) -> tuple[Forces, int]:
    """Return the forces of frames as one table, without frames that have no labels, and how many those are.

    Args:
        label: (A, 3), NaN where a frame has no forces.
        predicted: (A, 3).
        counts: (n,) atoms of each frame.
        material: (n,) names.
        group: (n,) kinds of frames.
        trajectory: (n,) simulations, None for a frame that stands alone.
    """
    if trajectory is None:
        trajectory = np.full(len(counts), None, dtype=object)
    names = [f"frame {k}" if pd.isna(name) else f"run {name}" for k, name in enumerate(trajectory)]
    runs = pd.factorize(np.array(names, dtype=object))[0].astype(np.int64)
    frame = np.repeat(np.arange(len(counts)), counts)
    known = np.isfinite(label).all(axis=1)
    forces = Forces(
        np.asarray(label, dtype=np.float64)[known],
        predicted[known],
        frame[known],
        material[frame][known],
        group[frame][known],
        runs[frame][known],
    )
    return forces, len(counts) - len(np.unique(frame[known]))
