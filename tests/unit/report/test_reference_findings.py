from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from uprung.report.blocks import Cell
from uprung.report.sections.references import reference_errors, reference_errors_table


@pytest.fixture
def summary() -> pd.DataFrame:
    ratios = {
        "100": {"target": (1, 1, 1), "ridge": (0.9, 0.8, 0.95), "huber": (0.98, 0.9, 1.1), "source": (9, 8, 10)},
        "800": {"target": (1, 1, 1), "ridge": (1.01, 1.001, 1.02), "huber": (1.0, 0.9, 1.1), "source": (9, 8, 10)},
    }
    rows = []
    for population, n_test in (("all", 1200), ("covered", 40)):
        for size, values in ratios.items():
            for name, (ratio, low, high) in values.items():
                row = {"reference": name, "estimator": "ridge" if name == "ridge" else "least-squares", "size": size}
                row |= {
                    "n_frames": float(size),
                    "population": population,
                    "n_test": n_test,
                    "n_groups": 12,
                    "n_seeds": 3,
                }
                rows.append(row | {"mae": 0.5 * ratio, "ratio": ratio, "ratio_low": low, "ratio_high": high})
    return pd.DataFrame(rows)


def test_sentences_follow_the_intervals(summary: pd.DataFrame) -> None:
    first, last = reference_errors(summary, "target")
    assert first.startswith(
        "With n = 100, the lowest error of references alone on all test structures is that of ridge"
    )
    assert "0.450 eV/atom (target: 0.500)" in first
    assert "Against target, by the paired 95 % intervals: ridge is better; source is worse; huber is indist" in first
    assert "is that of target, 0.500 eV/atom." in last
    assert "ridge and source are worse; huber is indistinguishable from it." in last


def test_what_could_not_be_fitted_is_said(summary: pd.DataFrame) -> None:
    gone = (summary["reference"] == "huber") & (summary["size"] == "100")
    summary.loc[gone, ["mae", "ratio", "ratio_low", "ratio_high"]] = np.nan
    summary.loc[gone, "n_seeds"] = 0
    *_, said = reference_errors(summary, "target")
    assert said.startswith("huber could not be fitted at 1 size for every seed (100)")
    table = reference_errors_table(summary, "target")
    rows = {row[0].text: row for row in table.rows if isinstance(row[0], Cell)}
    assert rows["huber"][1] == Cell("–", "no fit")


def test_table_has_both_ends_and_populations(summary: pd.DataFrame) -> None:
    table = reference_errors_table(summary, "target")
    assert list(table.columns) == ["reference", "all, n = 100", "all, n = 800", "covered, n = 100", "covered, n = 800"]
    assert "1,200 test structures (12 groups) and 40 covered structures (12 groups)" in table.caption
    rows = {row[0].text: row for row in table.rows if isinstance(row[0], Cell)}
    assert rows["target"][1] == Cell("0.500")
    assert rows["ridge"][1] == Cell("0.450", "0.900 (0.800 to 0.950)")


def test_one_reference_alone(summary: pd.DataFrame) -> None:
    (first, _) = reference_errors(summary[summary["reference"] == "target"], "target")
    assert first.endswith("there is no other reference to compare with target.")
