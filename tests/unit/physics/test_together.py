"""Many crystals relaxed at once take the steps that ASE takes with each, and those that do not arrive are told."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import ase
import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.constraints import FixAtoms
from ase.filters import UnitCellFilter
from ase.optimize import FIRE

from uprung.models.calculator import calculator
from uprung.physics.relaxation import RelaxedCrystal, relax
from uprung.physics.results import Accuracy, NotComputedError
from uprung.physics.together import relax_together


class ManyEMT:
    """EMT as a calculator of many crystals."""

    def __init__(self) -> None:
        self.computed: list[int] = []

    def evaluate(self, crystals: Sequence[ase.Atoms]) -> list[dict[str, Any]]:
        self.computed.append(len(crystals))
        found = []
        for crystal in crystals:
            atoms = crystal.copy()
            atoms.calc = EMT()
            atoms.get_stress()
            found.append(dict(atoms.calc.results))
        return found


def crystals() -> list[ase.Atoms]:
    """Metals of one to 32 atoms, strained and rattled, the one at its minimum among them."""
    found = [
        bulk("Cu", "fcc", a=3.7),
        bulk("Al", "fcc", a=4.1, cubic=True),
        bulk("Ni", "fcc", a=3.45, cubic=True).repeat((2, 2, 2)),
        bulk("Pd", "fcc", a=3.8, cubic=True).repeat((2, 1, 1)),
    ]
    for k, atoms in enumerate(found):
        atoms.set_cell(atoms.cell.array @ (np.eye(3) + 0.02 * np.random.default_rng(k).normal(size=(3, 3))), True)
        atoms.rattle(0.05, seed=k)
    return found


def by_ase(atoms: ase.Atoms, accuracy: Accuracy, cell: bool, steps: int) -> tuple[ase.Atoms, float]:
    own = atoms.copy()
    own.calc = EMT()
    FIRE(UnitCellFilter(own) if cell else own, logfile=None).run(fmax=1e-12, steps=steps)
    return own, own.get_potential_energy()


@pytest.mark.parametrize("cell", [False, True])
def test_every_crystal_takes_the_steps_of_ase(cell: bool) -> None:
    accuracy = Accuracy(0.001, 0.01, 500)
    together = ManyEMT()
    found = relax_together(crystals(), together, accuracy, cell=cell)
    for start, one in zip(crystals(), found, strict=True):
        assert isinstance(one, RelaxedCrystal)
        assert one.converged
        assert one.force <= 0.001
        assert one.stress <= (0.01 if cell else 0)
        atoms, energy = by_ase(start, accuracy, cell, one.steps)
        np.testing.assert_allclose(one.atoms.positions, atoms.positions, atol=1e-9)
        np.testing.assert_allclose(one.atoms.cell.array, atoms.cell.array, atol=1e-9)
        assert one.energy == pytest.approx(energy, abs=1e-9)
    assert together.computed[0] == 4
    assert together.computed[-1] < 4  # those that have arrived are not computed any longer
    assert len({one.steps for one in found if isinstance(one, RelaxedCrystal)}) > 1


def test_minima_are_those_of_one_after_another() -> None:
    accuracy = Accuracy(0.0005, 0.005, 800)
    for start, one in zip(crystals(), relax_together(crystals(), ManyEMT(), accuracy, cell=True), strict=True):
        alone = relax(start, EMT(), accuracy, cell=True)
        assert isinstance(one, RelaxedCrystal)
        assert one.energy / len(start) == pytest.approx(alone.energy / len(start), abs=1e-5)
        assert one.atoms.get_volume() == pytest.approx(alone.atoms.get_volume(), rel=2e-3)


def test_who_does_not_arrive_is_told(caplog: pytest.LogCaptureFixture) -> None:
    accuracy = Accuracy(0.001, 0.01, 3)
    relaxed = relax(bulk("Cu", "fcc", a=3.6), EMT(), Accuracy(0.001, 0.01, 500), cell=True).atoms
    with caplog.at_level(logging.WARNING):
        found = relax_together([relaxed, *crystals()], ManyEMT(), accuracy, cell=True)
    assert [one.steps for one in found if isinstance(one, RelaxedCrystal)] == [0, 3, 3, 3, 3]
    assert not any(one.converged for one in found[1:] if isinstance(one, RelaxedCrystal))
    assert [record.args[0] for record in caplog.records if record.args] == [1, 2, 3, 4]
    assert "GPa" in caplog.text


class Failing(ManyEMT):
    """Refuses gold, and has no finite number for silver."""

    def evaluate(self, crystals: Sequence[ase.Atoms]) -> list[dict[str, Any]]:
        if any("Au" in atoms.symbols for atoms in crystals):
            raise ValueError("no graph")
        found = super().evaluate(crystals)
        for atoms, result in zip(crystals, found, strict=True):
            if "Ag" in atoms.symbols:
                result["stress"] = np.full(6, np.nan)
        return found


def test_one_that_fails_does_not_stop_the_others(caplog: pytest.LogCaptureFixture) -> None:
    start = [bulk("Au", cubic=True), bulk("Ag", cubic=True), bulk("Cu", "fcc", a=3.65, cubic=True)]
    with caplog.at_level(logging.WARNING):
        gold, silver, copper = relax_together(start, Failing(), Accuracy(0.01, 0.05, 200), cell=True)
    assert isinstance(gold, NotComputedError)
    assert "no graph" in str(gold)
    assert isinstance(silver, NotComputedError)
    assert "not finite" in str(silver)
    assert isinstance(copper, RelaxedCrystal)
    assert copper.converged
    assert len(caplog.records) == 2


def test_a_volume_that_leaves_its_bounds_is_no_crystal() -> None:
    class Pulling(ManyEMT):
        def evaluate(self, crystals: Sequence[ase.Atoms]) -> list[dict[str, Any]]:
            none = [np.zeros((len(atoms), 3)) for atoms in crystals]
            return [
                {"energy": 0.0, "forces": forces, "stress": -10.0 * np.array([1, 1, 1, 0, 0, 0.0])} for forces in none
            ]

    (found,) = relax_together([bulk("Cu")], Pulling(), Accuracy(), cell=True)
    assert isinstance(found, NotComputedError)
    assert "volume" in str(found)


def test_constraints_are_refused_and_nothing_is_nothing() -> None:
    atoms = bulk("Cu", cubic=True)
    atoms.set_constraint(FixAtoms([0]))
    with pytest.raises(ValueError, match=r"structure 0 .*constraints"):
        relax_together([atoms], ManyEMT(), Accuracy(), cell=False)
    assert relax_together([], ManyEMT(), Accuracy(), cell=True) == []


def test_a_network_relaxes_many_as_one_after_another() -> None:
    calc = calculator("chgnet-0.3.0")
    start = [bulk("MgO", "rocksalt", a=4.3), bulk("NaCl", "rocksalt", a=5.5), bulk("Si", "diamond", a=5.3, cubic=True)]
    for k, atoms in enumerate(start):
        atoms.rattle(0.05, seed=k)
    accuracy = Accuracy(0.01, 0.1, 200)
    for atoms, one in zip(start, relax_together(start, calc, accuracy, cell=True), strict=True):
        alone = relax(atoms, calc, accuracy, cell=True)
        assert isinstance(one, RelaxedCrystal)
        assert one.converged
        assert alone.converged
        assert one.energy / len(atoms) == pytest.approx(alone.energy / len(atoms), abs=1e-3)
