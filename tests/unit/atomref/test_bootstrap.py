from __future__ import annotations

import numpy as np
import pytest
from compositions import fractions, random_fractions

from uprung.atomref import Huber, LeastSquares, PriorRidge, Ridge, bootstrap_stderr


@pytest.mark.parametrize("fit", [LeastSquares(), Huber(), Ridge(1e-3)], ids=lambda fit: fit.name)
def test_agrees_with_the_analytic_errors_for_many_groups(fit):
    rng = np.random.default_rng(0)
    X = np.repeat(random_fractions(rng, 150, np.arange(1, 7)), 3, axis=0)
    groups = np.repeat(np.arange(150), 3)
    y = rng.normal(size=150)[groups] + 0.3 * rng.normal(size=450)
    analytic = fit.fit(X, y, groups).stderr_[:6]
    np.testing.assert_allclose(bootstrap_stderr(fit, X, y, groups, resamples=300, seed=1)[:6] / analytic, 1, atol=0.2)
    # Structures drawn one by one look like three times as many data.
    alone = bootstrap_stderr(fit, X, y, resamples=300, seed=1)[:6]
    assert np.median(alone / analytic) < 0.75


def test_elements_in_few_groups_have_no_bootstrap_error():
    rng = np.random.default_rng(1)
    X = np.vstack([random_fractions(rng, 60, np.arange(1, 5)), fractions({26: 1}, {26: 1, 1: 1})])
    got = bootstrap_stderr(LeastSquares(), X, rng.normal(size=62), resamples=100, seed=0)
    assert np.isfinite(got[:4]).all()
    assert np.isnan(got[25])
    assert np.isnan(got[50])


def test_a_seed_gives_the_same_errors_and_the_estimator_is_left_alone():
    rng = np.random.default_rng(2)
    X, fit = random_fractions(rng, 40, np.arange(1, 5)), PriorRidge(np.linspace(-1, -94, 94))
    y, together = rng.normal(size=40), np.arange(40) // 2
    one, same, other = (bootstrap_stderr(fit, X, y, together, together, resamples=20, seed=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, same)
    assert (one != other)[:4].all()
    assert "coef_" not in vars(fit)


def test_refusals():
    X = fractions({3: 1}, {8: 1})
    with pytest.raises(ValueError, match="1 resamples of 2 groups; at least two"):
        bootstrap_stderr(LeastSquares(), X, [0.0, 1.0], resamples=1, seed=0)
    with pytest.raises(ValueError, match="50 resamples of 1 groups"):
        bootstrap_stderr(LeastSquares(), X, [0.0, 1.0], ["a", "a"], resamples=50, seed=0)
