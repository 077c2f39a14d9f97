"""Own labels as reference values: what the files of data/physics/own hold, crystal by crystal.

A file is JSON lines of `uprung.dft.labels`, one property, several functionals; the id of a label is
`property/crystal/key`. Energies are free energies, which forces and stresses are derivatives of.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import ase
import numpy as np

from uprung.frames.schema import Floats
from uprung.sources.common import UnusableError, same_functional
from uprung.sources.gpaw import NET_FORCE, labelled, records


@dataclass(frozen=True)
class OwnLabel:
    """A label: the key of its id, the cell, free energy (eV), forces (N, 3) (eV/Å), stress (3, 3) (eV/Å³)."""

    key: str
    atoms: ase.Atoms
    energy: float
    forces: Floats
    stress: Floats


@dataclass(frozen=True)
class OwnLabels:
    """The labels of a crystal in the order of the file, or why they cannot be used.

    `rejected` has the reasons of calculations that gave no label, by key.
    """

    name: str
    labels: list[OwnLabel] = field(default_factory=list)
    unusable: str = ""
    rejected: dict[str, str] = field(default_factory=dict)

    @property
    def keys(self) -> list[str]:
        """Return the keys of the labels."""
        return [label.key for label in self.labels]

    def only(self, keys: Sequence[str]) -> OwnLabels:
        """Return the labels with some keys in their order; unusable where one is not there."""
        known = {label.key: label for label in self.labels}
        missing = [f"{key}: {self.rejected.get(key, 'not labelled yet')}" for key in keys if key not in known]
        return OwnLabels(self.name, [] if missing else [known[key] for key in keys], "; ".join(missing))


def of_property(test: str, files: Sequence[Path], functional: str) -> Iterator[OwnLabels]:
    """Yield what a test needs, once for each crystal, and for surfaces once for each face.

    Args:
        test: a key of `NEEDED`.
        files: of own labels.
        functional: of the labels; others are passed over.

    Raises:
        ValueError: a file is not of own labels, or names a label twice.
    """
    for crystal in _crystals(files, functional):
        yield from NEEDED[test](crystal)


def _crystals(files: Sequence[Path], functional: str) -> Iterator[OwnLabels]:
    found = dict[str, OwnLabels]()
    for record in (record for file in files for _, record in records(file)):
        if not same_functional(record["xc"], functional):
            continue
        name, key = _named(str(record["id"]))
        own = found.setdefault(name, OwnLabels(name))
        if key in own.rejected or key in own.keys:
            raise ValueError(f"{record['id']!r} is there twice at {functional}")
        try:
            labelled(record, functional, NET_FORCE)  # judges it
        except UnusableError as error:
            own.rejected[key] = str(error)
            continue
        atoms = ase.Atoms(record["numbers"], cell=record["cell"], positions=record["positions"], pbc=True)
        forces, stress = np.array(record["forces"], dtype=np.float64), np.array(record["stress"], dtype=np.float64)
        own.labels.append(OwnLabel(key, atoms, float(record["free_energy"]), forces, stress))
    yield from found.values()


def _named(id: str) -> tuple[str, str]:
    _, *others = id.split("/", 2)
    if len(others) != 2:
        raise KeyError(f"id {id!r} is not property/crystal/key")
    return others[0], others[1]


def _all(crystal: OwnLabels) -> Iterator[OwnLabels]:
    if crystal.labels:
        yield crystal
    for key in crystal.rejected:
        yield crystal.only([key])


def _strained(crystal: OwnLabels) -> Iterator[OwnLabels]:
    amount = min((key.split()[1].lstrip("+-") for key in (*crystal.keys, *crystal.rejected)), key=_number)
    yield crystal.only([f"xx +{amount}", f"xx -{amount}", f"xy +{amount}"])


def _displaced(crystal: OwnLabels) -> Iterator[OwnLabels]:
    displaced = {"displacement 0", *crystal.keys, *crystal.rejected} - {"crystal"}
    yield crystal.only(["crystal", *sorted(displaced)])


def _faces(crystal: OwnLabels) -> Iterator[OwnLabels]:
    for face in dict.fromkeys(key.rsplit(" ", 1)[0] for key in (*crystal.keys, *crystal.rejected)):
        pair = crystal.only([f"{face} crystal", f"{face} slab"])
        yield replace(pair, labels=[replace(label, key=face) for label in pair.labels])


def _vacant(crystal: OwnLabels) -> Iterator[OwnLabels]:
    yield crystal.only(["crystal", "vacancy"])


def _path(crystal: OwnLabels) -> Iterator[OwnLabels]:
    places = {"0", "0.5", *crystal.keys, *crystal.rejected}
    yield crystal.only(sorted(places, key=_number))


def _number(key: str) -> float:
    try:
        return float(key)
    except ValueError:
        raise KeyError(f"{key!r} is no number") from None


#: Test -> which labels of a crystal it needs, in which order.
NEEDED: dict[str, Callable[[OwnLabels], Iterator[OwnLabels]]] = {
    "equation-of-state": _all,
    "elastic-constants": _strained,
    "frozen-phonons": _displaced,
    "surfaces": _faces,
    "vacancy-cells": _vacant,
    "paths": _path,
    "mixing": _all,
}


def shares(cells: Sequence[ase.Atoms]) -> list[float]:
    """Return the share of the heavier of two elements of which not every cell has both, as in (Ca,Mg)O without O.

    Raises:
        ValueError: there are not two such elements.
    """
    sets = [set(cell.numbers.tolist()) for cell in cells]
    mixed = sorted(set.union(*sets) - set.intersection(*sets))
    if len(mixed) != 2:
        raise ValueError(f"a mixture has two elements of which some cells have one, not {len(mixed)}")
    counts = [[int((cell.numbers == z).sum()) for z in mixed] for cell in cells]
    return [float(heavy / (light + heavy)) for light, heavy in counts]


def values(test: str, own: OwnLabels) -> dict[str, Any]:
    """Return the reference values of labels, as a test of `uprung.physics.compute` takes them."""
    given: dict[str, Any] = {"energies": [label.energy for label in own.labels]}
    if test == "elastic-constants":
        given = {"stresses": np.array([label.stress for label in own.labels])}
    if test == "frozen-phonons":
        given = {"forces": [label.forces for label in own.labels[1:]]}
    if test == "mixing":
        given["x"] = shares([label.atoms for label in own.labels])
    return given
