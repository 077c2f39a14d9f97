"""Pseudo-labels of source frames from several teachers, accepted where the teachers agree.

Each teacher predicts every frame; the label is the mean of the predictions. A frame is accepted when the standard
deviation among the teachers is within the stated limit: of its energy per atom, of each of its force components (the
largest counts), likewise of stresses and moments. Teachers may have reference energies of their own, so energies are
first laid on the scale of the first teacher, by least squares in composition: what is linear in composition is no
disagreement about a structure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from uprung.atomref.least_squares import LeastSquares
from uprung.datasets.splits import frames_on
from uprung.datasets.store import Dataset, Labels, Rows, rows_of
from uprung.models.predict import predict
from uprung.models.registry import load
from uprung.models.torch_files import read_tensors, write_tensors

Floats = NDArray[np.float64]
#: Target -> predictions of all frames: energy (n,), force (atoms, 3), stress (n, 3, 3), magmom (atoms,).
Predictions = Mapping[str, Floats]
_PER_ATOM = ("force", "magmom")


@dataclass(frozen=True)
class Agreement:
    """What several teachers say of some frames.

    Attributes:
        mean: target -> mean over the teachers, of all frames.
        spread: target -> largest standard deviation of each frame, (n,).
        accepted: (n,) whether every limit holds.
    """

    mean: dict[str, Floats]
    spread: dict[str, Floats]
    accepted: NDArray[np.bool_]


def agreement(
    predictions: Sequence[Predictions], X: Floats, n_atoms: NDArray[np.int64], limits: Mapping[str, float]
) -> Agreement:
    """Return mean, spread and verdict of several teachers.

    Args:
        predictions: of two teachers or more, each of the same frames; energies in eV/atom.
        X: (n, 94) composition fractions of the frames.
        n_atoms: (n,) atoms of the frames.
        limits: target -> largest accepted standard deviation among the teachers (with n − 1), in its unit.
    """
    starts = np.concatenate([[0], np.cumsum(n_atoms)[:-1]])
    first = predictions[0]["energy"]
    mean, spread = dict[str, Floats](), dict[str, Floats]()
    for target in predictions[0]:
        values = np.stack([np.asarray(found[target], dtype=np.float64) for found in predictions])
        if target == "energy":
            values = np.stack([y + LeastSquares().fit(X, first - y).predict(X) for y in values])
        mean[target] = values.mean(axis=0)
        deviation = values.std(axis=0, ddof=1)
        largest = deviation.reshape(len(deviation), -1).max(axis=1)
        spread[target] = np.maximum.reduceat(largest, starts) if target in _PER_ATOM else largest
    accepted = np.logical_and.reduce([spread[target] <= limit for target, limit in limits.items()])
    return Agreement(mean, spread, accepted)


def teach(
    dataset: Dataset,
    rows: NDArray[np.int64],
    teachers: Mapping[str, str | Path],
    *,
    targets: Sequence[str],
    limits: Mapping[str, float],
    device: str = "cpu",
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the accepted frames with their pseudo-labels, and the counts of a manifest.

    Args:
        dataset: inputs of the frames; their labels are not read.
        rows: the frames.
        teachers: name -> checkpoint or file of a network.
        targets: what is predicted; energies always are.
        limits: as of `agreement`.
        device: where the teachers predict.

    Raises:
        ValueError: no frame, or none that is accepted; with the smallest spreads.
    """
    if not len(rows):
        raise ValueError("the teachers have no source frame of a training material to label; use more data")
    asked = list(dict.fromkeys(["energy", *targets]))
    found = [predict(load(network), dataset, rows, targets=asked, device=device) for network in teachers.values()]
    n_atoms = dataset.offsets[rows + 1] - dataset.offsets[rows]
    known = [{target: values[target] for target in asked} for values in found]
    said = agreement(known, dataset.composition(rows), n_atoms, limits)
    counts = {
        "teachers": list(teachers),
        "limits": dict(limits),
        "frames": len(rows),
        "accepted": int(said.accepted.sum()),
        "refused": len(rows) - int(said.accepted.sum()),
        "refused_by": {target: int((~(said.spread[target] <= limit)).sum()) for target, limit in limits.items()},
        "median_spread": {target: float(np.median(values)) for target, values in said.spread.items()},
    }
    if not said.accepted.any():
        least = ", ".join(f"{target} {said.spread[target].min():.3g}" for target in limits)
        raise ValueError(f"the teachers agree on none of {len(rows)} frames (smallest spreads: {least}); raise `agree`")
    atoms = np.repeat(said.accepted, n_atoms)
    kept = {
        target: torch.from_numpy(said.mean[target][atoms if target in _PER_ATOM else said.accepted])
        for target in targets
    }
    return {"frames": [str(key) for key in dataset.keys[rows[said.accepted]]], "labels": kept}, counts


def save_pseudo_labels(path: str | Path, content: Mapping[str, Any]) -> None:
    """Write what `teach` returned; raises OSError when it cannot be written."""
    write_tensors(path, content)


def replayed_frames(dataset: Dataset, split: pd.DataFrame, fidelity: str, files: Sequence[str]) -> Rows:
    """Return the source frames that an arm replays: all of training materials, or those that teachers have labelled.

    Args:
        dataset: of the source fidelity.
        split: of the study.
        fidelity: name of the source.
        files: of pseudo-labels; none for an arm without teachers.
    """
    if not files:
        return Rows(dataset, rows_of(dataset, frames_on(split, fidelity, "train")), "source")
    found = read_tensors(Path(files[0]))
    rows = rows_of(dataset, found["frames"])
    given = {target: values.numpy() for target, values in found["labels"].items()}
    nothing = {name: np.full_like(values, np.nan) for name, values in vars(dataset.labels(rows)).items()}
    labels = Labels(
        energy=given.get("energy", nothing["energy"]),
        forces=given.get("force", nothing["forces"]).astype(np.float32),
        stress=given.get("stress", nothing["stress"]).astype(np.float32),
        magmom=given.get("magmom", nothing["magmom"]).astype(np.float32),
    )
    return Rows(dataset.relabelled(rows, labels), rows, "source")
