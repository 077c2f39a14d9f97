"""GPAW itself, on a cell of two atoms at a low cutoff; skipped where GPAW is not installed."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import replace

import numpy as np
import pytest
from ase.build import bulk

from uprung.dft.check import finite_differences
from uprung.dft.gpaw import XC, free_energy_in_basis, gpaw_engine
from uprung.dft.labels import Record, Scheme, compute
from uprung.dft.structures import Structure

needs_gpaw = pytest.mark.skipif(importlib.util.find_spec("gpaw") is None, reason="GPAW is not installed: make gpaw")
CHEAP = Scheme("PBE", cutoff=200.0)


@pytest.fixture(scope="module")
def hydride() -> Structure:
    atoms = bulk("LiH", "rocksalt", a=4.08)
    atoms.set_cell(atoms.cell.array @ (np.eye(3) + np.diag([0.03, -0.02, 0.0])), scale_atoms=True)
    atoms.positions[1] += [0.1, -0.05, 0.08]
    return Structure("LiH-0", "LiH", atoms, (2, 2, 2))


@pytest.fixture(scope="module")
def labels(hydride: Structure) -> dict[str, Record]:
    engine = gpaw_engine()
    return {xc: compute(hydride, replace(CHEAP, functional=xc), engine) for xc in XC}


def test_without_gpaw_the_message_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gpaw", None)
    with pytest.raises(ModuleNotFoundError, match=r"`own_dft` needs the extra `dft` \(.*gpaw.*\): make gpaw"):
        gpaw_engine()


@pytest.mark.gpaw
@needs_gpaw
class TestGPAW:
    def test_versions_are_stated(self, labels: dict[str, Record]) -> None:
        settings = labels["PBE"]["settings"]
        assert settings["code"].startswith("GPAW ")
        assert settings["setups"].endswith(", PBE")
        assert settings["libxc"]
        assert settings["cutoff"] == 200.0

    def test_labels_obey_what_labels_obey(self, labels: dict[str, Record]) -> None:
        for record in labels.values():
            forces, stress = np.array(record["forces"]), np.array(record["stress"])
            assert forces.shape == (2, 3)
            assert np.abs(forces.sum(axis=0)).max() < 0.02
            np.testing.assert_allclose(stress, stress.T, atol=1e-8)
            assert record["free_energy"] <= record["energy"]
            assert 1 <= record["scf_steps"] <= 80
        assert labels["PBE"]["energy"] == pytest.approx(-5.2493, abs=2e-3)  # GPAW 26.7.0
        assert abs(labels["PBE"]["energy"] - labels["r2SCAN"]["energy"]) > 0.1

    def test_a_label_is_reproduced(self, hydride: Structure, labels: dict[str, Record]) -> None:
        again = compute(hydride, CHEAP, gpaw_engine())
        assert again["energy"] == pytest.approx(labels["PBE"]["energy"], abs=1e-6)
        np.testing.assert_allclose(again["forces"], labels["PBE"]["forces"], atol=1e-5)

    def test_too_few_steps_are_a_reason_and_no_error(self, hydride: Structure) -> None:
        record = compute(hydride, replace(CHEAP, max_steps=2), gpaw_engine())
        assert record["unusable"] == "SCF not converged in 2 steps"

    def test_eigenvalues_that_are_no_numbers_are_a_reason_and_no_error(self) -> None:
        from gpaw.occupations import findroot

        own = gpaw_engine()
        with pytest.raises(AssertionError) as raised:
            findroot(lambda level: np.array([np.nan, np.nan]), 0.0)
        told = "SCF diverged: its eigenvalues have no Fermi level"
        hint = "; in vacuum own_dft.density_floor of 1e-5 helps (docs/how-to/own-dft.md)"
        assert own.unusable(raised.value, Scheme("r2SCAN")) == told + hint
        assert own.unusable(raised.value, Scheme("r2SCAN", density_floor=1e-5)) == told
        singular = np.linalg.LinAlgError("The leading minor of order 93 of B is not positive definite.")
        assert own.unusable(singular, Scheme("PBE")) == f"SCF diverged: {singular}"
        with pytest.raises(AssertionError) as raised:
            assert own is None
        assert own.unusable(raised.value, Scheme("r2SCAN")) is None

    def test_atoms_on_top_of_each_other_are_a_reason_and_no_error(self, hydride: Structure) -> None:
        atoms = hydride.atoms.copy()
        atoms.positions[1] = atoms.positions[0]
        record = compute(replace(hydride, atoms=atoms), CHEAP, gpaw_engine())
        assert "too close" in record["unusable"]

    def test_a_density_floor_changes_nothing_where_there_is_no_vacuum(
        self, hydride: Structure, labels: dict[str, Record]
    ) -> None:
        scheme = replace(CHEAP, functional="r2SCAN", density_floor=1e-5)
        record = compute(hydride, scheme, gpaw_engine())
        assert record["settings"]["density_floor"] == 1e-5
        assert record["free_energy"] == pytest.approx(labels["r2SCAN"]["free_energy"], abs=1e-6)

    def test_a_density_floor_holds_for_one_calculator(self) -> None:
        from gpaw.xc.libxc import LibXC

        def at(scheme: Scheme) -> tuple[float, float]:
            gpaw_engine().calculator(scheme, (1, 1, 1))
            densities, energy = np.array([[1e-7, 1e-2]]), np.zeros(2)
            by_density, by_sigma, by_tau = np.zeros((3, 1, 2))
            sigma, tau = np.full((1, 2), 1e-12), np.full((1, 2), 1e-9)
            LibXC(XC["r2SCAN"]).calculate(energy, densities, by_density, sigma, by_sigma, tau, by_tau)
            return by_tau[0, 0], energy[1]

        plain = replace(CHEAP, functional="r2SCAN")
        derivative, energy = at(plain)
        assert abs(derivative) > 1e-3
        assert at(replace(plain, density_floor=1e-5)) == (0.0, energy)
        assert at(plain) == (derivative, energy)

    @pytest.mark.slow
    @pytest.mark.parametrize("functional", list(XC))
    def test_forces_and_stresses_are_derivatives(self, hydride: Structure, functional: str) -> None:
        scheme = replace(CHEAP, functional=functional)
        table = finite_differences(hydride, scheme, gpaw_engine(), free_energy_in_basis)
        assert table.loc[table["unit"] == "eV/Å", "error"].abs().max() < 0.002
        assert table.loc[table["unit"] == "GPa", "error"].abs().max() < 0.02
