from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone

from uprung.atomref import LeastSquares, UnseenElementError
from uprung.atomref.prior import smooth_shift
from uprung.atomref.references import ReferenceEnergies, complete

DATA = Path(__file__).parents[3] / "data"
ABSENT = [70, 84, 85, 86, 87, 88]


def fractions(*structures: dict[int, float]) -> np.ndarray:
    X = np.zeros((len(structures), 94))
    for row, structure in zip(X, structures, strict=True):
        for Z, count in structure.items():
            row[Z - 1] = count / sum(structure.values())
    return X


def random_fractions(rng: np.random.Generator, n: int, Z: np.ndarray) -> np.ndarray:
    return fractions(*({int(z): int(rng.integers(1, 5)) for z in rng.choice(Z, 3)} for _ in range(n)))


@pytest.fixture(scope="module")
def published() -> tuple[np.ndarray, np.ndarray]:
    table = pd.read_csv(DATA / "paper" / "atomref_released.csv", index_col="Z").loc[1:94]
    low, high = table["MPtrj_eV"].to_numpy(), table["MPr2SCAN_eV"].to_numpy().copy()
    high[np.array(ABSENT) - 1] = np.nan
    return low, high


@pytest.fixture(scope="module")
def solids() -> tuple[list[dict], np.ndarray, np.ndarray, np.ndarray]:
    with gzip.open(DATA / "solids" / "solids.jsonl.gz", "rt") as lines:
        records = [record for record in map(json.loads, lines) if record["xc"] == "r2SCAN"]
    X = np.array([np.bincount(r["numbers"], minlength=95)[1:] / len(r["numbers"]) for r in records])
    y = np.array([r["energy"] / len(r["numbers"]) for r in records])
    return records, X, y, np.array([r["material"] for r in records])


