"""The energy shift between two fidelities, and how well their labels agree."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from uprung.api.reading import read
from uprung.labels.aligned import align
from uprung.labels.analysis import analyse
from uprung.labels.pairing import pair_frames


@dataclass(frozen=True, repr=False)
class Shift:
    """What two fidelities say of the same structures.

    Attributes:
        elements: energy shift high − low by element, eV/atom, with standard errors (`uprung.labels.energy_shift`).
        correlation: agreement of energies, forces and stresses, with 95 % intervals (`uprung.labels.correlation`).
        by_element: agreement of the labels of every element.
        importance: elements that decide where formation energies differ.
        pairs: which structures are the same.
        counts: pairs, pairs_below_force_limit, materials, elements.
        warnings: what a reader should know first.
    """

    elements: pd.DataFrame
    correlation: pd.DataFrame
    by_element: pd.DataFrame
    importance: pd.DataFrame
    pairs: pd.DataFrame
    counts: dict[str, Any]
    warnings: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """Return the shift and the agreement in a few lines."""
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        counts, shift = self.counts, self.elements
        yield f"{counts['pairs']:,} pairs of {counts['materials']:,} materials, {counts['elements']} elements"
        yield from (f"warning: {warning}" for warning in self.warnings)
        pairs = sorted(zip(shift["shift"].tolist(), shift["element"].tolist(), strict=True))
        if pairs:
            (least, low), (most, high) = pairs[0], pairs[-1]
            mean = shift["shift"].abs().mean()
            alike = f"{least:.3f}" == f"{most:.3f}"  # of one compound, say: then no element has the least
            ends = f"{least:+.3f} (all elements)" if alike else f"{least:+.3f} ({low}) to {most:+.3f} ({high})"
            yield f"shift high − low, eV/atom: {ends}, mean size {mean:.3f}"
        for row in self.correlation[self.correlation["subset"] == "all"].to_dict("records"):
            if np.isfinite(row["pearson"]):
                ends = (
                    "" if np.isnan(row["pearson_low"]) else f" ({row['pearson_low']:.4f} to {row['pearson_high']:.4f})"
                )
                yield f"{row['quantity']:18s} r {row['pearson']:.4f}{ends}, MAE {row['mae']:.4g} {row['unit']}"


def shift(
    low: Any,
    high: Any,
    *,
    match: Literal["geometry", "material"] = "geometry",
    tolerance: float = 1e-3,
    force_limit: float = 10.0,
    bootstrap: int = 1000,
    identical: bool = False,
    unlike: bool = False,
) -> Shift:
    """Return the energy shift between two sets of labels of the same structures; the analysis of the workflow.

    Args:
        low: structures with the cheap labels, whatever `uprung.read` takes.
        high: structures with the better labels.
        match: `geometry` pairs structures that are the same crystal; `material` the lowest one of each material.
        tolerance: largest root-mean-square displacement of a geometry match, Å.
        force_limit: shift and agreement by element are those of structures whose largest low force is below, eV/Å.
        bootstrap: resamples behind the intervals.
        identical: both may have the same labels, and
        unlike: they may differ by the factor of a unit or a sign, which are errors otherwise.

    Raises:
        FramesError: see `uprung.read`.
        PairsError: no structure is in both.
        IdenticalLabelsError: one functional twice.
        UnlikeLabelsError: labels that are a unit or a sign apart.
    """
    cheap, better = read(low), read(high)
    labels = (cheap.energy, better.energy)
    paired = pair_frames(
        f"{cheap.name} and {better.name}",
        cheap.frames,
        better.frames,
        labels=labels,
        match=match,
        tolerance=tolerance,
        identical=identical,
        unlike=unlike,
    )
    aligned = align(cheap.frames, better.frames, paired.table, label_low=labels[0], label_high=labels[1])
    found = analyse(aligned, force_limit=force_limit, bootstrap=bootstrap)
    return Shift(
        elements=found.shift,
        correlation=found.correlation,
        by_element=found.by_element,
        importance=found.importance,
        pairs=paired.table,
        counts=found.counts,
        warnings=tuple(paired.warnings),
    )
