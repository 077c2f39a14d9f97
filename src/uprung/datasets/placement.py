"""Which frames can have a graph: every atom with a neighbour within the cutoff, none in another's place."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from uprung.frames.limits import IMAGES, NEAREST
from uprung.frames.table import Frames
from uprung.job.logs import LINES, progress

NEAR = 3.5  # Å, within which nearly every atom of a crystal has a neighbour: a fifth of the pairs within 6 Å


def isolated(frames: Frames, cutoff: float) -> NDArray[np.bool_]:
    """Return which frames have an atom without a neighbour within the cutoff (Å), (n,)."""
    return _surroundings(frames, cutoff)[0]


def misplaced(frames: Frames, cutoff: float) -> NDArray[np.object_]:
    """Return for every frame why its atoms can have no graph with edges up to a cutoff (Å), or ''."""
    reasons = np.full(len(frames), "", dtype=object)
    alone, closest = _surroundings(frames, cutoff)
    rows = np.flatnonzero(_most_images(frames, cutoff) > IMAGES)  # of these perhaps
    for row, (cells,) in zip(rows, _neighbours(frames, rows, cutoff, "S"), strict=True):
        if np.abs(cells).max(initial=0) > IMAGES:
            reasons[row] = f"atoms more than {IMAGES} cells apart; wrap them into one cell"
    reasons[closest < NEAREST] = f"two atoms, or an atom and its image, less than {NEAREST:g} Å apart"
    reasons[alone] = f"an atom without neighbour within {cutoff:g} Å"
    return reasons


def _surroundings(frames: Frames, cutoff: float) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Return which frames have an atom without a neighbour within the cutoff, (n,), and their shortest distance, (n,).

    Distances are Å, inf where there is none within the cutoff. Only frames that have such an atom within `NEAR` are
    searched as far as that.
    """
    alone, closest = np.ones(len(frames), dtype=np.bool_), np.full(len(frames), np.inf)
    with progress(len(frames), "looking at neighbours", "frame", every=LINES) as bar:
        for reach in (min(NEAR, cutoff), cutoff):
            rows = np.flatnonzero(alone)
            for row, (centres, distances) in zip(rows, _neighbours(frames, rows, reach, "id"), strict=True):
                alone[row] = (np.bincount(centres, minlength=frames.nsites[row]) == 0).any()
                closest[row] = distances.min(initial=np.inf)
                bar.update(not alone[row])
    return alone, closest


def _most_images(frames: Frames, cutoff: float) -> NDArray[np.float64]:
    """Return a bound of the cells between two neighbours, (n,): what separates atoms, and the cells in the cutoff."""
    frac, starts = frames.flat("frac", 3).reshape(-1, 3), frames.offsets[:-1]
    span = np.maximum.reduceat(frac, starts) - np.minimum.reduceat(frac, starts)
    heights = 1 / np.linalg.norm(np.linalg.inv(frames.flat("lattice").reshape(-1, 3, 3)), axis=1)
    return np.asarray((span + cutoff / heights).max(axis=1), dtype=np.float64)


def _neighbours(
    frames: Frames, rows: NDArray[np.int64], cutoff: float, quantities: str
) -> Iterator[tuple[NDArray[Any], ...]]:
    """Yield of some frames what is asked of pairs: centres "i" (p,), cells "S" (p, 3), distances "d" (p,) in Å."""
    offsets, lattice = frames.offsets, frames.flat("lattice").reshape(-1, 3, 3)
    frac = frames.flat("frac", 3).reshape(-1, 3)
    from vesin import NeighborList  # imports torch where it is installed

    search = NeighborList(cutoff=cutoff, full_list=True, n_threads=1)
    for row in rows:
        points = frac[offsets[row] : offsets[row + 1]] @ lattice[row]
        yield tuple(search.compute(points=points, box=lattice[row], periodic=True, quantities=quantities))
