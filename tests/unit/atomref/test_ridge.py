from __future__ import annotations

import numpy as np
import pytest
import sklearn.linear_model
from compositions import ABSENT, fractions, published, random_fractions, solids
from sklearn.model_selection import LeaveOneGroupOut

from uprung.atomref import LeastSquares, PriorRidge, Ridge
from uprung.atomref.left_out import left_out_residuals
from uprung.atomref.references import complete
from uprung.atomref.ridge import STRENGTHS


def posterior(X, y, source, degree, strength):
    """Return references and their covariance over σ² by solving the normal equations as they are written."""
    Z = 2 * np.arange(94) / 93 - 1
    W = np.hstack([X @ np.vander(Z, degree + 1), X])
    precision = np.linalg.inv(W.T @ W + np.diag([0.0] * (degree + 1) + [strength] * 94))
    to_values = np.hstack([np.vander(Z, degree + 1), np.eye(94)])
    return source + to_values @ precision @ W.T @ (y - X @ source), to_values @ precision @ to_values.T


@pytest.mark.parametrize("strength", [1e-3, 0.3, 30.0])
def test_ridge_is_scikit_learns_with_an_intercept(strength):
    X, y, _ = solids()
    fit = Ridge(strength).fit(X, y)
    stock = sklearn.linear_model.Ridge(alpha=strength, solver="cholesky").fit(X, y)
    np.testing.assert_allclose(fit.coef_[fit.seen_], (stock.coef_ + stock.intercept_)[fit.seen_], atol=1e-8)
    np.testing.assert_allclose(fit.predict(X), stock.predict(X), atol=1e-9)


@pytest.mark.parametrize("strength", [1e-2, 1.0])
def test_prior_ridge_and_its_errors_are_the_posterior_of_the_normal_equations(strength):
    low, high = published()
    rng = np.random.default_rng(0)
    known = np.flatnonzero(np.isfinite(high)) + 1
    X = random_fractions(rng, 400, known)
    y = X @ np.nan_to_num(high) + 0.2 * rng.normal(size=400)
    fit = PriorRidge(low, strength).fit(X, y)
    values, covariance = posterior(X, y, np.nan_to_num(low), 3, strength)
    np.testing.assert_allclose(fit.coef_[known - 1], values[known - 1], atol=1e-7)
    # Sandwich and posterior agree on average when errors are independent and alike.
    residual = y - fit.predict(X)
    sigma = np.sqrt(residual @ residual / (400 - fit.leverage_.sum()))
    ratio = fit.stderr_[known - 1] / (sigma * np.sqrt(np.diag(covariance)[known - 1]))
    assert np.nanmedian(ratio) == pytest.approx(1, abs=0.15)  # t quantiles are above 1.96
    assert np.nanstd(ratio) < 0.35  # t quantiles of few degrees of freedom among them


def test_weak_ridges_are_least_squares_and_strong_ones_their_expectation():
    X, y, _ = solids()
    least, source = LeastSquares().fit(X, y), np.linspace(-1, -50, 94)
    for weak in (Ridge(1e-9), PriorRidge(source, 1e-9)):
        np.testing.assert_allclose(weak.fit(X, y).coef_[least.seen_], least.coef_[least.seen_], atol=1e-5)
    assert np.ptp(Ridge(1e9).fit(X, y).coef_[least.seen_]) < 1e-3
    strong = PriorRidge(source, 1e9).fit(X, y)
    np.testing.assert_allclose(strong.coef_[least.seen_], strong.prior_[least.seen_], atol=1e-3)


def test_one_element_shrinks_as_a_mean_does():
    # n structures of O and m of Fe around a common energy: the textbook shrinkage n/(n + strength) of each about it.
    X = fractions(*[{8: 1}] * 6, *[{26: 1}] * 2)
    y = np.array([-5.0] * 6 + [-8.0] * 2)
    fit = Ridge(2.0).fit(X, y)
    share = np.array([6, 2]) / (np.array([6, 2]) + 2.0)
    common = (share * [-5.0, -8.0]).sum() / share.sum()
    np.testing.assert_allclose(fit.coef_[[7, 25]], common + share * ([-5.0, -8.0] - common))
    assert fit.expected_[0] == pytest.approx(common)


@pytest.mark.parametrize("by_group", [True, False])
def test_the_strength_has_the_smallest_error_on_what_is_left_out(by_group):
    X, y, material = solids()
    keep = np.random.default_rng(0).permutation(len(y))[:80]
    X, y, material = X[keep], y[keep], material[keep]
    together = material if by_group else np.arange(len(y)).astype(str)
    fit = Ridge().fit(X, y, material, together)
    errors = []
    for strength in STRENGTHS[::4]:
        left = [
            y[test]
            - (model := sklearn.linear_model.Ridge(alpha=strength).fit(X[train], y[train])).coef_ @ X[test].T
            - model.intercept_
            for train, test in LeaveOneGroupOut().split(X, y, together)
        ]
        errors.append(np.mean(np.concatenate(left) ** 2))
    np.testing.assert_allclose(fit.scores_[::4], errors, rtol=1e-6)
    assert fit.n_scored_ == len(y)
    assert fit.strength_ == STRENGTHS[np.argmin(fit.scores_)]


