"""A network whose forces are not the gradient of its energy is not loaded."""

from __future__ import annotations

from pathlib import Path

import pytest

import uprung.models.chgnet.packed as packed
from uprung.models.gradient_check import check_gradient
from uprung.models.registry import load


@pytest.mark.parametrize("name", ["chgnet-0.3.0", "chgnet-r2scan"])
def test_sound_networks_pass(name: str) -> None:
    potential = load(name)
    check_gradient(potential, name)
    assert next(potential.parameters()).dtype.itemsize == 4


def test_a_part_of_the_geometry_cut_off_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load("chgnet-0.3.0").save(tmp_path / "model.pth.tar", target="high", source="low", corrects=None)
    load(tmp_path / "model.pth.tar")
    whole = packed._angle_embedding
    monkeypatch.setattr(packed, "_angle_embedding", lambda model, batch, unit: whole(model, batch, unit.detach()))
    with pytest.raises(ValueError, match=r"model\.pth\.tar: forces are not the gradient"):
        load(tmp_path / "model.pth.tar")
