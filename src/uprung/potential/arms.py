"""How a model of an arm begins: initial weights and elemental reference energies, chosen independently."""

from __future__ import annotations

import numpy as np
from chgnet.model import CHGNet
from numpy.typing import NDArray

from uprung.config.arms import Arm
from uprung.potential.checkpoint import atomref, load_chgnet, new_chgnet, set_atomref


def build_model(
    arm: Arm, *, pretrained: str, references: NDArray[np.float64] | None, elements: NDArray[np.bool_], seed: int
) -> CHGNet:
    """Return the untrained model of an arm.

    The published methods (Huang et al., npj Comput. Mater. 11, 313 (2025)) are M1: random, fitted references;
    M2: pretrained, trainable checkpoint references; M3: pretrained, frozen checkpoint references; M4:
    pretrained, references fitted to the target.

    Args:
        arm: its options.
        pretrained: checkpoint of `init: pretrained`, e.g. `chgnet-0.3.0`.
        references: (94,) eV/atom, of the fit that the arm names; None for `from: checkpoint`. NaN only for elements
            that no frame of the study has; these keep the checkpoint's value, for it has to be some number.
        elements: (94,) elements that occur in the study's frames.
        seed: of the random initial weights.

    Raises:
        ValueError: an element of the study has no reference energy.
    """
    model = new_chgnet(seed) if arm.init == "random" else load_chgnet(pretrained.removeprefix("chgnet-"))
    if arm.atomref.from_ == "checkpoint":
        if arm.atomref.trainable:
            model.composition_model.fc.weight.requires_grad_(True)
        return model
    if references is None:
        raise ValueError("this arm names a reference fit, but no reference energies were given")
    missing = elements & ~np.isfinite(references)
    if missing.any():
        raise ValueError(f"no reference energy for Z = {(np.flatnonzero(missing) + 1).tolist()}")
    filled = np.where(np.isfinite(references), references, atomref(model))
    set_atomref(model, filled, trainable=arm.atomref.trainable)
    return model
