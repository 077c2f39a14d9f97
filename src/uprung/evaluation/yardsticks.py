"""What solves a test without a network: yardsticks that stand beside the arms.

    composition   the mean energy of the training structures of the same formula
    shift         the low-fidelity label, and reference energies fitted to the difference of the training structures
    bond          the target's labels interpolated in the bond length, molecule by molecule
    difference    the low-fidelity label, and the difference of the labels interpolated likewise

The last two need structures that one length determines: two atoms in a box. Interpolation is by cubic splines through
the training structures, beyond them the label of the nearest one. A yardstick is stated where it predicts nearly all
test frames.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from uprung.atomref.base import Bools, Floats, Ints
from uprung.atomref.least_squares import LeastSquares
from uprung.atomref.transfer import TransferFrames
from uprung.datasets.sizes import subset
from uprung.frames.table import Frames

COLUMNS = ("yardstick", "size", "n_frames", "seed", "target", "population", "n_test", "mae")
LEAST = 0.9  # share of the test frames that a yardstick has to predict
ALONE = 6.0  # Å from a molecule to its next image


@dataclass(frozen=True, eq=False)
class Side:
    """Labels of some structures: energy (n,) eV/atom; force (n,) eV/Å along the bond of two atoms, or NaN."""

    energy: Floats
    bond_force: Floats
    forces: list[Floats]

    def take(self, rows: Ints) -> Side:
        """Return some structures; a row of −1 has no labels."""
        there = rows >= 0
        return Side(
            np.where(there, self.energy[rows], np.nan),
            np.where(there, self.bond_force[rows], np.nan),
            [self.forces[row] if row >= 0 else np.full((1, 3), np.nan) for row in rows],
        )


@dataclass(frozen=True, eq=False)
class Structures:
    """Structures of the target: composition fractions X (n, 94), formula, labels of both fidelities.

    Of two lone atoms also the bond length in Å and its direction; NaN for others.
    """

    X: Floats
    formula: NDArray[np.object_]
    length: Floats
    unit: Floats
    high: Side
    low: Side


def structures_of(transfer: TransferFrames, pairs: pd.DataFrame) -> Structures:
    """Return the structures of the target with the labels of both fidelities."""
    low, high = transfer.tables
    partner = np.full(len(high), -1, dtype=np.int64)
    partner[pairs["row_high"].to_numpy()] = pairs["row_low"].to_numpy()
    length, unit = _bonds(high)
    own_unit = _bonds(low)[1]
    X = high.composition()
    counts = np.rint(X * high.nsites[:, None]).astype(np.int64)
    formula = np.array([" ".join(f"{z}:{row[z]}" for z in np.flatnonzero(row)) for row in counts], dtype=object)
    return Structures(
        X,
        formula,
        length,
        unit,
        high=_side(high, transfer.labels[1], unit),
        low=_side(low, transfer.labels[0], own_unit).take(partner),
    )


def _bonds(frames: Frames) -> tuple[Floats, Floats]:
    """Return bond lengths (n,) and unit vectors (n, 3) of structures of two atoms alone in their cells, else NaN."""
    length, unit = np.full(len(frames), np.nan), np.full((len(frames), 3), np.nan)
    cells, frac = frames.flat("lattice").reshape(-1, 3, 3), frames.flat("frac", 3).reshape(-1, 3)
    two = np.flatnonzero(frames.nsites == 2)
    first = frames.offsets[:-1][two]
    apart = frac[first + 1] - frac[first]
    vector = np.einsum("nk,nkl->nl", apart - np.rint(apart), cells[two])
    r = np.linalg.norm(vector, axis=1)
    alone = np.linalg.norm(cells[two], axis=2).min(axis=1) - r > ALONE
    length[two[alone]], unit[two[alone]] = r[alone], vector[alone] / r[alone, None]
    return length, unit


def _side(frames: Frames, label: str, unit: Floats) -> Side:
    forces = np.split(frames.flat("forces", 3).reshape(-1, 3), frames.offsets[1:-1])
    along = np.array([part[-1] @ u for part, u in zip(forces, unit, strict=True)])
    return Side(frames.label(label) / frames.nsites, along, forces)


def yardsticks(
    transfer: TransferFrames,
    pairs: pd.DataFrame,
    orders: Mapping[int, pd.DataFrame],
    sizes: Mapping[str, str],
    targets: Sequence[str],
) -> pd.DataFrame:
    """Return the errors of all yardsticks that a study has, as of arms.

    Args:
        transfer: frames of both fidelities and their split.
        pairs: rows of both that are the same structure.
        orders: seed -> training order of the target.
        sizes: token -> size.
        targets: which errors; energy and force have yardsticks.

    Returns:
        Columns `COLUMNS`, in eV/atom and eV/Å, by the populations of the learning curves.
    """
    known, split = structures_of(transfer, pairs), transfer.target()
    test = split.loc[split["split"] == "test", "row"].to_numpy()
    train = {
        (size, seed): subset(order, token)["row"].to_numpy()
        for size, token in sizes.items()
        for seed, order in orders.items()
    }
    smallest = min(sizes, key=lambda size: len(train[size, next(iter(orders))]))
    seen = np.all([(known.X[train[smallest, seed]] > 0).any(axis=0) for seed in orders], axis=0)
    covered = ~(known.X[test][:, ~seen] > 0).any(axis=1)
    rows = []
    for (size, seed), chosen in train.items():
        for name, target, error in _errors(known, chosen, test, targets):
            for population, inside in (("all", np.ones(len(test), dtype=bool)), ("covered", covered)):
                found = error[inside & np.isfinite(error)]
                if len(found) >= LEAST * inside.sum() > 0:
                    rows.append((name, size, len(chosen), seed, target, population, len(found), float(found.mean())))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _errors(known: Structures, train: Ints, test: Ints, targets: Sequence[str]) -> Iterator[tuple[str, str, Floats]]:
    """Yield yardstick, target and the absolute error of every test structure, NaN where it predicts nothing."""
    high, low = known.high.energy, known.low.energy
    molecules = bool(np.isfinite(known.length[np.concatenate([train, test])]).all())
    if "energy" in targets:
        means = pd.Series(high[train]).groupby(known.formula[train]).mean()
        yield "composition", "energy", np.abs(means.reindex(known.formula[test]).to_numpy() - high[test])
        yield "shift", "energy", np.abs(low[test] + _shift(known, train, test) - high[test])
        if molecules:
            yield "bond", "energy", np.abs(_interpolated(known, high, train, test) - high[test])
            both = low[test] + _interpolated(known, high - low, train, test)
            yield "difference", "energy", np.abs(both - high[test])
    if "force" in targets:
        yield "shift", "force", _force_error(known.low, known.high, test)
        if molecules:
            along, cheap = known.high.bond_force, known.low.bond_force
            # components: a force of f along the bond has a mean absolute component of f·Σ|u|/3
            weight = np.abs(known.unit[test]).sum(axis=1) / 3
            yield "bond", "force", weight * np.abs(_interpolated(known, along, train, test) - along[test])
            both = cheap[test] + _interpolated(known, along - cheap, train, test)
            yield "difference", "force", weight * np.abs(both - along[test])


def _shift(known: Structures, train: Ints, test: Ints) -> Floats:
    """Return the difference of the labels by references fitted to it, (n_test,), NaN with an element not seen."""
    difference = (known.high.energy - known.low.energy)[train]
    used = np.isfinite(difference)
    if not used.any():
        return np.full(len(test), np.nan)
    fit = LeastSquares().fit(known.X[train][used], difference[used])
    unseen = (known.X[test][:, ~fit.seen_] > 0).any(axis=1)
    return np.where(unseen, np.nan, known.X[test] @ np.where(fit.seen_, fit.coef_, 0.0))


def _interpolated(known: Structures, values: Floats, train: Ints, test: Ints) -> Floats:
    """Return values of the test molecules interpolated in the bond length among the training ones of their formula."""
    from scipy.interpolate import CubicSpline  # half a second, which crystals do not need

    found = np.full(len(test), np.nan)
    used = train[np.isfinite(values[train])]
    for formula in set(known.formula[test]):
        here: Bools = known.formula[test] == formula
        mine = used[known.formula[used] == formula]
        r, first = np.unique(known.length[mine], return_index=True)
        if len(r):
            y, at = values[mine][first], np.clip(known.length[test][here], r[0], r[-1])
            found[here] = CubicSpline(r, y, bc_type="natural")(at) if len(r) > 2 else np.interp(at, r, y)
    return found


def _force_error(low: Side, high: Side, test: Ints) -> Floats:
    """Return the mean absolute component of the difference of the forces of both fidelities, (n_test,)."""
    pairs = ((low.forces[row], high.forces[row]) for row in test)
    return np.array([np.abs(a - b).mean() if a.shape == b.shape else np.nan for a, b in pairs])
