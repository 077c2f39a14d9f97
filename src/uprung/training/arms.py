"""How a model of an arm begins: initial weights and elemental reference energies, chosen independently."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from chgnet.model import CHGNet
from numpy.typing import NDArray

from uprung.atomref.least_squares import LeastSquares
from uprung.config.arms import Arm
from uprung.datasets.store import Labels, Rows
from uprung.models.chgnet.checkpoint import atomref, load_chgnet, new_chgnet, set_atomref
from uprung.models.chgnet.layers import freeze_all_but
from uprung.models.chgnet.module import SourceSide
from uprung.models.predict import predict

SAMPLE = 20_000  # source frames that decide the source's reference energies


def build_model(
    arm: Arm, *, pretrained: str, references: NDArray[np.float64] | None, elements: NDArray[np.bool_], seed: int
) -> CHGNet:
    """Return the untrained model of an arm.

    The published methods (Huang et al., npj Comput. Mater. 11, 313 (2025)) are M1: random, fitted references;
    M2: pretrained, trainable checkpoint references; M3: pretrained, frozen checkpoint references; M4:
    pretrained, references fitted to the target.

    Args:
        arm: its options.
        pretrained: what an arm that is not `init: random` begins at: a shipped checkpoint (`chgnet-0.3.0`) or a file.
        references: (94,) eV/atom, of the fit that the arm names; None for `from: checkpoint`. NaN only for elements
            that no frame of the study has; these keep the checkpoint's value, for it has to be one. A correction
            (Δ-learning) gets the rest beyond the checkpoint's.
        elements: (94,) elements that occur in the study's frames.
        seed: of the random initial weights.

    Raises:
        ValueError: an element of the study has no reference energy.
    """
    model = new_chgnet(seed) if arm.init == "random" else load_chgnet(pretrained.removeprefix("chgnet-"))
    freeze_all_but(model, arm.trainable)
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
    if arm.delta:
        checkpoint = atomref(load_chgnet(pretrained.removeprefix("chgnet-")))
        filled = np.where(np.isfinite(references), references - checkpoint, 0.0)
        # The correction begins at the pretrained network with the right references, not at random energies.
        for p in model.mlp.layers[-1].parameters():
            torch.nn.init.zeros_(p)
    set_atomref(model, filled, trainable=arm.atomref.trainable)
    return model


def new_model(frames: Rows, *, seed: int) -> CHGNet:
    """Return an untrained network with reference energies fitted by least squares to labelled frames.

    Args:
        frames: what the references are fitted to; elements in none of them keep the values of 0.3.0's architecture,
            which nothing can be predicted with.
        seed: of the initial weights.
    """
    model = new_chgnet(seed)
    labelled = frames.rows[np.isfinite(frames.dataset.energy[frames.rows])]
    fit = LeastSquares().fit(frames.dataset.composition(labelled), frames.dataset.energy[labelled])
    set_atomref(model, np.where(fit.seen_, fit.coef_, atomref(model)), trainable=False)
    return model


def residual_labels(frames: Rows, pretrained: CHGNet, *, targets: Sequence[str], device: str) -> Rows:
    """Return frames whose labels are what a correction to the pretrained network has to give (Δ-learning).

    The pretrained network does not change, so its predictions are subtracted once instead of being made at every step:
    the loss is that of the sum of both networks. Moments stay as they are, since they are absolute values, which
    do not add up: the correction predicts them alone.
    """
    found = predict([pretrained], frames.dataset, frames.rows, targets=targets, device=device)
    labels = frames.labels
    less = Labels(
        energy=labels.energy - found["energy"],
        forces=labels.forces - found["force"].astype(np.float32) if "force" in found else labels.forces,
        stress=labels.stress - found["stress"].astype(np.float32) if "stress" in found else labels.stress,
        magmom=labels.magmom,
    )
    return replace(frames, dataset=frames.dataset.relabelled(frames.rows, less))


def source_side(
    arm: Arm, model: CHGNet, frames: Rows, *, pretrained: str, targets: Sequence[str], device: str
) -> tuple[SourceSide, Rows]:
    """Return what an arm with replay has for source frames: reference energies (and an embedding), and their labels.

    Labels of the source fidelity get references fitted by least squares to what the untrained network leaves over on at
    most `SAMPLE` of the frames, so that replay does not ask it to shift its energies; predictions of the
    pretrained network come with its own.
    """
    checkpoint = load_chgnet(pretrained.removeprefix("chgnet-"))
    joint = arm.fidelities == "joint"
    if arm.replay is not None and arm.replay.labels == "pretrained":
        found = predict([checkpoint], frames.dataset, frames.rows, targets=targets, device=device)
        known = {name: values for name, values in found.items() if name in targets}
        nothing = {name: np.full_like(values, np.nan) for name, values in vars(frames.labels).items()}
        labels = Labels(
            energy=known.get("energy", nothing["energy"]),
            forces=known.get("force", nothing["forces"]).astype(np.float32),
            stress=known.get("stress", nothing["stress"]).astype(np.float32),
            magmom=known.get("magmom", nothing["magmom"]).astype(np.float32),
        )
        relabelled = replace(frames, dataset=frames.dataset.relabelled(frames.rows, labels))
        return SourceSide(atomref(checkpoint), embedding=joint), relabelled
    rows = np.random.default_rng(0).permutation(frames.rows)[:SAMPLE]
    network = predict([model], frames.dataset, rows, targets=["energy"], device=device)["network"]
    labelled = np.isfinite(frames.dataset.energy[rows])
    X = frames.dataset.composition(rows[labelled])
    fit = LeastSquares().fit(X, (frames.dataset.energy[rows] - network)[labelled])
    return SourceSide(np.where(fit.seen_, fit.coef_, atomref(checkpoint)), embedding=joint), frames
