"""Labels and network inputs of a study's frames: flat, memory-mapped arrays that training jobs read.

Any number of jobs can open the folder at once; nothing is copied into memory but the batches they ask for.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from uprung.datasets.arrays import CheckedArray, write_array
from uprung.frames.flat import composition_fractions
from uprung.frames.table import Frames

Floats = NDArray[np.float32]
Side = Literal["target", "source"]
_LABELS = ("keys", "numbers", "energy", "offsets", "forces", "stress", "magmom")


class DatasetError(ValueError):
    """The labels or network inputs of a study are not what a training job needs."""


class Inputs(Protocol):
    """What a network reads of many structures, in the form of its architecture."""

    def costs(self) -> NDArray[np.int64]:
        """Return a measure of computing time and memory of every structure, (n,)."""

    def pack(self, rows: NDArray[np.int64]) -> Any:
        """Return some structures as one batch, in their order."""


@dataclass(frozen=True)
class Labels:
    """Labels of a batch of B structures with A atoms in all; NaN where a structure has no such label."""

    energy: NDArray[np.float64]  # (B,) eV/atom
    forces: Floats  # (A, 3) eV/Å
    stress: Floats  # (B, 3, 3) GPa, tension positive
    magmom: Floats  # (A,) |μB|


@dataclass(frozen=True)
class Dataset:
    """Network inputs and labels of the frames of one fidelity."""

    inputs: Inputs
    keys: NDArray[np.str_]  # (n,) frame_id
    numbers: NDArray[np.uint8]  # (atoms,)
    energy: NDArray[np.float64]  # (n,) eV/atom
    forces: Floats | CheckedArray  # (atoms, 3)
    stress: Floats | CheckedArray  # (n, 3, 3)
    magmom: Floats | CheckedArray  # (atoms,)
    offsets: NDArray[np.int64]  # (n + 1,)
    manifest: dict[str, Any]
    _row: dict[str, int] = field(default_factory=dict, repr=False)  # filled when a name is first looked up

    def labels(self, rows: NDArray[np.int64]) -> Labels:
        """Return the labels of some rows, atoms in the order in which the inputs are packed."""
        atoms, _ = self._atoms(rows)
        return Labels(self.energy[rows], self.forces[atoms], self.stress[rows], self.magmom[atoms])

    def relabelled(self, rows: NDArray[np.int64], labels: Labels) -> Dataset:
        """Return the same structures with other labels for some rows and none for the rest; a copy in memory."""
        atoms, _ = self._atoms(rows)
        energy = np.full_like(self.energy, np.nan)
        forces, stress, magmom = (
            np.full(known.shape, np.nan, dtype=np.float32) for known in (self.forces, self.stress, self.magmom)
        )
        energy[rows], stress[rows] = labels.energy, labels.stress
        forces[atoms], magmom[atoms] = labels.forces, labels.magmom
        return replace(self, energy=energy, forces=forces, stress=stress, magmom=magmom)

    def chunks(self, rows: NDArray[np.int64], limit: int, most: int = 256) -> list[NDArray[np.int64]]:
        """Cut rows into batches of bounded cost and count; a costly structure stands alone."""
        costs, chunks, start, total = self.inputs.costs()[rows], [], 0, 0
        for k, cost in enumerate(costs):
            if k > start and (total + cost > limit or k - start >= most):
                chunks.append(rows[start:k])
                start, total = k, 0
            total += int(cost)
        return [*chunks, rows[start:]] if len(rows) else []

    def composition(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return composition fractions of some rows, (len(rows), 94), column Z − 1."""
        atoms, starts = self._atoms(rows)
        return composition_fractions(self.numbers[atoms], starts)

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
        """Cost of each frame, in the unit of its inputs."""
        return self.dataset.inputs.costs()[self.rows]

    @property
    def labels(self) -> Labels:
        """Labels, atoms in the order in which the inputs are packed."""
        return self.dataset.labels(self.rows)

    def take(self, positions: NDArray[np.int64]) -> Rows:
        """Return some of the frames."""
        return replace(self, rows=self.rows[positions])


def write_labels(frames: Frames, energy: NDArray[np.float64], folder: Path) -> dict[str, Any]:
    """Store the labels of frames as flat arrays.

    Args:
        frames: the frames that take part, already selected.
        energy: (n,) energy label, eV per cell.
        folder: destination.

    Returns:
        Counts of frames, atoms and labels, and the label scale, for the manifest.
    """
    arrays: dict[str, NDArray[Any]] = _label_arrays(frames, energy)
    folder.mkdir(parents=True, exist_ok=True)
    return {
        "frames": len(frames),
        "atoms": int(frames.offsets[-1]),
        "label_scale": frames.manifest["label_scale"],
        "labels": {name: int(np.isfinite(arrays[name]).sum()) for name in ("energy", "forces", "stress", "magmom")},
        "arrays": {name: write_array(folder / f"{name}.npy", values) for name, values in arrays.items()},
    }


def _label_arrays(frames: Frames, energy: NDArray[np.float64]) -> dict[str, Any]:
    return {
        "keys": np.array(frames.strings("frame_id"), dtype=np.str_),
        "numbers": frames.numbers().astype(np.uint8),
        "energy": energy / frames.nsites,
        "forces": frames.flat("forces", 3).reshape(-1, 3).astype(np.float32),
        "stress": frames.flat("stress_gpa").reshape(-1, 3, 3).astype(np.float32),
        "magmom": np.abs(frames.flat("magmom", 1)).astype(np.float32),
        "offsets": frames.offsets,
    }


def in_memory(frames: Frames, energy: NDArray[np.float64], inputs: Inputs, manifest: dict[str, Any]) -> Dataset:
    """Return frames as a data set without files.

    Args:
        frames: the frames.
        energy: (n,) energy label, eV per cell.
        inputs: of the same frames.
        manifest: facts about them.
    """
    return Dataset(inputs=inputs, manifest=manifest, **_label_arrays(frames, energy))


def read_labels(manifest: Path, folder: Path, inputs: Inputs) -> Dataset:
    """Map stored labels into memory, read-only, beside the inputs of the same frames.

    Raises:
        DamagedError: a file is not what it was; blocks of forces, stresses and moments are checked when they are read.
    """
    facts = json.loads(manifest.read_text(encoding="utf-8"))
    remedy = f"Delete {manifest} and start the same command again: labels and graphs are written anew"
    arrays = {name: CheckedArray(folder / f"{name}.npy", facts["arrays"][name], remedy=remedy) for name in _LABELS}
    return Dataset(
        inputs=inputs,
        keys=arrays["keys"].whole(),
        numbers=arrays["numbers"].whole(),
        energy=arrays["energy"].whole(),
        offsets=arrays["offsets"].whole(),
        forces=arrays["forces"],
        stress=arrays["stress"],
        magmom=arrays["magmom"],
        manifest=facts,
    )


def rows_of(dataset: Dataset, frame_ids: Sequence[str]) -> NDArray[np.int64]:
    """Return the rows of frames by name.

    Raises:
        DatasetError: a name that is not in the data set.
    """
    known = dataset._row
    if not known:
        known.update({str(key): row for row, key in enumerate(dataset.keys)})
    try:
        return np.fromiter((known[name] for name in frame_ids), dtype=np.int64)
    except KeyError as error:
        raise DatasetError(f"frame {error.args[0]} is named by the split or an order, but not in the data") from None
