from __future__ import annotations

import numpy as np
import pytest
from compositions import fractions, random_fractions, solids
from scipy.optimize import least_squares
from sklearn.linear_model import HuberRegressor

from uprung.atomref import Huber, LeastSquares


def test_solves_hubers_problem_at_its_scale():
    X, y, _ = solids()
    fit = Huber().fit(X, y)
    A = X[:, fit.seen_]
    limit = fit.threshold * fit.scale_
    score = np.clip(y - fit.predict(X), -limit, limit)
    np.testing.assert_allclose(A.T @ score, 0, atol=1e-8)  # the estimating equations
    found = least_squares(
        lambda e: A @ e - y,
        LeastSquares().fit(X, y).coef_[fit.seen_],
        jac=lambda _: A,
        loss="huber",
        f_scale=limit,
        xtol=1e-14,
        ftol=1e-14,
        gtol=1e-12,
        max_nfev=2000,
    )
    np.testing.assert_allclose(fit.coef_[fit.seen_], found.x, atol=1e-4)
    assert 0 < (fit.weights_ < 1).mean() < 0.5


def test_agrees_with_scikit_learn_where_scales_are_the_same():
    rng = np.random.default_rng(0)
    X = random_fractions(rng, 300, np.arange(1, 8))
    y = X @ rng.normal(size=94) + 0.1 * rng.standard_t(3, size=300)
    stock = HuberRegressor(epsilon=1.345, alpha=0, fit_intercept=False, max_iter=2000, tol=1e-9).fit(X[:, :7], y)
    fit = Huber(1.345 * stock.scale_ / Huber(1.345).fit(X, y).scale_)
    np.testing.assert_allclose(fit.fit(X, y).coef_[:7], stock.coef_, atol=0.01)


def test_is_least_squares_without_outliers():
    X, y, material = solids()
    wide, least = Huber(1e6).fit(X, y, material), LeastSquares().fit(X, y, material)
    for name in ("coef_", "stderr_"):
        np.testing.assert_allclose(getattr(wide, name), getattr(least, name), rtol=1e-7)


def test_outliers_have_a_limited_pull():
    rng = np.random.default_rng(1)
    Z = np.arange(1, 11)
    X = random_fractions(rng, 200, Z)
    truth = rng.normal(-10, 5, 94)
    y = X @ truth + 0.02 * rng.normal(size=200)
    y[:10] += 50
    robust, least = (np.abs(fit.fit(X, y).coef_ - truth)[:10].max() for fit in (Huber(), LeastSquares()))
    assert robust < 0.05
    assert least > 20 * robust


def test_standard_errors_cover_under_heavy_tails():
    rng = np.random.default_rng(2)
    X = random_fractions(rng, 150, np.arange(1, 6))
    inside, wider = [], []
    for _ in range(150):
        y = rng.standard_t(3, size=150)
        fit, least = Huber().fit(X, y), LeastSquares().fit(X, y)
        inside.append(np.abs(fit.coef_[:5]) < 1.96 * fit.stderr_[:5])
        wider.append(least.stderr_[:5] / fit.stderr_[:5])
    assert 0.91 < np.mean(inside) < 0.98
    assert np.median(wider) > 1.1  # which is what robustness is for


def test_single_structures_do_not_shrink_the_scale():
    """Twenty elements with one structure each are fitted exactly; they say nothing about the size of errors."""
    rng = np.random.default_rng(4)
    X = fractions(*[{1: 1}] * 15, *[{z: 1} for z in range(20, 40)])
    y = np.concatenate([rng.normal(size=15), np.full(20, -3.0)])
    fit = Huber().fit(X, y)
    assert fit.scale_ == pytest.approx(1, rel=0.5)
    np.testing.assert_allclose(fit.coef_[19:39], -3.0)
    assert np.isnan(fit.stderr_[19:39]).all()


def test_an_exact_fit_has_no_scale():
    X = fractions({3: 1}, {8: 1}, {3: 1, 8: 1}, {3: 2, 8: 1})
    fit = Huber().fit(X, X @ np.linspace(-1, -94, 94))
    np.testing.assert_allclose(fit.coef_[[2, 7]], [-3, -8])
    assert fit.scale_ == 0
    assert (fit.weights_ == 1).all()


def test_a_threshold_has_to_be_positive():
    with pytest.raises(ValueError, match="threshold 0; it has to be positive"):
        Huber(0).fit(fractions({3: 1}), [1.0])
