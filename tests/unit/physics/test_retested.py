"""A network is trained for a draw only where something is left to be computed with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.calculator import Calculator
from ase.calculators.emt import EMT

from uprung.config.physics import PhysicsSet
from uprung.physics.labels import Fit, PoolFrame
from uprung.physics.networks import VALUES
from uprung.physics.references import Material
from uprung.physics.results import Accuracy
from uprung.physics.retested import Retested
from uprung.softening.draws import ScoredFrame

ENTRY = PhysicsSet.model_validate({"test": "vacancy-cells", "functional": "PBE", "files": ["none"]})


def crystal(name: str) -> Material:
    whole = bulk(name, "fcc", cubic=True)
    vacant = whole.copy()
    del vacant[0]
    return Material(name, [whole, vacant], {"energies": [0.0, 1.0]}, ["crystal", "vacancy"])


SETS = {"cells": (ENTRY, [crystal("Cu"), crystal("Ag"), Material("Au", unusable="vacancy: not labelled yet")])}


def draw(number: int, *judged: str) -> Fit:
    label = np.arange(1.0, 4.0)
    labelled = (PoolFrame(ScoredFrame(f"f{number}", f"f{number}", label, label), "Al"),)
    return Fit(1, number, labelled, frozenset(("cells", name) for name in judged))


class OfEmt(Retested):
    """EMT in the place of a trained network, and the draws that one was trained for."""

    asked: list[int] = []  # noqa: RUF012 - of all

    def trained(self, chosen: Fit) -> Calculator:
        self.asked.append(chosen.draw)
        return EMT()


@pytest.fixture
def retest(tmp_path: Path) -> OfEmt:
    OfEmt.asked = []
    method: Any = None
    return OfEmt(method, SETS, Accuracy(), tmp_path, {"network": "emt"})


def test_the_judged_materials_are_asked_and_kept(retest: OfEmt) -> None:
    found = retest(draw(0, "Cu", "Au"))
    assert list(found) == VALUES
    assert found["material"].tolist() == ["Cu", "Au"]
    assert found["predicted"].notna().tolist() == [True, False]
    assert found["reason"].tolist() == ["", "vacancy: not labelled yet"]
    again = retest(draw(0, "Cu", "Ag", "Au"))
    assert again["material"].tolist() == ["Cu", "Ag", "Au"]
    assert retest(draw(0, "Cu", "Ag", "Au")).equals(again)
    assert retest.asked == [0, 0]  # once for Cu and once for Ag
    retest(draw(1, "Cu"))
    assert retest.asked == [0, 0, 1]


def test_nothing_is_trained_for_what_cannot_be_tested(retest: OfEmt) -> None:
    assert retest(draw(0, "Au"))["predicted"].isna().all()
    assert retest(draw(0)).empty
    assert retest.asked == []
