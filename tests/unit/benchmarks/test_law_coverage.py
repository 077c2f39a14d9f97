"""The simulation behind the coverage tables: what it draws is what it says, and its tables land on the page."""

from __future__ import annotations

from pathlib import Path

import law_coverage as simulation
import numpy as np
import pytest

from uprung.laws import LAWS

PAGE = Path(__file__).parents[3] / "docs/laws.md"
QUIET = simulation.Noise(seed=0.0, difficulty=0.0, rate=0.0, luck=0.0)


@pytest.mark.parametrize("law", LAWS)
def test_without_noise_the_errors_are_the_law(law):
    curve, exponent = simulation.truth(law)
    n = np.geomspace(100, 10_000, 4)
    mae, covariance = simulation.simulate(np.random.default_rng(0), [curve], np.log(n), 2, QUIET)
    assert mae[0] == pytest.approx(np.exp(curve(np.log(n)))[:, None] * np.ones(2))
    assert np.abs(covariance).max() < 1e-20
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
    boot = np.mean([c for _, c in found], axis=0)
    assert np.diag(boot) == pytest.approx(np.diag(true), rel=0.3)


def test_a_cell_counts_its_studies_and_a_refused_law_has_its_reason():
    cell = simulation.run_cell(simulation.Cell("power", 4, 2, simulation.Noise()), 10)
    assert cell["studies"] == 10
    assert sum(cell["chosen"].values()) == pytest.approx(1.0)
    assert cell["exponent"] >= 0.6
    refused = simulation.run_cell(simulation.Cell("broken", 4, 2, simulation.Noise()), 10)
    assert "broken law needs 5" in refused["refused"]


def test_a_page_has_each_table_once():
    page = "a\n<!-- coverage -->\nold\n<!-- /coverage -->\nb\n"
    assert simulation.fill(page, {"coverage": "new"}) == "a\n<!-- coverage -->\nnew\n<!-- /coverage -->\nb\n"
    with pytest.raises(ValueError, match="stress"):
        simulation.fill(page, {"stress": "new"})


def test_the_page_of_the_repository_holds_the_tables_of_the_record():
    import json

    record = json.loads(simulation.RECORD.read_text())
    assert simulation.fill(PAGE.read_text(), simulation.page_tables(record)) == PAGE.read_text()
    main = [c for c in record["cells"] if c.get("studies", 0) >= 1000]
    assert {(c["law"], c["sizes"], c["seeds"]) for c in main} >= {
        (law, k, m) for law in LAWS for k in (4, 6) for m in (2, 3, 5) if (law, k) != ("broken", 4)
    }
