"""What every estimator of reference energies promises."""

from __future__ import annotations

import numpy as np
import pytest
from compositions import fractions, random_fractions
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone

from uprung.atomref import ElementEnergies, Huber, LeastSquares, PriorRidge, Ridge, UnseenElementError
from uprung.atomref.references import complete

SOURCE = -2.0 - 0.5 * np.arange(1, 95)
FITS = [LeastSquares(), Huber(), Ridge(), Ridge(0.3), PriorRidge(SOURCE), PriorRidge(SOURCE, 0.3)]
ALL = [*FITS, ElementEnergies(SOURCE, "isolated-atom")]
# Choosing a strength needs groups without which the fit still stands; two structures may not be enough.
GIVEN = [fit for fit in FITS if getattr(fit, "strength", 1) is not None]

numbered = {"ids": lambda fit: f"{fit.name}-{getattr(fit, 'strength', '')}"}


def problem(seed: int, n: int, n_elements: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    X = random_fractions(rng, n, rng.choice(np.arange(1, 95), n_elements, replace=False))
    return X, X @ (SOURCE - 3) + rng.normal(size=n)


@pytest.mark.parametrize("fit", ALL, **numbered)
def test_scikit_learns_conventions(fit):
    before = {name: np.copy(value) for name, value in fit.get_params().items() if value is not None}
    X, y = problem(0, 40, 6)
    copy = clone(fit)
    assert type(copy) is type(fit)
    assert "coef_" not in vars(copy)
    assert copy.fit(X, y) is copy
    assert copy.predict(X).shape == (40,)
    assert np.isfinite(copy.score(X, y))
    assert copy.n_features_in_ == 94
    for name, value in before.items():
        np.testing.assert_array_equal(copy.get_params()[name], value)
    again = clone(copy).set_params(**copy.get_params()).fit(X, y)
    np.testing.assert_array_equal(again.coef_, copy.coef_)


@pytest.mark.parametrize("fit", ALL, **numbered)
def test_diagnostics_are_there(fit):
    X, y = problem(1, 60, 8)
    fit = clone(fit).fit(X, y, np.arange(60) // 3)
    for name in ("coef_", "stderr_", "n_structures_", "seen_", "determined_"):
        assert getattr(fit, name).shape == (94,)
    assert fit.leverage_.shape == (60,)
    assert (fit.leverage_ >= 0).all()
    assert (fit.leverage_ <= 1 + 1e-9).all()
    np.testing.assert_array_equal(fit.n_structures_, (X > 0).sum(axis=0))
    assert fit.rank_ == np.linalg.matrix_rank(X)
    values = np.linalg.svd(X[:, (X > 0).any(axis=0)], compute_uv=False)
    assert fit.condition_ == pytest.approx(values[0] / values[-1])
    assert (fit.n_samples_, fit.n_groups_) == (60, 20)


@pytest.mark.parametrize("fit", FITS, **numbered)
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(25, 60), n_elements=st.integers(2, 8))
def test_order_does_not_matter_and_a_shift_of_all_energies_shifts_all_references(fit, seed, n, n_elements):
    X, y = problem(seed, n, n_elements)
    groups = np.random.default_rng(seed).integers(0, 15, n).astype(str)
    base = clone(fit).fit(X, y, groups, groups)
    order = np.random.default_rng(seed + 1).permutation(n)
    moved = clone(fit).fit(X[order], y[order], groups[order], groups[order])
    np.testing.assert_allclose(moved.coef_, base.coef_, atol=1e-6)
    np.testing.assert_allclose(moved.stderr_, base.stderr_, rtol=1e-4, atol=1e-6)
    raised = clone(fit).fit(X, y + 7.5, groups, groups)
    # A prior has a constant among its free terms, so that it moves along.
    np.testing.assert_allclose(raised.predict(X), base.predict(X) + 7.5, atol=1e-6)
    known = base.determined_
    np.testing.assert_allclose(raised.coef_[known], base.coef_[known] + 7.5, atol=1e-6)
    np.testing.assert_allclose(raised.stderr_, base.stderr_, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("fit", GIVEN, **numbered)
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(2, 40), n_elements=st.integers(2, 30))
def test_an_unseen_element_is_never_silently_zero(fit, seed, n, n_elements):
    X, y = problem(seed, n, n_elements)
    fit = clone(fit).fit(X, y)
    unseen = ~(X > 0).any(axis=0)
    assert np.isnan(fit.coef_[unseen]).all()
    with pytest.raises(UnseenElementError):
        fit.predict(unseen[None, :] / unseen.sum())
    needed = np.ones(94, dtype=bool)
    with pytest.raises(ValueError, match="policy is 'error'"):
        complete(fit, policy="error", source=SOURCE, needed=needed)
    reference = complete(fit, policy="source", source=SOURCE, needed=needed)
    np.testing.assert_array_equal(reference.values[unseen], SOURCE[unseen])
    assert set(reference.origin[unseen]) == {"source"}
    if fit.determined_.any() or fit.name == "prior-ridge":
        reference = complete(fit, policy="prior", source=SOURCE, needed=needed)
        assert set(reference.origin[unseen]) == {"prior"}
        assert np.isfinite(reference.values).all()
        assert (np.abs(reference.values[unseen]) > 1e-3).all()
    # A prior-ridge has the source that it was made with.
    for policy in ("source",) if fit.name == "prior-ridge" else ("prior", "source"):
        with pytest.raises(ValueError, match=r"no value for|unknown"):
            complete(fit, policy=policy, source=np.where(unseen, np.nan, SOURCE), needed=needed)


@pytest.mark.parametrize("fit", GIVEN, **numbered)
def test_rank_deficiency_is_reported(fit):
    X = fractions({11: 1, 17: 1}, {11: 2, 17: 2}, {14: 1}, {14: 1, 8: 1}, {8: 1})
    fit = clone(fit).fit(X, [-3.0, -3.1, -5.0, -7.0, -9.0])
    assert fit.rank_ == 3
    assert list(fit.seen_[[10, 16, 13, 7]]) == [True] * 4
    assert list(fit.determined_[[10, 16, 13, 7]]) == [False, False, True, True]
    assert np.isnan(fit.stderr_[[10, 16]]).all()
    assert fit.null_space_.shape == (94, 1)


@pytest.mark.parametrize("fit", ALL, **numbered)
@pytest.mark.parametrize(
    ("X", "y", "groups", "match"),
    [
        (np.ones((2, 3)), [0, 0], None, "shape"),
        (fractions({3: 1}) * 2, [0.0], None, "fractions"),
        (fractions({3: 1}), [np.nan], None, "not finite"),
        (fractions({3: 1}), [0.0], ["a", "b"], "groups"),
        (np.zeros((0, 94)), [], None, "no structures"),
    ],
)
def test_bad_input_is_refused(fit, X, y, groups, match):
    with pytest.raises(ValueError, match=match):
        clone(fit).fit(X, y, groups)


def test_source_policy_fills_what_is_tied_without_a_shift():
    X = fractions({11: 1, 17: 1}, {14: 1}, {8: 1})
    fit = LeastSquares().fit(X, X @ (SOURCE + 1))
    needed = np.isin(np.arange(1, 95), [8, 11, 14, 17, 26])
    reference = complete(fit, policy="source", source=SOURCE, needed=needed)
    np.testing.assert_allclose(reference.predict(X), X @ (SOURCE + 1))  # what the data determine stands
    np.testing.assert_allclose(reference.values[[10, 16]], SOURCE[[10, 16]] + 1)  # the mismatch is shared equally
    assert reference.values[25] == SOURCE[25]
    assert reference.stderr[25] == pytest.approx(1)  # what the source is off by where this is known
    assert list(reference.origin[[13, 10, 25]]) == ["fit", "source", "source"]
