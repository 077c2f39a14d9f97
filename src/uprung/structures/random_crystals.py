"""Random arrangements of given atoms in given cells: no two atoms overlap, none is alone."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import ase
import numpy as np
from ase.data import covalent_radii

from uprung.frames.schema import Floats
from uprung.frames.table import Frames

#: Distance of two atoms over the sum of their covalent radii: at least, and of an atom to the one it is put beside.
NEAREST, FARTHEST = 0.7, 1.5
#: Edges of the cell are scaled by a factor of this range, since a network should hold off the labelled volumes, too.
SCALE = (0.95, 1.1)
ATTEMPTS = 100  # places that are tried for an atom before atoms may come nearer
_IMAGES = np.array(np.meshgrid(*[(-1, 0, 1)] * 3)).reshape(3, -1).T


def draw_frames(frames: Frames, names: Sequence[str], count: int, *, most_atoms: int, seed: int) -> list[int]:
    """Return rows of frames whose atoms and cells are taken: one of each composition, then a second one, and so on.

    Args:
        frames: a table.
        names: frame_ids that may be drawn.
        count: at most so many rows.
        most_atoms: larger frames are not drawn.
        seed: of the order; a frame keeps its place in it whatever other frames there are.
    """
    allowed, ids = set(names), frames.strings("frame_id")
    cut = frames.offsets
    numbers = frames.numbers()
    places = dict[tuple[int, ...], int]()
    rows = [row for row, name in enumerate(ids) if name in allowed and cut[row + 1] - cut[row] <= most_atoms]
    rows.sort(key=lambda row: hashlib.blake2b(f"{seed}/{ids[row]}".encode()).digest())
    ranked = list[tuple[int, int, int]]()
    for k, row in enumerate(rows):
        atoms = tuple(sorted(numbers[cut[row] : cut[row + 1]].tolist()))
        places[atoms] = places.get(atoms, -1) + 1
        ranked.append((places[atoms], k, row))
    return [row for _, _, row in sorted(ranked)[:count]]


def seeded(text: str) -> np.random.Generator:
    """Return a random generator that a text decides."""
    return np.random.default_rng([*hashlib.blake2b(text.encode(), digest_size=16).digest()])


def random_crystal(numbers: Sequence[int], lattice: Floats, seed: str) -> ase.Atoms:
    """Return atoms in random places of a cell.

    Each atom is put beside one that is there already, so that cells with vacuum hold molecules and slabs. Where it
    finds no place, atoms may come nearer by steps of 5 %.

    Args:
        numbers: (N,) atomic numbers.
        lattice: (3, 3) rows, Å; its edges are scaled by one random factor.
        seed: of places and scale.
    """
    random = seeded(seed)
    cell = np.asarray(lattice, dtype=np.float64) * random.uniform(*SCALE)
    radii = covalent_radii[list(numbers)]
    order = random.permutation(len(radii))
    places = [random.random(3) @ cell]
    nearest, k = NEAREST, 1
    while k < len(order):
        own = radii[order[k]]
        sums = own + radii[order[:k]]
        for _ in range(ATTEMPTS):
            beside = int(random.integers(k))
            way = random.normal(size=3)
            place = places[beside] + way / np.linalg.norm(way) * random.uniform(nearest, FARTHEST) * sums[beside]
            apart = _distances(place - np.array(places), cell).min(axis=1)
            if (apart >= nearest * sums).all():
                places.append(place)
                break
        else:
            nearest *= 0.95
            continue
        k += 1
    positions = np.empty((len(order), 3))
    positions[order] = places
    return ase.Atoms(list(numbers), positions=positions, cell=cell, pbc=True)


def closest(atoms: ase.Atoms) -> float:
    """Return the smallest distance of two atoms over the sum of their covalent radii; infinity for a single atom."""
    radii = covalent_radii[atoms.numbers]
    apart = _distances(atoms.positions[:, None] - atoms.positions, atoms.cell.array)
    own = np.eye(len(atoms), dtype=bool)
    apart[own, len(_IMAGES) // 2] = np.inf
    return float((apart.min(axis=2) / (radii[:, None] + radii)).min())


def _distances(vectors: Floats, cell: Floats) -> Floats:
    """Return the lengths of vectors (..., 3) between atoms and the images of each other next to them, (..., 27) Å."""
    frac = vectors @ np.linalg.inv(cell)
    nearest = (frac - np.round(frac)) @ cell
    lengths: Floats = np.linalg.norm(nearest[..., None, :] + _IMAGES @ cell, axis=-1)
    return lengths
