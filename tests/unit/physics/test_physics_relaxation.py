"""Relaxations end at minima, and say so when they do not."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.emt import EMT

from uprung.physics.equation_of_state import equation_of_state
from uprung.physics.relaxation import relax
from uprung.physics.results import Accuracy, NotComputedError, energies


class Broken(Calculator):
    """A network whose numbers are not finite, or whose stress drives the cell apart."""

    implemented_properties = ["energy", "forces", "stress"]  # noqa: RUF012 - as in ASE

    def __init__(self, energy: float, force: float, stress: float) -> None:
        super().__init__()
        self.values = energy, force, stress

    def calculate(self, atoms=None, properties=("energy",), system_changes=tuple(all_changes)) -> None:
        super().calculate(atoms, properties, system_changes)
        energy, force, stress = self.values
        forces, pull = np.full((len(self.atoms), 3), force), stress * np.array([1, 1, 1, 0, 0, 0])
        self.results = {"energy": energy, "forces": forces, "stress": pull}


def test_a_relaxed_cell_has_neither_forces_nor_stress() -> None:
    start = bulk("Cu", "fcc", a=3.7, cubic=True)
    start.rattle(0.05, seed=1)
    found = relax(start, EMT(), Accuracy(0.001, 0.01, 500), cell=True)
    assert found.converged
    assert found.force <= 0.001
    assert found.stress <= 0.01
    minimum = equation_of_state(bulk("Cu", "fcc", a=3.6), EMT())
    assert found.atoms.get_volume() / 4 == pytest.approx(minimum.volume, rel=1e-4)
    assert found.energy / 4 == pytest.approx(minimum.energy, abs=1e-5)
    assert start.cell[0, 0] == 3.7  # what was given is as it was


def test_too_few_steps_are_no_convergence() -> None:
    start = bulk("Cu", "fcc", a=3.7, cubic=True)
    start.rattle(0.05, seed=1)
    found = relax(start, EMT(), Accuracy(0.001, 0.01, 2), cell=True)
    assert not found.converged
    assert found.force > 0.001 or found.stress > 0.01


def test_a_cell_under_stress_has_not_converged_though_its_forces_vanish() -> None:
    found = relax(bulk("Cu", "fcc", a=3.7), EMT(), Accuracy(0.02, 0.1, 0), cell=True)
    assert found.force < 1e-8
    assert not found.converged
    assert relax(bulk("Cu", "fcc", a=3.7), EMT(), Accuracy(0.02, 0.1, 0), cell=False).converged


@pytest.mark.parametrize(
    ("numbers", "reason"),
    [((0.0, np.nan, 0.0), "not finite"), ((0.0, 0.0, np.inf), "not finite"), ((0.0, 0.0, -0.5), "times the first")],
)
def test_what_leaves_the_crystal_is_a_reason(numbers: tuple[float, float, float], reason: str) -> None:
    with pytest.raises(NotComputedError, match=reason):
        relax(bulk("Cu", "fcc", a=3.6), Broken(*numbers), Accuracy(steps=200), cell=True)


def test_an_energy_that_is_not_finite_is_a_reason() -> None:
    with pytest.raises(NotComputedError, match="not finite"):
        energies([bulk("Cu")], Broken(np.nan, 0.0, 0.0))


def test_a_minimum_outside_the_volumes_is_a_reason() -> None:
    with pytest.raises(NotComputedError, match="not between"):
        equation_of_state(bulk("Cu", "fcc", a=4.2), EMT())


def test_batches_have_the_energies_of_single_structures() -> None:
    class Batches:
        taken: list[int] = []  # noqa: RUF012

        def evaluate(self, crystals):
            self.taken.append(len(crystals))
            return [{"energy": float(len(crystal))} for crystal in crystals]

    batches, crystals = Batches(), [bulk("Cu") * (n, 1, 1) for n in (3, 1, 2, 5)]
    assert energies(crystals, batches, atoms_at_once=4).tolist() == [3, 1, 2, 5]
    assert sum(batches.taken) == 4
    assert len(batches.taken) > 1
