"""Estimators of reference energies: which options they take and what they can fit. Built in `uprung.atomref.fit`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

FittedTo = Literal["target", "source", "residual"]


class EstimatorKind(NamedTuple):
    """An estimator, as the study file sees it."""

    what: str
    options: frozenset[str]
    labels: tuple[FittedTo, ...] = ("target", "source", "residual")
    because: str = ""  # why it fits no other labels


ESTIMATORS = {
    "least-squares": EstimatorKind("weighs all labels alike", frozenset({"bootstrap"})),
    "ridge": EstimatorKind("pulls towards a common energy", frozenset({"strength", "bootstrap"})),
    "huber": EstimatorKind("limits the pull of outliers", frozenset({"threshold", "bootstrap"})),
    "prior-ridge": EstimatorKind(
        "pulls towards source references plus a shift smooth in Z",
        frozenset({"strength", "bootstrap"}),
        ("target", "residual"),
        "leans on source references",
    ),
    "elemental-solid": EstimatorKind(
        "takes energies of solids from `elements`", frozenset({"elements"}), ("target",), "gives energies of the target"
    ),
    "isolated-atom": EstimatorKind(
        "takes energies of atoms from `elements`", frozenset({"elements"}), ("target",), "gives energies of the target"
    ),
}
if TYPE_CHECKING:
    EstimatorName = str
else:
    EstimatorName = Literal[tuple(ESTIMATORS)]


def takes(option: str) -> str:
    """Return the estimators that take an option, as a list in a sentence."""
    return ", ".join(f"`{name}`" for name, kind in ESTIMATORS.items() if option in kind.options)


def contradiction(name: str, labels: FittedTo, given: dict[str, object]) -> str | None:
    """Return why options and an estimator do not go together, None if they do.

    Args:
        name: the estimator.
        labels: what it is fitted to.
        given: the value of every option of an estimator, None where the study gives none.
    """
    kind = ESTIMATORS[name]
    for option, value in given.items():
        if value is not None and option not in kind.options:
            return f"`{option}` means nothing to `estimator: {name}`; take it out"
    if "elements" in kind.options and given["elements"] is None:
        return f"`estimator: {name}` needs `elements: <fidelity>`, which holds the energies"
    if labels not in kind.labels:
        return f"`estimator: {name}` {kind.because}: use `labels: {' | '.join(kind.labels)}`"
    return None
