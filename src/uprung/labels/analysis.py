"""Energy shift and label correlation of paired frames: all tables of the analysis of a pair."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from uprung.labels.aligned import PairedFrames
from uprung.labels.correlation import correlation, correlation_by_element
from uprung.labels.energy_shift import element_shift, formation_importance


@dataclass(frozen=True)
class PairAnalysis:
    """What two fidelities say of the same structures.

    Attributes:
        correlation: of the labels, see `uprung.labels.correlation.correlation`.
        shift: energy shift by element, see `uprung.labels.energy_shift.element_shift`.
        importance: elements that decide formation energies, see `formation_importance`.
        by_element: correlation of every element's labels.
        counts: pairs, pairs_below_force_limit, materials, elements; importance, why there is none.
    """

    correlation: pd.DataFrame
    shift: pd.DataFrame
    importance: pd.DataFrame
    by_element: pd.DataFrame
    counts: dict[str, Any]


def analyse(paired: PairedFrames, *, force_limit: float, bootstrap: int) -> PairAnalysis:
    """Return the analysis of a pair.

    Args:
        paired: labels of both sides.
        force_limit: shift and correlation by element are those of structures whose largest force at the low fidelity is
            below this, eV/Å.
        bootstrap: resamples behind the intervals of the correlation.
    """
    agreement = correlation(
        paired.X,
        paired.offsets,
        paired.low,
        paired.high,
        paired.groups,
        limit=force_limit,
        n_bootstrap=bootstrap,
    )
    near = paired.below_force(force_limit)
    shift = element_shift(near.X, near.low.energy, near.high.energy, near.groups)
    importance = formation_importance(near.X, near.low.energy, near.high.energy, near.n_atoms)
    counts = {
        "pairs": len(paired.groups),
        "pairs_below_force_limit": len(near.groups),
        "materials": len(set(paired.groups)),
        "elements": len(shift),
        "importance": importance.attrs.get("reason", ""),
    }
    by_element = correlation_by_element(near.X, near.offsets, near.low, near.high)
    return PairAnalysis(agreement, shift, importance, by_element, counts)
