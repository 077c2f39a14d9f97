"""Neighbour pairs of crystals, for architectures that read nothing else: both directions, sorted by the first atom."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from uprung.frames.crowding import crowding
from uprung.frames.limits import IMAGES
from uprung.models.ragged import IntArray, Layout, Ragged, ragged_of, ranges, read_ragged, write_ragged

if TYPE_CHECKING:  # readers of a store need no torch
    from uprung.models.interface import Geometry

FORMAT_VERSION = 1
_LAYOUT = Layout(
    arrays={
        "numbers": ("|u1", 0),
        "frac": ("<f8", 3),
        "lattice": ("<f8", 9),
        "edge": ("<i4", 2),
        "image": ("|i1", 3),
        "n_triplets": ("<i8", 0),
    },
    counts={"atom": "numbers", "edge": "edge"},
)


@dataclass(frozen=True)
class Neighbourhood:
    """What an architecture calls neighbours.

    Attributes:
        cutoff: Å.
        triplets: Å within which pairs that meet at an atom are counted as triplets; 0 for an architecture without.
        elements: atomic numbers that it knows.
        title: of the architecture, for messages.
    """

    cutoff: float
    triplets: float
    elements: frozenset[int]
    title: str

    def arrays_of(self, geometry: Geometry) -> dict[str, Any]:
        """Return the pairs of a crystal.

        Returns:
            `edge` (E, 2) atoms (i, j), `image` (E, 3) the cell of j, so that the vector from i to j is
            `x_j + image @ lattice − x_i`, and `n_triplets` (), a measure of cost.

        Raises:
            ValueError: an element that the architecture does not know, an atom without a neighbour, two atoms at one
                place, values that are not finite, a cell without volume, or an image that does not fit int8.
        """
        # Imported here: vesin imports torch where it is installed, and readers of a store need neither.
        from vesin import NeighborList

        unknown = set(np.asarray(geometry.numbers).tolist()) - self.elements
        if unknown:
            raise ValueError(f"{self.title} does not know the elements Z = {sorted(unknown)}")
        if not (np.isfinite(geometry.frac).all() and np.isfinite(geometry.lattice).all()):
            raise ValueError("coordinates and lattice must be finite numbers")
        if abs(np.linalg.det(geometry.lattice)) < 1e-6:
            raise ValueError("the lattice vectors span no volume")
        if reason := crowding(geometry.frac, geometry.lattice, (self.cutoff, self.triplets)):
            raise ValueError(reason)
        search = NeighborList(cutoff=self.cutoff, full_list=True, n_threads=1)
        points = np.ascontiguousarray(geometry.frac @ geometry.lattice)
        pair, image, distance = search.compute(
            points=points, box=np.ascontiguousarray(geometry.lattice), periodic=True, quantities="PSd", copy=True
        )
        n = len(points)
        pair = pair.astype(np.int64)
        degree = np.bincount(pair[:, 0], minlength=n)
        if (degree == 0).any():
            alone = np.flatnonzero(degree == 0)
            raise ValueError(
                f"{len(alone)} of {n} atoms have no neighbour within {self.cutoff:g} Å (first: atom {alone[0]})"
            )
        if distance.min() < 1e-8:
            raise ValueError("two atoms are at the same place")
        if np.abs(image).max() > IMAGES:
            raise ValueError(f"a periodic image is more than {IMAGES} cells away; wrap the coordinates into [0, 1)")
        order = np.argsort(pair[:, 0], kind="stable")
        close = np.bincount(pair[distance <= self.triplets, 0], minlength=n)
        return {
            "edge": pair[order].astype(np.int32),
            "image": image[order].astype(np.int8),
            "n_triplets": int((close * (close - 1)).sum()),
        }


@dataclass(frozen=True)
class PackedPairs:
    """A batch of B crystals with A atoms and E pairs, both directions, sorted by the first atom.

    `numbers` (A,), `owner` (A,) crystal of an atom, `n_atoms` (B,), `frac` (A, 3), `lattice` (B, 3, 3) rows in Å,
    `edge` (E, 2) atoms in the batch, `image` (E, 3) the cell of the second, `edge_owner` (E,).
    """

    numbers: IntArray
    owner: IntArray
    n_atoms: IntArray
    frac: NDArray[np.float64]
    lattice: NDArray[np.float64]
    edge: IntArray
    image: IntArray
    edge_owner: IntArray

    def positions(self) -> NDArray[np.float64]:
        """Return Cartesian positions, (A, 3) in Å."""
        return np.asarray(np.einsum("ak,akl->al", self.frac, self.lattice[self.owner]))

    def shifts(self) -> NDArray[np.float64]:
        """Return what is added to the position of each pair's second atom, (E, 3) in Å."""
        return np.asarray(np.einsum("ek,ekl->el", self.image, self.lattice[self.edge_owner]))


