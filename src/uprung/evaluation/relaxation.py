"""Many structures relaxed side by side with one network, in cells that stay (FIRE)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import ase
import numpy as np
import torch
from numpy.typing import NDArray

from uprung.frames.schema import Floats
from uprung.models.interface import Geometry, Potential
from uprung.models.registry import architecture

#: Largest step of an atom (Å), first and longest time step, and forces (eV/Å) at which a structure is relaxed.
STEP, FIRST, LONGEST, RELAXED = 0.1, 0.1, 1.0, 0.05
#: FIRE (Bitzek et al., Phys. Rev. Lett. 97, 170201 (2006)): mixing, its decay, growth, cut of the time step, patience.
MIXING, DECAY, GROWTH, CUT, PATIENCE = 0.1, 0.99, 1.1, 0.5, 5


@dataclass(frozen=True)
class Relaxed:
    """Where structures are, energies (n,) eV/atom, and which of them the network can still say something about."""

    structures: list[ase.Atoms]
    energy: Floats
    known: NDArray[np.bool_]


def energies_and_forces(potential: Potential, structures: Sequence[ase.Atoms]) -> list[tuple[float, Floats] | None]:
    """Return eV/atom and (N, 3) eV/Å of every structure; None where an atom has no neighbour.

    Args:
        potential: in evaluation mode, on its device.
        structures: with less memory in all than a batch of the architecture, or they are taken in turns.
    """
    code = architecture(potential.card.name)
    geometries = [Geometry(atoms.numbers, atoms.get_scaled_positions(), atoms.cell.array) for atoms in structures]
    rows = list(range(len(structures)))
    try:
        inputs = code.inputs_of(geometries)
    except ValueError:  # one of them has no graph: find out which
        rows = [row for row in rows if _has_inputs(potential, geometries[row])]
        if not rows:
            return [None] * len(structures)
        inputs = code.inputs_of([geometries[row] for row in rows])
    device = next(potential.parameters()).device.type
    ends = np.cumsum(inputs.costs()) // potential.predicted_at_once[device]
    found: list[tuple[float, Floats] | None] = [None] * len(structures)
    for end in np.unique(ends):
        chunk = np.flatnonzero(ends == end)
        out = potential(potential.batch(inputs, chunk), ["energy", "force"])
        energy, force = (out[name].detach().to("cpu", torch.float64).numpy() for name in ("energy", "force"))
        cut = np.cumsum([len(structures[rows[k]]) for k in chunk])[:-1]
        for k, e, f in zip(chunk, energy, np.split(force, cut), strict=True):
            found[rows[k]] = float(e), f
    return found


def _has_inputs(potential: Potential, geometry: Geometry) -> bool:
    try:
        architecture(potential.card.name).inputs_of([geometry])
    except ValueError:
        return False
    return True


def relax(potential: Potential, structures: Sequence[ase.Atoms], steps: int) -> Relaxed:
    """Return the structures after at most so many steps, each with the energy of the place where it is.

    A structure whose numbers are not finite any more stays where it was and has the energy NaN.

    Args:
        potential: in evaluation mode, on its device.
        structures: not changed.
        steps: of each structure; one whose forces are below `RELAXED` rests.
    """
    moving = [atoms.copy() for atoms in structures]
    speed = [np.zeros((len(atoms), 3)) for atoms in moving]
    energy = np.full(len(moving), np.nan)
    known, active = (np.ones(len(moving), dtype=np.bool_) for _ in range(2))
    time, mixing = np.full(len(moving), FIRST), np.full(len(moving), MIXING)
    downhill = np.zeros(len(moving), dtype=np.int64)
    for step in range(steps + 1):
        rows = np.flatnonzero(active)
        if not len(rows):
            break
        for row, found in zip(rows, energies_and_forces(potential, [moving[row] for row in rows]), strict=True):
            if found is None:
                known[row] = active[row] = False
                continue
            energy[row], force = found
            finite = bool(np.isfinite(energy[row]) and np.isfinite(force).all())
            active[row] = finite and np.linalg.norm(force, axis=1).max() > RELAXED and step < steps
            if not finite:
                energy[row] = np.nan
            if not active[row]:
                continue
            power = float((force * speed[row]).sum())
            if power > 0:
                downhill[row] += 1
                along = np.linalg.norm(speed[row]) * force / np.linalg.norm(force)
                speed[row] = (1 - mixing[row]) * speed[row] + mixing[row] * along
                if downhill[row] > PATIENCE:
                    time[row], mixing[row] = min(GROWTH * time[row], LONGEST), DECAY * mixing[row]
            else:
                speed[row], mixing[row], downhill[row] = np.zeros_like(force), MIXING, 0
                time[row] *= CUT if step else 1
            speed[row] = speed[row] + time[row] * force
            move = time[row] * speed[row]
            longest = float(np.linalg.norm(move, axis=1).max())
            moving[row].positions += move * min(1.0, STEP / longest)
    return Relaxed(moving, energy, known)
