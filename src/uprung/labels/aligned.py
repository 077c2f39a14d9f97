"""Aligned labels of paired frames: row i of both sides is the same structure, labelled twice."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from uprung.frames.flat import composition_fractions
from uprung.frames.table import Frames
from uprung.labels.fidelity import BOND_FORCE, FidelityLabels, bond_force, force_mask
from uprung.structures.identity import superposition

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

    Where pairs are one geometry, the high side's sites are in the order of the low side's, and its forces and stress
    in the low side's orientation, however its file has them.

    Args:
        low: frames with the cheap labels.
        high: frames with the better labels.
        pairs: from `structures.pairs.match_frames`.
        label_low: energy label of the low side (see `Frames.label`).
        label_high: that of the high side.
    """
    left, right = low.take(pairs["row_low"].to_numpy()), high.take(pairs["row_high"].to_numpy())
    order, rotation, bond = None, None, _bonds(right)
    if pairs["rmsd"].notna().all():
        order, rotation = superposition(left, right, 1e-6 + 1.01 * float(pairs["rmsd"].max()))
        bond = _bonds(left)
    return PairedFrames(
        X=composition_fractions(left.numbers(), left.offsets),
        numbers=left.numbers(),
        offsets=left.offsets,
        groups=pairs["material_id"].to_numpy(dtype=np.str_),
        low=_labels(left, label_low, _bonds(left)),
        high=_labels(right, label_high, bond, order, rotation),
    )


def _bonds(frames: Frames) -> Floats | None:
    """Return the vectors (n, 3), Å, from the first to the nearest image of the second of two atoms, or None."""
    if not (frames.nsites == 2).all():
        return None
    frac = frames.flat("frac", 3).reshape(-1, 2, 3)
    apart = frac[:, 1] - frac[:, 0]
    return np.asarray(np.einsum("nk,nkl->nl", apart - np.rint(apart), frames.flat("lattice").reshape(-1, 3, 3)))


def _labels(
    frames: Frames,
    energy: str,
    bond: Floats | None,
    order: NDArray[np.int64] | None = None,
    rotation: Floats | None = None,
) -> FidelityLabels:
    """Return one side's labels, laid on the other side's sites; with bonds (n, 3) the force along each, too."""
    forces = frames.flat("forces", 3).reshape(-1, 3)
    stress = frames.flat("stress_gpa").reshape(-1, 9)
    magmom = frames.flat("magmom", 1)
    if order is not None and rotation is not None:
        forces, magmom = forces[order], magmom[order]
        turned = (rotation != np.eye(3)).any(axis=(1, 2))
        sites = np.repeat(turned, frames.nsites)
        forces[sites] = np.einsum("ni,nij->nj", forces[sites], np.repeat(rotation, frames.nsites, axis=0)[sites])
        of = rotation[turned]
        stress[turned] = (of.transpose(0, 2, 1) @ stress[turned].reshape(-1, 3, 3) @ of).reshape(-1, 9)
    return FidelityLabels(
        energy=frames.label(energy) / frames.nsites,
        forces=forces if np.isfinite(forces).any() else None,
        stress=stress if np.isfinite(stress).any() else None,
        magmom=magmom if np.isfinite(magmom).any() else None,
        scalars={} if bond is None else {BOND_FORCE: bond_force(forces, frames.offsets, bond)},
    )
