"""Files of trained networks, and the potentials in them: a network, one of two fidelities, or a sum of two."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from chgnet.model import CHGNet

from uprung.models.chgnet.checkpoint import (
    SHIPPED,
    atomref,
    from_content,
    load_chgnet,
    read_content,
    save_chgnet,
    set_atomref,
)
from uprung.models.chgnet.module import Packed

#: Networks whose energies, forces and stresses add up; moments are those of the last.
Potential = Sequence[CHGNet]


def save_potential(module: Packed, path: str | Path, *, target: str, source: str, corrects: str | None) -> None:
    """Write a trained network.

    A network for the target alone loads in stock chgnet with `CHGNet.from_file`. So does one for two fidelities, as
    that of the target; `load_potential` asks which is meant. A correction does not, since it means nothing alone.

    Args:
        module: the network.
        path: file, replaced when complete.
        target: name of the target fidelity.
        source: name of the source fidelity.
        corrects: shipped checkpoint that a Δ-learning network is added to; None for any other.
    """
    if corrects is not None:
        save_chgnet(module.chgnet, path, key="correction", beside={"corrects": corrects})
        return
    other: dict[str, Any] = {}
    if module.source is not None and module.source.shift.requires_grad:
        found = {name: value.detach().cpu().clone() for name, value in module.source.state_dict().items()}
        other = {"fidelities": {target: {}, source: found}}
    save_chgnet(module.chgnet, path, beside=other)


def load_potential(path: str | Path, fidelity: str | None = None) -> Potential:
    """Read a file of `save_potential`, or any checkpoint that `load_chgnet` reads.

    Args:
        path: the file.
        fidelity: which one to predict; has to be given for a network that has several, and only then.

    Returns:
        One network; two for Δ-learning, the pretrained one first.

    Raises:
        ValueError: no such file, no plain CHGNet checkpoint, or a fidelity that is not in it or was not chosen.
    """
    file = Path(path)
    if not file.is_file():
        return [load_chgnet(path)]
    content = read_content(file)
    if "correction" in content:
        corrects = str(content.get("corrects"))
        name = corrects.removeprefix("chgnet-")
        if name not in SHIPPED:  # or a file would choose which other file is read
            allowed = ", ".join(f"chgnet-{known}" for known in SHIPPED)
            raise ValueError(f"{path} corrects {corrects!r}, which is no shipped checkpoint (allowed: {allowed})")
        return [load_chgnet(name), from_content(content, file, key="correction")]
    known: dict[str, dict[str, torch.Tensor]] = content.get("fidelities", {})
    if known and fidelity not in known:
        raise ValueError(f"{path} predicts several fidelities: choose one of {', '.join(known)}, not {fidelity!r}")
    model = from_content(content, file)
    if known and (own := known[str(fidelity)]):
        with torch.no_grad():
            model.atom_embedding.embedding.weight += own["shift"]
        set_atomref(model, own["references"].double().numpy(), trainable=False)
    return [model]


def references_of(potential: Potential) -> np.ndarray:
    """Return the elemental reference energies of a potential, (94,) in eV/atom: the sum over its networks."""
    return np.asarray(sum(atomref(model) for model in potential))
