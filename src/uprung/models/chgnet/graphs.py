"""Neighbour graphs of crystals, built once, stored flat and memory-mapped, packed into batches.

An *atom graph* joins every pair of atoms (periodic images included) closer than the atom cutoff; a *bond graph*
joins its short edges (closer than the bond cutoff) that meet at an atom, i.e. its nodes are bonds and its edges
are angles (Deng et al., Nat. Mach. Intell. 5, 1031 (2023)). Edges are kept undirected, short ones first; a
directed short edge has the code ``2 u + direction``, direction 0 seen from atom i and 1 from atom j.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

FORMAT_VERSION = 1
IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]


class IsolatedAtomError(ValueError):
    """A structure in which an atom has no neighbour within the atom cutoff."""


@dataclass(frozen=True)
class Graph:
    """Graph of one structure with U undirected edges and T angles.

    ``edge`` (U, 2) int32 holds the atoms (i, j) and ``image`` (U, 3) int8 the cell of j, so that the bond vector,
    centre minus neighbour, is ``x_i - (x_j + image @ lattice)``. The first ``n_short`` edges are shorter than
    the bond cutoff. ``angle`` (T, 2) int32 holds every ordered pair of distinct directed short edges with the
    same centre, as codes ``2 u + direction``, sorted by the first.
    """

    edge: NDArray[np.int32]
    image: NDArray[np.int8]
    n_short: int
    angle: NDArray[np.int32]


@dataclass(frozen=True)
class PackedArrays:
    """A batch of B structures as flat arrays: A atoms, U undirected edges, T angles.

    Short edges of all structures come first (``n_short`` of them), long ones after; inside either part the
    structures follow each other. ``numbers`` (A,), ``owner`` (A,) structure of an atom, ``n_atoms`` (B,),
    ``frac`` (A, 3), ``lattice`` (B, 3, 3) rows in Å, ``edge`` (U, 2) atoms in the batch, ``image`` (U, 3),
    ``edge_owner`` (U,). Angle arrays (T,): ``angle_centre`` atom, ``angle_first`` and ``angle_second`` short
    edges, ``sign_first`` and ``sign_second`` +1 where the edge's vector is seen from its atom i and -1 from j.
    """

    numbers: IntArray
    owner: IntArray
    n_atoms: IntArray
    frac: FloatArray
    lattice: FloatArray
    edge: IntArray
    image: IntArray
    edge_owner: IntArray
    n_short: int
    angle_centre: IntArray
    angle_first: IntArray
    angle_second: IntArray
    sign_first: NDArray[np.int8]
    sign_second: NDArray[np.int8]

    @property
    def short(self) -> IntArray:
        """Numbers of the short edges, (n_short,): by construction the first ones."""
        return np.arange(self.n_short)


# ---------------------------------------------------------------------------------------------- one structure


def build_graph(frac: FloatArray, lattice: FloatArray, *, atom_cutoff: float = 6.0, bond_cutoff: float = 3.0) -> Graph:
    """Atom and bond graph of a fully periodic structure.

    Parameters
    ----------
    frac
        Fractional coordinates (N, 3), not necessarily in [0, 1).
    lattice
        Lattice vectors as rows (3, 3) in Å.
    atom_cutoff, bond_cutoff
        Edge lengths in Å below which a pair is an edge, and an edge a bond.

    Raises
    ------
    IsolatedAtomError
        An atom has no neighbour within ``atom_cutoff``.
    ValueError
        Shapes or cutoffs are wrong, values are not finite, the cell has no volume, two atoms coincide, or an
        image does not fit int8.
    """
    frac = np.ascontiguousarray(frac, dtype=np.float64)
    lattice = np.ascontiguousarray(lattice, dtype=np.float64)
    _check_structure(frac, lattice, atom_cutoff, bond_cutoff)
    i, j, shift, distance = _half_neighbour_list(frac @ lattice, lattice, atom_cutoff)
    degree = np.bincount(i, minlength=len(frac)) + np.bincount(j, minlength=len(frac))
    if (degree == 0).any():
        isolated = np.flatnonzero(degree == 0)
        raise IsolatedAtomError(
            f"{len(isolated)} of {len(frac)} atoms have no neighbour within {atom_cutoff:g} Å "
            f"(first: atom {isolated[0]})"
        )
    if distance.min() < 1e-8:
        raise ValueError("two atoms are at the same place")
    if np.abs(shift).max() > np.iinfo(np.int8).max:
        raise ValueError("a periodic image is more than 127 cells away; wrap the fractional coordinates into [0, 1)")
    is_long = distance >= bond_cutoff
    order = np.argsort(is_long * len(frac) + i, kind="stable")
    n_short = len(order) - int(np.count_nonzero(is_long))
    edge = np.stack([i[order], j[order]], axis=1).astype(np.int32)
    angle = _angles(edge[:n_short], len(frac))
    return Graph(edge=edge, image=shift[order].astype(np.int8), n_short=n_short, angle=angle)


def _check_structure(frac: FloatArray, lattice: FloatArray, atom_cutoff: float, bond_cutoff: float) -> None:
    if frac.ndim != 2 or frac.shape[1] != 3 or len(frac) == 0 or lattice.shape != (3, 3):
        raise ValueError(f"frac must be (N, 3) with N > 0 and lattice (3, 3), not {frac.shape} and {lattice.shape}")
    if not 0 < bond_cutoff <= atom_cutoff:
        raise ValueError(f"cutoffs must satisfy 0 < bond ({bond_cutoff}) <= atom ({atom_cutoff})")
    if not (np.isfinite(frac).all() and np.isfinite(lattice).all()):
        raise ValueError("coordinates and lattice must be finite numbers")
    if abs(np.linalg.det(lattice)) < 1e-6:
        raise ValueError("the lattice vectors span no volume")


def _half_neighbour_list(
    positions: FloatArray, lattice: FloatArray, cutoff: float
) -> tuple[IntArray, IntArray, IntArray, FloatArray]:
    # Imported here: vesin imports torch where it is installed, and readers of a store need neither.
    from vesin import NeighborList

    search = NeighborList(cutoff=cutoff, full_list=False, n_threads=1)
    pairs, shift, distance = search.compute(points=positions, box=lattice, periodic=True, quantities="PSd", copy=True)
    pairs = pairs.astype(np.int64)
    return pairs[:, 0], pairs[:, 1], shift, distance


def _angles(short: NDArray[np.int32], n_atoms: int) -> NDArray[np.int32]:
    """Ordered pairs of distinct directed edges with one centre, for short edges (n, 2), sorted by the first."""
    centre = short.reshape(-1)  # directed edge 2 u + d has centre short[u, d]
    by_centre = np.argsort(centre, kind="stable").astype(np.int32)
    degree = np.bincount(centre, minlength=n_atoms)
    start = np.cumsum(degree) - degree
    first = np.repeat(np.arange(len(centre), dtype=np.int32), degree[centre])
    second = by_centre[_ragged(start[centre], degree[centre])]
    distinct = first != second
    return np.stack([first[distinct], second[distinct]], axis=1)


def _ragged(start: IntArray, length: IntArray) -> IntArray:
    """Concatenated ranges start[k] ... start[k] + length[k] - 1."""
    end = np.cumsum(length)
    total = int(end[-1]) if len(end) else 0
    return np.arange(total) + np.repeat(start - end + length, length)


# ------------------------------------------------------------------------------------------------- the store

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
_HEADER = 128  # bytes reserved for the header of a .npy file whose length is known only at the end

RawStructure = tuple[NDArray[np.integer[Any]], FloatArray, FloatArray]


class _Writer:
    """A .npy file that grows by appending rows and gets its header when it is closed."""

    def __init__(self, path: Path, dtype: str, columns: int) -> None:
        self.dtype, self.columns, self.rows = np.dtype(dtype), columns, 0
        self.digest = hashlib.sha256()
        self.file = path.open("wb")
        self.file.write(b" " * _HEADER)

    def append(self, array: NDArray[Any]) -> None:
        data = np.ascontiguousarray(array, dtype=self.dtype).tobytes()
        self.rows += array.size // max(self.columns, 1)
        self.digest.update(data)
        self.file.write(data)

    def close(self) -> str:
        shape = (self.rows, self.columns) if self.columns else (self.rows,)
        text = repr({"descr": self.dtype.str, "fortran_order": False, "shape": shape}).encode()
        length = _HEADER - 10
        self.file.seek(0)
        self.file.write(b"\x93NUMPY\x01\x00" + length.to_bytes(2, "little") + text.ljust(length - 1) + b"\n")
        self.file.close()
        return self.digest.hexdigest()


def _build_chunk(chunk: list[RawStructure], *, atom_cutoff: float, bond_cutoff: float) -> list[Graph | str]:
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
    numbers: Sequence[NDArray[np.integer[Any]]],
    fracs: Sequence[FloatArray],
    lattices: Sequence[FloatArray],
    *,
    atom_cutoff: float = 6.0,
    bond_cutoff: float = 3.0,
    processes: int = 1,
    progress: Callable[[int], object] | None = None,
) -> dict[str, Any]:
    """Build the graphs of many structures and write them as flat arrays that `GraphStore` maps.

    Parameters
    ----------
    folder
        Created if missing; a store that is there is replaced.
    keys, numbers, fracs, lattices
        One entry per structure: a unique name, atomic numbers (N,), fractional coordinates (N, 3) and lattice
        rows (3, 3) in Å.
    atom_cutoff, bond_cutoff
        In Å.
    processes
        Worker processes; the result does not depend on it.
    progress
        Called with the number of structures just finished.

    Returns
    -------
    The manifest, also written to ``manifest.json`` as the last file: format, cutoffs, counts, the sha256 of the
    data of each array, and ``rejected``, a list of [key, reason] of the structures that have no row.

    Raises
    ------
    ValueError
        Lists of unequal length, repeated keys, or ``processes`` below 1.
    """
    columns = (keys, numbers, fracs, lattices)
    if len({len(column) for column in columns}) != 1:
        raise ValueError(f"keys, numbers, fracs and lattices differ in length: {[len(column) for column in columns]}")
    if len(set(keys)) != len(keys):
        raise ValueError(f"keys must be unique; {len(keys) - len(set(keys))} are repeats")
    if processes < 1:
        raise ValueError(f"processes must be at least 1, not {processes}")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "manifest.json").unlink(missing_ok=True)
    writers = {name: _Writer(folder / f"{name}.npy", *spec) for name, spec in _ARRAYS.items()}
    lengths: dict[str, list[int]] = {name: [] for name in _COUNTS}
    accepted: list[str] = []
    rejected: list[list[str]] = []
    build = partial(_build_chunk, atom_cutoff=atom_cutoff, bond_cutoff=bond_cutoff)
    row = 0
    for results in _map_chunks(build, _chunks(numbers, fracs, lattices), processes):
        for result in results:
            if isinstance(result, str):
                rejected.append([keys[row], result])
            else:
                _append(writers, lengths, (numbers[row], fracs[row], lattices[row]), result)
                accepted.append(keys[row])
            row += 1
        if progress is not None:
            progress(len(results))
    checksums = {name: writer.close() for name, writer in writers.items()}
    checksums |= _write_index(folder, accepted, lengths)
    manifest = {
        "format": FORMAT_VERSION,
        "atom_cutoff": float(atom_cutoff),
        "bond_cutoff": float(bond_cutoff),
        "counts": {"structures": len(accepted), "rejected": len(rejected)}
        | {f"{name}s": sum(lengths[name]) for name in _COUNTS},
        "sha256": checksums,
        "rejected": rejected,
    }
    part = folder / "manifest.json.part"
    part.write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    part.replace(folder / "manifest.json")
    return manifest


def _write_index(folder: Path, keys: list[str], lengths: dict[str, list[int]]) -> dict[str, str]:
    """Write the keys and the offsets of the flat arrays; sha256 of each."""
    arrays: dict[str, NDArray[Any]] = {"keys": np.array(keys, dtype=np.str_)}
    for name, counts in lengths.items():
        arrays[f"{name}_offset"] = np.cumsum([0, *counts], dtype=np.int64)
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    return {name: hashlib.sha256(array.tobytes()).hexdigest() for name, array in arrays.items()}


def _append(writers: dict[str, _Writer], lengths: dict[str, list[int]], structure: RawStructure, graph: Graph) -> None:
    rows = dict(zip(("numbers", "frac", "lattice"), map(np.asarray, structure), strict=True)) | vars(graph)
    for name, writer in writers.items():
        writer.append(np.asarray(rows[name]))
    lengths["atom"].append(len(rows["frac"]))
    lengths["edge"].append(len(graph.edge))
    lengths["angle"].append(len(graph.angle))


def _chunks(*columns: Sequence[Any]) -> Iterator[list[RawStructure]]:
    for start in range(0, len(columns[0]), _CHUNK):
        yield list(zip(*(column[start : start + _CHUNK] for column in columns), strict=True))


def _map_chunks(
    build: Callable[[list[RawStructure]], list[Graph | str]], chunks: Iterable[list[RawStructure]], processes: int
) -> Iterator[list[Graph | str]]:
    if processes == 1:
        yield from map(build, chunks)
        return
    # Imported here for the readers of a store. Its loky workers neither fork a process whose threads run nor import
    # the caller's main module a second time, so that a script without a main guard may call this.
    from joblib import Parallel, delayed  # type: ignore[import-untyped]

    with Parallel(n_jobs=processes, return_as="generator", max_nbytes=None) as parallel:
        yield from parallel(delayed(build)(chunk) for chunk in chunks)


class GraphStore:
    """Read-only view of a folder written by `write_store`; arrays stay on disk and are shared between processes.

    Attributes: ``manifest``, ``keys`` (n,), ``n_atoms``, ``n_edges``, ``n_angles``, ``n_short`` (n,) int64.
    """

    def __init__(self, folder: Path | str) -> None:
        """Map the arrays of ``folder``; ValueError if it holds no complete store of this format version."""
        self.folder = Path(folder)
        try:
            self.manifest: dict[str, Any] = json.loads((self.folder / "manifest.json").read_text("utf-8"))
        except FileNotFoundError:
            raise ValueError(f"{self.folder} holds no complete graph store: manifest.json is missing") from None
        if self.manifest.get("format") != FORMAT_VERSION:
            raise ValueError(
                f"{self.folder} has store format {self.manifest.get('format')}, this version reads {FORMAT_VERSION}"
            )
        # np.asarray: a plain view of the mapping, without the cost of np.memmap in every indexing.
        self._data = {name: np.asarray(np.load(self._path(name), mmap_mode="r")) for name in _ARRAYS}
        offsets = {name: np.load(self._path(f"{name}_offset")) for name in _COUNTS}
        self._start = {name: offset[:-1] for name, offset in offsets.items()}
        self.n_atoms: IntArray = np.diff(offsets["atom"])
        self.n_edges: IntArray = np.diff(offsets["edge"])
        self.n_angles: IntArray = np.diff(offsets["angle"])
        self.n_short = np.asarray(self._data["n_short"], dtype=np.int64)
        self.keys: NDArray[np.str_] = np.load(self._path("keys"))
        self._row: dict[str, int] = {}

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.npy"

    @property
    def numbers(self) -> NDArray[np.uint8]:
        """Atomic numbers of all structures, flat, in the order of the rows."""
        return self._data["numbers"]

    def __len__(self) -> int:
        """Number of structures."""
        return len(self.keys)

    def index(self, keys: Iterable[str]) -> IntArray:
        """Rows of ``keys``, in their order. ValueError names a key without a row and why it has none."""
        if not self._row:
            self._row = {str(key): row for row, key in enumerate(self.keys)}
        try:
            return np.fromiter((self._row[key] for key in keys), dtype=np.int64)
        except KeyError as error:
            key = error.args[0]
            why = dict(self.manifest["rejected"]).get(key)
            reason = f"was rejected when the store was built: {why}" if why else "was never put into the store"
            raise ValueError(f"no graph of {key!r} in {self.folder}: it {reason}") from None

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
        atoms = _ragged(self._start["atom"][rows], n_atoms)
        edge_start = self._start["edge"][rows]
        edges = _ragged(np.concatenate([edge_start, edge_start + n_short]), np.concatenate([n_short, n_long]))
        which = np.arange(len(rows))
        edge_owner = np.repeat(np.concatenate([which, which]), np.concatenate([n_short, n_long]))
        atom_offset = np.cumsum(n_atoms) - n_atoms
        edge = self._data["edge"][edges] + atom_offset[edge_owner, None]
        total_short = int(n_short.sum())
        if n_angles.any():
            code = self._data["angle"][_ragged(self._start["angle"][rows], n_angles)]
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


def open_store(folder: Path | str) -> GraphStore:
    """Open a graph store; see `GraphStore`."""
    return GraphStore(folder)
