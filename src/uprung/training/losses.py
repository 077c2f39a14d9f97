"""The training loss: masked per target, normalised by the number of labels of the optimiser batch.

Huber loss and weights follow Huang et al., npj Comput. Mater. 11, 313 (2025). Energies count per structure, forces and
stresses per Cartesian component, moments per site. Sums and counts are kept apart, because a batch may be computed in
parts while its counts are those of the whole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from uprung.datasets.store import Labels
from uprung.job.devices import send

Pairs = Mapping[str, tuple[Tensor, Tensor]]


def _by_target(labels: Labels) -> dict[str, NDArray[np.floating]]:
    return {"energy": labels.energy, "force": labels.forces, "stress": labels.stress, "magmom": labels.magmom}


def label_counts(labels: Labels, targets: Sequence[str]) -> dict[str, int]:
    """Return the number of labels per target: energies per structure, forces and stresses per component."""
    return {target: int(np.isfinite(_by_target(labels)[target]).sum()) for target in targets}


def pairs_of(
    predicted: Mapping[str, Tensor], labels: Labels, targets: Sequence[str]
) -> dict[str, tuple[Tensor, Tensor]]:
    """Return per target the predicted and labelled values where a label exists, flat.

    Energies are per structure (eV/atom), forces and stresses per component (eV/Å, GPa), moments per site (μB).
    """
    result = {}
    for target in targets:
        flat, label = predicted[target].reshape(-1), _by_target(labels)[target].ravel()
        known = np.isfinite(label)
        if not known.all():
            # by number: a mask would make the host wait until the device has counted what is left
            where = send(torch.from_numpy(np.flatnonzero(known)), flat.device)
            flat, label = torch.index_select(flat, 0, where), label[known]
        result[target] = (flat, send(torch.from_numpy(np.ascontiguousarray(label)), flat.device, flat.dtype))
    return result


def loss_sums(pairs: Pairs, delta: float) -> dict[str, Tensor]:
    """Return per target the sum of the Huber losses."""
    return {t: nn.functional.huber_loss(*pair, delta=delta, reduction="sum") for t, pair in pairs.items()}


def error_sums(pairs: Pairs) -> dict[str, Tensor]:
    """Return per target the sum of the absolute errors, without gradients."""
    return {t: (predicted.detach() - label).abs().sum() for t, (predicted, label) in pairs.items()}


def total_loss(huber: Mapping[str, Tensor], count: Mapping[str, int], weights: Mapping[str, float]) -> Tensor:
    """Return Σ_t w_t · (Huber losses of target t) / (labels of target t); without labels it adds nothing.

    Args:
        huber: sums of `loss_sums`, of a whole optimiser batch or a part of it.
        count: numbers of labels of the whole optimiser batch.
        weights: of the targets.
    """
    return torch.stack([weights[t] * huber[t] / max(count[t], 1) for t in huber]).sum()