class Pairs:
    """Pairs of many crystals; see `uprung.datasets.store.Inputs`."""

    def __init__(self, arrays: Ragged) -> None:
        """Hold the arrays of `_LAYOUT`."""
        data, offsets = self._data, _ = arrays
        self._start = {name: offset[:-1] for name, offset in offsets.items()}
        self.n_atoms: IntArray = np.diff(offsets["atom"])
        self.n_edges: IntArray = np.diff(offsets["edge"])
        self._costs: IntArray = self.n_edges + np.asarray(data["n_triplets"], dtype=np.int64)

    def __len__(self) -> int:
        """Return the number of crystals."""
        return len(self.n_atoms)

    def costs(self) -> IntArray:
        """Return pairs plus triplets of every crystal, (n,), a measure of computing time and memory."""
        return self._costs

    def pack(self, rows: Sequence[int] | IntArray) -> PackedPairs:
        """Concatenate crystals into one batch, in their order; raises ValueError if there are none."""
        rows = np.asarray(rows, dtype=np.int64)
        if rows.ndim != 1 or len(rows) == 0:
            raise ValueError(f"a batch needs a one-dimensional, non-empty list of rows, not shape {rows.shape}")
        n_atoms, n_edges = self.n_atoms[rows], self.n_edges[rows]
        atoms, edges = ranges(self._start["atom"][rows], n_atoms), ranges(self._start["edge"][rows], n_edges)
        which = np.arange(len(rows))
        first = np.repeat(np.cumsum(n_atoms) - n_atoms, n_edges)
        return PackedPairs(
            numbers=self._data["numbers"][atoms].astype(np.int64),
            owner=np.repeat(which, n_atoms),
            n_atoms=n_atoms,
            frac=self._data["frac"][atoms],
            lattice=self._data["lattice"][rows].reshape(-1, 3, 3),
            edge=self._data["edge"][edges] + first[:, None],
            image=self._data["image"][edges].astype(np.int64),
            edge_owner=np.repeat(which, n_edges),
        )


def pairs_of(geometries: Sequence[Geometry], near: Neighbourhood) -> Pairs:
    """Return the pairs of a few crystals in memory; raises ValueError, see `Neighbourhood.arrays_of`."""
    return Pairs(ragged_of(geometries, _LAYOUT, near.arrays_of))


def write_pairs(
    folder: Path,
    keys: Sequence[str],
    geometries: Sequence[Geometry],
    near: Neighbourhood,
    *,
    processes: int = 1,
    progress: Callable[[int], object] | None = None,
) -> dict[str, Any]:
    """Store the pairs of many crystals; see `uprung.models.ragged.write_ragged`."""
    facts = {"format": FORMAT_VERSION, "cutoff": near.cutoff, "triplet_cutoff": near.triplets}
    return write_ragged(
        folder, keys, geometries, _LAYOUT, near.arrays_of, facts=facts, processes=processes, progress=progress
    )


def open_pairs(folder: Path, manifest: Mapping[str, Any]) -> Pairs:
    """Open a store of pairs; see `uprung.models.ragged.read_ragged`."""
    return Pairs(read_ragged(folder, manifest, _LAYOUT, version=FORMAT_VERSION))
