"""What a run of an arm trains: its network, the labels that it learns, what is replayed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from uprung.config.arms import Arm
from uprung.datasets.store import Rows
from uprung.models.chgnet.checkpoint import load_chgnet
from uprung.models.chgnet.module import Packed
from uprung.training.arms import build_model, residual_labels, source_side
from uprung.training.loop import ReplayedFrames


@dataclass(frozen=True)
class ArmRun:
    """An arm as it begins: `module`, the untrained network; the other fields are what `training.loop.train` takes."""

    module: Packed
    frames: Rows
    validation: Rows
    replay: ReplayedFrames | None


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
) -> ArmRun:
    """Return what a run of an arm trains.

    Args:
        arm: its options.
        frames: the training subset, with the labels of the target.
        validation: the validation split, likewise.
        replayed: training frames of the source; None for an arm without replay.
        pretrained: what an arm that is not `init: random` begins at: a shipped checkpoint (`chgnet-0.3.0`) or a file.
        corrected: the checkpoint that Δ-learning corrects.
        references: (94,) eV/atom, of the fit that the arm names; None for `from: checkpoint`.
        targets: what is in the loss.
        seed: of the initial weights.
        device: where the predictions are made that labels are corrected with.

    Raises:
        ValueError: an element of the study has no reference energy.
    """
    elements = np.bincount(frames.dataset.graphs.numbers, minlength=95)[1:] > 0
    model = build_model(arm, pretrained=pretrained, references=references, elements=elements, seed=seed)
    if arm.delta:
        network = load_chgnet(corrected.removeprefix("chgnet-"))
        frames, validation = (
            residual_labels(part, network, targets=targets, device=device) for part in (frames, validation)
        )
    source, replay = None, None
    if arm.replay is not None and replayed is not None:
        source, replayed = source_side(arm, model, replayed, pretrained=pretrained, targets=targets, device=device)
        replay = ReplayedFrames(replayed, arm.replay.fraction)
    return ArmRun(Packed(model, targets, source), frames, validation, replay)
