"""How a run begins: initial weights and reference energies, chosen independently; labels and source frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from uprung.atomref.least_squares import LeastSquares
from uprung.config.arms import CHECKPOINT, Arm, TrainablePart
from uprung.datasets.splits import frames_on
from uprung.datasets.store import Dataset, Labels, Rows, rows_of
from uprung.models.interface import READOUT, REFERENCES, Potential, require_architecture
from uprung.models.predict import predict
from uprung.models.registry import CARDS, architecture, load

SAMPLE = 20_000  # source frames that decide the source's reference energies


@dataclass(frozen=True)
class ReplayedFrames:
    """Source frames that take a share of every optimiser batch."""

    frames: Rows
    fraction: float


@dataclass(frozen=True)
class Beginning:
    """A run as it begins: the untrained network, the labels that it learns, what is replayed."""

    potential: Potential
    frames: Rows
    validation: Rows
    replay: ReplayedFrames | None = None


def sides(dataset: Dataset, split: pd.DataFrame, subset: pd.DataFrame, fidelity: str) -> tuple[Rows, Rows]:
    """Return the training subset and the validation split of a fidelity, as rows of its data set."""
    names = (subset["frame_id"].astype(str).tolist(), frames_on(split, fidelity, "val"))
    frames, validation = (Rows(dataset, rows_of(dataset, part)) for part in names)
    return frames, validation


def begin(
    arm: Arm,
    frames: Rows,
    validation: Rows,
    replayed: Rows | None,
    *,
    pretrained: str,
    corrected: str,
    references: NDArray[np.float64] | None,
    targets: Sequence[str],
    seed: int,
    device: str,
) -> Beginning:
    """Return how a run of an arm begins.

    Args:
        arm: its options.
        frames: the training subset, with the labels of the target.
        validation: the validation split, likewise.
        replayed: training frames of the source; None for an arm without replay.
        pretrained: what an arm that is not `init: random` begins at: a shipped checkpoint (`chgnet-0.3.0`) or a file.
        corrected: the checkpoint that Δ-learning corrects.
        references: (94,) eV/atom, of the fit that the arm names; None for those of the checkpoint.
        targets: what is in the loss.
        seed: of the initial weights.
        device: where the predictions are made that labels are corrected with.

    Raises:
        ValueError: an element of the study has no reference energy.
    """
    elements = np.bincount(frames.dataset.numbers, minlength=95)[1:] > 0
    name = str(frames.dataset.manifest["architecture"])
    potential = build_potential(
        arm, name=name, pretrained=pretrained, references=references, elements=elements, seed=seed
    )
    if arm.delta:
        network = load(corrected)
        frames, validation = (
            residual_labels(part, network, targets=targets, device=device) for part in (frames, validation)
        )
    if arm.replay is None or replayed is None:
        return Beginning(potential, frames, validation)
    replayed = add_source(arm, potential, replayed, pretrained=pretrained, targets=targets, device=device)
    return Beginning(potential, frames, validation, ReplayedFrames(replayed, arm.replay.fraction))


def begin_pretraining(everything: Rows, frames: Rows, validation: Rows, *, seed: int, device: str) -> Beginning:
    """Return how a pretraining begins: random weights, references fitted by least squares to labelled frames.

    Args:
        everything: what the references are fitted to; elements in none of them keep the values of a new network, which
            nothing can be predicted with.
        frames: the training subset.
        validation: the validation split.
        seed: of the initial weights.
        device: not needed, since nothing is predicted.
    """
    potential = architecture(str(everything.dataset.manifest["architecture"])).new(seed)
    labelled = everything.rows[np.isfinite(everything.dataset.energy[everything.rows])]
    fit = LeastSquares().fit(everything.dataset.composition(labelled), everything.dataset.energy[labelled])
    potential.set_references(np.where(fit.seen_, fit.coef_, potential.references), trainable=False)
    return Beginning(potential, frames, validation)


def build_potential(
    arm: Arm,
    *,
    name: str,
    pretrained: str,
    references: NDArray[np.float64] | None,
    elements: NDArray[np.bool_],
    seed: int,
) -> Potential:
    """Return the untrained network of an arm.

    The published methods (Huang et al., npj Comput. Mater. 11, 313 (2025)) are M1: random, fitted references;
    M2: pretrained, trainable checkpoint references; M3: pretrained, frozen checkpoint references; M4:
    pretrained, references fitted to the target.

    Args:
        arm: its options.
        name: of the architecture.
        pretrained: what an arm that is not `init: random` begins at: a shipped checkpoint (`chgnet-0.3.0`) or a file.
        references: (94,) eV/atom, of the fit that the arm names; None for those of the checkpoint. NaN only for
            elements that no frame of the study has; these keep the checkpoint's value, for it has to be one. A
            correction (Δ-learning) gets the rest beyond the checkpoint's.
        elements: (94,) elements that occur in the study's frames.
        seed: of the random initial weights.

    Raises:
        ValueError: an element of the study has no reference energy, or a file holds another architecture.
    """
    potential = architecture(name).new(seed) if arm.init == "random" else load(pretrained)
    require_architecture(potential, name)
    freeze_all_but(potential, arm.trainable)
    if arm.references == CHECKPOINT:
        if arm.references_trainable:
            for parameter in potential.layers()[REFERENCES]:
                parameter.requires_grad_(True)
        return potential
    if references is None:
        raise ValueError("this arm names a reference fit, but no reference energies were given")
    missing = elements & ~np.isfinite(references)
    if missing.any():
        raise ValueError(f"no reference energy for Z = {(np.flatnonzero(missing) + 1).tolist()}")
    filled = np.where(np.isfinite(references), references, potential.references)
    if arm.delta:
        filled = np.where(np.isfinite(references), references - load(pretrained).references, 0.0)
        # The correction begins at the pretrained network with the right references, not at random energies.
        potential.zero_output()
    potential.set_references(filled, trainable=arm.references_trainable)
    return potential


def freeze_all_but(potential: Potential, part: TrainablePart) -> None:
    """Let training change a part of the network only; reference energies stay as they are set.

    Raises:
        ValueError: more blocks than the network has.
    """
    if part == "all":
        return
    layers = potential.layers()
    blocks = sorted((name for name in layers if name.startswith("block")), key=lambda name: int(name[5:]))
    if part == "readout":
        kept = {READOUT}
    elif part == "all-but-embeddings":
        kept = {READOUT, *blocks}
    else:
        count = int(part.split("-")[1])
        if count > len(blocks):
            raise ValueError(f"trainable: {part}, but the network has {len(blocks)} blocks")
        kept = {READOUT, *blocks[-count:]}
    for layer, parameters in layers.items():
        if layer not in {REFERENCES, *kept}:
            for parameter in parameters:
                parameter.requires_grad_(False)


def residual_labels(frames: Rows, pretrained: Potential, *, targets: Sequence[str], device: str) -> Rows:
    """Return frames whose labels are what a correction to the pretrained network has to give (Δ-learning).

    The pretrained network does not change, so its predictions are subtracted once instead of being made at every step:
    the loss is that of the sum of both networks. Moments stay as they are, since they are absolute values, which
    do not add up: the correction predicts them alone.
    """
    found = predict(pretrained, frames.dataset, frames.rows, targets=targets, device=device)
    labels = frames.labels
    less = Labels(
        energy=labels.energy - found["energy"],
        forces=labels.forces - found["force"].astype(np.float32) if "force" in found else labels.forces,
        stress=labels.stress - found["stress"].astype(np.float32) if "stress" in found else labels.stress,
        magmom=labels.magmom,
    )
    return replace(frames, dataset=frames.dataset.relabelled(frames.rows, less))


def add_source(
    arm: Arm, potential: Potential, frames: Rows, *, pretrained: str, targets: Sequence[str], device: str
) -> Rows:
    """Give the network of an arm with replay a source side, and return the source frames with the labels it learns.

    Labels of the source fidelity get references fitted by least squares to what the untrained network leaves over on at
    most `SAMPLE` of the frames, so that replay does not ask it to shift its energies; predictions of the
    pretrained network come with its own.
    """
    checkpoint = potential if pretrained in CARDS else load(pretrained)  # an architecture may have random weights alone
    joint = arm.fidelities == "joint"
    if arm.replay is not None and arm.replay.labels == "pretrained":
        found = predict(checkpoint, frames.dataset, frames.rows, targets=targets, device=device)
        known = {name: values for name, values in found.items() if name in targets}
        nothing = {name: np.full_like(values, np.nan) for name, values in vars(frames.labels).items()}
        labels = Labels(
            energy=known.get("energy", nothing["energy"]),
            forces=known.get("force", nothing["forces"]).astype(np.float32),
            stress=known.get("stress", nothing["stress"]).astype(np.float32),
            magmom=known.get("magmom", nothing["magmom"]).astype(np.float32),
        )
        potential.add_source(checkpoint.references, embedding=joint)
        return replace(frames, dataset=frames.dataset.relabelled(frames.rows, labels))
    rows = np.random.default_rng(0).permutation(frames.rows)[:SAMPLE]
    network = predict(potential, frames.dataset, rows, targets=["energy"], device=device)["network"]
    labelled = np.isfinite(frames.dataset.energy[rows])
    X = frames.dataset.composition(rows[labelled])
    fit = LeastSquares().fit(X, (frames.dataset.energy[rows] - network)[labelled])
    potential.add_source(np.where(fit.seen_, fit.coef_, checkpoint.references), embedding=joint)
    return frames
