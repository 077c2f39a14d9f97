"""CHGNet behind the door: its layers, the files that chgnet itself reads, the calculator beside its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import ase
import numpy as np
import pytest
import torch
from ase.build import bulk
from chgnet.model import CHGNet, CHGNetCalculator

from uprung.models.calculator import calculator
from uprung.models.chgnet.architecture import ARCHITECTURE
from uprung.models.chgnet.checkpoint import save_chgnet, shipped_chgnet
from uprung.models.chgnet.potential import CHGNetPotential, layer_of
from uprung.models.registry import load

SIDES = {"target": "r2scan", "source": "pbe"}


def same(first: torch.nn.Module, second: torch.nn.Module) -> bool:
    a, b = first.state_dict(), second.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def shipped() -> CHGNetPotential:
    return CHGNetPotential(shipped_chgnet("chgnet-0.3.0"))


def test_every_parameter_of_the_network_is_in_a_layer() -> None:
    names = [name for name, _ in shipped().chgnet.named_parameters()]
    layers = {layer_of(name) for name in names}
    assert layers == {"references", "embeddings", "readout", "block1", "block2", "block3", "block4"}
    embedded = {name.split(".")[0] for name in names if layer_of(name) == "embeddings"}
    assert all("embedding" in name or "expansion" in name or "bond_weights" in name for name in embedded)


def test_what_is_saved_is_a_file_of_chgnet_byte_for_byte(tmp_path: Path) -> None:
    potential = shipped()
    potential.save(tmp_path / "door", **SIDES, corrects=None)
    save_chgnet(potential.chgnet, tmp_path / "alone")
    assert (tmp_path / "door").read_bytes() == (tmp_path / "alone").read_bytes()
    assert same(CHGNet.from_file(str(tmp_path / "door")), potential.chgnet)
    assert ARCHITECTURE.reads(tmp_path / "door")


@pytest.mark.parametrize("embedding", [True, False])
def test_a_network_of_two_fidelities_is_that_of_the_target_in_chgnet(tmp_path: Path, embedding: bool) -> None:
    """Without an embedding it is saved as a network of the target alone: the source was there for the training."""
    potential, file = shipped(), tmp_path / "model"
    potential.add_source(np.linspace(-9, 1, 94), embedding=embedding)
    potential.save(file, **SIDES, corrects=None)
    assert same(CHGNet.from_file(str(file)), potential.chgnet)
    if embedding:
        assert same(load(file, "r2scan").chgnet, potential.chgnet)
        np.testing.assert_allclose(load(file, "pbe").references, np.linspace(-9, 1, 94), atol=1e-6)
    else:
        assert same(load(file).chgnet, potential.chgnet)


def test_a_correction_is_no_network_for_chgnet(tmp_path: Path) -> None:
    shipped().save(tmp_path / "model", **SIDES, corrects="chgnet-0.3.0")
    with pytest.raises(KeyError):
        CHGNet.from_file(str(tmp_path / "model"))
    assert ARCHITECTURE.reads(tmp_path / "model")


@pytest.mark.parametrize("kind", ["shipped", "single", "correction"])
def test_a_fidelity_is_refused_where_there_is_one_only(tmp_path: Path, kind: str) -> None:
    file: str | Path = "chgnet-0.3.0"
    if kind != "shipped":
        file = tmp_path / "model"
        shipped().save(file, **SIDES, corrects="chgnet-0.3.0" if kind == "correction" else None)
    for read in (load, lambda path, fidelity: calculator(path, fidelity=fidelity)):
        with pytest.raises(ValueError, match="predicts one fidelity, which it does not name; leave out fidelity='pbe'"):
            read(file, "pbe")


def crystals() -> Sequence[ase.Atoms]:
    found = [bulk("NaCl", "rocksalt", a=5.6), bulk("Fe", cubic=True), bulk("Si", cubic=True)]
    for k, atoms in enumerate(found):
        atoms.rattle(0.05, seed=k)
    return found


@pytest.mark.parametrize("name", ["0.3.0", "r2scan"])
def test_the_calculator_gives_what_that_of_chgnet_gives(name: str, capfd: pytest.CaptureFixture) -> None:
    stock = CHGNetCalculator(CHGNet.load(model_name=name, use_device="cpu", verbose=False), use_device="cpu")
    capfd.readouterr()
    own = calculator(f"chgnet-{name}")
    assert capfd.readouterr().out == ""
    for atoms in crystals():
        found = {}
        for side, calc in (("own", own), ("stock", stock)):
            atoms.calc = calc
            found[side] = (
                atoms.get_potential_energy() / len(atoms),
                atoms.get_forces(),
                atoms.get_stress(),
                np.abs(atoms.get_magnetic_moments()),
            )
        for value, wanted, tolerance in zip(found["own"], found["stock"], (2e-5, 1e-4, 1e-5, 1e-4), strict=True):
            np.testing.assert_allclose(value, wanted, atol=tolerance, rtol=1e-4)
