"""Checkpoints that a study names: published ones, and files of the user of which the study states the facts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from uprung.models.cards import ArchitectureCard, Checkpoint
from uprung.models.shipped import CARDS, card_of

if TYPE_CHECKING:
    from uprung.config.study import Study


def card_in(study: Study, name: str) -> ArchitectureCard:
    """Return the architecture of a checkpoint that a study names.

    Raises:
        ValueError: no published checkpoint has the name and the study gives none, or one of no known architecture.
    """
    own = study.checkpoints.get(name)
    if own is None:
        return card_of(name, also=study.checkpoints)
    if own.architecture not in CARDS:
        raise ValueError(f"no architecture {own.architecture!r} (allowed: {', '.join(CARDS)})")
    return CARDS[own.architecture]


def facts_in(study: Study, name: str) -> Checkpoint | None:
    """Return what is known of a checkpoint that a study names; None for an architecture named without one."""
    own = study.checkpoints.get(name)
    if own is None:
        return card_in(study, name).checkpoints.get(name)
    return Checkpoint(
        file=own.file,
        sha256="",
        functional=own.functional,
        label_scale=own.label_scale,
        training_set=own.training_set or "not stated",
        citation="",
        licence="",
    )
