"""Which labels arms train on: what cannot go together, and how labels are named beside an arm."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from uprung.config.arms import CHECKPOINT

if TYPE_CHECKING:
    from uprung.config.study import Study

SIGNS = {"energy": "E", "force": "F", "stress": "S", "magmom": "M"}


def label_words(labels: Sequence[str]) -> str:
    """Return labels as they stand beside the name of an arm: `E, F`."""
    return ", ".join(SIGNS[label] for label in labels)


def label_contradictions(study: Study) -> Iterator[str]:
    """Yield a message for every choice of labels that cannot be."""
    targets, recipe = study.transfer.targets, study.training.weights
    given = {"transfer": study.transfer.labels, **{f"arms.{name}": arm.labels for name, arm in study.arms.items()}}
    unknown = [(where, label) for where, labels in given.items() for label in labels if label not in targets]
    yield from (
        f"{where}.labels: {label} is not among transfer.targets (allowed: {', '.join(targets)})"
        for where, label in unknown
    )
    yield from (
        f"arms.{name}.replay.agree: {target} is not among transfer.targets (allowed: {', '.join(targets)})"
        for name, arm in study.arms.items()
        for target in (arm.replay.agree if arm.replay else ())
        if target not in targets
    )
    chosen = {name: arm.labels or study.transfer.labels for name, arm in study.arms.items()}
    for name, labels in chosen.items():
        if not labels or unknown:
            continue
        if not any(getattr(recipe, label) for label in labels):
            yield f"arms.{name}: training.weights is 0 for all of its labels ({', '.join(labels)}): nothing to learn"
        if "energy" not in labels:
            yield from _without_energies(study, name)


def _without_energies(study: Study, name: str) -> Iterator[str]:
    """Yield what an arm that trains on no energy asks of energies."""
    arm = study.arms[name]
    fit = study.references.get(arm.references)
    if arm.references != CHECKPOINT and fit is not None and fit.labels != "source":
        yield (
            f"arms.{name}: trains on no energy, but reference {arm.references} is fitted to energies of the target; "
            "use `references: source` or `references: checkpoint`"
        )
    if arm.references_trainable:
        yield f"arms.{name}: trains on no energy, which trainable references need; take `references_trainable` out"
    for budget, options in study.budgets.items():
        if options.keep == "val-energy":
            yield (
                f"arms.{name}: trains on no energy, but budgets.{budget} keeps the checkpoint of the lowest one "
                "(allowed: last, val-loss)"
            )
