"""Stores of what networks read of many crystals: flat arrays, built once, memory-mapped by every job that reads them.

An architecture says which arrays it needs (`Layout`) and how they are computed for one crystal; this module writes
them, holds them in memory for a few crystals, and opens them with their checksums.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from uprung.datasets.arrays import ArrayWriter, CheckedArray, write_array
from uprung.job.files import write_json

if TYPE_CHECKING:  # readers of a store need no torch
    from uprung.models.interface import Geometry

IntArray = NDArray[np.int64]
Arrays: TypeAlias = Mapping[str, NDArray[Any]]
Build: TypeAlias = "Callable[[Geometry], Arrays]"
_CHUNK = 64


class Layout(NamedTuple):
    """The arrays of a store.

    Attributes:
        arrays: name -> dtype and columns (0: one-dimensional); they hold the rows of all crystals one after another.
        counts: what is counted (`atom`, `edge`, ...) -> the array that has a row for each of them. Arrays that are no
            values here have a row for each crystal, or as many rows as one of those that are.
    """

    arrays: Mapping[str, tuple[str, int]]
    counts: Mapping[str, str]


def check_numbers(numbers: NDArray[np.integer[Any]], n_atoms: int) -> None:
    """Raise ValueError unless there is an atomic number from 1 to 94 for every atom."""
    if numbers.shape != (n_atoms,):
        raise ValueError(f"{n_atoms} positions but atomic numbers of shape {numbers.shape}")
    if numbers.size and not 1 <= numbers.min() <= numbers.max() <= 94:
        raise ValueError(f"atomic numbers must be 1 to 94, not {numbers.min()} to {numbers.max()}")


def write_ragged(
    folder: Path,
    keys: Sequence[str],
    geometries: Sequence[Geometry],
    layout: Layout,
    build: Build,
    *,
    facts: Mapping[str, Any],
    processes: int = 1,
    progress: Callable[[int], object] | None = None,
) -> dict[str, Any]:
    """Compute the arrays of many crystals and write them one crystal after another.

    Args:
        folder: created if missing; a store that is there is replaced.
        keys: a unique name for every crystal.
        geometries: the crystals.
        layout: of the store.
        build: the arrays of a crystal; a ValueError says why it has none. It has to be picklable.
        facts: what the manifest says beside: format, cutoffs.
        processes: worker processes; the result does not depend on their number.
        progress: called with the number of crystals just finished.

    Returns:
        The manifest, also written to `manifest.json` as the last file: facts, counts, checksums of every array, and
        `rejected`, a list of [key, reason] of the crystals that have no row.

    Raises:
        ValueError: lists of unequal length, repeated keys, or `processes` below 1.
    """
    if len(keys) != len(geometries):
        raise ValueError(f"keys and geometries differ in length: {len(keys)}, {len(geometries)}")
    if len(set(keys)) != len(keys):
        raise ValueError(f"keys must be unique; {len(keys) - len(set(keys))} are repeats")
    if processes < 1:
        raise ValueError(f"processes must be at least 1, not {processes}")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "manifest.json").unlink(missing_ok=True)
    writers = {name: ArrayWriter(folder / f"{name}.npy", *spec) for name, spec in layout.arrays.items()}
    lengths: dict[str, list[int]] = {name: [] for name in layout.counts}
    accepted: list[str] = []
    rejected: list[list[str]] = []
    row = 0
    for results in _map_chunks(partial(_build_chunk, build=build), _chunks(geometries), processes):
        for result in results:
            if isinstance(result, str):
                rejected.append([keys[row], result])
            else:
                for name, writer in writers.items():
                    writer.append(result[name])
                for name, array in layout.counts.items():
                    lengths[name].append(len(result[array]))
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
        **facts,
        "counts": {"structures": len(accepted), "rejected": len(rejected)}
        | {f"{name}s": sum(counts) for name, counts in lengths.items()},
        "arrays": arrays,
        "rejected": rejected,
    }
    write_json(folder / "manifest.json", manifest)
    return manifest


def _build_chunk(chunk: list[Geometry], *, build: Build) -> list[Arrays | str]:
    """Return the arrays of each crystal, or why there are none."""
    results: list[Arrays | str] = []
    for geometry in chunk:
        try:
            results.append(_arrays_of(geometry, build))
        except ValueError as error:
            results.append(str(error))
    return results


def _arrays_of(geometry: Geometry, build: Build) -> Arrays:
    check_numbers(np.asarray(geometry.numbers), len(geometry.frac))
    arrays = geometry._asdict() | dict(build(geometry))
    return {name: np.asarray(value) for name, value in arrays.items()}


def _chunks(geometries: Sequence[Geometry]) -> Iterator[list[Geometry]]:
    for start in range(0, len(geometries), _CHUNK):
        yield list(geometries[start : start + _CHUNK])


def _map_chunks(
    build: Callable[[list[Geometry]], list[Arrays | str]], chunks: Iterable[list[Geometry]], processes: int
) -> Iterator[list[Arrays | str]]:
    if processes == 1:
        yield from map(build, chunks)
        return
    # Imported here for the readers of a store. Its loky workers neither fork a process whose threads run nor import
    # the caller's main module a second time, so that a script without a main guard may call this.
    from joblib import Parallel, delayed  # type: ignore[import-untyped]

    with Parallel(n_jobs=processes, return_as="generator", max_nbytes=None) as parallel:
        yield from parallel(delayed(build)(chunk) for chunk in chunks)


class Ragged(NamedTuple):
    """The arrays of many crystals, and where each crystal begins in them."""

    data: Mapping[str, NDArray[Any] | CheckedArray]
    offsets: Mapping[str, IntArray]  # what is counted -> (n + 1,)


def ragged_of(geometries: Sequence[Geometry], layout: Layout, build: Build) -> Ragged:
    """Return the arrays of a few crystals in memory; raises ValueError for a crystal that has none."""
    rows = [_arrays_of(geometry, build) for geometry in geometries]
    data = {}
    for name, (dtype, width) in layout.arrays.items():
        shape = (-1, width) if width else (-1,)
        data[name] = np.concatenate([row[name].astype(dtype).reshape(shape) for row in rows])
    lengths = {name: [0, *(len(row[array]) for row in rows)] for name, array in layout.counts.items()}
    return Ragged(data, {name: np.cumsum(counts) for name, counts in lengths.items()})


def read_ragged(folder: Path, manifest: Mapping[str, Any] | None, layout: Layout, *, version: int) -> Ragged:
    """Map the arrays of a folder into memory, read-only.

    Args:
        folder: of `write_ragged`.
        manifest: that it returned; by default that of the folder.
        layout: of the store.
        version: `format` that its manifest has to have.

    Returns:
        The arrays, with `keys`, (n,).

    Raises:
        ValueError: it holds no complete store of this format version.
        DamagedError: a file is not what it was; blocks of large arrays are checked when they are read.
    """
    try:
        known: Mapping[str, Any] = manifest or json.loads((folder / "manifest.json").read_bytes())
    except FileNotFoundError:
        raise ValueError(f"{folder} holds no complete graph store: manifest.json is missing") from None
    if known.get("format") != version:
        raise ValueError(f"{folder} has store format {known.get('format')}, this version reads {version}")
    remedy = f"Delete {folder.parent / 'manifest.json'} and start the same command again: the graphs are built anew"

    def array(name: str) -> CheckedArray:
        return CheckedArray(folder / f"{name}.npy", known["arrays"][name], remedy=remedy)

    data: dict[str, NDArray[Any] | CheckedArray] = {name: array(name) for name in layout.arrays}
    return Ragged(
        data | {"keys": array("keys").whole()}, {name: array(f"{name}_offset").whole() for name in layout.counts}
    )


def ranges(start: IntArray, length: IntArray) -> IntArray:
    """Concatenated ranges start[k] ... start[k] + length[k] - 1."""
    end = np.cumsum(length)
    total = int(end[-1]) if len(end) else 0
    return np.arange(total) + np.repeat(start - end + length, length)
