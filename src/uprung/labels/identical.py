"""Labels that are the same in both fidelities: one functional that was given twice."""

from __future__ import annotations

import numpy as np
import pandas as pd

from uprung.frames.flat import owner_of
from uprung.frames.schema import Floats
from uprung.frames.table import Frames

#: Labels that differ by less are the same: what rounding in text files leaves, eV/atom and eV/Å (or relative).
ENERGY, FORCE = 1e-6, 1e-5
#: Smallest force that says something: those that vanish by symmetry are the same for every functional, eV/Å.
SIZE = 1e-3
#: Share of the pairs that stops a study, and the share from which a warning is written.
MOST, SOME = 0.9, 0.01


class IdenticalLabelsError(ValueError):
    """Both fidelities of a pair have the same labels."""


def identical_labels(low: Frames, high: Frames, pairs: pd.DataFrame, labels: tuple[str, str]) -> dict[str, list[int]]:
    """Return energy and forces -> [pairs whose labels are the same, pairs that have labels on both sides].

    Args:
        low: frames with the cheap labels.
        high: those with the better labels.
        pairs: from `structures.pairs.match_frames`.
        labels: energy label of either side (see `Frames.label`).
    """
    left, right = low.take(pairs["row_low"].to_numpy()), high.take(pairs["row_high"].to_numpy())
    energies = [side.label(label) / side.nsites for side, label in zip((left, right), labels, strict=True)]
    difference = np.abs(energies[0] - energies[1])
    found = {"energy": [int((difference <= ENERGY).sum()), int(np.isfinite(difference).sum())]}
    alike = left.nsites == right.nsites
    left, right = (side.take(np.flatnonzero(alike)) for side in (left, right))
    if len(left):
        sizes = [_sizes(side) for side in (left, right)]
        same = np.abs(sizes[0] - sizes[1]) <= FORCE * (1 + sizes[0])
        starts = left.offsets[:-1]
        known = np.isfinite(sizes[0] - sizes[1]) & (np.maximum(*sizes) > SIZE)
        some = np.logical_or.reduceat(known, starts)
        found["forces"] = [int((np.logical_and.reduceat(same, starts) & some).sum()), int(some.sum())]
    return found


def _sizes(frames: Frames) -> Floats:
    """Return the sizes of the forces (N,), eV/Å, rising within each frame: they depend on no order or orientation."""
    size = np.linalg.norm(frames.flat("forces", 3).reshape(-1, 3), axis=1)
    return np.asarray(size[np.lexsort((size, owner_of(frames.offsets)))])


def require_two_functionals(name: str, found: dict[str, list[int]], *, stated: bool) -> list[str]:
    """Return warnings about labels that are the same.

    Args:
        name: of the pair in the study file.
        found: from `identical_labels`.
        stated: the study file says that labels may be the same.

    Raises:
        IdenticalLabelsError: nearly all are, and the study does not say so.
    """
    shares = {what: same / pairs for what, (same, pairs) in found.items() if pairs}
    told = [f"{same} of {pairs} pairs have the same {what}" for what, (same, pairs) in found.items() if pairs]
    if max(shares.values(), default=0.0) < SOME:
        return []
    sentence = f"{' and '.join(told)} in both fidelities"
    if max(shares.values()) >= MOST:
        sentence += ", so this is one functional twice"
        if not stated:
            raise IdenticalLabelsError(
                f"pair {name}: {sentence}; check the files of both fidelities, or state it with "
                f"`pairs.{name}.identical_labels: true`"
            )
    return [sentence]
