"""The simulation behind the coverage of references: what it draws is what it says, and its page is up to date."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import reference_coverage as simulation

PAGE = Path(__file__).parents[3] / "docs/concepts.md"


def test_compositions_are_fractions_of_the_elements():
    X = simulation.compositions(np.random.default_rng(0), 200)
    assert np.allclose(X.sum(axis=1), 1)
    assert set(np.flatnonzero(X.any(axis=0)) + 1) == set(simulation.ELEMENTS)
    assert set((X > 0).sum(axis=1)) == {1, 2, 3}


def test_errors_of_materials_are_as_said():
    rng = np.random.default_rng(0)
    X = simulation.compositions(rng, 20_000)
    assert abs(simulation.normal(rng, X).std() - 1) < 0.02
    assert abs(simulation.heavy(rng, X).std() - 1) < 0.1
    oxygen = X[:, 7] > 0
    errors = simulation.oxides(rng, X)
    assert 2.8 < errors[oxygen].std() / errors[~oxygen].std() < 3.2


def test_the_usual_errors_are_too_small_and_the_present_ones_hold():
    found = {cell["materials"]: cell for cell in simulation.fits(4) if cell["noise"] == "alike"}
    assert found[15]["usual"] < 0.75
    assert found[15]["least-squares"] > 0.85
    drawn = {cell["runs"]: cell for cell in simulation.softening(15)}
    assert drawn[15]["frames"] < drawn[15]["trajectories"]


def test_the_page_holds_the_tables_of_the_record():
    tables = simulation.page_tables(json.loads(simulation.RECORD.read_text(encoding="utf-8")))
    page = PAGE.read_text(encoding="utf-8")
    assert simulation.fill(page, tables) == page
