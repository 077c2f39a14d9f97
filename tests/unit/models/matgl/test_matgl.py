"""M3GNet and TensorNet beside matgl's own code."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import ase
import numpy as np
import pytest
import torch
from ase.build import bulk
from ase.units import GPa

pytest.importorskip("matgl", reason="the extra `matgl` is not installed")

import matgl
from matgl.ext.ase import PESCalculator

from uprung.models.calculator import calculator
from uprung.models.interface import Geometry
from uprung.models.matgl.potential import MatglPotential
from uprung.models.registry import architecture, load

CHECKPOINTS = ("M3GNet-MP-2021.2.8-PES", "M3GNet-MatPES-r2SCAN-v2025.1-PES", "TensorNet-MatPES-PBE-v2025.1-PES")


def crystals() -> list[ase.Atoms]:
    found = [bulk("Si", cubic=True), bulk("NaCl", "rocksalt", a=5.6) * (2, 1, 1), bulk("Fe", cubic=True) * (2, 2, 1)]
    for k, atoms in enumerate(found):
        atoms.rattle(0.1, seed=k)
        atoms.set_cell(
            atoms.cell.array @ (np.eye(3) + 0.03 * np.random.default_rng(k).normal(size=(3, 3))), scale_atoms=True
        )
    return found


def same(ours: ase.Atoms, theirs: ase.Atoms) -> None:
    n = len(ours)
    assert ours.get_potential_energy() / n == pytest.approx(theirs.get_potential_energy() / n, abs=1e-5)
    np.testing.assert_allclose(ours.get_forces(), theirs.get_forces(), atol=2e-5)
    np.testing.assert_allclose(ours.get_stress() / GPa, theirs.get_stress() / GPa, atol=2e-4)


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_predictions_are_those_of_matgl(name: str, available: Callable[[str], None]) -> None:
    available(name)
    stock = matgl.load_model(Path(os.environ["UPRUNG_CHECKPOINTS"]) / name)
    for atoms in crystals():
        ours, theirs = atoms.copy(), atoms.copy()
        ours.calc = calculator(name)
        theirs.calc = PESCalculator(stock, stress_unit="eV/A3")
        same(ours, theirs)


@pytest.mark.parametrize("name", CHECKPOINTS[1:])
def test_a_changed_network_loads_in_matgl(name: str, available: Callable[[str], None], tmp_path: Path) -> None:
    available(name)
    potential = load(name)
    assert isinstance(potential, MatglPotential)
    with torch.no_grad():
        for parameter in potential.parameters():
            parameter += 1e-3 * torch.ones_like(parameter)
    potential.export(tmp_path / "exported")
    stock = matgl.load_model(tmp_path / "exported")
    for atoms in crystals():
        ours, theirs, again = atoms.copy(), atoms.copy(), atoms.copy()
        ours.calc, theirs.calc = calculator(tmp_path / "exported"), PESCalculator(stock, stress_unit="eV/A3")
        same(ours, theirs)
        potential.save(tmp_path / "model.pth.tar", target="high", source="low", corrects=None)
        again.calc = calculator(tmp_path / "model.pth.tar")
        same(again, theirs)


@pytest.mark.parametrize("name", ["m3gnet", "tensornet"])
def test_an_unknown_element_is_named(name: str) -> None:
    polonium = Geometry(np.array([84]), np.zeros((1, 3)), 3.3 * np.eye(3))
    with pytest.raises(ValueError, match=r"does not know the elements Z = \[84\]"):
        architecture(name).inputs_of([polonium])


def test_a_checkpoint_that_is_not_here_says_how_it_is_fetched(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("UPRUNG_CHECKPOINTS", str(tmp_path))
    monkeypatch.setattr("matgl.config.MATGL_CACHE", tmp_path)
    with pytest.raises(ValueError, match=r"TensorNet-MatPES-PBE.*downloads nothing.*matgl\.load_model"):
        load("TensorNet-MatPES-PBE-v2025.1-PES")


def test_files_that_are_not_as_published_are_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, available: Callable[[str], None]
) -> None:
    name = "TensorNet-MatPES-PBE-v2025.1-PES"
    available(name)
    folder = Path(shutil.copytree(Path(os.environ["UPRUNG_CHECKPOINTS"]) / name, tmp_path / name))
    for file in (folder, folder / "state.pt", folder / "model.json"):
        file.chmod(0o755)
    content = bytearray((folder / "state.pt").read_bytes())
    content[len(content) // 2] ^= 1
    (folder / "state.pt").write_bytes(content)
    monkeypatch.setenv("UPRUNG_CHECKPOINTS", str(tmp_path))
    with pytest.raises(ValueError, match="as published"):
        load(name)
    with pytest.raises(ValueError, match="archive is damaged"):
        load(folder)


def test_another_neighbourhood_is_refused(tmp_path: Path, available: Callable[[str], None]) -> None:
    name = "TensorNet-MatPES-PBE-v2025.1-PES"
    available(name)
    folder = Path(shutil.copytree(Path(os.environ["UPRUNG_CHECKPOINTS"]) / name, tmp_path / name))
    folder.chmod(0o755)
    text = (folder / "model.json").read_text().replace('"cutoff": 5.0', '"cutoff": 6.0')
    (folder / "model.json").unlink()
    (folder / "model.json").write_text(text)
    with pytest.raises(ValueError, match=r"cutoff=6\.0 \(computed: 5\.0\)"):
        load(folder)


def test_a_folder_of_another_kind_is_no_network(tmp_path: Path) -> None:
    (tmp_path / "model.json").write_text("[]")
    with pytest.raises(ValueError, match="no network"):
        load(tmp_path)
