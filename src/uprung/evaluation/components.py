"""Single components of predicted and labelled forces and stresses, for figures of one against the other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from uprung.datasets.store import Dataset

#: Values of a target that are kept, evenly spaced in the order of the test frames: a figure shows no more.
MOST = 10_000
LABELS = {"force": "forces", "stress": "stress"}


def components(
    predicted: dict[str, NDArray[np.float64]], dataset: Dataset, rows: NDArray[np.int64], targets: Sequence[str]
) -> pd.DataFrame:
    """Return labelled and predicted components, at most `MOST` of each target.

    Args:
        predicted: target -> values of the rows, force (atoms, 3) in eV/Å, stress (n, 3, 3) in GPa.
        dataset: inputs and labels.
        rows: tested rows.
        targets: of the study; energies and moments are left out.

    Returns:
        Columns target, label, predicted (float32), without missing labels.
    """
    labels = dataset.labels(rows)
    parts = [pd.DataFrame({"target": [], "label": [], "predicted": []}, dtype=np.float32).astype({"target": str})]
    for target in (target for target in targets if target in LABELS):
        label = np.asarray(getattr(labels, LABELS[target]), dtype=np.float32).ravel()
        found = np.asarray(predicted[target], dtype=np.float32).ravel()
        known = np.flatnonzero(np.isfinite(label))
        kept = (
            known[np.unique(np.linspace(0, len(known) - 1, min(len(known), MOST)).astype(int))] if len(known) else known
        )
        parts.append(pd.DataFrame({"target": target, "label": label[kept], "predicted": found[kept]}))
    return pd.concat(parts, ignore_index=True)
