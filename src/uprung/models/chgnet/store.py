"""The store of neighbour graphs: built once, kept as flat arrays, memory-mapped by every job that reads it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from uprung.datasets.arrays import ArrayWriter, CheckedArray, write_array
from uprung.job.files import write_json
from uprung.models.chgnet.graphs import Graph, IntArray, PackedArrays, build_graph, ragged

if TYPE_CHECKING:  # readers of a store need no torch
    from uprung.models.interface import Geometry

FORMAT_VERSION = 2
_ARRAYS: dict[str, tuple[str, int]] = {  # name -> dtype, columns (0: one-dimensional)
    "numbers": ("|u1", 0),
    "frac": ("<f8", 3),
    "lattice": ("<f8", 9),
    "edge": ("<i4", 2),
    "image": ("|i1", 3),
    "angle": ("<i4", 2),
    "n_short": ("<i4", 0),
}
_COUNTS = ("atom", "edge", "angle")
_CHUNK = 64


def _build_chunk(chunk: list[Geometry], *, atom_cutoff: float, bond_cutoff: float) -> list[Graph | str]:
    """The graph of each structure, or why there is none."""
    results: list[Graph | str] = []
    for numbers, frac, lattice in chunk:
        try:
            _check_numbers(np.asarray(numbers), len(frac))
            results.append(build_graph(frac, lattice, atom_cutoff=atom_cutoff, bond_cutoff=bond_cutoff))
        except ValueError as error:
            results.append(str(error))
    return results


def _check_numbers(numbers: NDArray[np.integer[Any]], n_atoms: int) -> None:
    if numbers.shape != (n_atoms,):
        raise ValueError(f"{n_atoms} positions but atomic numbers of shape {numbers.shape}")
    if numbers.size and not 1 <= numbers.min() <= numbers.max() <= 94:
        raise ValueError(f"atomic numbers must be 1 to 94, not {numbers.min()} to {numbers.max()}")


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
        The manifest, also written to `manifest.json` as the last file: format, cutoffs, counts, checksums of every
        array, and `rejected`, a list of [key, reason] of the structures that have no row.

    Raises:
        ValueError: lists of unequal length, repeated keys, or `processes` below 1.
    """
    if len(keys) != len(geometries):
        raise ValueError(f"keys and geometries differ in length: {len(keys)}, {len(geometries)}")
    if len(set(keys)) != len(keys):
        raise ValueError(f"keys must be unique; {len(keys) - len(set(keys))} are repeats")
    if processes < 1:
        raise ValueError(f"processes must be at least 1, not {processes}")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "manifest.json").unlink(missing_ok=True)
    writers = {name: ArrayWriter(folder / f"{name}.npy", *spec) for name, spec in _ARRAYS.items()}
    lengths: dict[str, list[int]] = {name: [] for name in _COUNTS}
    accepted: list[str] = []
    rejected: list[list[str]] = []
    build = partial(_build_chunk, atom_cutoff=atom_cutoff, bond_cutoff=bond_cutoff)
    row = 0
    for results in _map_chunks(build, _chunks(geometries), processes):
        for result in results:
            if isinstance(result, str):
                rejected.append([keys[row], result])
            else:
                for name, values in _arrays_of(geometries[row], result).items():
                    writers[name].append(values)
                for name, count in _counts_of(result, len(geometries[row].numbers)).items():
                    lengths[name].append(count)
                accepted.append(keys[row])
            row += 1
        if progress is not None:
            progress(len(results))
    arrays = {name: writer.close() for name, writer in writers.items()}
    arrays["keys"] = write_array(folder / "keys.npy", np.array(accepted, dtype=np.str_))
    for name, counts in lengths.items():
        offsets = np.cumsum([0, *counts], dtype=np.int64)
        arrays[f"{name}_offset"] = write_array(folder / f"{name}_offset.npy", offsets)
    manifest = {
        "format": FORMAT_VERSION,
        "atom_cutoff": float(atom_cutoff),
        "bond_cutoff": float(bond_cutoff),
        "counts": {"structures": len(accepted), "rejected": len(rejected)}
        | {f"{name}s": sum(lengths[name]) for name in _COUNTS},
        "arrays": arrays,
        "rejected": rejected,
    }
    write_json(folder / "manifest.json", manifest)
    return manifest


def _arrays_of(geometry: Geometry, graph: Graph) -> dict[str, NDArray[Any]]:
    """Return the rows of a structure in every flat array."""
    return {name: np.asarray(value) for name, value in (geometry._asdict() | vars(graph)).items()}


def _counts_of(graph: Graph, n_atoms: int) -> dict[str, int]:
    return {"atom": n_atoms, "edge": len(graph.edge), "angle": len(graph.angle)}


