"""Barriers along given images, and along a nudged elastic band between two states."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import ase
import numpy as np
from ase.calculators.calculator import Calculator
from ase.geometry import find_mic
from ase.mep import NEB

from uprung.frames.schema import Floats
from uprung.physics.results import Accuracy, NotComputedError, energies


@dataclass(frozen=True)
class Barrier:
    """Energies along a path.

    `energy` (n,) eV relative to the first image, at `path` (n,) Å, the summed distances between images. `height` in eV
    and `curvature` in eV/Å² are those of a parabola through the highest image and its neighbours (NaN and the height of
    the higher end without a barrier between the ends); `force` is the largest force across the band in eV/Å (0 for
    images that stay as given) and `converged` whether it is below its limit.
    """

    path: Floats
    energy: Floats
    height: float
    curvature: float
    force: float = 0.0
    converged: bool = True


def along(images: Sequence[ase.Atoms], calculator: Calculator) -> Barrier:
    """Return the barrier along given images, none of which moves.

    Args:
        images: three or more, of the same atoms in the same order and cell.
        calculator: of ASE.

    Raises:
        NotComputedError: an energy is not finite.
        ValueError: fewer than three images, or images that are not of the same atoms.
    """
    if len(images) < 3 or any(image.numbers.tolist() != images[0].numbers.tolist() for image in images):
        raise ValueError("a path needs three images or more, of the same atoms in the same order")
    return barrier(images, energies(images, calculator))


def nudged(
    first: ase.Atoms, last: ase.Atoms, calculator: Calculator, accuracy: Accuracy, *, images: int, spring: float = 1.0
) -> Barrier:
    """Return the barrier of a climbing nudged elastic band (Henkelman et al., J. Chem. Phys. 113, 9901 (2000)).

    Args:
        first: relaxed state.
        last: relaxed state of the same atoms in the same order.
        calculator: of ASE.
        accuracy: force across the band, most steps.
        images: between the two.
        spring: eV/Å².

    Raises:
        NotComputedError: forces are not finite.
    """
    from ase.optimize import FIRE

    band = [first.copy(), *(first.copy() for _ in range(images)), last.copy()]
    for image in band:
        image.calc = calculator
    chain = NEB(band, k=spring, climb=True, allow_shared_calculator=True, method="improvedtangent")
    chain.interpolate(mic=True)
    force = np.inf
    for _ in FIRE(chain, logfile=None).irun(fmax=1e-12, steps=accuracy.steps):
        force = float(np.linalg.norm(chain.get_forces(), axis=1).max())
        if not np.isfinite(force):
            raise NotComputedError("elastic band: forces are not finite")
        if force <= accuracy.force:
            break
    found = barrier(band, energies(band, calculator))
    return Barrier(found.path, found.energy, found.height, found.curvature, force, force <= accuracy.force)


def mirrored(images: Sequence[ase.Atoms], energy: Floats) -> Barrier:
    """Return the barrier of a path whose second half mirrors the first one.

    Args:
        images: of the first half, the middle being the last.
        energy: (n,) eV of the images.
    """
    middle = images[-1]
    beyond = [middle.copy() for _ in images[:-1]]
    for image, before in zip(beyond, reversed(images[:-1]), strict=True):
        image.positions += find_mic(middle.positions - before.positions, middle.cell, middle.pbc)[0]
    return barrier([*images, *beyond], np.concatenate([energy, energy[-2::-1]]))


def barrier(images: Sequence[ase.Atoms], energy: Floats) -> Barrier:
    """Return the barrier along images of known energies (n,) eV."""
    steps = [float(np.linalg.norm(find_mic(b.positions - a.positions, a.cell, a.pbc)[0])) for a, b in pairwise(images)]
    path, relative = np.concatenate([[0.0], np.cumsum(steps)]), energy - energy[0]
    top = int(relative.argmax())
    if top in (0, len(images) - 1):  # no barrier: the highest state is an end
        return Barrier(path, relative, max(float(relative[top]), 0.0), float("nan"))
    square, slope, level = np.polyfit(path[top - 1 : top + 2] - path[top], relative[top - 1 : top + 2], 2)
    return Barrier(path, relative, float(level - slope**2 / (4 * square)), float(2 * square))
