"""Random draws of the structures that a force correction is fitted to and of those it is judged on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: eV/Å, root mean square over components: frames below are not drawn, since their forces say nothing about a slope.
AT_REST = 0.05
AXES = ("x", "y", "z")


@dataclass(frozen=True)
class ScoredFrame:
    """A labelled structure of an evaluation set; `label` and `predicted` are (3·atoms,) force components in eV/Å."""

    name: str
    trajectory: str
    label: Floats
    predicted: Floats

    @cached_property  # asked for in every draw
    def at_rest(self) -> bool:
        """Whether its forces are too small to say anything about a slope."""
        return bool(np.sqrt(np.mean(self.label**2)) < AT_REST)


@dataclass(frozen=True)
class Draw:
    """One draw: k structures to fit to and the structures to judge, of other trajectories."""

    draw: int
    fitted: tuple[ScoredFrame, ...]
    judged: tuple[ScoredFrame, ...]


def frames_of(cloud: pd.DataFrame) -> dict[str, list[ScoredFrame]]:
    """Return the frames of every material of a table of `uprung.softening.slopes.cloud`, in the order of its rows."""
    label, predicted = (
        cloud[[f"{side}_{axis}" for axis in AXES]].to_numpy(np.float64) for side in ("label", "predicted")
    )
    names = cloud[["material", "frame_id", "trajectory"]].to_numpy(dtype=str)
    found: dict[str, list[ScoredFrame]] = {}
    for atoms in cloud.groupby(["material", "frame_id"], sort=False).indices.values():
        material, name, trajectory = map(str, names[atoms[0]])
        frame = ScoredFrame(name, trajectory, label[atoms].ravel(), predicted[atoms].ravel())
        found.setdefault(material, []).append(frame)
    return found


def possible_draws(frames: Sequence[ScoredFrame], k: int, *, draws: int, seed: int) -> list[Draw]:
    """Split the trajectories of a material into two halves at random, again and again.

    k structures are taken from one half, and all of the other are judged, so that none is judged by a fit to its own
    simulation. Frames at rest are judged, but not fitted to. The same seed gives the same draws.

    Args:
        frames: of one material.
        k: labelled structures.
        draws: how often.
        seed: of the draws.

    Returns:
        The draws that are possible: half of the trajectories has to hold k structures.
    """
    rng = np.random.default_rng([seed, k])
    found = [_draw(frames, k, draw, rng) for draw in range(draws)]
    return [chosen for chosen in found if chosen is not None]


def _draw(frames: Sequence[ScoredFrame], k: int, draw: int, rng: np.random.Generator) -> Draw | None:
    names = list(dict.fromkeys(frame.trajectory for frame in frames))
    if len(names) < 2:
        return None
    labelled = {names[i] for i in rng.permutation(len(names))[: len(names) // 2]}
    pool = [frame for frame in frames if frame.trajectory in labelled and not frame.at_rest]
    judged = [frame for frame in frames if frame.trajectory not in labelled]
    if len(pool) < k:
        return None
    return Draw(draw, tuple(pool[i] for i in rng.permutation(len(pool))[:k]), tuple(judged))


def why_none(frames: Sequence[ScoredFrame], k: int) -> str:
    """Say why no draw is possible."""
    if len({frame.trajectory for frame in frames}) < 2:
        return "all frames are of one trajectory: nothing would be left to judge"
    return (
        f"no half of the {len(frames)} frames, {sum(f.at_rest for f in frames)} of them at rest, holds {k} structures"
    )
