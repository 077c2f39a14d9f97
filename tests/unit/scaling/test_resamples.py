"""Test noise that runs share."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from uprung.scaling.resamples import Resamples, resample


def table(ratios: dict[tuple[str, int], np.ndarray]) -> pd.DataFrame:
    rows = [{"budget": "b", "arm": a, "size": "100", "seed": s, "target": "energy"} for a, s in ratios]
    return pd.DataFrame(rows).assign(ln_ratio=list(ratios.values()))


def test_the_bootstrap_of_a_mean_has_its_textbook_variance():
    rng = np.random.default_rng(0)
    errors, counts = rng.uniform(0.5, 1.5, 100), np.ones(100)
    found = resample(errors, counts, resamples=20_000, seed=1)
    assert found.std() == pytest.approx(errors.std() / 10 / errors.mean(), rel=0.03)


def test_runs_resampled_alike_keep_their_correlation():
    errors = np.random.default_rng(0).uniform(0.5, 1.5, 80)
    counts = np.full(80, 3.0)
    twins = [resample(f * errors, counts, resamples=500, seed=0) for f in (1.0, 7.0)]
    assert twins[0] == pytest.approx(twins[1])
    noise = Resamples(table({("a", 0): twins[0], ("a", 1): twins[1]}))
    runs = pd.DataFrame({"budget": "b", "arm": "a", "size": "100", "seed": [0, 1], "target": "energy"})
    covariance = noise.covariance(runs)
    assert covariance is not None
    assert covariance == pytest.approx(np.full((2, 2), twins[0].var(ddof=1)))


def test_an_unknown_run_makes_the_covariance_unknown():
    noise = Resamples(table({("a", 0): np.zeros(10)}))
    runs = pd.DataFrame({"budget": "b", "arm": "a", "size": "100", "seed": [0, 1], "target": "energy"})
    assert noise.covariance(runs) is None
    assert noise.covariance(runs.iloc[:0]) is None
