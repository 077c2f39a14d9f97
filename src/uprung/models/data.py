"""Data sets for an architecture: its inputs and the labels of the same frames in one folder."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from uprung.datasets.store import Dataset, DatasetError, in_memory, read_labels, write_labels
from uprung.frames.table import Frames
from uprung.job.files import write_json
from uprung.models.interface import Geometry
from uprung.models.registry import architecture


def geometries_of(frames: Frames) -> list[Geometry]:
    """Return the structures of a frames table."""
    cut = frames.offsets[1:-1]
    numbers = np.split(frames.numbers(), cut)
    fracs = np.split(frames.flat("frac", 3).reshape(-1, 3), cut)
    lattices = frames.flat("lattice").reshape(-1, 3, 3)
    return [Geometry(*columns) for columns in zip(numbers, fracs, lattices, strict=True)]


def write_dataset(
    frames: Frames,
    energy: NDArray[np.float64],
    folder: Path,
    *,
    name: str,
    processes: int = 1,
    progress: Callable[[int], object] | None = None,
) -> dict[str, Any]:
    """Compute the network inputs of all frames and store them with their labels.

    Args:
        frames: the frames that take part, already selected.
        energy: (n,) energy label, eV per cell.
        folder: destination.
        name: of the architecture.
        processes: processes that compute inputs.
        progress: called with the number of structures just finished.

    Returns:
        The manifest, written last.

    Raises:
        DatasetError: a frame has no graph; the split excludes such frames, so this is a contradiction.
    """
    keys = frames.strings("frame_id")
    inputs = architecture(name).write_inputs(
        keys, geometries_of(frames), folder / "inputs", processes=processes, progress=progress
    )
    if inputs["rejected"]:
        key, reason = inputs["rejected"][0]
        raise DatasetError(f"frame {key} has no graph ({reason}), but the split uses it")
    manifest = {"architecture": name, **write_labels(frames, energy, folder / "labels"), "inputs": inputs}
    write_json(folder / "manifest.json", manifest)
    return manifest


def dataset_of(frames: Frames, energy: NDArray[np.float64], *, name: str) -> Dataset:
    """Return frames as a data set in memory, for a few thousand structures.

    Args:
        frames: those that the architecture can compute (see `uprung.datasets.splits.exclusions`).
        energy: (n,) energy label, eV per cell.
        name: of the architecture.

    Raises:
        ValueError: a frame has no graph.
    """
    inputs = architecture(name).inputs_of(geometries_of(frames))
    return in_memory(frames, energy, inputs, {"architecture": name, "label_scale": frames.manifest["label_scale"]})


def open_dataset(manifest: str | Path) -> Dataset:
    """Map a stored data set into memory, read-only."""
    path, folder = Path(manifest), Path(manifest).parent
    facts = json.loads(path.read_text(encoding="utf-8"))
    inputs = architecture(facts["architecture"]).open_inputs(folder / "inputs", facts["inputs"])
    return read_labels(path, folder / "labels", inputs)
