from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from uprung.atomref.compare import ComparedFit, Held, compare_references
from uprung.atomref.fit import Estimator, Labelled

ELEMENTS = np.array([3, 8, 14, 26, 29, 30, 47, 79])
TARGET = -3.0 - 0.1 * np.arange(1, 95)
NOISE = 0.2
EXACT = Estimator("isolated-atom", elements=TARGET)
CANDIDATES = [
    ComparedFit("target", "target", Estimator()),
    ComparedFit("whole", "target", Estimator(), scope="train"),
    ComparedFit("source", "source", Estimator()),
    ComparedFit("ridge", "target", Estimator("ridge")),
    ComparedFit("exact", "target", EXACT),
]


@pytest.fixture
def held() -> Held:
    """400 structures; frames 0..299 train in the order of each seed, 300..399 test, five structures a material."""
    rng = np.random.default_rng(0)
    X = np.zeros((400, 94))
    for k, row in enumerate(X):  # seed 0 has gold (the last one) only from its 31st structure on
        row[rng.choice(ELEMENTS[: 7 if k < 30 else 8], 3, replace=False) - 1] = rng.dirichlet(np.ones(3))
    materials = np.array([f"m{k // 5}" for k in range(400)])
    y = X @ TARGET + NOISE * rng.standard_normal(400)
    orders = {}
    for seed in (0, 1):
        rows = np.arange(300) if seed == 0 else rng.permutation(300)
        orders[seed] = pd.DataFrame({"row": rows, "unit_rank": np.arange(300), "n_frames": np.arange(1, 301)})
    return Held(
        frames=Labelled(X, y, materials, materials),
        source=Labelled(X[:300], X[:300] @ (TARGET + 2), materials[:300], materials[:300]),
        test=np.arange(300, 400),
        needed=(X > 0).any(axis=0),
        orders=orders,
        sizes={"30": "30", "150": "150", "all": "all"},
    )


@pytest.fixture
def found(held: Held) -> tuple[pd.DataFrame, pd.DataFrame]:
    return compare_references(CANDIDATES, held, baseline="target", resamples=200)


