"""Elemental reference energies of labelled structures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from uprung.api.reading import read
from uprung.atomref.base import N_ELEMENTS, Bools, Floats
from uprung.atomref.fit import Estimator, Labelled, fit_reference
from uprung.atomref.references import Policy, ReferenceEnergies
from uprung.config.base import SYMBOLS


def references(
    frames: Any,
    *,
    source: Any = None,
    estimator: str = "least-squares",
    unseen: Policy = "prior",
    strength: float | None = None,
    threshold: float = Estimator.threshold,
    elements: Mapping[str, float] | None = None,
    bootstrap: int = 0,
    seed: int = 0,
) -> ReferenceEnergies:
    """Fit elemental reference energies: energy per atom as a sum over the composition.

    Args:
        frames: labelled structures, whatever `uprung.read` takes.
        source: structures with labels of another functional. Elements that `frames` do not determine by themselves get
            a prior from them, and those that only `source` has are there, too; without it, elements that only stand in
            fixed proportion to others share one energy.
        estimator: a key of `uprung.config.estimators.ESTIMATORS`.
        unseen: what elements get that `frames` do not determine (`uprung.atomref.references.complete`).
        strength: of `ridge` and `prior-ridge`; None to choose it.
        threshold: of `huber`.
        elements: energies by symbol, eV/atom, of `elemental-solid` and `isolated-atom`.
        bootstrap: resamples behind the standard errors; 0 for analytic ones.
        seed: of the bootstrap.

    Raises:
        FramesError: see `uprung.read`.
        ValueError: an unknown estimator or element, one that lacks something, or an element without any value.
    """
    table = read(frames)
    own = Labelled.of(table.frames, table.energy)
    values = None if elements is None else of_symbols(elements)
    options = Estimator(estimator, strength, threshold, values, bootstrap, seed)
    needed: Bools = np.asarray((own.X > 0).any(axis=0))
    if source is None:
        return fit_reference("source", target=own, source=own, needed=needed, estimator=options)[0]
    cheap = read(source)
    below = Labelled.of(cheap.frames, cheap.energy)
    needed = needed | np.asarray((below.X > 0).any(axis=0))
    return fit_reference("target", target=own, source=below, needed=needed, policy=unseen, estimator=options)[0]


def of_symbols(given: Mapping[str, float]) -> Floats:
    """Return energies of elements by symbol as (94,), nan where there is none; ValueError for what is no symbol."""
    unknown = [name for name in given if name not in SYMBOLS]
    if unknown:
        raise ValueError(f"elements: {', '.join(map(repr, unknown))} is no symbol of an element up to Pu")
    values = np.full(N_ELEMENTS, np.nan)
    for name, value in given.items():
        values[SYMBOLS.index(name)] = value
    return values
