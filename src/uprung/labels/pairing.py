"""Pair the frames of two fidelities and hold their labels against each other before anything is made of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

from uprung.frames.table import Frames
from uprung.labels.identical import identical_labels, require_two_functionals
from uprung.labels.scale import label_slopes, require_like_labels
from uprung.labels.settings import unlike_settings
from uprung.structures.pairs import match_frames, require_pairs


@dataclass(frozen=True)
class Pairing:
    """Pairs of frames (see `uprung.structures.pairs.match_frames`), and what was found on the way."""

    table: pd.DataFrame
    facts: dict[str, Any]

    @property
    def warnings(self) -> list[str]:
        """What a reader should know before the numbers."""
        return list(self.facts["warnings"])


def pair_frames(
    name: str,
    low: Frames,
    high: Frames,
    *,
    labels: tuple[str, str],
    match: Literal["geometry", "material"] = "geometry",
    tolerance: float = 1e-3,
    identical: bool = False,
    unlike: bool = False,
) -> Pairing:
    """Pair the frames of two fidelities.

    Args:
        name: of the pair, for messages.
        low: frames with the cheap labels.
        high: frames with the better labels.
        labels: energy label of either side (see `Frames.label`).
        match: what makes two frames a pair, and
        tolerance: how far apart they may be, Å; see `match_frames`.
        identical: both sides may have the same labels.
        unlike: labels may differ by the factor of a unit, or a sign.

    Raises:
        PairsError: there is no pair.
        IdenticalLabelsError: one functional twice.
        UnlikeLabelsError: labels that are a unit or a sign apart.
    """
    table, counts = match_frames(low, high, match=match, tolerance=tolerance, labels=labels)
    require_pairs(name, low, high, counts)
    same, slopes = identical_labels(low, high, table, labels), label_slopes(low, high, table, labels)
    counts["warnings"] += require_two_functionals(name, same, stated=identical)
    counts["warnings"] += unlike_settings(low.manifest, high.manifest)
    counts["warnings"] += require_like_labels(name, slopes, stated=unlike)
    return Pairing(table, {**counts, "identical_labels": same, "label_slopes": slopes})