def test_one_row_for_everything(found: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    table, summary = found
    assert len(table) == 5 * 3 * 2 * 2
    assert not table.duplicated(["reference", "size", "seed", "population"]).any()
    assert len(summary) == 5 * 3 * 2
    assert (table["reason"] == "").all()
    assert set(table.loc[table["size"] == "all", "n_frames"]) == {300}
    labels = table.set_index(["reference", "size", "seed", "population"])["n_labels"]
    assert labels["target", "30", 0, "all"] == 30
    assert labels["whole", "30", 0, "all"] == 300  # more labels than n, and told
    assert labels["source", "30", 0, "all"] == 0


def test_errors_are_those_of_the_references(held: Held, found: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    table, summary = found
    table = table.set_index(["reference", "size", "seed", "population"])
    X, y = held.frames.X, held.frames.y
    assert table.loc[("exact", "30", 0, "all"), "mae"] == pytest.approx(np.abs(X[300:] @ TARGET - y[300:]).mean())
    coefficients = np.linalg.lstsq(X[:150], y[:150], rcond=None)[0]
    by_hand = np.abs(X[300:] @ coefficients - y[300:])
    assert table.loc[("target", "150", 0, "all"), "mae"] == pytest.approx(by_hand.mean())
    mean = summary.set_index(["reference", "size", "population"])
    both = table.loc["target", "150", :, "all"]["mae"]
    assert mean.loc[("target", "150", "all"), "mae"] == pytest.approx(both.mean())
    assert mean.loc[("target", "150", "all"), "mae_min"] == both.min()
    assert mean.loc[("source", "30", "all"), "mae"] == pytest.approx(2, abs=0.1)
    assert mean.loc[("whole", "30", "all"), "mae"] == pytest.approx(mean.loc[("target", "all", "all"), "mae"])


def test_covered_structures_hold_only_elements_that_every_seed_saw(
    held: Held, found: tuple[pd.DataFrame, pd.DataFrame]
) -> None:
    table, _ = found
    with_gold = (held.frames.X[300:, 78] > 0).sum()
    counts = table.groupby("population")["n_test"].agg(set)
    assert counts["all"] == {100}
    assert counts["covered"] == {100 - with_gold}
    at = table.set_index(["reference", "size", "seed", "population"])
    assert at.loc[("target", "30", 0, "all"), "n_prior"] == 1
    assert at.loc[("target", "30", 1, "all"), "n_prior"] == 0
    # Gold is filled from the source: worse than a fit, and no part of the covered error.
    assert at.loc[("target", "30", 0, "all"), "mae"] != at.loc[("target", "30", 0, "covered"), "mae"]


def test_intervals(found: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    table, summary = found
    for rows, value in ((table, "mae"), (summary, "mae"), (summary, "ratio")):
        assert (rows[f"{value}_low"] <= rows[value] + 1e-12).all()
        assert (rows[value] <= rows[f"{value}_high"] + 1e-12).all()
    at = summary.set_index(["reference", "size", "population"])
    assert (at.loc["target"][["ratio", "ratio_low", "ratio_high"]] == 1).all(axis=None)
    assert at.loc[("source", "30", "all"), "ratio_low"] > 2
    # Paired: the ratio is known better than either error.
    close = at.loc[("ridge", "all", "all")]
    assert (close["ratio_high"] - close["ratio_low"]) < 0.3 * (close["mae_high"] - close["mae_low"]) / close["mae"]
    # Width of the interval: about 1.96 standard errors of 100 independent |normal| errors.
    width = (at.loc[("exact", "30", "all"), "mae_high"] - at.loc[("exact", "30", "all"), "mae_low"]) / 2
    assert width == pytest.approx(1.96 * NOISE * np.sqrt(1 - 2 / np.pi) / 10, rel=0.4)


def test_the_same_study_gives_the_same_table(held: Held, found: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    for one, other in zip(found, compare_references(CANDIDATES, held, baseline="target", resamples=200), strict=True):
        pd.testing.assert_frame_equal(one, other)


def test_a_fit_that_a_subset_does_not_allow_is_a_row_with_its_reason(held: Held) -> None:
    strict = ComparedFit("strict", "target", Estimator(), policy="error")
    table, summary = compare_references([CANDIDATES[0], strict], held, baseline="target", resamples=100)
    missing = table[table["reason"] != ""]
    assert set(missing["reference"]) == {"strict"}
    assert set(zip(missing["size"], missing["seed"], strict=True)) == {("30", 0)}
    assert missing["mae"].isna().all()
    assert missing["reason"].str.contains("Au occur").all()
    at = summary.set_index(["reference", "size", "population"])
    assert at.loc[("strict", "30", "all"), "n_seeds"] == 1
    # The ratio is taken over the one seed that both have, where the two fits are the same.
    assert at.loc[("strict", "30", "all"), "ratio"] == pytest.approx(1)


def test_refusals(held: Held) -> None:
    with pytest.raises(ValueError, match=r"baseline 'mean' is not among the references \(target"):
        compare_references(CANDIDATES, held, baseline="mean", resamples=100)
    residual = ComparedFit("residual", "residual", Estimator())
    with pytest.raises(ValueError, match="residual fit what a network leaves over"):
        compare_references([*CANDIDATES, residual], held, baseline="target", resamples=100)


def test_without_labels_kept_together_materials_are_drawn(held: Held) -> None:
    alone = replace(held, frames=replace(held.frames, together=None))
    one, other = (
        compare_references([CANDIDATES[0]], h, baseline="target", resamples=100)[1]["mae_low"] for h in (held, alone)
    )
    pd.testing.assert_series_equal(one, other)
