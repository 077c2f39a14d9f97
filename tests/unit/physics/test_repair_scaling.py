"""One number does to each quantity what it does to a calculator whose energies, forces and stresses it multiplies."""

from __future__ import annotations

from typing import Any

import ase
import numpy as np
import pytest
from ase.build import bulk, fcc111
from ase.calculators.calculator import Calculator
from ase.calculators.emt import EMT

from uprung.config.physics import PhysicsSet
from uprung.physics import cells, own_labels
from uprung.physics.compute import outcome
from uprung.physics.quantities import MIGRATION, OF_TEST, QUANTITIES
from uprung.physics.references import Material
from uprung.physics.repair import scaled
from uprung.physics.results import Accuracy, Outcome

C = 1.3
TIGHT = Accuracy(force=0.005, stress=0.02, steps=300)
ALUMINIUM = [cell for cell in cells.cells() if cell.crystal == "Al"]
OWN_FILES = {"frozen-phonons": "phonons", "vacancy-cells": "vacancies"}


class Stiff(Calculator):
    """EMT times a number."""

    implemented_properties = ("energy", "free_energy", "forces", "stress")

    def __init__(self, c: float) -> None:
        super().__init__()
        self.c, self.emt = c, EMT()

    def calculate(self, atoms: ase.Atoms | None = None, *args: Any) -> None:
        super().calculate(atoms, *args)
        found = {name: self.emt.get_property(name, self.atoms) for name in ("energy", "forces", "stress")}
        self.results = {name: self.c * value for name, value in found.items()}
        self.results["free_energy"] = self.results["energy"]


def material(test: str) -> Material:
    copper = bulk("Cu", "fcc", a=3.6, cubic=True)
    if test == "surfaces":
        slab = fcc111("Cu", (1, 1, 5), a=3.6, vacuum=6)
        slab.pbc = True
        return Material("Cu", [copper, slab], {"energies": [0.0, 4.0]}, ["", "(1 1 1)"])
    if test == "mixing":
        alloys = [copper.copy() for _ in range(3)]
        alloys[1].numbers[:2] = alloys[2].numbers[:] = 79
        return Material("Cu-Au", alloys, {"energies": [0.0, 1.0, 0.5], "x": [0, 0.5, 1]}, ["a", "b", "c"])
    if test == "vacancies":
        return Material("Cu", references={"volume": 11.8, "bulk": 140.0, "formation": 1.1, "migration": 0.7})
    if test == "elasticity":
        return Material(
            "Cu", [bulk("Cu", "fcc", a=3.6)], {"bulk_modulus_vrh": 140.0, "shear_modulus_vrh": 50.0}, ["Cu"]
        )
    if test == "volumes":
        return Material("Cu", [bulk("Cu", "fcc", a=3.7)], {}, ["Cu"])
    if test == "formation-energy":
        alloy = bulk("Cu", "sc", a=3.0).repeat((1, 1, 2))
        alloy.numbers[1] = 79
        pure = [bulk("Cu", "fcc", a=3.6), bulk("Au", "fcc", a=4.1)]
        return Material("CuAu", [alloy, *pure], {"formation_energy_per_atom": -0.1}, ["CuAu"])
    if test == "phonons":
        from uprung.physics import phonons

        cell, shape = bulk("Cu", "fcc", a=3.6), np.diag([2, 2, 2])
        constants = phonons.computed(cell, EMT(), shape).force_constants
        return Material("Cu", [cell], {"supercell": shape, "force_constants": constants})
    if test == "heat-capacity":
        return Material("Cu", [bulk("Cu", "fcc", a=3.6)], {"heat_capacity": 20.0}, ["Cu"])
    return own(test)


def own(test: str) -> Material:
    """Return the cells of aluminium in the place of own labels, of other values."""
    labels, prefix = [], OWN_FILES.get(test, test)
    for cell in ALUMINIUM:
        name, _, key = cell.name.split("/", 2)
        if name == prefix:
            atoms = cell.atoms.copy()
            atoms.calc = EMT()
            stress = atoms.get_stress(voigt=False)
            labels.append(
                own_labels.OwnLabel(key, atoms.copy(), atoms.get_potential_energy(), atoms.get_forces(), stress)
            )
    (found,) = own_labels.NEEDED[test](own_labels.OwnLabels("Al", labels))
    return Material("Al", [each.atoms for each in found.labels], own_labels.values(test, found), found.keys)


def found(test: str, calculator: Calculator) -> Outcome:
    entry = PhysicsSet.model_validate(
        {"test": test, "functional": "EMT", "files": ["none"], "supercell": 2, "migration": test == "vacancies"}
    )
    return outcome(material(test), entry, calculator, TIGHT)


SLOW = "vacancies"  # half a minute of relaxations


@pytest.mark.parametrize("test", [pytest.param(t, marks=pytest.mark.long) if t == SLOW else t for t in OF_TEST])
def test_one_number_does_to_a_quantity_what_it_does_to_the_calculator(test: str) -> None:
    before, after = (found(test, Stiff(c)).values for c in (1.0, C))
    assert {value.quantity for value in before} == {*OF_TEST[test], *([MIGRATION] if test == "vacancies" else [])}
    for old, new in zip(before, after, strict=True):
        assert not old.reason + new.reason
        (value,), why = scaled(old.quantity, np.array([old.predicted]), C)
        if QUANTITIES[old.quantity].power is None:
            assert np.isnan(value)
            assert why
            continue
        # relaxations end at forces and stresses, which the number multiplies as well
        tolerance = {"rel": 5e-3, "abs": 1e-3} if test in RELAXED else {"rel": 1e-6, "abs": 1e-6}
        assert value == pytest.approx(new.predicted, **tolerance), old.quantity
        assert not why


RELAXED = ("vacancies", "elasticity", "volumes", "formation-energy", "heat-capacity", "phonons")


def test_every_quantity_says_what_one_number_does_to_it() -> None:
    assert set(QUANTITIES) == {MIGRATION, *(name for names in OF_TEST.values() for name in names)}
    for name, quantity in QUANTITIES.items():
        assert (quantity.power is None) == bool(quantity.why_not), name


def test_a_number_that_turns_energies_over_gives_no_value() -> None:
    values, why = scaled("C11", np.array([100.0]), -0.2)
    assert np.isnan(values).all()
    assert "-0.2" in why
    assert np.isnan(scaled("C11", np.array([100.0]), float("nan"))[0]).all()


def test_an_imaginary_frequency_stays_one() -> None:
    assert scaled("lowest frequency", np.array([-2.0, 3.0]), 4.0)[0].tolist() == [-4.0, 6.0]
