"""Whether the forces of a network from a file are the gradient of its energy."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np

from uprung.models.interface import Geometry, Potential
from uprung.models.registry import architecture

_STEP = 1e-4  # Å, of central differences in float64
_TOLERANCE = 5e-4  # relative; differences are good to 1e-6, CHGNet without the gradient of its angles is wrong by 2e-3


def check_gradient(potential: Potential, path: str | Path) -> None:
    """Compare forces with differences of the energy along a random direction, for a distorted crystal.

    Networks have been published whose code cuts a part of the geometry off from differentiation (matgl issue 834,
    `diep` 2.0.0): they train and predict, but neither relax nor vibrate as their energy says.

    Args:
        potential: stays as it is.
        path: for the message.

    Raises:
        ValueError: forces are not minus the gradient of the energy.
    """
    network = copy.deepcopy(potential).double().eval()
    rng = np.random.default_rng(0)
    known = sorted(network.elements)
    pair = [11, 17] if {11, 17} <= network.elements else [known[0], known[-1]]  # sodium chloride where it is known
    numbers = np.array([*pair, *pair])
    frac = np.array([[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0], [0, 0, 0.5]]) + 0.04 * rng.normal(size=(4, 3))
    lattice = np.diag([4.0, 4.0, 5.6]) + 0.1 * rng.normal(size=(3, 3))
    direction = rng.normal(size=(4, 3))
    moved = [frac, *(frac + sign * _STEP * direction @ np.linalg.inv(lattice) for sign in (1, -1))]
    inputs = architecture(potential.card.name).inputs_of([Geometry(numbers, where, lattice) for where in moved])
    found = network(network.batch(inputs, np.arange(3)), ["energy", "force"])
    energy = found["energy"].detach().cpu().numpy() * len(numbers)
    slope = (energy[1] - energy[2]) / (2 * _STEP)
    force = found["force"].detach().cpu().numpy()[: len(numbers)]
    work = -float((force * direction).sum())
    if abs(slope - work) > _TOLERANCE * max(float(np.linalg.norm(force)), 1e-2):
        raise ValueError(
            f"{path}: forces are not the gradient of the energy (along a direction the energy changes by "
            f"{slope:.4f} eV/Å, forces say {work:.4f}), so that relaxations, phonons and training would be wrong"
        )
