from __future__ import annotations

import ase
import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from engines import Counting, NotConvergedError, engine

from uprung.dft.check import STRAIN, TIGHTER, finite_differences
from uprung.dft.labels import Scheme
from uprung.dft.structures import Grid, Structure

SCHEME = Scheme("PBE")


@pytest.fixture
def copper() -> Structure:
    atoms = bulk("Cu", cubic=True)
    rng = np.random.default_rng(0)
    strain = rng.normal(0, 0.03, (3, 3))
    atoms.set_cell(atoms.cell.array @ (np.eye(3) + strain + strain.T), scale_atoms=True)
    atoms.rattle(0.1, seed=1)
    return Structure("Cu-0", "Cu", atoms, (2, 2, 2))


def emt(scheme: Scheme, kpts: Grid, reference: ase.Atoms, atoms: ase.Atoms) -> float:
    atoms.calc = EMT()
    return float(atoms.get_potential_energy(force_consistent=True))


class Wrong(Counting):
    """EMT whose forces and stresses are multiplied by 1.01."""

    def __call__(self, scheme: Scheme, kpts: Grid) -> EMT:
        calculator = super().__call__(scheme, kpts)
        calculate = calculator.calculate

        def scaled(*arguments: object) -> None:
            calculate(*arguments)
            calculator.results["forces"] = 1.01 * calculator.results["forces"]
            calculator.results["stress"] = 1.01 * calculator.results["stress"]

        calculator.calculate = scaled
        return calculator


def test_right_forces_and_stresses_pass(copper: Structure) -> None:
    table = finite_differences(copper, SCHEME, engine(Counting()), emt)
    assert list(table["quantity"]) == [f"force {a}" for a in "xyz"] + [
        f"stress {a}" for a in "xx yy zz yz xz xy".split()
    ]
    force, stress = table["unit"] == "eV/Å", table["unit"] == "GPa"
    assert force.sum() == 3
    assert stress.sum() == 6
    assert table.loc[force, "label"].abs().min() > 0.02  # else there is nothing to compare
    assert table.loc[stress, "label"].abs().min() > 0.1
    assert table.loc[force, "error"].abs().max() < 1e-3
    assert table.loc[stress, "error"].abs().max() < 0.02


def test_one_percent_too_much_shows(copper: Structure) -> None:
    table = finite_differences(copper, SCHEME, engine(Wrong()), emt)
    np.testing.assert_allclose(table["label"] / table["difference_quotient"], 1.01, atol=2e-3)


def test_the_energies_are_those_of_the_fixed_basis_converged_further(copper: Structure) -> None:
    asked = list[tuple[float, ase.Atoms]]()

    def basis(scheme: Scheme, kpts: Grid, reference: ase.Atoms, atoms: ase.Atoms) -> float:
        assert kpts == copper.kpts
        asked.append((scheme.convergence, reference))
        return emt(scheme, kpts, reference, atoms)

    finite_differences(copper, SCHEME, engine(Counting()), basis)
    assert len(asked) == 2 * (3 + 6)
    assert {convergence for convergence, _ in asked} == {TIGHTER * SCHEME.convergence}
    for _, reference in asked:
        np.testing.assert_array_equal(reference.cell.array, copper.atoms.cell.array)
    assert 0 < STRAIN < 0.01


def test_a_structure_without_a_label_is_told(copper: Structure) -> None:
    failing = engine(Counting({1: NotConvergedError()}))
    with pytest.raises(ValueError, match="'Cu-0' has no label to check: not converged"):
        finite_differences(copper, SCHEME, failing, emt)
