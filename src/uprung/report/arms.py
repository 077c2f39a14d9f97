"""What the sections ask of a study file: printed names, reference fits and options of the arms."""

from __future__ import annotations

from collections.abc import Iterator

from uprung.config.arms import CHECKPOINT, Arm, ReferenceFit
from uprung.config.study import Study
from uprung.report.catalogue import evalsets_of
from uprung.report.format import functional


def arm_labels(study: Study) -> dict[str, str]:
    """Return arm -> name as printed."""
    return {name: study.label_of(name) for name in study.arms}


def functional_of(study: Study, name: str) -> str:
    """Return the functional of a fidelity or evaluation set as printed."""
    return functional({**study.fidelities, **evalsets_of(study)}[name].functional)


def reference_of(study: Study, arm: str) -> ReferenceFit | None:
    """Return how the reference energies of an arm are fitted; None for those of the checkpoint."""
    fit = study.arms[arm].references
    return None if fit == CHECKPOINT else study.references[fit]


def options_of(arm: Arm) -> Iterator[str]:
    """Yield what sets an arm apart beside its initial weights and reference energies."""
    if arm.trainable != "all":
        yield f"trains {arm.trainable.replace('-', ' ')} only"
    if arm.labels:
        yield f"trained on labels of {' and '.join(arm.labels)} only"
    if arm.l2_sp is not None:
        yield f"pulled to its initial weights (α = {arm.l2_sp:g})"
    if arm.ewc is not None:
        yield f"pulled to its initial weights by their Fisher information (λ = {arm.ewc.strength:g})"
    if arm.replay is not None:
        labels = {
            "source": "",
            "pretrained": " with the pretrained network's predictions",
            "teachers": f" with the mean of {', '.join(arm.replay.teachers)} where they agree",
        }[arm.replay.labels]
        yield f"{100 * arm.replay.fraction:g} % of each batch source frames{labels}"
    if arm.fidelities == "joint":
        yield "one network for both fidelities"
    if arm.delta:
        yield "correction to the frozen pretrained network"


def trained_words(study: Study) -> str:
    """Return which arms trained on which labels, as a sentence for a caption; "" where all trained on all targets."""
    arms: dict[str, list[str]] = {}
    for name, label in arm_labels(study).items():
        if study.labels_of(name) != list(study.transfer.targets):
            arms.setdefault(" and ".join(study.labels_of(name)), []).append(label)
    if not arms:
        return ""
    alike = [*arms.values()] == [[*arm_labels(study).values()]]
    parts = (f"{'all arms' if alike else ', '.join(names)} on {labels} labels only" for labels, names in arms.items())
    return f" Trained {'; '.join(parts)}."


def mix_words(study: Study) -> str:
    """Return the shares of the sources in the training subsets, as a sentence for a caption; "" without a mix."""
    total = sum(study.split.mix.values())
    parts = ", ".join(f"{100 * share / total:.3g} % {name}" for name, share in study.split.mix.items())
    return f" Training subsets of every size mix their sources: {parts} (frames)." if parts else ""


def arms_of_each(study: Study) -> dict[str, list[str]]:
    """Return checkpoint -> arms of its architecture."""
    found: dict[str, list[str]] = {}
    for name in study.arms:
        found.setdefault(study.checkpoint_of(name), []).append(name)
    return found


def scratch_of(study: Study) -> str | None:
    """Return the first arm that starts from random weights and has no further options."""
    return next((n for n, arm in study.arms.items() if arm.init == "random" and not list(options_of(arm))), None)
