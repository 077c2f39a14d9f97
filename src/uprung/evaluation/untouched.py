"""Errors before training (n = 0): the untouched pretrained network with the reference energies of every run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from uprung.datasets.store import Dataset
from uprung.evaluation.errors import frame_errors
from uprung.models.interface import Potential
from uprung.models.predict import predict

RUN = ("arm", "size", "seed")


def untouched_errors(
    potential: Potential,
    dataset: Dataset,
    test: NDArray[np.int64],
    references: Mapping[tuple[str, str, int], NDArray[np.float64] | None],
    *,
    targets: Sequence[str],
    device: str = "cpu",
) -> pd.DataFrame:
    """Return the errors that runs start from, frame by frame.

    The network is the same for all of them, and so are its forces, stresses and moments; the references are those that
    the run begins with, which the labels of its subset may have decided.

    Args:
        potential: the pretrained network.
        dataset: inputs and labels.
        test: rows tested on.
        references: (arm, size, seed) -> (94,) eV/atom; None, and NaN for an element, for the network's own.
        targets: which errors.
        device: where to predict.

    Returns:
        Columns arm, size, seed, frame_id and `<t>_start` per target: summed absolute errors, to be divided by the
        numbers of labels of the run's own table.
    """
    X = dataset.composition(test)
    found = predict(potential, dataset, test, targets=targets, device=device)
    parts = []
    for names, values in references.items():
        filled = potential.references if values is None else np.where(np.isfinite(values), values, potential.references)
        begun = {**found, "energy": found["network"] + X @ filled}
        table = frame_errors(begun, dataset, test, targets=targets, baseline_energy=begun["energy"])
        errors = {f"{t}_start": table[f"{t}_abs"].astype(np.float32) for t in targets}
        parts.append(pd.DataFrame({**dict(zip(RUN, names, strict=True)), "frame_id": table["frame_id"], **errors}))
    return pd.concat(parts, ignore_index=True)
