"""Whether paired labels differ by a unit or a sign: their slopes, which are near 1 between two functionals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from uprung.frames.schema import EV_PER_A3, Floats
from uprung.frames.table import Frames
from uprung.labels.aligned import PairedFrames, align

#: Slopes outside are no difference of two functionals, where the labels go along with each other this well. Energies
#: of polymorphs may be in another order, so that theirs say less.
WITHIN = {"energy": (0.2, 5.0), "force": (0.5, 2.0), "stress": (0.5, 2.0)}
CORRELATED = 0.8
#: Energies that go along this well have the slope of a unit even where it is within the bounds above.
SURE = 0.95
FEWEST = 10  # values
MOST_PAIRS = 20_000  # that are looked at, thinned evenly
_HARTREE, _PER_BOHR = 27.2114, 51.4221
#: Quantity -> what one side is the other's multiple of, and what that looks like.
_LIKE = {
    "energy": {1 / _HARTREE: "in Hartree", 2 / _HARTREE: "in Rydberg", 1e3: "in meV", 23.0605: "in kcal/mol"},
    "force": {
        -1.0: "of the opposite sign (gradients)",
        1 / _PER_BOHR: "in Ha/bohr",
        -1 / _PER_BOHR: "in Ha/bohr and of the opposite sign",
        2 / _PER_BOHR: "in Ry/bohr",
        -2 / _PER_BOHR: "in Ry/bohr and of the opposite sign",
        1e3: "in meV/Å",
        23.0605: "in kcal/mol/Å",
    },
    "stress": {
        -1.0: "of the opposite sign (compression positive)",
        EV_PER_A3: "in GPa, taken for eV/Å³",
        -EV_PER_A3: "in GPa with compression positive, taken for eV/Å³",
        10 * EV_PER_A3: "in kbar, taken for eV/Å³",
        -10 * EV_PER_A3: "in kbar in VASP's sign, taken for eV/Å³",
        10.0: "in kbar, taken for GPa",
        -10.0: "in kbar in VASP's sign, taken for GPa",
        1 / EV_PER_A3: "in eV/Å³, taken for GPa",
        -0.1 / EV_PER_A3: "in eV/Å³, taken for kbar",
    },
}


UNKNOWN = "a unit or a sign of one side"


class UnlikeLabelsError(ValueError):
    """Paired labels differ by a unit or a sign."""


def label_slopes(low: Frames, high: Frames, pairs: pd.DataFrame, labels: tuple[str, str]) -> dict[str, dict[str, Any]]:
    """Return quantity -> slope of the high side's labels against the low side's, their correlation, and a verdict.

    Energies are compared within compositions, where reference energies cancel; where no composition occurs twice, they
    are refused only if the slope is that of a unit. The verdict is `checked`, `contradicted` or `unchecked` (few
    values, or labels that do not go along with each other). Pairs of one material only are not compared at all.

    Args:
        low: frames with the cheap labels.
        high: those with the better labels.
        pairs: from `structures.pairs.match_frames`.
        labels: energy label of either side (see `Frames.label`).
    """
    if pairs["rmsd"].isna().any():
        return {}
    pairs = pairs.iloc[:: 1 + len(pairs) // MOST_PAIRS]
    aligned = align(low, high, pairs, label_low=labels[0], label_high=labels[1])
    sizes = set(aligned.n_atoms.tolist())
    atoms = sizes.pop() if len(sizes) == 1 else 1
    energy = _judged("energy", *_within_compositions(aligned), atoms)
    if energy["verdict"] == "unchecked":
        known = np.isfinite(aligned.low.energy) & np.isfinite(aligned.high.energy)
        raw = _judged(
            "energy", *(side.energy[known] - side.energy[known].mean() for side in (aligned.low, aligned.high))
        )
        energy = raw if raw["verdict"] == "contradicted" and raw["like"] != UNKNOWN else energy
    shared = aligned.shared()
    return {"energy": energy, **{name: _judged(name, *shared[name]) for name in ("force", "stress") if name in shared}}


def _within_compositions(aligned: PairedFrames) -> tuple[Floats, Floats]:
    """Return the energies (eV/atom) of either side against the mean of their composition."""
    known = np.isfinite(aligned.low.energy) & np.isfinite(aligned.high.energy)
    _, group = np.unique(aligned.X[known].round(9), axis=0, return_inverse=True)
    several = np.bincount(group.ravel())[group.ravel()] > 1 if len(group) else np.zeros(0, dtype=np.bool_)
    sides = []
    for side in (aligned.low, aligned.high):
        energy = side.energy[known]
        mean = np.bincount(group.ravel(), energy) / np.bincount(group.ravel()) if len(group) else np.zeros(0)
        sides.append((energy - mean[group.ravel()])[several])
    return sides[0], sides[1]


def _judged(name: str, low: Floats, high: Floats, atoms: int = 1) -> dict[str, Any]:
    said = (low != 0) | (high != 0)
    low, high = low[said], high[said]
    nothing = {"values": len(low), "slope": None, "correlation": None, "verdict": "unchecked", "like": ""}
    if len(low) < FEWEST or not low.any() or not high.any():
        return nothing
    correlation = float((low * high).sum() / np.sqrt((low**2).sum() * (high**2).sum()))
    slope = float((low * high).sum() / (low**2).sum())
    found = {**nothing, "slope": slope, "correlation": correlation}
    if abs(correlation) < CORRELATED:
        return found
    least, most = WITHIN[name]
    if least <= slope <= most and not (name == "energy" and correlation > SURE and _per_atom(slope, atoms)):
        return {**found, "verdict": "checked"}
    return {**found, "verdict": "contradicted", "like": _like(name, slope, atoms)}


def _per_atom(slope: float, atoms: int) -> bool:
    """Return whether the energies of one side are per atom and the other's per cell, of more than two atoms."""
    return atoms > 2 and slope > 0 and min(abs(np.log(slope * atoms)), abs(np.log(slope / atoms))) < np.log(1.1)


def _like(name: str, slope: float, atoms: int) -> str:
    known = _LIKE[name] | (
        {1 / atoms: "per atom, taken for those of the cell"} if name == "energy" and atoms > 1 else {}
    )
    found = [
        (abs(np.log(size / value)), side, f"as if those of the {side} fidelity were {words}")
        for side, size in (("high", slope), ("low", 1 / slope))
        for value, words in known.items()
        if size / value > 0
    ]
    distance, _, words = min(found, key=lambda one: (round(one[0], 6), one[1]), default=(np.inf, "", ""))
    return words if distance < np.log(1.25) else UNKNOWN


def require_like_labels(name: str, slopes: dict[str, dict[str, Any]], *, stated: bool) -> list[str]:
    """Return warnings about labels that differ by a factor.

    Args:
        name: of the pair in the study file.
        slopes: from `label_slopes`.
        stated: the study file says that they may.

    Raises:
        UnlikeLabelsError: some do, and the study does not say so.
    """
    told = [
        f"{quantity} labels of the high fidelity are {facts['slope']:.3g} times those of the low one, over "
        f"{facts['values']} values ({facts['like']})"
        for quantity, facts in slopes.items()
        if facts["verdict"] == "contradicted"
    ]
    if told and not stated:
        raise UnlikeLabelsError(
            f"pair {name}: {'; '.join(told)}; state the unit or sign under the source's `keys`, or, if the labels are "
            f"right, `pairs.{name}.unlike_labels: true`"
        )
    return told