class TestLeastSquares:
    def test_recovers_exact_references(self):
        rng = np.random.default_rng(0)
        Z = np.arange(1, 60)
        truth = rng.normal(-20, 10, 94)
        X = random_fractions(rng, 400, Z)
        fit = LeastSquares().fit(X, X @ truth)
        np.testing.assert_allclose(fit.coef_[:59], truth[:59], atol=1e-9)
        assert np.isnan(fit.coef_[59:]).all()
        assert fit.rank_ == 59
        assert fit.determined_.sum() == fit.seen_.sum() == 59
        assert fit.score(X, X @ truth) == pytest.approx(1)
        np.testing.assert_allclose(fit.leverage_.sum(), 59)

    def test_follows_scikit_learn_conventions(self):
        estimator = LeastSquares()
        assert clone(estimator).get_params() == {}
        assert estimator.fit(fractions({8: 1}), [1.0]) is estimator
        assert "coef_" not in vars(clone(estimator))

    def test_unseen_elements_are_named(self):
        fit = LeastSquares().fit(fractions({3: 1}, {8: 1}), [-2.0, -9.0])
        with pytest.raises(UnseenElementError, match=r"Fe, Pu \(2 of 3"):
            fit.predict(fractions({26: 1, 8: 1}, {3: 1}, {94: 1}))
        assert fit.predict(fractions({3: 2, 8: 1})) == pytest.approx([(-2 * 2 - 9) / 3])

    def test_elements_in_fixed_proportion_are_visible(self):
        fit = LeastSquares().fit(fractions({11: 1, 17: 1}, {11: 2, 17: 2}, {14: 1}), [-3.0, -3.0, -5.0])
        assert fit.rank_ == 2
        assert fit.seen_[[10, 16, 13]].all()
        assert list(fit.determined_[[10, 16, 13]]) == [False, False, True]
        assert np.isfinite(fit.coef_[[10, 16]]).all()
        assert np.isnan(fit.stderr_[[10, 16]]).all()
        X = fractions({11: 1, 17: 1}, {11: 1, 17: 1, 14: 4})
        np.testing.assert_allclose(fit.predict(X), [-3.0, (-6 - 20) / 6])

    def test_fewer_structures_than_elements(self):
        fit = LeastSquares().fit(fractions({3: 1, 8: 1, 9: 1}), [-4.0])
        assert fit.null_space_.shape == (94, 2)
        assert not fit.determined_.any()

    def test_hc1_matches_the_textbook_formula(self, solids):
        _, X, y, _ = solids
        fit = LeastSquares().fit(X, y)
        A = X[:, fit.seen_]
        bread = np.linalg.inv(A.T @ A)
        u = y - A @ bread @ A.T @ y
        meat = (A * u[:, None] ** 2).T @ A
        expected = np.sqrt(np.diag(bread @ meat @ bread) * len(A) / (len(A) - A.shape[1]))
        np.testing.assert_allclose(fit.stderr_[fit.seen_], expected, rtol=1e-8)

    def test_clustered_errors_match_the_textbook_formula(self, solids):
        _, X, y, material = solids
        fit = LeastSquares().fit(X, y, material)
        A = X[:, fit.seen_]
        n, k, G = len(A), A.shape[1], len(set(material))
        bread = np.linalg.inv(A.T @ A)
        u = y - A @ bread @ A.T @ y
        scores = np.array([A[material == g].T @ u[material == g] for g in sorted(set(material))])
        expected = np.sqrt(np.diag(bread @ scores.T @ scores @ bread) * G / (G - 1) * (n - 1) / (n - k))
        got = fit.stderr_[fit.seen_]
        estimable = np.isfinite(got)
        np.testing.assert_allclose(got[estimable], expected[estimable], rtol=1e-8)
        # Y, Cs and Ta occur in one material only: the formula gives numbers, which say nothing about them.
        assert list(np.flatnonzero(fit.seen_ & np.isnan(fit.stderr_)) + 1) == [39, 55, 73]

    def test_coverage_of_clustered_errors(self):
        rng = np.random.default_rng(1)
        X = np.repeat(random_fractions(rng, 80, np.arange(1, 6)), 5, axis=0)
        groups = np.repeat(np.arange(80), 5)
        inside_clustered, inside_plain = [], []
        for _ in range(150):
            y = rng.normal(size=80)[groups] + 0.1 * rng.normal(size=400)
            for fit, inside in [
                (LeastSquares().fit(X, y, groups), inside_clustered),
                (LeastSquares().fit(X, y), inside_plain),
            ]:
                inside.append(np.abs(fit.coef_[:5]) < 1.96 * fit.stderr_[:5])
        assert 0.90 < np.mean(inside_clustered) < 0.98
        assert np.mean(inside_plain) < 0.75

    def test_no_standard_error_from_a_single_structure_or_group(self):
        X = fractions({3: 1}, {8: 1}, {8: 1}, {8: 1})
        y = [-2.0, -9.0, -9.2, -9.1]
        plain = LeastSquares().fit(X, y)
        assert np.isnan(plain.stderr_[2])
        assert plain.stderr_[7] > 0
        assert np.isnan(LeastSquares().fit(X, y, ["a", "b", "b", "b"]).stderr_).all()

    @pytest.mark.parametrize(
        ("X", "y", "groups", "match"),
        [
            (np.ones((2, 3)), [0, 0], None, "shape"),
            (fractions({3: 1}) * 2, [0.0], None, "fractions"),
            (fractions({3: 1}), [np.nan], None, "not finite"),
            (fractions({3: 1}), [0.0, 1.0], None, "one value per structure"),
            (fractions({3: 1}), [0.0], ["a", "b"], "groups"),
            (fractions({3: 1}, {3: 1}), [0.0, 1.0], np.array(["a", None], dtype=object), "missing"),
            (np.zeros((0, 94)), [], None, "no structures"),
        ],
    )
    def test_bad_input_is_refused(self, X, y, groups, match):
        with pytest.raises(ValueError, match=match):
            LeastSquares().fit(X, y, groups)

    @settings(max_examples=30, deadline=None)
    @given(seed=st.integers(0, 10_000), n=st.integers(1, 40), n_elements=st.integers(1, 20))
    def test_predicts_like_numpy_and_ignores_order(self, seed, n, n_elements):
        rng = np.random.default_rng(seed)
        X = random_fractions(rng, n, rng.choice(np.arange(1, 95), n_elements, replace=False))
        y = rng.normal(size=n)
        fit = LeastSquares().fit(X, y)
        expected = np.linalg.lstsq(X, y, rcond=1e-10)[0]
        np.testing.assert_allclose(fit.predict(X), X @ expected, atol=1e-8)
        np.testing.assert_allclose(np.nan_to_num(fit.coef_), expected, atol=1e-7)
        order = rng.permutation(n)
        np.testing.assert_allclose(LeastSquares().fit(X[order], y[order]).coef_, fit.coef_, atol=1e-7)


