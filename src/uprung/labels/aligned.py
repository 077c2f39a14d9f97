"""Aligned labels of paired frames: row i of both sides is the same structure, labelled twice."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from uprung.frames.flat import composition_fractions
from uprung.frames.table import Frames
from uprung.labels.correlation import BOND_FORCE, FidelityLabels, bond_force, force_mask

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class PairedFrames:
    """Paired structures and the labels of both sides.

    Attributes:
        X: composition fractions, (n, 94).
        numbers: atomic numbers of all sites, (N,).
        offsets: where each structure starts among the sites, (n + 1,).
        groups: materials, (n,).
        low: labels of the low side.
        high: labels of the high side.
    """

    X: Floats
    numbers: NDArray[np.int64]
    offsets: NDArray[np.int64]
    groups: NDArray[np.str_]
    low: FidelityLabels
    high: FidelityLabels

    @property
    def n_atoms(self) -> NDArray[np.int64]:
        """Sites per structure, (n,)."""
        return np.diff(self.offsets)

    def keep(self, mask: NDArray[np.bool_]) -> PairedFrames:
        """Return the structures where `mask` (n,) is true."""
        sites = np.repeat(mask, self.n_atoms)
        return PairedFrames(
            X=self.X[mask],
            numbers=self.numbers[sites],
            offsets=np.concatenate([[0], np.cumsum(self.n_atoms[mask])]),
            groups=self.groups[mask],
            low=_masked(self.low, mask, sites),
            high=_masked(self.high, mask, sites),
        )

    def below_force(self, limit: float) -> PairedFrames:
        """Return the structures whose largest low-fidelity force is below `limit`, eV/Å; all where there is none."""
        if self.low.forces is None:
            return self
        return self.keep(force_mask(self.low.forces, self.offsets, limit))

    def shared(self) -> dict[str, tuple[Floats, Floats]]:
        """Return forces, stresses and |moments| that both sides have, as flat values of either side."""
        sides = {
            "force": (self.low.forces, self.high.forces),
            "stress": (self.low.stress, self.high.stress),
            "magmom": (self.low.magmom, self.high.magmom),
        }
        found = {}
        for name, (a, b) in sides.items():
            if a is not None and b is not None:
                known = np.isfinite(a) & np.isfinite(b)
                x, y = a[known], b[known]
                found[name] = (np.abs(x), np.abs(y)) if name == "magmom" else (x, y)
        return found


def _masked(labels: FidelityLabels, mask: NDArray[np.bool_], sites: NDArray[np.bool_]) -> FidelityLabels:
    return FidelityLabels(
        energy=labels.energy[mask],
        forces=None if labels.forces is None else labels.forces[sites],
        stress=None if labels.stress is None else labels.stress[mask],
        magmom=None if labels.magmom is None else labels.magmom[sites],
        scalars={name: values[mask] for name, values in labels.scalars.items()},
    )


def align(low: Frames, high: Frames, pairs: pd.DataFrame, *, label_low: str, label_high: str) -> PairedFrames:
    """Return the labels of both sides in the order of a pairs table.

    Args:
        low: frames with the cheap labels.
        high: frames with the better labels.
        pairs: from `structures.pairs.match_frames`.
        label_low: energy label of the low side (see `Frames.label`).
        label_high: that of the high side.
    """
    left, right = low.take(pairs["row_low"].to_numpy()), high.take(pairs["row_high"].to_numpy())
    return PairedFrames(
        X=composition_fractions(left.numbers(), left.offsets),
        numbers=left.numbers(),
        offsets=left.offsets,
        groups=pairs["material_id"].to_numpy(dtype=np.str_),
        low=_labels(left, label_low),
        high=_labels(right, label_high),
    )


def _labels(frames: Frames, energy: str) -> FidelityLabels:
    """Return one side's labels; structures of two atoms each also get the force along their bond, one number each."""
    forces = frames.flat("forces", 3).reshape(-1, 3)
    stress = frames.flat("stress_gpa").reshape(-1, 9)
    magmom = frames.flat("magmom", 1)
    scalars = {}
    if (frames.nsites == 2).all():
        frac = frames.flat("frac", 3).reshape(-1, 2, 3)
        bond = np.einsum("nk,nkl->nl", frac[:, 1] - frac[:, 0], frames.flat("lattice").reshape(-1, 3, 3))
        scalars[BOND_FORCE] = bond_force(forces, frames.offsets, bond)
    return FidelityLabels(
        energy=frames.label(energy) / frames.nsites,
        forces=forces if np.isfinite(forces).any() else None,
        stress=stress if np.isfinite(stress).any() else None,
        magmom=magmom if np.isfinite(magmom).any() else None,
        scalars=scalars,
    )