def test_what_is_kept_together_decides_the_strength():
    """Copies of a structure are no test of a fit: by rows, repeated labels look like structures that agree."""
    rng = np.random.default_rng(3)
    Z = np.arange(20, 40)
    X = random_fractions(rng, 40, Z)
    y = X @ rng.normal(scale=0.3, size=94) + rng.normal(size=40)
    copies = np.repeat(np.arange(40), 6)
    by_row = Ridge().fit(X[copies], y[copies])
    by_material = Ridge().fit(X[copies], y[copies], copies, copies)
    assert by_material.strength_ > 30 * by_row.strength_


@pytest.mark.parametrize("sizes", [[1] * 30, [3] * 12, [1, 2, 2, 5, 40, 3, 3]])
def test_left_out_residuals_are_those_of_the_loop(sizes):
    rng = np.random.default_rng(1)
    codes = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    A, y = rng.normal(size=(len(codes), 6)), rng.normal(size=len(codes))
    U, s, _ = np.linalg.svd(A, full_matrices=False)
    shrunk = s**2 / (s**2 + 2.0)
    got = left_out_residuals(U * np.sqrt(shrunk), y - U @ (shrunk * (U.T @ y)), codes)
    for group in range(len(sizes)):
        rest = codes != group
        coefficients = np.linalg.solve(A[rest].T @ A[rest] + 2.0 * np.eye(6), A[rest].T @ y[rest])
        np.testing.assert_allclose(got[~rest], y[~rest] - A[~rest] @ coefficients, atol=1e-9)


def test_prior_ridge_beats_least_squares_where_labels_are_few_and_knows_its_errors():
    low, high = published()
    known = np.flatnonzero(np.isfinite(high))
    inside, errors = [], {"prior-ridge": [], "least-squares": []}
    for seed in range(6):
        rng = np.random.default_rng(seed)
        X, test = (random_fractions(rng, n, known + 1) for n in (120, 200))
        y = X @ np.nan_to_num(high) + 0.25 * rng.normal(size=120)
        for fit in (PriorRidge(low), LeastSquares()):
            reference = complete(fit.fit(X, y), policy="prior", source=low, needed=np.isfinite(high))
            errors[fit.name].append(np.abs(reference.predict(test) - test @ np.nan_to_num(high)).mean())
            if fit.name == "prior-ridge":
                off = np.abs(reference.values - high)[known]
                inside.append(
                    np.mean(
                        off[np.isfinite(reference.stderr[known])]
                        < 1.96 * reference.stderr[known][np.isfinite(reference.stderr[known])]
                    )
                )
    assert np.mean(errors["prior-ridge"]) < 0.85 * np.mean(errors["least-squares"])
    assert 0.75 < np.mean(inside) < 0.99


def test_prior_ridge_needs_fewer_structures_than_elements():
    low, high = published()
    known = np.flatnonzero(np.isfinite(high)) + 1
    rng = np.random.default_rng(5)
    X = random_fractions(rng, 30, known)
    y = X @ np.nan_to_num(high)
    reference = complete(PriorRidge(low).fit(X, y), policy="prior", source=low, needed=np.isfinite(high))
    assert np.abs(reference.values - high)[known - 1].mean() < 2.5  # eV/atom, over a shift of 0 to 73
    # Least squares determines no element and leans on one shift for all: every fitted energy is right, none alone is.
    tied = complete(LeastSquares().fit(X, y), policy="prior", source=low, needed=np.isfinite(high))
    np.testing.assert_allclose(tied.predict(X), y, atol=1e-9)
    assert set(tied.origin[known - 1]) == {"prior"}
    assert np.abs(tied.values - high)[known - 1].mean() > np.abs(reference.values - high)[known - 1].mean()


def test_prior_ridge_predicts_new_compounds_where_least_squares_determines_no_element():
    low, high = published()
    known, truth = np.flatnonzero(np.isfinite(high)) + 1, np.nan_to_num(high)
    errors = []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        X, new = random_fractions(rng, 30, known), random_fractions(rng, 300, known)
        y = X @ truth + 0.25 * rng.normal(size=30)
        assert not LeastSquares().fit(X, y).determined_.any()
        reference = complete(PriorRidge(low).fit(X, y), policy="prior", source=low, needed=np.isfinite(high))
        errors.append(np.abs(reference.predict(new) - new @ truth).mean())
    assert np.median(errors) == pytest.approx(0.75, abs=0.1)  # eV/atom


def test_an_element_without_source_is_fitted_freely():
    low, high = published()
    source = low.copy()
    source[25] = np.nan
    rng = np.random.default_rng(2)
    X = random_fractions(rng, 200, np.array([3, 8, 14, 22, 26, 30, 38, 50]))
    fit = PriorRidge(source, 5.0).fit(X, X @ np.nan_to_num(high) - 100 * X[:, 25])
    assert fit.coef_[25] == pytest.approx(high[25] - 100, abs=3)
    assert np.isnan(fit.prior_[25])
    assert np.isfinite(fit.prior_[np.setdiff1d(np.arange(94), [25, *ABSENT])]).all()


@pytest.mark.parametrize(
    ("fit", "match"),
    [
        (Ridge(0.0), "strength 0.0; it has to be positive"),
        (PriorRidge(np.zeros(5)), r"shape \(5,\)"),
        (PriorRidge(np.full(94, np.nan)), "nothing to lean on"),
        (Ridge(), "no strength can be chosen"),
    ],
)
def test_refusals(fit, match):
    with pytest.raises(ValueError, match=match):
        fit.fit(fractions({3: 1}, {8: 1}), [-3.0, -9.0], ["a", "a"], ["a", "a"])
