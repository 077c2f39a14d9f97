"""CHGNet's store of neighbour graphs with angles."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from uprung.models.chgnet.graphs import IntArray, PackedArrays, build_graph
from uprung.models.ragged import Layout, Ragged, ragged_of, ranges, read_ragged, write_ragged

if TYPE_CHECKING:  # readers of a store need no torch
    from uprung.models.interface import Geometry

FORMAT_VERSION = 2
_LAYOUT = Layout(
    arrays={
        "numbers": ("|u1", 0),
        "frac": ("<f8", 3),
        "lattice": ("<f8", 9),
        "edge": ("<i4", 2),
        "image": ("|i1", 3),
        "angle": ("<i4", 2),
        "n_short": ("<i4", 0),
    },
    counts={"atom": "numbers", "edge": "edge", "angle": "angle"},
)


def _graph(geometry: Geometry, *, atom_cutoff: float = 6.0, bond_cutoff: float = 3.0) -> dict[str, Any]:
    return vars(build_graph(geometry.frac, geometry.lattice, atom_cutoff=atom_cutoff, bond_cutoff=bond_cutoff))


def write_store(
    folder: Path | str,
    keys: Sequence[str],
    geometries: Sequence[Geometry],
    *,
    atom_cutoff: float = 6.0,
    bond_cutoff: float = 3.0,
    processes: int = 1,
    progress: Callable[[int], object] | None = None,
) -> dict[str, Any]:
    """Build the graphs of many structures and write them as flat arrays that `GraphStore` maps.

    Args:
        folder: created if missing; a store that is there is replaced.
        keys: a unique name for every structure.
        geometries: the structures.
        atom_cutoff: Å.
        bond_cutoff: Å.
        processes: worker processes; the result does not depend on their number.
        progress: called with the number of structures just finished.

    Returns:
        The manifest; see `uprung.models.ragged.write_ragged`.

    Raises:
        ValueError: lists of unequal length, repeated keys, or `processes` below 1.
    """
    facts = {"format": FORMAT_VERSION, "atom_cutoff": float(atom_cutoff), "bond_cutoff": float(bond_cutoff)}
    build = partial(_graph, atom_cutoff=atom_cutoff, bond_cutoff=bond_cutoff)
    return write_ragged(
        Path(folder), keys, geometries, _LAYOUT, build, facts=facts, processes=processes, progress=progress
    )


class Graphs:
    """Graphs of many structures as flat arrays; row by row the same structures.

    Attributes: `n_atoms`, `n_edges`, `n_angles`, `n_short`, (n,) int64 each.
    """

    def __init__(self, arrays: Ragged) -> None:
        """Hold the arrays of `_LAYOUT`."""
        data, offsets = self._data, _ = arrays
        self._start = {name: offset[:-1] for name, offset in offsets.items()}
        self.n_atoms: IntArray = np.diff(offsets["atom"])
        self.n_edges: IntArray = np.diff(offsets["edge"])
        self.n_angles: IntArray = np.diff(offsets["angle"])
        self.n_short = np.asarray(data["n_short"], dtype=np.int64)

    def __len__(self) -> int:
        """Number of structures."""
        return len(self.n_atoms)

    def costs(self) -> IntArray:
        """Undirected edges plus angles of every structure, (n,), a measure of computing time and memory."""
        return self.n_edges + self.n_angles

    def pack(self, rows: Sequence[int] | IntArray) -> PackedArrays:
        """Concatenate the structures of ``rows`` (B,), in that order, into one batch. ValueError if empty."""
        rows = np.asarray(rows, dtype=np.int64)
        if rows.ndim != 1 or len(rows) == 0:
            raise ValueError(f"a batch needs a one-dimensional, non-empty list of rows, not shape {rows.shape}")
        n_atoms, n_short = self.n_atoms[rows], self.n_short[rows]
        n_long, n_angles = self.n_edges[rows] - n_short, self.n_angles[rows]
        atoms = ranges(self._start["atom"][rows], n_atoms)
        edge_start = self._start["edge"][rows]
        edges = ranges(np.concatenate([edge_start, edge_start + n_short]), np.concatenate([n_short, n_long]))
        which = np.arange(len(rows))
        edge_owner = np.repeat(np.concatenate([which, which]), np.concatenate([n_short, n_long]))
        atom_offset = np.cumsum(n_atoms) - n_atoms
        edge = self._data["edge"][edges] + atom_offset[edge_owner, None]
        total_short = int(n_short.sum())
        if n_angles.any():
            code = self._data["angle"][ranges(self._start["angle"][rows], n_angles)]
            shift = np.repeat(2 * (np.cumsum(n_short) - n_short), n_angles)
            first, second = (code + shift[:, None]).T
        else:
            first = second = np.empty(0, dtype=np.int64)
        return PackedArrays(
            numbers=self._data["numbers"][atoms].astype(np.int64),
            owner=np.repeat(which, n_atoms),
            n_atoms=n_atoms,
            frac=self._data["frac"][atoms],
            lattice=self._data["lattice"][rows].reshape(-1, 3, 3),
            edge=edge,
            image=self._data["image"][edges].astype(np.int64),
            edge_owner=edge_owner,
            n_short=total_short,
            angle_centre=edge.reshape(-1)[first],
            angle_first=first >> 1,
            angle_second=second >> 1,
            sign_first=(1 - 2 * (first & 1)).astype(np.int8),
            sign_second=(1 - 2 * (second & 1)).astype(np.int8),
        )


def graphs_of(geometries: Sequence[Geometry]) -> Graphs:
    """Return the graphs of a few structures in memory, with the cutoffs of CHGNet 0.3.0.

    Raises:
        ValueError: a structure has no graph; see `build_graph`.
    """
    return Graphs(ragged_of(geometries, _LAYOUT, _graph))


class GraphStore(Graphs):
    """Read-only view of a folder written by `write_store`; arrays stay on disk and are shared between processes.

    Attributes: `keys` (n,), and those of `Graphs`.
    """

    def __init__(self, folder: Path | str, manifest: Mapping[str, Any] | None = None) -> None:
        """Map the arrays of a folder; see `uprung.models.ragged.read_ragged`."""
        super().__init__(read_ragged(Path(folder), manifest, _LAYOUT, version=FORMAT_VERSION))
        self.keys: NDArray[np.str_] = np.asarray(self._data["keys"])


def open_store(folder: Path | str, manifest: Mapping[str, Any] | None = None) -> GraphStore:
    """Open a graph store; see `GraphStore`."""
    return GraphStore(folder, manifest)
