"""Which runs enter laws: size by size, on validation."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from uprung.laws import fit_law, log_points
from uprung.scaling.entering import BLOWN, decide, failed_runs, sizes_below_baseline

N = np.array([100.0, 200.0, 400.0, 800.0, 1600.0])


def runs(ratios: np.ndarray, *, falling: np.ndarray | bool = False) -> pd.DataFrame:
    """Return runs with validation ratios (sizes, seeds)."""
    sizes, seeds = ratios.shape
    table = pd.DataFrame(
        {"budget": "b", "arm": "a", "target": "energy", "size": np.repeat(N[:sizes].astype(str), seeds)}
    )
    return table.assign(
        n_frames=np.repeat(N[:sizes], seeds),
        seed=np.tile(np.arange(seeds), sizes),
        val_ratio=ratios.ravel(),
        falling=np.broadcast_to(falling, ratios.shape).ravel(),
    )


@pytest.mark.parametrize(
    ("logs", "inside"),
    [
        ([-0.5, -1, -1.5, -2, -2.5], [1, 1, 1, 1, 1]),
        ([0.5, 0.1, -0.5, -1, -1.5], [0, 0, 1, 1, 1]),
        ([0.4, -2.3, -2.3, -2.4, -2.5], [0, 1, 1, 1, 1]),
        ([0, 0, 0, -0.5, -1], [0, 0, 0, 1, 1]),  # learns nothing up to the third size
        ([0.3, 0.3, 0.3, 0.3, 0.3], [0, 0, 0, 0, 0]),
    ],
)
def test_a_line_through_all_sizes_decides(logs, inside):
    assert sizes_below_baseline(np.log(N), np.array(logs, dtype=float)).tolist() == [bool(v) for v in inside]


def test_a_size_is_in_or_out_as_a_whole_except_for_what_has_blown_up():
    ratios = np.exp(-0.5 * np.log(N / 50))[:, None] * np.array([1.0, 1.1, 0.9])
    ratios[2, 1] = 1.05  # above the baseline by itself, in a size that is not
    ratios[3, 0] = 5.0
    ratios[4, 2] = np.nan
    found = decide(runs(ratios))
    assert found.loc[~found["converged"], ["size", "seed"]].to_numpy().tolist() == [["800.0", 0], ["1600.0", 2]]
    assert set(found.loc[~found["converged"], "reason"]) == {BLOWN}


def test_one_blown_up_size_does_not_take_its_neighbours_along():
    ratios = np.array([[20.0], [20.0], [0.6], [0.4], [0.25]])
    assert decide(runs(ratios))["converged"].tolist() == [False, False, True, True, True]


def test_a_size_still_falling_in_most_seeds_is_out():
    ratios = np.full((5, 3), 0.3) * np.exp(-0.2 * np.arange(5))[:, None]
    falling = np.zeros((5, 3), dtype=bool)
    falling[1, :2] = falling[3, 0] = True
    found = decide(runs(ratios, falling=falling))
    assert set(found.loc[~found["converged"], "size"]) == {"200.0"}
    assert found.loc[~found["converged"], "reason"].str.contains("still falling").all()


def test_the_share_of_failed_runs_has_an_exact_interval():
    ratios = np.full((5, 3), 0.5)
    ratios[0] = 1.2
    row = failed_runs(runs(ratios)).iloc[0]
    assert (row["runs"], row["failed"], row["share"]) == (15, 3, 0.2)
    assert [row["low"], row["high"]] == pytest.approx([0.0433, 0.4809], abs=1e-4)
    assert row["which"] == "n=100.0 seed 0; n=100.0 seed 1; n=100.0 seed 2"
    assert failed_runs(runs(ratios).drop(columns="val_ratio")).empty


def test_the_choice_does_not_move_exponents_as_a_filter_on_the_test_does():
    """True exponent 0.5, a baseline within the sizes: a filter of runs by their own test error gives 0.47."""
    rng, found = np.random.default_rng(0), []
    for _ in range(150):
        line = -0.5 * (np.log(N / N[0]) - 0.15)
        test = line[:, None] + 0.15 * rng.standard_normal((5, 3))
        table = runs(np.exp(test + 0.44 * 0.15 * rng.standard_normal((5, 3))))
        keeps = (test.ravel() < 0, decide(table)["converged"].to_numpy())
        x, y, sizes = np.repeat(N, 3), np.exp(test.ravel()), table["size"].to_numpy()
        laws = (fit_law(log_points(x[k], y[k], sizes=sizes[k]), "power") for k in keeps)
        found.append([law.parameters()["exponent"][0] for law in laws])
    mean = np.mean(found, axis=0)
    assert mean[0] < 0.48
    assert mean[1] == pytest.approx(0.5, abs=0.015)
