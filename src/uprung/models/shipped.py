"""Cards of all architectures and of their shipped checkpoints, by name: plain facts that load no network."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from uprung.models.cards import ArchitectureCard, Checkpoint
from uprung.models.chgnet.card import CARD as CHGNET
from uprung.models.mace.card import CARD as MACE
from uprung.models.matgl.card import M3GNET, TENSORNET
from uprung.models.sevennet.card import CARD as SEVENNET

CARDS: dict[str, ArchitectureCard] = {card.name: card for card in (CHGNET, MACE, M3GNET, TENSORNET, SEVENNET)}
#: Checkpoint -> the architecture that it belongs to.
OWNERS = {name: card for card in CARDS.values() for name in card.checkpoints}


def card_of(checkpoint: str, also: Iterable[str] = ()) -> ArchitectureCard:
    """Return the card of the architecture that a shipped checkpoint belongs to, or that has this name itself.

    Args:
        checkpoint: its name; that of an architecture stands for its random weights alone.
        also: further names, for the message.

    Raises:
        ValueError: an unknown name.
    """
    if checkpoint in CARDS:
        return CARDS[checkpoint]
    if checkpoint not in OWNERS:
        known = [*OWNERS, *(name for name, card in CARDS.items() if not card.checkpoints), *also]
        close = difflib.get_close_matches(checkpoint, known, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise ValueError(f"no checkpoint named {checkpoint!r}{hint} (allowed: {', '.join(known)})")
    return OWNERS[checkpoint]


def checkpoint_card(name: str) -> Checkpoint:
    """Return what is known of a shipped checkpoint; raises ValueError for an unknown name."""
    return card_of(name).checkpoints[name]
