"""Relaxation of many crystals at once: every step is one batch of a network."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import ase
import numpy as np
from ase.stress import voigt_6_to_full_3x3_stress

from uprung.physics.fire import at_rest, fire_step, generalised, keep, moved, rows_of
from uprung.physics.relaxation import RelaxedCrystal, check, largest
from uprung.physics.results import Accuracy, NotComputedError

LOG = logging.getLogger(__name__)


class Evaluates(Protocol):
    """A calculator of many crystals at once, as `uprung.models.calculator.PotentialCalculator` is one."""

    def evaluate(self, crystals: Sequence[ase.Atoms]) -> Sequence[Mapping[str, Any]]:
        """Return `energy` (eV), `forces` (eV/Å) and `stress` (6,) (eV/Å³) of every crystal, in new arrays."""


def relax_together(
    structures: Sequence[ase.Atoms], calculator: Evaluates, accuracy: Accuracy, *, cell: bool
) -> list[RelaxedCrystal | NotComputedError]:
    """Return many structures at the nearest minima of their energies, all computed in one batch at every step (FIRE).

    Every structure takes its own steps until it has converged. One that has not within `accuracy.steps`, or cannot, is
    named in a warning.

    Args:
        structures: not changed.
        calculator: with stresses for cells that relax.
        accuracy: limits of force and stress, and most steps of each structure.
        cell: whether lengths and angles of the cells relax, too.

    Returns:
        For every structure where it came to rest, `converged` or not, or the reason why there is no answer.

    Raises:
        ValueError: structures with constraints, which `relax` keeps and this function does not.
    """
    for k, atoms in enumerate(structures):
        if atoms.constraints:
            raise ValueError(f"structure {k} ({atoms.symbols}) has constraints: relax it alone, with `relax`")
    found: list[RelaxedCrystal | NotComputedError] = [NotComputedError("relaxation: not begun") for _ in structures]
    going = list(range(len(structures)))
    state = at_rest([rows_of(atoms, cell=cell) for atoms in structures]) if len(structures) else None
    for step in range(accuracy.steps + 1):
        if state is None or not going:
            break
        rows = np.split(state.x, np.flatnonzero(np.diff(state.owner)) + 1)
        crystals = [moved(structures[k], own) for k, own in zip(going, rows, strict=True)]
        goes_on, pulls = np.zeros(len(going), dtype=np.bool_), []
        for at, result in enumerate(_evaluated(calculator, crystals)):
            k, atoms = going[at], crystals[at]
            try:
                if isinstance(result, NotComputedError):
                    raise result
                force, stress = largest(result["forces"], result["stress"] if cell else None)
                check(force, stress, atoms.get_volume() / structures[k].get_volume())
            except NotComputedError as error:
                found[k] = error
                continue
            done = force <= accuracy.force and stress <= accuracy.stress
            found[k] = RelaxedCrystal(atoms, result["energy"], force, stress, step, done)
            goes_on[at] = not done
            if not done:
                tension = voigt_6_to_full_3x3_stress(result["stress"]) if cell else np.zeros((3, 3))
                pulls.append(generalised(result["forces"], tension, atoms.get_volume(), rows[at]))
        going, state = [k for k, on in zip(going, goes_on, strict=True) if on], keep(state, goes_on)
        if going and step < accuracy.steps:
            state = fire_step(state, np.concatenate(pulls))
    for k, one in enumerate(found):
        if isinstance(one, NotComputedError) or not one.converged:
            why = one if isinstance(one, NotComputedError) else f"{one.steps} steps left {one.force:.3g} eV/Å"
            more = f" and {one.stress:.3g} GPa" if isinstance(one, RelaxedCrystal) and cell else ""
            LOG.warning("structure %d (%s) is not relaxed: %s%s", k, structures[k].symbols, why, more)
    return found


def _evaluated(calculator: Evaluates, crystals: Sequence[ase.Atoms]) -> list[Mapping[str, Any] | NotComputedError]:
    """Return results, or the reason why a crystal has none."""
    try:
        return list(calculator.evaluate(crystals))
    except ValueError as error:
        if len(crystals) == 1:
            return [NotComputedError(f"relaxation: {error}")]
    return [_evaluated(calculator, [crystal])[0] for crystal in crystals]  # one of them is why: find out which
