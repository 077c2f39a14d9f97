"""Holes in the energy surface of a network: random structures fall to energies that no physics allows.

No DFT is needed. Atoms and cells are those of labelled frames, places are random; a structure is relaxed, rattled and
relaxed again, several times. A state counts as a hole where the network finds it lower in energy, by more than
polymorphs differ, than the lowest labelled frame of the same composition. That label is moved by the median error of
the network on frames of this composition, so that reference energies drop out, and frames that lie in a hole
themselves do not hide it. A state also counts where two atoms relax to less than half the sum of their covalent radii
(the shortest bonds of metals have 0.58), or where energies cease to be numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import ase
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from uprung.config.tests import Holes
from uprung.datasets.store import Dataset, rows_of
from uprung.evaluation.relaxation import relax
from uprung.frames.schema import Floats
from uprung.frames.table import Frames
from uprung.models.interface import Potential
from uprung.models.predict import predict
from uprung.structures.random_crystals import closest, draw_frames, random_crystal, seeded

#: Nearest distance of a relaxed state over the sum of the covalent radii below which no bond is.
COLLAPSED = 0.5


@dataclass(frozen=True)
class Start:
    """A random structure, the frame that its atoms are from, and the labelled frames of its composition (rows)."""

    name: str
    atoms: ase.Atoms
    alike: NDArray[np.int64]


def starts_of(frames: Frames, dataset: Dataset, tested: Sequence[str], options: Holes) -> list[Start]:
    """Return the random structures of a study, the same for each of its networks.

    Args:
        frames: of the target fidelity.
        dataset: the frames of it that take part.
        tested: frame_ids of the test split, whose compositions are taken.
        options: how many, how large, seed.
    """
    rows = draw_frames(frames, tested, options.starts, most_atoms=options.most_atoms, seed=options.seed)
    names, numbers = frames.strings("frame_id"), np.split(frames.numbers(), frames.offsets[1:-1])
    lattices = frames.flat("lattice").reshape(-1, 3, 3)
    every = dataset.composition(np.arange(len(dataset.keys)))
    found = []
    for row, own in zip(rows, rows_of(dataset, [names[row] for row in rows]), strict=True):
        alike = np.flatnonzero(np.abs(every - every[own]).max(axis=1) < 1e-6)
        crystal = random_crystal(numbers[row].tolist(), lattices[row], seed=f"{options.seed}/{names[row]}")
        found.append(Start(names[row], crystal, alike))
    return found


def holes_of(
    potential: Potential, starts: Sequence[Start], dataset: Dataset, options: Holes, *, device: str = "cpu"
) -> pd.DataFrame:
    """Relax and rattle the random structures with a network.

    Args:
        potential: left on the device and in evaluation mode.
        starts: of `starts_of`.
        dataset: the labelled frames, of which the network predicts the energies.
        options: rounds, steps, rattle, depth.
        device: where to compute.

    Returns:
        A row per start: start, formula, rounds (done until a hole or a state without a graph), energy (lowest, eV/atom,
        relative to `lowest_known`), nearest (smallest distance over the sum of covalent
        radii), hole (``, `energy`, `collapse`, `number`), and lost: whether atoms flew apart.
    """
    used = np.unique(np.concatenate([start.alike for start in starts]))
    energies = np.full(len(dataset.keys), np.nan)
    energies[used] = predict(potential, dataset, used, targets=["energy"], device=device)["energy"]
    floor = np.array([lowest_known(energies[start.alike], dataset.energy[start.alike]) for start in starts])
    state = [start.atoms for start in starts]
    rounds, hole = np.zeros(len(starts), dtype=int), np.full(len(starts), "", dtype=object)
    lowest, nearest, lost = (
        np.full(len(starts), np.inf),
        np.full(len(starts), np.inf),
        np.zeros(len(starts), dtype=bool),
    )
    random = [seeded(f"{options.seed}/{start.name}/rattle") for start in starts]
    for number in range(options.rounds):
        rows = np.flatnonzero((hole == "") & ~lost)
        if not len(rows):
            break
        done = relax(potential, [state[row] for row in rows], options.steps)
        for row, atoms, energy, known in zip(rows, done.structures, done.energy - floor[rows], done.known, strict=True):
            rounds[row], lost[row] = number + 1, not known
            if not known:
                continue
            nearest[row] = min(nearest[row], closest(atoms))
            lowest[row] = np.nan if np.isnan(energy) else min(lowest[row], energy)
            hole[row] = _hole(energy, nearest[row], options.depth)
            state[row] = atoms
            state[row].positions += random[row].normal(0, options.rattle, atoms.positions.shape)
    return pd.DataFrame(
        {
            "start": [start.name for start in starts],
            "formula": [start.atoms.get_chemical_formula() for start in starts],
            "rounds": rounds,
            "energy": np.where(np.isinf(lowest), np.nan, lowest),
            "nearest": np.where(np.isinf(nearest), np.nan, nearest),
            "hole": hole.astype(str),
            "lost": lost,
        }
    )


def lowest_known(predicted: Floats, label: Floats) -> float:
    """Return the lowest label of a composition on the scale of the network; the lowest prediction where there is none.

    Args:
        predicted: (n,) eV/atom of frames of one composition.
        label: (n,) eV/atom, NaN where there is none.
    """
    known = np.isfinite(label) & np.isfinite(predicted)
    if not known.any():
        return float(np.nanmin(predicted)) if np.isfinite(predicted).any() else float("nan")
    return float(label[known].min() + np.median(predicted[known] - label[known]))


def _hole(energy: float, nearest: float, depth: float) -> str:
    if not np.isfinite(energy):
        return "number"
    return "energy" if energy < -depth else "collapse" if nearest < COLLAPSED else ""
