"""Predictions of a model for frames of the graph store."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from chgnet.model import CHGNet
from numpy.typing import NDArray

from uprung.dataset import Dataset
from uprung.potential.module import Packed
from uprung.potential.packed import PackedBatch


def predict(
    model: CHGNet, dataset: Dataset, rows: NDArray[np.int64], *, targets: Sequence[str], device: str = "cpu"
) -> dict[str, NDArray[np.float64]]:
    """Return predictions for some frames, atoms in the order of the rows.

    Returns:
        energy (n,) eV/atom, network (n,) eV/atom without the reference energies, force (atoms, 3) eV/Å, stress
        (n, 3, 3) GPa, magmom (atoms,) |μB|; only what the targets name.
    """
    module = Packed(model.to(device), targets).eval()
    parts: dict[str, list[NDArray[np.float64]]] = {}
    for chunk in dataset.chunks(rows):
        output = module(PackedBatch.from_arrays(dataset.graphs.pack(chunk), device))
        for name, values in output.items():
            parts.setdefault(name, []).append(values.detach().to("cpu", torch.float64).numpy())
    return {name: np.concatenate(values) for name, values in parts.items()}
