"""FIRE for many crystals at once, with or without their cells: a state goes in, the next one comes out.

Step by step it is `ase.optimize.FIRE` on `ase.filters.UnitCellFilter`, of which the atoms of all crystals and the
cells are rows of one array. `uprung.physics.relaxation` relaxes with it (Bitzek et al., Phys. Rev. Lett. 97, 170201
(2006)).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import ase
import numpy as np
from numpy.typing import NDArray

from uprung.frames.schema import Floats

#: Time step at first and at most; longest step of a crystal (Å, all its atoms and its cell); mixing, its decay;
#: growth and cut of the time step; steps downhill before it grows. All as ASE has them.
FIRST, LONGEST, STEP = 0.1, 1.0, 0.2
MIXING, DECAY, GROWTH, CUT, PATIENCE = 0.1, 0.99, 1.1, 0.5, 5


@dataclass(frozen=True)
class FireState:
    """Crystals on their way: R rows of atoms and cells, of B crystals.

    `x` (R, 3) Å and `velocity` (R, 3); `owner` (R,) crystal of a row, never falling; `time`, `mixing`, `downhill` (B,).
    The rows of a crystal are its N atoms, in the frame of its first cell, and then, where cells relax, N times its
    deformation gradient (3 rows).
    """

    x: Floats
    velocity: Floats
    owner: NDArray[np.int64]
    time: Floats
    mixing: Floats
    downhill: NDArray[np.int64]


def at_rest(rows: Sequence[Floats]) -> FireState:
    """Return the state before the first step, from the rows of every crystal."""
    n, x = len(rows), np.concatenate(rows)
    owner = np.repeat(np.arange(n), [len(own) for own in rows])
    return FireState(x, np.zeros_like(x), owner, np.full(n, FIRST), np.full(n, MIXING), np.zeros(n, dtype=np.int64))


def fire_step(state: FireState, force: Floats) -> FireState:
    """Return the state after a step of every crystal along generalised forces (R, 3), none of them all zero."""
    owner, v = state.owner, state.velocity
    speed = np.sqrt(_dot(v, v, owner))
    down, moving = _dot(force, v, owner) > 0, speed > 0
    pull = state.mixing * speed / np.sqrt(_dot(force, force, owner))
    mixed = (1 - state.mixing)[owner, None] * v + pull[owner, None] * force
    grows, cut = down & (state.downhill > PATIENCE), moving & ~down
    time = np.where(grows, np.minimum(state.time * GROWTH, LONGEST), np.where(cut, state.time * CUT, state.time))
    v = np.where(down[owner, None], mixed, 0.0) + time[owner, None] * force
    move = time[owner, None] * v
    scale = np.minimum(1.0, STEP / np.maximum(np.sqrt(_dot(move, move, owner)), 1e-300))
    return FireState(
        state.x + scale[owner, None] * move,
        v,
        owner,
        time,
        np.where(grows, state.mixing * DECAY, np.where(down, state.mixing, MIXING)),
        np.where(down, state.downhill + 1, 0),
    )


def keep(state: FireState, kept: NDArray[np.bool_]) -> FireState:
    """Return the state of some crystals, (B,), in their order."""
    rows = kept[state.owner]
    return replace(
        state,
        x=state.x[rows],
        velocity=state.velocity[rows],
        owner=(np.cumsum(kept) - 1)[state.owner[rows]],
        time=state.time[kept],
        mixing=state.mixing[kept],
        downhill=state.downhill[kept],
    )


def rows_of(atoms: ase.Atoms, *, cell: bool) -> Floats:
    """Return the first rows of a crystal; its cell is not deformed yet."""
    own: list[Floats] = [atoms.positions, len(atoms) * np.eye(3)] if cell else [atoms.positions]
    return np.concatenate(own)


def moved(first: ase.Atoms, rows: Floats) -> ase.Atoms:
    """Return a crystal with the atoms, and the cell, of its rows."""
    atoms, n = first.copy(), len(first)
    gradient = rows[n:] / n if len(rows) > n else np.eye(3)
    atoms.cell = first.cell.array @ gradient.T
    atoms.positions = rows[:n] @ gradient.T
    return atoms


def generalised(forces: Floats, stress: Floats, volume: float, rows: Floats) -> Floats:
    """Return forces on the rows of a crystal.

    Args:
        forces: (N, 3) eV/Å.
        stress: (3, 3) eV/Å³, tension positive; not read for a cell that stays.
        volume: Å³.
        rows: of the crystal.
    """
    n = len(forces)
    if len(rows) == n:
        return forces
    gradient = rows[n:] / n
    virial = np.linalg.solve(gradient, -volume * stress.T).T
    return np.concatenate([forces @ gradient, virial / n])


def _dot(a: Floats, b: Floats, owner: NDArray[np.int64]) -> Floats:
    """Sum of the products of all numbers of a crystal, (B,)."""
    return np.bincount(owner, np.einsum("rk,rk->r", a, b)).astype(np.float64)
