"""SevenNet beside its own package's code."""

from __future__ import annotations

import copy
from pathlib import Path

import ase
import numpy as np
import pytest
import torch
from ase.build import bulk
from ase.units import GPa

pytest.importorskip("sevenn", reason="the extra `sevennet` is not installed")

import sevenn
from sevenn.calculator import SevenNetCalculator

from uprung.models.calculator import PotentialCalculator, calculator
from uprung.models.interface import Geometry
from uprung.models.registry import architecture, load
from uprung.models.sevennet.card import CARD
from uprung.models.sevennet.potential import SevenNetPotential

MODES = {"7net-0": None, "7net-MF-0-PBE": "PBE", "7net-MF-0-R2SCAN": "R2SCAN"}


def crystals() -> list[ase.Atoms]:
    found = [bulk("Si", cubic=True), bulk("NaCl", "rocksalt", a=5.6), bulk("Fe", cubic=True)]
    for k, atoms in enumerate(found):
        strain = 0.03 * np.random.default_rng(k).normal(size=(3, 3))
        atoms.rattle(0.1, seed=k)
        atoms.set_cell(atoms.cell.array @ (np.eye(3) + strain), scale_atoms=True)
    return found


def file_of(name: str) -> Path:
    return Path(sevenn.__file__).parent / CARD.checkpoints[name].file


def same(ours: object, theirs: object) -> None:
    for atoms in crystals():
        one, two = atoms.copy(), atoms.copy()
        one.calc, two.calc = ours, theirs
        n = len(atoms)
        assert one.get_potential_energy() / n == pytest.approx(two.get_potential_energy() / n, abs=1e-5)
        np.testing.assert_allclose(one.get_forces(), two.get_forces(), atol=2e-5)
        np.testing.assert_allclose(one.get_stress() / GPa, two.get_stress() / GPa, atol=2e-4)


@pytest.mark.parametrize("name", MODES)
def test_predictions_are_those_of_sevennet(name: str) -> None:
    theirs = SevenNetCalculator(file_of(name), modal=MODES[name], device="cpu")
    same(calculator(name), theirs)
    same(calculator(file_of(name), fidelity=MODES[name]), theirs)


@pytest.mark.parametrize("name", MODES)
def test_a_changed_network_loads_in_sevennet(name: str, tmp_path: Path) -> None:
    potential = load(name)
    with torch.no_grad():
        for parameter in potential.parameters():
            parameter += 1e-3 * torch.ones_like(parameter)
    potential.save(tmp_path / "model.pth", target="high", source="low", corrects=None)
    theirs = SevenNetCalculator(tmp_path / "model.pth", modal=MODES[name], device="cpu")
    same(calculator(tmp_path / "model.pth"), theirs)
    same(PotentialCalculator(potential), theirs)


def test_a_copy_of_a_network_loads_in_sevennet(tmp_path: Path) -> None:
    """The file of a copy had the constants of e3nn's code, and neither side read it."""
    potential = load("7net-0")
    copy.deepcopy(potential).save(tmp_path / "model.pth", target="high", source="low", corrects=None)
    theirs = SevenNetCalculator(tmp_path / "model.pth", modal=None, device="cpu")
    same(calculator(tmp_path / "model.pth"), theirs)
    same(PotentialCalculator(potential), theirs)


def test_the_source_of_a_network_of_two_fidelities_is_its_other_mode(tmp_path: Path) -> None:
    potential, low = load("7net-MF-0-R2SCAN"), load("7net-MF-0-PBE")
    assert isinstance(potential, SevenNetPotential)
    potential.add_source(low.references, embedding=True)
    atoms = crystals()[0]
    geometry = Geometry(atoms.numbers, atoms.get_scaled_positions(), atoms.cell.array)
    batch = potential.eval().batch(architecture("sevennet").inputs_of([geometry]), np.arange(1))
    found, wanted = potential(batch, ["energy", "force"], "source"), low.eval()(batch, ["energy", "force"])
    for key, value in wanted.items():
        np.testing.assert_allclose(found[key], value, atol=1e-5)
    potential.save(tmp_path / "model.pth", target="high", source="low", corrects=None)
    same(calculator("7net-MF-0-PBE"), SevenNetCalculator(tmp_path / "model.pth", modal="PBE", device="cpu"))


def test_a_fidelity_has_to_be_one_of_the_files() -> None:
    with pytest.raises(ValueError, match="choose one of R2SCAN, PBE, not None"):
        load(file_of("7net-MF-0-PBE"))
    with pytest.raises(ValueError, match="not 'nonsense'"):
        load(file_of("7net-MF-0-PBE"), "nonsense")
    with pytest.raises(ValueError, match="one fidelity"):
        load("7net-0", "PBE")
