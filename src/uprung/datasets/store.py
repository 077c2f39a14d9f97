"""What a training job reads: a study's graphs and labels, flat and memory-mapped, row by row the same frames.

Any number of jobs can open the folder at once; nothing is copied into memory but the batches they ask for.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from uprung.frames.flat import composition_fractions
from uprung.frames.table import Frames
from uprung.job.files import write_json
from uprung.models.chgnet.graphs import GraphStore, open_store, write_store

Floats = NDArray[np.float32]
Side = Literal["target", "source"]


class DatasetError(ValueError):
    """The labels or graphs of a study are not what a training job needs."""


@dataclass(frozen=True)
class Labels:
    """Labels of a batch of B structures with A atoms in all; NaN where a structure has no such label."""

    energy: NDArray[np.float64]  # (B,) eV/atom
    forces: Floats  # (A, 3) eV/Å
    stress: Floats  # (B, 3, 3) GPa, tension positive
    magmom: Floats  # (A,) |μB|


@dataclass(frozen=True)
class Dataset:
    """Graphs and labels of the frames of one fidelity."""

    graphs: GraphStore
    energy: NDArray[np.float64]  # (n,) eV/atom
    forces: Floats  # (atoms, 3)
    stress: Floats  # (n, 3, 3)
    magmom: Floats  # (atoms,)
    offsets: NDArray[np.int64]  # (n + 1,)
    manifest: dict[str, Any]

    def labels(self, rows: NDArray[np.int64]) -> Labels:
        """Return the labels of some rows, atoms in the order in which the graphs are packed."""
        atoms, _ = self._atoms(rows)
        return Labels(self.energy[rows], self.forces[atoms], self.stress[rows], self.magmom[atoms])

    def relabelled(self, rows: NDArray[np.int64], labels: Labels) -> Dataset:
        """Return the same structures with other labels for some rows and none for the rest; a copy in memory."""
        atoms, _ = self._atoms(rows)
        energy = np.full_like(self.energy, np.nan)
        forces, stress, magmom = (np.full_like(known, np.nan) for known in (self.forces, self.stress, self.magmom))
        energy[rows], stress[rows] = labels.energy, labels.stress
        forces[atoms], magmom[atoms] = labels.forces, labels.magmom
        return replace(self, energy=energy, forces=forces, stress=stress, magmom=magmom)

    def chunks(self, rows: NDArray[np.int64], limit: int, most: int = 256) -> list[NDArray[np.int64]]:
        """Cut rows into batches of bounded cost (edges + angles) and count; a costly structure stands alone."""
        costs, chunks, start, total = self.graphs.costs()[rows], [], 0, 0
        for k, cost in enumerate(costs):
            if k > start and (total + cost > limit or k - start >= most):
                chunks.append(rows[start:k])
                start, total = k, 0
            total += int(cost)
        return [*chunks, rows[start:]] if len(rows) else []

    def composition(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return composition fractions of some rows, (len(rows), 94), column Z − 1."""
        atoms, starts = self._atoms(rows)
        return composition_fractions(self.graphs.numbers[atoms], starts)

    def _atoms(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the flat atom numbers of some rows and where each row starts among them, (len(rows) + 1,)."""
        counts = self.offsets[rows + 1] - self.offsets[rows]
        starts = np.concatenate([[0], np.cumsum(counts)])
        return np.arange(starts[-1]) + np.repeat(self.offsets[rows] - starts[:-1], counts), starts


@dataclass(frozen=True)
class Rows:
    """Frames of one fidelity, alone or as their share of an optimiser batch."""

    dataset: Dataset
    rows: NDArray[np.int64]
    side: Side = "target"

    @property
    def costs(self) -> NDArray[np.int64]:
        """Edges + angles of each frame."""
        return self.dataset.graphs.costs()[self.rows]

    @property
    def labels(self) -> Labels:
        """Labels, atoms in the order in which the graphs are packed."""
        return self.dataset.labels(self.rows)

    def take(self, positions: NDArray[np.int64]) -> Rows:
        """Return some of the frames."""
        return replace(self, rows=self.rows[positions])


def write_dataset(
    frames: Frames,
    energy: NDArray[np.float64],
    folder: Path,
    *,
    processes: int = 1,
    progress: Callable[[int], object] | None = None,
) -> dict[str, Any]:
    """Build the graphs of all frames and store them with their labels.

    Args:
        frames: the frames that take part, already selected.
        energy: (n,) energy label, eV per cell.
        folder: destination.
        processes: processes that build graphs.
        progress: called with the number of structures just finished.

    Returns:
        The manifest, written last.

    Raises:
        DatasetError: a frame has no graph; the split excludes such frames, so this is a contradiction.
    """
    numbers, offsets = frames.numbers(), frames.offsets
    lattice = frames.flat("lattice").reshape(-1, 3, 3)
    frac = frames.flat("frac", 3).reshape(-1, 3)
    cut = offsets[1:-1]
    store = write_store(
        folder / "graphs",
        frames.strings("frame_id"),
        np.split(numbers, cut),
        np.split(frac, cut),
        list(lattice),
        processes=processes,
        progress=progress,
    )
    if store["rejected"]:
        first = store["rejected"][0]
        raise DatasetError(f"frame {first[0]} has no graph ({first[1]}), but the split uses it")
    arrays: dict[str, NDArray[Any]] = {
        "energy": energy / frames.nsites,
        "forces": frames.flat("forces", 3).reshape(-1, 3).astype(np.float32),
        "stress": frames.flat("stress_gpa").reshape(-1, 3, 3).astype(np.float32),
        "magmom": np.abs(frames.flat("magmom", 1)).astype(np.float32),
        "offsets": offsets,
    }
    (folder / "labels").mkdir(parents=True, exist_ok=True)
    for name, values in arrays.items():
        np.save(folder / "labels" / f"{name}.npy", values)
    manifest = {
        "frames": len(frames),
        "atoms": int(offsets[-1]),
        "label_scale": frames.manifest["label_scale"],
        "labels": {name: int(np.isfinite(arrays[name]).sum()) for name in ("energy", "forces", "stress", "magmom")},
        "graphs": store,
    }
    write_json(folder / "manifest.json", manifest)
    return manifest


def open_dataset(manifest: str | Path) -> Dataset:
    """Map a stored data set into memory, read-only."""
    folder = Path(manifest).parent
    arrays = {
        name: np.load(folder / "labels" / f"{name}.npy", mmap_mode="r")
        for name in ("energy", "forces", "stress", "magmom", "offsets")
    }
    return Dataset(
        graphs=open_store(folder / "graphs"), manifest=json.loads((folder / "manifest.json").read_text()), **arrays
    )


def rows_of(dataset: Dataset, frame_ids: Sequence[str]) -> NDArray[np.int64]:
    """Return the rows of frames by name."""
    return np.asarray(dataset.graphs.index(list(frame_ids)), dtype=np.int64)
