from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from uprung.report.blocks import Cell
from uprung.report.captions import FIGURES
from uprung.report.sections.limits import coverage_limits
from uprung.report.sections.references import (
    made_for_arms,
    reference_errors,
    reference_errors_table,
    references_table,
    tied_references,
)


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


@pytest.fixture
def references() -> pd.DataFrame:
    """Seven elements of one fit: five of them had structures, two of these five a value of their own."""
    rows = [
        ("Si", 4, "fit", ""),
        ("O", 4, "fit", ""),
        ("Ga", 3, "prior", "Ga + As"),
        ("As", 3, "prior", "Ga + As"),
        ("Cl", 2, "prior", ""),
        ("U", 0, "prior", ""),
        ("Pu", 0, "prior", ""),
    ]
    table = pd.DataFrame(rows, columns=["element", "n_structures", "origin", "combination"])
    return table.assign(reference="target", size="20", estimator="least-squares", stderr=0.1, value=-1.0)


def test_only_elements_without_a_structure_had_none(references: pd.DataFrame) -> None:
    curves = pd.DataFrame({"population": ["all"], "n_test": [5]})
    unseen, tied = coverage_limits(curves, references)
    assert unseen.startswith("Up to 2 elements of the study (reference target, n = 20) had no training structure")
    assert tied.startswith("3 elements (reference target, n = 20) had training structures, but none that determine")
    assert "of Ga and As Ga + As is determined" in tied
    assert "of Cl the proportion hardly varies and the prior decides" in tied
    seen = references[references["n_structures"] > 0]
    assert len(coverage_limits(curves, seen)) == 1
    assert coverage_limits(curves, references[references["origin"] == "fit"]) == []


def test_the_table_tells_tied_from_unseen(references: pd.DataFrame) -> None:
    table = references_table(references)
    assert list(table.columns)[3:6] == ["fitted", "tied", "unseen"]
    assert list(table.rows[0][3:6]) == ["2", "3", "2"]
    (said,) = tied_references(references)
    assert said.startswith("At n = 20 reference target is not determined element by element: of Ga and As")


@pytest.mark.parametrize("name", ["energy", "labels", "shift", "elements", "importance"])
def test_captions_of_a_pair_name_the_pairs_that_were_fitted(name: str) -> None:
    assert "{subset}" in FIGURES[f"{{pair}}-{name}"].caption


def test_what_teachers_and_fisher_information_rest_on_is_told() -> None:
    taught = {"teachers": ["big", "small"], "frames": 1822, "accepted": 1203, "limits": {"force": 0.1, "energy": 0.02}}
    pulled = {"structures": 1, "network": "chgnet-0.3.0"}
    first, second = made_for_arms({"a": taught}, {"b": pulled}, {"a": "taught", "b": "elastic"})
    assert first == (
        "The teachers of taught, big and small, agree on 1,203 of 1,822 source frames (to a standard deviation of "
        "100 meV/Å in force and 20.0 meV/atom in energy)."
    )
    assert second.endswith("elastic is estimated on 1 source frame of training materials with chgnet-0.3.0.")
    assert made_for_arms({}, {}, {}) == []