class TestAgreementWithChgnet:
    def test_stock_fit(self, solids):
        composition_model = pytest.importorskip("chgnet.model.composition_model")
        from pymatgen.core import Structure

        records, X, y, _ = solids
        structures = [Structure(r["cell"], r["numbers"], r["positions"], coords_are_cartesian=True) for r in records]
        stock = composition_model.AtomRef(is_intensive=True)
        stock.fit(structures, list(y))
        fit = LeastSquares().fit(X, y)
        weight = stock.fc.weight.detach().numpy().ravel()
        assert fit.rank_ == fit.seen_.sum() == 44
        assert np.abs(weight - fit.coef_)[fit.seen_].max() < 1e-3

    def test_same_normal_equations_in_double_precision(self, solids):
        _, X, y, _ = solids
        expected = np.linalg.pinv(X.T @ X) @ X.T @ y
        fit = LeastSquares().fit(X, y)
        assert np.abs(expected - fit.coef_)[fit.seen_].max() < 1e-8


class TestComplete:
    def test_keeps_what_is_fitted_and_is_never_silently_zero(self, published):
        low, high = published
        fit = LeastSquares().fit(fractions({3: 1}, {8: 1}, {3: 1, 8: 1}), [high[2], high[7], (high[2] + high[7]) / 2])
        needed = np.zeros(94, dtype=bool)
        needed[[2, 7, 25]] = True
        reference = complete(fit, policy="prior", source=low, needed=needed)
        assert reference.values[[2, 7]] == pytest.approx(high[[2, 7]])
        assert list(reference.origin[[2, 7, 25]]) == ["fit", "fit", "prior"]
        assert reference.estimator == "least-squares"
        # Two elements: the shift is a constant.
        assert reference.values[25] == pytest.approx(low[25] + np.mean((high - low)[[2, 7]]))
        assert reference.stderr[25] == pytest.approx(abs(np.diff((high - low)[[2, 7]])[0]))

    def test_prior_beats_zero_and_minimum_norm_on_the_published_vectors(self, published):
        low, high = published
        known = np.flatnonzero(np.isfinite(high)) + 1
        rng = np.random.default_rng(3)
        errors, claimed = {"prior": [], "zero": [], "source": []}, []
        for _ in range(10):
            seen = rng.permutation(known)[:60]
            X = random_fractions(rng, 200, seen)
            y = X @ np.nan_to_num(high) + 0.05 * rng.normal(size=len(X))
            fit = LeastSquares().fit(X, y)
            reference = complete(fit, policy="prior", source=low, needed=np.isfinite(high))
            hidden = np.isfinite(high) & ~fit.seen_
            assert set(reference.origin[hidden]) == {"prior"}
            errors["prior"].append(np.abs(reference.values - high)[hidden].mean())
            errors["zero"].append(np.abs(high)[hidden].mean())  # also what minimum norm over 94 columns gives
            errors["source"].append(np.abs(low - high)[hidden].mean())
            claimed.append(np.sqrt(((reference.values - high)[hidden] ** 2).mean()) / reference.stderr[hidden][0])
        mean = {name: np.mean(values) for name, values in errors.items()}
        assert mean["prior"] < 2.5
        assert mean["prior"] < 0.1 * min(mean["zero"], mean["source"])
        assert 0.5 < np.median(claimed) < 2  # the standard error is of the size of the error made

    def test_prior_decides_only_what_the_data_leave_open(self, published):
        low, high = published
        alone = [3, 8, 14, 20, 22, 26, 30, 38, 40, 47, 50, 56, 74]
        salts = [(11, 17), (19, 35)]
        X = fractions(*({z: 1} for z in alone), *({a: 1, b: 1} for a, b in salts))
        fit = LeastSquares().fit(X, X @ np.nan_to_num(high))
        reference = complete(fit, policy="prior", source=low, needed=(X > 0).any(axis=0))
        np.testing.assert_allclose(reference.predict(X), X @ np.nan_to_num(high), atol=1e-9)
        ions = np.array(salts).ravel() - 1
        assert set(reference.origin[ions]) == {"prior"}
        prior, minimum_norm = np.abs(reference.values - high)[ions], np.abs(fit.coef_ - high)[ions]
        assert prior.max() < 2
        assert prior.mean() < 0.5 * minimum_norm.mean()

    def test_a_tied_element_without_a_prior_gets_no_value(self):
        source = np.full(94, -1.0)
        source[16] = np.nan
        fit = LeastSquares().fit(fractions({11: 1, 17: 1}, {14: 1}), [-3.0, -5.0])
        reference = complete(fit, policy="prior", source=source, needed=np.arange(94) == 5)
        assert np.isnan(reference.values[[10, 16]]).all()
        assert reference.values[13] == pytest.approx(-5)
        assert reference.values[5] == pytest.approx(-5)  # source −1, shift −4
        assert np.isnan(reference.values[6])  # nothing asks for it

    def test_refusals_name_elements_and_remedies(self, published):
        low, _ = published
        fit = LeastSquares().fit(fractions({3: 1}, {8: 1}), [-3.0, -9.0])
        needed = np.zeros(94, dtype=bool)
        needed[[2, 25, 93]] = True
        with pytest.raises(ValueError, match=r"Fe, Pu .*fit on more structures, or set the policy"):
            complete(fit, policy="error", source=low, needed=needed)
        for source in (None, np.where(np.arange(94) == 93, np.nan, low)):
            with pytest.raises(ValueError, match=r"Pu.*fit on structures .*, or give source references"):
                complete(fit, policy="prior", source=source, needed=needed)
        with pytest.raises(ValueError, match="allowed are 'prior', 'source' and 'error'"):
            complete(fit, policy="zero", source=low, needed=needed)  # type: ignore[arg-type]

    def test_what_is_neither_needed_nor_known_stays_nan(self):
        fit = LeastSquares().fit(fractions({3: 1}, {8: 1}), [-3.0, -9.0])
        needed = np.arange(94) == 2
        for policy in ("error", "prior"):
            reference = complete(fit, policy=policy, source=None, needed=needed)
            assert list(np.flatnonzero(np.isfinite(reference.values))) == [2, 7]
            with pytest.raises(UnseenElementError, match="Fe"):
                reference.predict(fractions({26: 1}))

    def test_round_trip_through_csv(self, published, tmp_path):
        low, _ = published
        fit = LeastSquares().fit(fractions({3: 1}, {3: 1}, {8: 1}), [-3.0, -3.1, -9.0])
        reference = complete(fit, policy="prior", source=low, needed=np.ones(94, dtype=bool))
        table = reference.to_frame()
        assert list(table)[:6] == ["Z", "element", "value", "stderr", "n_structures", "origin"]
        table.to_csv(tmp_path / "reference.csv", index=False)
        again = ReferenceEnergies.from_frame(pd.read_csv(tmp_path / "reference.csv", keep_default_na=True))
        for name in ("values", "stderr", "n_structures", "origin"):
            np.testing.assert_array_equal(getattr(again, name), getattr(reference, name))
        assert again.estimator == reference.estimator

    @pytest.mark.parametrize(
        ("change", "match"),
        [
            (lambda t: t.drop(columns="origin"), "no column origin"),
            (lambda t: t.assign(Z=3), "at most once"),
            (lambda t: t.assign(origin="guess"), "allowed are"),
            (lambda t: t.assign(value=np.nan), "every value"),
            (lambda t: t.assign(estimator=["a", "b"]), "one estimator"),
        ],
    )
    def test_damaged_tables_are_refused(self, change, match):
        fit = LeastSquares().fit(fractions({3: 1}, {8: 1}), [-3.0, -9.0])
        table = complete(fit, policy="error", source=None, needed=np.zeros(94, dtype=bool)).to_frame()
        with pytest.raises(ValueError, match=match):
            ReferenceEnergies.from_frame(change(table))


def test_smooth_shift_reproduces_a_cubic_and_its_left_out_error():
    Z = np.array([1, 5, 8, 13, 20, 26, 33, 40, 50, 57, 64, 72, 80, 92])
    cubic = 1 - 0.3 * Z + 2e-3 * Z**2 - 4e-5 * Z**3
    curve, error = smooth_shift(Z, cubic)
    assert curve[Z - 1] == pytest.approx(cubic)
    assert error < 1e-9
    noisy = cubic + np.random.default_rng(0).normal(size=len(Z))
    _, error = smooth_shift(Z, noisy)
    left_out = []
    for i in range(len(Z)):  # the closed form against the loop that it replaces
        rest = np.delete(np.arange(len(Z)), i)
        left_out.append(smooth_shift(Z[rest], noisy[rest])[0][Z[i] - 1] - noisy[i])
    assert error == pytest.approx(np.sqrt(np.mean(np.square(left_out))))
