"""A material of a set held against a network: every test as a function of material and calculator."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import numpy as np
from ase.calculators.calculator import Calculator

from uprung.config.physics import AS_THEY_ARE, PhysicsSet
from uprung.frames.schema import Floats
from uprung.physics import barriers, elasticity, equation_of_state, mixing, relaxation, stability, surfaces, vacancies
from uprung.physics.quantities import MIGRATION, OF_TEST, QUANTITIES
from uprung.physics.references import Material
from uprung.physics.results import Accuracy, Curve, NotComputedError, Outcome, Value, energies, single_point

T = TypeVar("T")
#: Points of a density of states.
POINTS = 201


def outcome(material: Material, entry: PhysicsSet, calculator: Calculator, accuracy: Accuracy) -> Outcome:
    """Return what a network says of a material; where it says nothing, a row per quantity with the reason.

    Args:
        material: of the set.
        entry: the set.
        calculator: of ASE, with stresses.
        accuracy: of relaxations and bands.

    Raises:
        Exception: what is no fault of the material: only `NotComputedError` and the `ValueError` of a calculator that
            refuses a structure become rows.
    """
    reason = material.unusable
    if not reason:
        try:
            return TESTS[entry.test](material, entry, calculator, accuracy)
        except ValueError as error:  # NotComputedError among them
            reason = str(error)
    quantities = [*OF_TEST[entry.test], *([MIGRATION] if entry.migration else [])]
    units, missing = [QUANTITIES[name].unit for name in quantities], float("nan")
    pairs = zip(quantities, units, strict=True)
    return Outcome([Value(name, unit, missing, missing, converged=False, reason=reason) for name, unit in pairs])


def _value(quantity: str, reference: float, predicted: float, **more: str | float | bool) -> Value:
    return Value(quantity, QUANTITIES[quantity].unit, reference, predicted, **more)  # type: ignore[arg-type]


def _surfaces(material: Material, entry: PhysicsSet, calculator: Calculator, accuracy: Accuracy) -> Outcome:
    found, given = energies(material.structures, calculator), material.references["energies"]
    bulk, n = material.structures[0], len(material.structures[0])
    values = []
    for k, slab in enumerate(material.structures[1:], start=1):
        if not _alike(bulk.numbers, slab.numbers):
            raise NotComputedError("slab and crystal are of different elements")
        area = surfaces.face(slab)
        sides = [surfaces.surface_energy(e[k], e[0] / n, len(slab), area) for e in (given, found)]
        values.append(_value("surface energy", float(sides[0]), float(sides[1]), key=material.keys[k]))
    return Outcome(values)


def _alike(first: Sequence[int], second: Sequence[int]) -> bool:
    return set(map(int, first)) == set(map(int, second))


def _mixing(material: Material, entry: PhysicsSet, calculator: Calculator, accuracy: Accuracy) -> Outcome:
    sizes = np.array([len(structure) for structure in material.structures])
    x = np.array(material.references["x"])
    sides = np.array(material.references["energies"]), energies(material.structures, calculator)
    reference, predicted = (mixing.mixing_energies(x, side / sizes) for side in sides)
    values = [
        _value("mixing energy", 1e3 * float(a), 1e3 * float(b), key=key, x=float(share))
        for key, share, a, b in zip(material.keys, x, reference.energy, predicted.energy, strict=True)
        if reference.low < share < reference.high
    ]
    return Outcome(values)


def _vacancies(material: Material, entry: PhysicsSet, calculator: Calculator, accuracy: Accuracy) -> Outcome:
    given = material.references
    at_rest = vacancies.lattice(material.name, entry.structure, given["volume"], calculator)
    crystal = vacancies.element(material.name, entry.structure, at_rest.volume)
    values = [
        _value("volume per atom", given["volume"], at_rest.volume),
        _value("bulk modulus", given["bulk"], at_rest.bulk),
    ]
    found = vacancies.vacancy(crystal, calculator, accuracy, repeats=entry.supercell)
    values.insert(0, _value("vacancy formation energy", given["formation"], found.formation, converged=found.converged))
    curves = []
    if entry.migration:
        try:
            band = vacancies.migration(found, calculator, accuracy)
        except NotComputedError as error:
            missing = float("nan")
            values.append(_value(MIGRATION, given["migration"], missing, converged=False, reason=str(error)))
        else:
            sure = band.converged and found.converged
            values.append(_value(MIGRATION, given["migration"], band.height, converged=sure))
            unknown = np.full(len(band.path), np.nan)
            curves.append(Curve("migration", 0, band.path, unknown, band.energy))
    return Outcome(values, curves)


def _elasticity(material: Material, entry: PhysicsSet, calculator: Calculator, accuracy: Accuracy) -> Outcome:
    given = material.references
    rest = relaxation.relax(material.structures[0], calculator, accuracy, cell=True)
    found = elasticity.elasticity(rest.atoms, calculator, accuracy)
    sure, name = rest.converged and found.converged, material.keys[0]
    values = [
        _value("bulk modulus", given["bulk_modulus_vrh"], found.bulk, key=name, converged=sure),
        _value("shear modulus", given["shear_modulus_vrh"], found.shear, key=name, converged=sure),
    ]
    return Outcome(values)


def _volumes(material: Material, entry: PhysicsSet, calculator: Calculator, accuracy: Accuracy) -> Outcome:
    (given,) = material.structures
    found = relaxation.relax(given, calculator, accuracy, cell=True)
    volumes = [atoms.get_volume() / len(atoms) for atoms in (given, found.atoms)]
    return Outcome([_value("volume per atom", *volumes, key=material.keys[0], converged=found.converged)])


def _formation_energy(material: Material, entry: PhysicsSet, calculator: Calculator, accuracy: Accuracy) -> Outcome:
    crystal, *pure = material.structures
    found = relaxation.relax(crystal, calculator, accuracy, cell=True)
    rest = {int(atoms.numbers[0]): stability.relaxed_element(atoms, calculator, accuracy) for atoms in pure}
    per_atom = {z: element.energy / len(element.atoms) for z, element in rest.items()}
    predicted = stability.formation_energy(found.energy, crystal.numbers, per_atom)
    given, sure = (
        material.references["formation_energy_per_atom"],
        all(each.converged for each in [found, *rest.values()]),
    )
    return Outcome([_value(stability.FORMATION, given, predicted, key=material.keys[0], converged=sure)])


def _heat_capacity(material: Material, entry: PhysicsSet, calculator: Calculator, accuracy: Accuracy) -> Outcome:
    from uprung.physics import phonons  # phonopy, which other tests do without

    given = material.references["heat_capacity"]
    rest = relaxation.relax(material.structures[0], calculator, accuracy, cell=True)
    phonon = phonons.computed(rest.atoms, calculator, [entry.supercell] * 3)
    phonons.translated(phonon)
    found, share = phonons.heat_capacity(phonon), phonons.spectrum(phonon).imaginary
    remark = f"{100 * share:.1f} % of the modes are imaginary and do not count" if share else ""
    about: dict[str, str | bool] = {"key": material.keys[0], "converged": rest.converged, "reason": remark}
    return Outcome([_value("heat capacity", given, found, **about)])


def _phonons(material: Material, entry: PhysicsSet, calculator: Calculator, accuracy: Accuracy) -> Outcome:
    from uprung.physics import phonons  # phonopy, which other tests do without

    (cell,), given = material.structures, material.references
    published = phonons.phonons(cell, given["supercell"], force_constants=given["force_constants"])
    found = phonons.computed(cell, calculator, given["supercell"])
    drift = phonons.translated(found)
    given_drift = float(np.abs(given["force_constants"].sum(axis=1)).max())
    sides = [phonons.spectrum(phonon) for phonon in (published, found)]
    values = [
        _value("highest frequency", *(side.highest for side in sides)),
        _value("mean frequency", *(side.mean for side in sides)),
        _value("lowest frequency", *(side.lowest for side in sides)),
        _value("imaginary modes", *(100 * side.imaginary for side in sides)),
        _value("acoustic sum", given_drift, drift),
    ]
    path = cell.cell.bandpath(npoints=0)
    line = path.path.split(",")[0]
    corners = np.array([path.special_points[letter] for letter in line])
    x, before = phonons.bands(published, corners)
    _, after = phonons.bands(found, corners)
    curves = [Curve(f"bands {line}", k, x, before[:, k], after[:, k]) for k in range(before.shape[1])]
    ends = min(before.min(), after.min()), max(before.max(), after.max())
    points = np.linspace(1.05 * ends[0], 1.05 * ends[1], POINTS)
    states = [phonons.density_of_states(phonon, points) for phonon in (published, found)]
    return Outcome(values, [*curves, Curve("density of states", 0, points, *states)])


def _equation_of_state(material: Material, entry: PhysicsSet, calculator: Calculator, accuracy: Accuracy) -> Outcome:
    volumes, n = np.array([atoms.get_volume() for atoms in material.structures]), len(material.structures[0])
    given, found = _sides(material, calculator, lambda side: equation_of_state.minimum(volumes, side))
    return Outcome(
        [
            _value("volume per atom", given.volume / n, found.volume / n),
            _value("bulk modulus", given.bulk, found.bulk),
        ]
    )


def _sides(material: Material, calculator: Calculator, of: Callable[[Floats], T]) -> tuple[T, T]:
    """Return a property of the given energies and of those of the network."""
    return of(np.array(material.references["energies"])), of(energies(material.structures, calculator))


def _elastic_constants(material: Material, entry: PhysicsSet, calculator: Calculator, accuracy: Accuracy) -> Outcome:
    amount = float(material.keys[0].split()[1])
    own = np.array([single_point(atoms, calculator, stress=True)["stress"] for atoms in material.structures])
    sides = [elasticity.cubic(stresses, amount) for stresses in (material.references["stresses"], own)]
    return Outcome([_value(*each) for each in zip(OF_TEST["elastic-constants"], *sides, strict=True)])


def _frozen_phonons(material: Material, entry: PhysicsSet, calculator: Calculator, accuracy: Accuracy) -> Outcome:
    from uprung.physics import phonons  # phonopy, which other tests do without

    crystal, *displaced = material.structures
    own = [single_point(atoms, calculator)["forces"] for atoms in displaced]
    given, found = (
        phonons.at_corners(phonons.from_forces(crystal, displaced, forces), crystal)
        for forces in (material.references["forces"], own)
    )
    return Outcome(
        [
            _value("phonon frequency", float(a), float(b), key=f"{point} {k}")
            for point in given
            for k, (a, b) in enumerate(zip(given[point], found[point], strict=True), start=1)
        ]
    )


def _vacancy_cells(material: Material, entry: PhysicsSet, calculator: Calculator, accuracy: Accuracy) -> Outcome:
    whole, vacant = (len(atoms) for atoms in material.structures)
    given, found = _sides(material, calculator, lambda side: float(side[1] - vacant / whole * side[0]))
    return Outcome([_value("unrelaxed vacancy energy", given, found)])


def _paths(material: Material, entry: PhysicsSet, calculator: Calculator, accuracy: Accuracy) -> Outcome:
    given, found = _sides(material, calculator, lambda side: barriers.mirrored(material.structures, side))
    values = [
        _value("unrelaxed barrier", given.height, found.height),
        _value("curvature of the barrier", given.curvature, found.curvature),
    ]
    return Outcome(values, [Curve("path", 0, given.path, given.energy, found.energy)])


TESTS: dict[str, Callable[[Material, PhysicsSet, Calculator, Accuracy], Outcome]] = {
    "surfaces": _surfaces,
    "vacancies": _vacancies,
    "mixing": _mixing,
    "elasticity": _elasticity,
    "phonons": _phonons,
    "heat-capacity": _heat_capacity,
    "volumes": _volumes,
    "formation-energy": _formation_energy,
    "equation-of-state": _equation_of_state,
    "elastic-constants": _elastic_constants,
    "frozen-phonons": _frozen_phonons,
    "vacancy-cells": _vacancy_cells,
    "paths": _paths,
}


def cost(material: Material, entry: PhysicsSet, accuracy: Accuracy) -> float:
    """Return about how many atoms times evaluations a material takes, a relaxation being a fifth of its most steps."""
    if material.unusable:
        return 0.0
    atoms = [len(structure) for structure in material.structures]
    relaxed = accuracy.steps / 5
    cell = entry.supercell**3
    if entry.test in AS_THEY_ARE:
        return float(sum(atoms))
    if entry.test == "vacancies":
        sites = (4 if entry.structure == "fcc" else 2) * cell
        return sites * relaxed * (5 if entry.migration else 1)
    if entry.test == "elasticity":
        return atoms[0] * relaxed * 25 / 3
    if entry.test in ("volumes", "formation-energy"):
        return sum(atoms) * relaxed
    size = round(abs(np.linalg.det(material.references["supercell"]))) if entry.test == "phonons" else cell
    return atoms[0] * (size * 3 * atoms[0] + (relaxed if entry.test == "heat-capacity" else 0))


def quantities(entry: PhysicsSet) -> Iterator[str]:
    """Yield the quantities of a set."""
    yield from OF_TEST[entry.test]
    if entry.migration:
        yield MIGRATION
