"""The simulation behind the coverage tables: what it draws is what it says, and its tables land on the page."""

from __future__ import annotations

from pathlib import Path

import law_coverage as simulation
import law_filter
import law_tables
import numpy as np
import pytest

from uprung.laws import LAWS

PAGE = Path(__file__).parents[3] / "docs/laws.md"
QUIET = simulation.Noise(seed=0.0, difficulty=0.0, rate=0.0, luck=0.0)


@pytest.mark.parametrize("law", LAWS)
def test_without_noise_the_errors_are_the_law(law):
    curve, exponent = simulation.truth(law)
    n = np.geomspace(100, 10_000, 4)
    mae, materials = simulation.simulate(np.random.default_rng(0), [curve], np.log(n), 2, QUIET)
    assert mae[0] == pytest.approx(np.exp(curve(np.log(n)))[:, None] * np.ones(2))
    assert np.abs(materials.covariance).max() < 1e-20
    local = -(curve(np.array([30.0 + 1e-4])) - curve(np.array([30.0]))) / 1e-4
    if law != "saturating":
        assert local[0] == pytest.approx(exponent, rel=1e-3)


def test_the_mean_over_studies_is_the_truth_and_the_bootstrap_knows_the_test_noise():
    rng, noise = np.random.default_rng(1), simulation.Noise(seed=0.0)
    curve, _ = simulation.truth("power")
    x = np.log(np.geomspace(100, 10_000, 4))
    found = [simulation.simulate(rng, [curve], x, 2, noise) for _ in range(400)]
    mae = np.array([m[0].ravel() for m, _ in found])
    assert mae.mean(axis=0) == pytest.approx(np.repeat(np.exp(curve(x)), 2), rel=0.02)
    true = np.cov(np.log(mae), rowvar=False)
    boot = np.mean([materials.covariance for _, materials in found], axis=0)
    assert np.diag(boot) == pytest.approx(np.diag(true), rel=0.3)


def test_a_cell_counts_its_studies_and_a_refused_law_has_its_reason():
    cell = simulation.run_cell(simulation.Cell("power", 4, 2, simulation.Noise()), 10)
    assert cell["studies"] == 10
    assert sum(cell["chosen"].values()) == pytest.approx(1.0)
    for key in law_tables.CLAIMED:
        assert cell[key] >= 0.6, key
    assert cell["said"] <= 0.5  # four sizes hold no evidence against a floor
    refused = simulation.run_cell(simulation.Cell("broken", 4, 2, simulation.Noise()), 10)
    assert "broken law needs 5" in refused["refused"]


def test_a_page_has_each_table_once():
    page = "a\n<!-- coverage -->\nold\n<!-- /coverage -->\nb\n"
    assert law_tables.fill(page, {"coverage": "new"}) == "a\n<!-- coverage -->\nnew\n<!-- /coverage -->\nb\n"
    with pytest.raises(ValueError, match="stress"):
        law_tables.fill(page, {"stress": "new"})


def test_the_page_of_the_repository_holds_the_tables_of_the_record():
    import json

    record = json.loads(simulation.RECORD.read_text())
    assert law_tables.fill(PAGE.read_text(), law_tables.page_tables(record)) == PAGE.read_text()
    main = [c for c in record["cells"] if c.get("studies", 0) >= 150]
    assert {(c["law"], c["sizes"], c["seeds"]) for c in main} >= {
        (law, k, m) for law in LAWS for k, m in simulation.SHAPES if (law, k) != ("broken", 4)
    }


def test_bands_and_long_tails_are_in_the_record_and_what_is_claimed_holds():
    """Intervals of power laws with predictions hold 92-98 % up to the standard error of the record."""
    import json

    record = json.loads(simulation.RECORD.read_text())
    for cell in record["cells"]:
        if cell["law"] == "power" and cell["tested"] and cell["sizes"] > 3 and "long" not in cell["noise"]:
            error = 0.22 / cell["studies"] ** 0.5
            for key in ("exponent", "band", "met", "far"):
                assert cell[key] >= 0.92 - 2.5 * error, (cell["noise"], cell["sizes"], cell["seeds"], key)
    assert any("long tails" in cell["noise"] for cell in record["cells"])


@pytest.mark.parametrize("rule", ["test", "validation"])
def test_a_filter_on_the_test_bends_exponents_and_one_on_validation_does_not(rule):
    cell = law_filter.Filter(0.4, 0.3, 0.3, rule)
    found = law_filter.run_filter(cell, 150)
    assert (abs(found["mean"] - 0.4) < 0.03) == (rule == "validation")
    assert (found["coverage"] >= 0.91) == (rule == "validation")
