"""The training loss: masked per target, normalised by the number of labels of the batch.

Huber loss and weights follow Huang et al., npj Comput. Mater. 11, 313 (2025). Energies count per structure, forces and
stresses per Cartesian component, moments per site.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from uprung.dataset import Labels


def pairs_of(
    predicted: Mapping[str, Tensor], labels: Labels, targets: Sequence[str]
) -> dict[str, tuple[Tensor, Tensor]]:
    """Return per target the predicted and labelled values where a label exists, flat.

    Energies are per structure (eV/atom), forces and stresses per component (eV/Å, GPa), moments per site (μB).
    """
    known_labels = {
        "energy": labels.energy,
        "force": labels.forces,
        "stress": labels.stress,
        "magmom": labels.magmom,
    }
    result = {}
    for target in targets:
        flat = predicted[target].reshape(-1)
        values = torch.from_numpy(np.ascontiguousarray(known_labels[target]).ravel()).to(flat.device, flat.dtype)
        known = torch.isfinite(values)
        result[target] = (flat, values) if bool(known.all()) else (flat[known], values[known])
    return result


def loss_sums(
    pairs: Mapping[str, tuple[Tensor, Tensor]], delta: float
) -> tuple[dict[str, Tensor], dict[str, float], dict[str, int]]:
    """Return per target the summed Huber loss, the summed absolute error and the number of labels."""
    huber, absolute, count = {}, {}, {}
    for target, (predicted, label) in pairs.items():
        huber[target] = nn.functional.huber_loss(predicted, label, delta=delta, reduction="sum")
        absolute[target] = float((predicted.detach() - label).abs().sum())
        count[target] = label.numel()
    return huber, absolute, count


def total_loss(huber: Mapping[str, Tensor], count: Mapping[str, int], weights: Mapping[str, float]) -> Tensor:
    """Return Σ_t w_t · (mean Huber loss of target t); a target without a label in the batch adds nothing."""
    return torch.stack([weights[t] * huber[t] / max(count[t], 1) for t in huber]).sum()
