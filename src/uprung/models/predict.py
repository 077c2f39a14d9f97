"""Predictions of a network for stored frames."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from uprung.datasets.store import Dataset, Rows
from uprung.models.interface import Potential, require_architecture
from uprung.models.memory import CostLimit, Shortage, if_it_fits


def predict(
    potential: Potential,
    dataset: Dataset,
    rows: NDArray[np.int64],
    *,
    targets: Collection[str],
    device: str = "cpu",
) -> dict[str, NDArray[np.float64]]:
    """Return predictions for some frames, atoms in the order of the rows.

    Args:
        potential: left on the device and in evaluation mode.
        dataset: inputs.
        rows: the frames.
        targets: what to predict.
        device: where to predict.

    Returns:
        energy (n,) eV/atom, network (n,) eV/atom without the reference energies, force (atoms, 3) eV/Å, stress
        (n, 3, 3) GPa, magmom (atoms,) |μB|; only what the targets name.

    Raises:
        OutOfMemoryError: a single structure does not fit into memory; fewer at once are tried first.
        ValueError: a network of another architecture than the inputs.
    """
    require_architecture(potential, str(dataset.manifest.get("architecture", potential.card.name)))
    potential.to(device).eval()
    parts: dict[str, list[NDArray[np.float64]]] = {}
    limit = CostLimit(potential.predicted_at_once[torch.device(device).type])
    waiting = dataset.chunks(rows, limit.value)
    while waiting:
        found = if_it_fits(partial(_predict_chunk, potential, dataset, waiting[0], targets))
        if isinstance(found, Shortage):
            limit.lower([Rows(dataset, waiting[0])], found)
            waiting = dataset.chunks(np.concatenate(waiting), limit.value)
            continue
        waiting = waiting[1:]
        for name, value in found.items():
            parts.setdefault(name, []).append(value)
    return {name: np.concatenate(values) for name, values in parts.items()}


def _predict_chunk(
    potential: Potential, dataset: Dataset, chunk: NDArray[np.int64], targets: Collection[str]
) -> dict[str, NDArray[np.float64]]:
    found = potential(potential.batch(dataset.inputs, chunk), targets)
    return {name: value.detach().to("cpu", torch.float64).numpy() for name, value in found.items()}


def predict_by_element(
    potential: Potential, dataset: Dataset, rows: NDArray[np.int64], *, device: str = "cpu"
) -> list[dict[int, NDArray[np.float64]]]:
    """Return forces by the element of the atoms whose energies they are the gradients of, which add up to the forces.

    Args:
        potential: left on the device and in evaluation mode.
        dataset: inputs.
        rows: the frames.
        device: where to predict.

    Returns:
        For every row Z -> (atoms, 3) in eV/Å, of the elements that it has.
    """
    potential.to(device).eval()
    found: list[dict[int, NDArray[np.float64]]] = []
    for chunk in dataset.chunks(rows, potential.predicted_at_once[torch.device(device).type]):
        ends = np.cumsum(dataset.offsets[chunk + 1] - dataset.offsets[chunk])
        parts: list[dict[int, NDArray[np.float64]]] = [{} for _ in chunk]
        for numbers, forces in potential.forces_by_element(potential.batch(dataset.inputs, chunk)):
            of_row = np.split(forces.to("cpu", torch.float64).numpy(), ends[:-1])
            for part, number, values in zip(parts, numbers.tolist(), of_row, strict=True):
                if number:
                    part[number] = part[number] + values if number in part else values
        found += parts
    return found
