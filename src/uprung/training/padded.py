"""The training loss of batches that are filled up with ghosts: tensors of one shape for every batch of a size class.

What depends on a batch (labels, which of them exist, weights over counts) are tensors, so that a captured CUDA graph
reads them anew at every step. The loss is that of `uprung.training.losses`, up to the order of its sums.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from uprung.datasets.store import Labels
from uprung.job.devices import send

_PER_STRUCTURE = {"energy": 1, "stress": 9}
_PER_ATOM = {"force": 3, "magmom": 1}


class PaddedLabels(NamedTuple):
    """Labels of a batch and its ghosts, by target.

    ``values`` and ``known`` (n,) flat, 0 and 0 where there is no label; ``share`` the weight of the target over the
    number of its labels in the optimiser batch, a scalar.
    """

    values: dict[str, Tensor]
    known: dict[str, Tensor]
    share: dict[str, Tensor]


def padded_labels(
    labels: Labels,
    count: Mapping[str, int],
    weights: Mapping[str, float],
    *,
    structures: int,
    atoms: int,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> PaddedLabels:
    """Return labels filled up to a size class.

    Args:
        labels: of the real structures.
        count: target -> number of labels of the whole optimiser batch.
        weights: of the targets.
        structures: of the class.
        atoms: of the class.
        device: where they are used.
        dtype: of the predictions.

    Raises:
        ValueError: more labels than the class has room for.
    """
    flat: dict[str, NDArray[np.floating]] = {
        "energy": labels.energy,
        "force": labels.forces,
        "stress": labels.stress,
        "magmom": labels.magmom,
    }
    values, known, share = {}, {}, {}
    for target in count:
        own = flat[target].ravel()
        room = structures * _PER_STRUCTURE[target] if target in _PER_STRUCTURE else atoms * _PER_ATOM[target]
        if len(own) > room:
            raise ValueError(f"{len(own)} labels of {target}, but room for {room}")
        full = np.full(room, np.nan)
        full[: len(own)] = own
        exists = np.isfinite(full)
        values[target] = send(torch.from_numpy(np.where(exists, full, 0.0)), device, dtype)
        known[target] = send(torch.from_numpy(exists), device, dtype)
        share[target] = send(torch.tensor(weights[target] / max(count[target], 1), dtype=torch.float64), device, dtype)
    return PaddedLabels(values, known, share)


def padded_loss(predicted: Mapping[str, Tensor], labels: PaddedLabels, targets: Sequence[str], delta: float) -> Tensor:
    """Return Σ_t share_t · Σ (Huber losses of target t where a label exists), without asking the device for anything.

    Args:
        predicted: of the real structures, then of the ghosts.
        labels: of the same shape.
        targets: what is in the loss.
        delta: of the Huber loss.
    """
    parts = []
    for t in targets:
        each = nn.functional.huber_loss(predicted[t].reshape(-1), labels.values[t], reduction="none", delta=delta)
        parts.append(labels.share[t] * (each * labels.known[t]).sum())
    return torch.stack(parts).sum()
