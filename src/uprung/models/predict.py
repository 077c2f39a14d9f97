"""Predictions of a model for frames of the graph store."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
from chgnet.model import CHGNet
from numpy.typing import NDArray

from uprung.datasets.store import Dataset, Rows
from uprung.models.chgnet.module import Packed
from uprung.models.chgnet.packed import PackedBatch, forces_by_element
from uprung.models.memory import CostLimit, Shortage, if_it_fits

#: Edges + angles that are predicted at once. A CPU is fastest while a batch fits into its caches, and touching memory
#: for the first time costs it more than computing; a GPU needs many (that number was not measured).
AT_ONCE = {"cpu": 6_000, "cuda": 200_000}


def predict(
    potential: Sequence[CHGNet],
    dataset: Dataset,
    rows: NDArray[np.int64],
    *,
    targets: Sequence[str],
    device: str = "cpu",
) -> dict[str, NDArray[np.float64]]:
    """Return predictions for some frames, atoms in the order of the rows.

    Args:
        potential: networks whose energies, forces and stresses add up; moments are those of the last.
        dataset: graphs.
        rows: the frames.
        targets: what to predict.
        device: where to predict.

    Returns:
        energy (n,) eV/atom, network (n,) eV/atom without the reference energies, force (atoms, 3) eV/Å, stress
        (n, 3, 3) GPa, magmom (atoms,) |μB|; only what the targets name.

    Raises:
        OutOfMemoryError: a single structure does not fit into memory; fewer at once are tried first.
    """
    modules = [Packed(model.to(device), targets).eval() for model in potential]
    parts: dict[str, list[NDArray[np.float64]]] = {}
    limit = CostLimit(AT_ONCE[torch.device(device).type])
    waiting = dataset.chunks(rows, limit.value)
    while waiting:
        found = if_it_fits(partial(_predict_chunk, modules, dataset, waiting[0], device))
        if isinstance(found, Shortage):
            limit.lower([Rows(dataset, waiting[0])], found)
            waiting = dataset.chunks(np.concatenate(waiting), limit.value)
            continue
        waiting = waiting[1:]
        for name, value in found.items():
            parts.setdefault(name, []).append(value)
    return {name: np.concatenate(values) for name, values in parts.items()}


def _predict_chunk(
    modules: Sequence[Packed], dataset: Dataset, chunk: NDArray[np.int64], device: str
) -> dict[str, NDArray[np.float64]]:
    batch = PackedBatch.from_arrays(dataset.graphs.pack(chunk), device)
    outputs = [
        {name: value.detach().to("cpu", torch.float64).numpy() for name, value in module(batch).items()}
        for module in modules
    ]
    return {
        name: value if name == "magmom" else sum((output[name] for output in outputs[:-1]), start=value)
        for name, value in outputs[-1].items()
    }


def predict_by_element(
    potential: Sequence[CHGNet], dataset: Dataset, rows: NDArray[np.int64], *, device: str = "cpu"
) -> list[dict[int, NDArray[np.float64]]]:
    """Return forces by the element of the atoms whose energies they are the gradients of, which add up to the forces.

    Args:
        potential: networks whose forces add up.
        dataset: graphs.
        rows: the frames.
        device: where to predict.

    Returns:
        For every row Z -> (atoms, 3) in eV/Å, of the elements that it has.
    """
    models = [model.to(device) for model in potential]
    found: list[dict[int, NDArray[np.float64]]] = []
    for chunk in dataset.chunks(rows, AT_ONCE[torch.device(device).type]):
        batch = PackedBatch.from_arrays(dataset.graphs.pack(chunk), device)
        ends = np.cumsum(dataset.offsets[chunk + 1] - dataset.offsets[chunk])
        parts: list[dict[int, NDArray[np.float64]]] = [{} for _ in chunk]
        for model in models:
            for numbers, forces in forces_by_element(model, batch):
                of_row = np.split(forces.to("cpu", torch.float64).numpy(), ends[:-1])
                for part, number, values in zip(parts, numbers.tolist(), of_row, strict=True):
                    if number:
                        part[number] = part[number] + values if number in part else values
        found += parts
    return found