def _chunks(geometries: Sequence[Geometry]) -> Iterator[list[Geometry]]:
    for start in range(0, len(geometries), _CHUNK):
        yield list(geometries[start : start + _CHUNK])


def _map_chunks(
    build: Callable[[list[Geometry]], list[Graph | str]], chunks: Iterable[list[Geometry]], processes: int
) -> Iterator[list[Graph | str]]:
    if processes == 1:
        yield from map(build, chunks)
        return
    # Imported here for the readers of a store. Its loky workers neither fork a process whose threads run nor import
    # the caller's main module a second time, so that a script without a main guard may call this.
    from joblib import Parallel, delayed  # type: ignore[import-untyped]

    with Parallel(n_jobs=processes, return_as="generator", max_nbytes=None) as parallel:
        yield from parallel(delayed(build)(chunk) for chunk in chunks)


class Graphs:
    """Graphs of many structures as flat arrays; row by row the same structures.

    Attributes: `n_atoms`, `n_edges`, `n_angles`, `n_short`, (n,) int64 each.
    """

    def __init__(self, data: Mapping[str, NDArray[Any] | CheckedArray], offsets: Mapping[str, IntArray]) -> None:
        """Hold the arrays of `_ARRAYS` and, for atoms, edges and angles, where each structure starts, (n + 1,)."""
        self._data = data
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
        atoms = ragged(self._start["atom"][rows], n_atoms)
        edge_start = self._start["edge"][rows]
        edges = ragged(np.concatenate([edge_start, edge_start + n_short]), np.concatenate([n_short, n_long]))
        which = np.arange(len(rows))
        edge_owner = np.repeat(np.concatenate([which, which]), np.concatenate([n_short, n_long]))
        atom_offset = np.cumsum(n_atoms) - n_atoms
        edge = self._data["edge"][edges] + atom_offset[edge_owner, None]
        total_short = int(n_short.sum())
        if n_angles.any():
            code = self._data["angle"][ragged(self._start["angle"][rows], n_angles)]
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
    columns: dict[str, list[NDArray[Any]]] = {name: [] for name in _ARRAYS}
    lengths: dict[str, list[int]] = {name: [0] for name in _COUNTS}
    for geometry in geometries:
        _check_numbers(np.asarray(geometry.numbers), len(geometry.frac))
        graph = build_graph(geometry.frac, geometry.lattice)
        for name, values in _arrays_of(geometry, graph).items():
            dtype, width = _ARRAYS[name]
            columns[name].append(values.astype(dtype).reshape((-1, width) if width else -1))
        for name, count in _counts_of(graph, len(geometry.numbers)).items():
            lengths[name].append(count)
    data = {name: np.concatenate(values) for name, values in columns.items()}
    return Graphs(data, {name: np.cumsum(values) for name, values in lengths.items()})


class GraphStore(Graphs):
    """Read-only view of a folder written by `write_store`; arrays stay on disk and are shared between processes.

    Attributes: `manifest`, `keys` (n,), and those of `Graphs`.
    """

    def __init__(self, folder: Path | str, manifest: Mapping[str, Any] | None = None) -> None:
        """Map the arrays of a folder.

        Args:
            folder: of the store.
            manifest: of `write_store`; by default that of the folder.

        Raises:
            ValueError: it holds no complete store of this format version.
            DamagedError: a file is not what it was; blocks of large arrays are checked when they are read.
        """
        self.folder = Path(folder)
        try:
            self.manifest: Mapping[str, Any] = manifest or json.loads((self.folder / "manifest.json").read_bytes())
        except FileNotFoundError:
            raise ValueError(f"{self.folder} holds no complete graph store: manifest.json is missing") from None
        if self.manifest.get("format") != FORMAT_VERSION:
            raise ValueError(
                f"{self.folder} has store format {self.manifest.get('format')}, this version reads {FORMAT_VERSION}"
            )
        super().__init__(
            {name: self._array(name) for name in _ARRAYS},
            {name: self._array(f"{name}_offset").whole() for name in _COUNTS},
        )
        self.keys: NDArray[np.str_] = self._array("keys").whole()

    def _array(self, name: str) -> CheckedArray:
        above = self.folder.parent / "manifest.json"
        remedy = f"Delete {above} and start the same command again: the graphs are built anew"
        return CheckedArray(self.folder / f"{name}.npy", self.manifest["arrays"][name], remedy=remedy)


def open_store(folder: Path | str, manifest: Mapping[str, Any] | None = None) -> GraphStore:
    """Open a graph store; see `GraphStore`."""
    return GraphStore(folder, manifest)
