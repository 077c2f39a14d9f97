"""Engines for tests: ASE's own potentials in the place of a density-functional code."""

from __future__ import annotations

from collections.abc import Sequence

import ase
from ase.build import bulk
from ase.calculators.emt import EMT

from uprung.dft.labels import Engine, Scheme
from uprung.dft.structures import Grid, Structure


class NotConvergedError(Exception):
    pass


class Counting:
    """Makes EMT calculators and counts them; structures of given numbers fail in given ways."""

    def __init__(self, failures: dict[int, Exception] | None = None) -> None:
        self.made: list[tuple[Scheme, Grid]] = []
        self.failures = failures or {}

    def __call__(self, scheme: Scheme, kpts: Grid) -> EMT:
        self.made.append((scheme, kpts))
        failure = self.failures.pop(len(self.made), None)
        if failure is not None:
            raise failure
        return EMT()


def engine(calculator: Counting, version: str = "1.0") -> Engine:
    return Engine(
        versions={"code": f"EMT {version}", "setups": "none", "libxc": "none"},
        calculator=calculator,
        unusable=lambda error, scheme: "not converged" if isinstance(error, NotConvergedError) else None,
    )


def rattled(element: str, seed: int) -> ase.Atoms:
    atoms = bulk(element, cubic=True)
    atoms.rattle(0.1, seed=seed)
    return atoms


def structures(count: int, kpts: Sequence[int] = (2, 2, 2)) -> list[Structure]:
    first, second, third = kpts
    return [Structure(f"Cu-{n}", "Cu", rattled("Cu", n), (first, second, third)) for n in range(count)]
