"""Checkpoints of matgl before 2.2, which summed the messages of a pair at its second atom, under today's matgl."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

pytest.importorskip("matgl", reason="the extra `matgl` is not installed")

import matgl.layers._embedding as embedding

from uprung.frames.intake import write_frames
from uprung.frames.table import read_frames
from uprung.models.calculator import calculator
from uprung.models.data import open_dataset, write_dataset
from uprung.models.matgl.potential import MatglPotential
from uprung.models.predict import predict
from uprung.models.registry import load
from uprung.sources import open_source

PUBLISHED, CONVERTED = "TensorNet-MatPES-{}-v2025.1-PES", "TensorNet-MatPES-{}-v2025.1-converted"
SOLIDS = Path(__file__).parents[4] / "data/solids/solids.jsonl.gz"


def alloy() -> Atoms:
    atoms = bulk("W", "bcc", a=3.24, cubic=True) * (2, 2, 1)
    atoms.numbers[[0, 3, 5]] = 41  # niobium
    atoms.rattle(0.05, seed=1)
    return atoms


def old_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let TensorNet's embedding sum at the second atom, as matgl 1.3 to 2.1 did."""
    text = inspect.getsource(embedding.TensorEmbedding.forward)
    assert text.count("self.aggregate(msg, edge_index[0]") == 1
    scope: dict[str, Any] = dict(vars(embedding))
    exec(
        inspect.cleandoc(text.replace("self.aggregate(msg, edge_index[0]", "self.aggregate(msg, edge_index[1]")), scope
    )
    monkeypatch.setattr(embedding.TensorEmbedding, "forward", scope["forward"])


def forces(name: str, atoms: Atoms) -> Any:
    atoms.calc = calculator(name)
    return atoms.get_forces()


@pytest.mark.parametrize("functional", ["PBE", "r2SCAN"])
def test_converted_weights_are_the_network_that_was_trained(
    functional: str, available: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    available(PUBLISHED.format(functional))
    converted = forces(CONVERTED.format(functional), alloy())
    now = forces(PUBLISHED.format(functional), alloy())
    old_messages(monkeypatch)
    np.testing.assert_allclose(converted, forces(PUBLISHED.format(functional), alloy()), atol=2e-5)
    assert np.abs(now - converted).max() > 0.05


def test_crystals_of_one_element_do_not_tell_them_apart(available: Callable[[str], None]) -> None:
    available(PUBLISHED.format("PBE"))
    silicon = bulk("Si", cubic=True)
    silicon.rattle(0.1, seed=0)
    found = [forces(name.format("PBE"), silicon.copy()) for name in (PUBLISHED, CONVERTED)]
    np.testing.assert_allclose(*found, atol=2e-3)


def test_labelled_forces_of_compounds_say_which_of_them_was_trained(
    available: Callable[[str], None], tmp_path: Path
) -> None:
    available(PUBLISHED.format("PBE"))
    source = open_source("solids", SOLIDS, "PBE", None)
    write_frames([(source.records(), frozenset())], tmp_path, functional="PBE", needed=["force"], about=dict)
    frames = read_frames(tmp_path / "manifest.json").take(np.arange(0, 240, 6))
    write_dataset(frames, frames.label("energy_free"), tmp_path / "graphs", name="tensornet")
    dataset = open_dataset(tmp_path / "graphs/manifest.json")
    rows = np.arange(len(dataset.energy))
    truth = dataset.labels(rows).forces.ravel()
    found = [predict(load(name.format("PBE")), dataset, rows, targets=["force"]) for name in (PUBLISHED, CONVERTED)]
    published, converted = (1 - np.corrcoef(each["force"].ravel(), truth)[0, 1] for each in found)
    assert converted < published / 4


def test_a_converted_network_loads_in_matgl(available: Callable[[str], None], tmp_path: Path) -> None:
    available(PUBLISHED.format("PBE"))
    potential = load(CONVERTED.format("PBE"))
    assert isinstance(potential, MatglPotential)
    potential.export(tmp_path / "exported")
    np.testing.assert_allclose(
        forces(str(tmp_path / "exported"), alloy()), forces(CONVERTED.format("PBE"), alloy()), atol=2e-5
    )
