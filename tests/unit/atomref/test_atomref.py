from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone

from uprung.atomref import LeastSquares, UnseenElementError
from uprung.atomref.combinations import combinations
from uprung.atomref.prior import prior_error, smooth_shift
from uprung.atomref.references import ReferenceEnergies, complete, complete_alone

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

    @pytest.mark.parametrize("clustered", [True, False])
    def test_errors_match_the_textbook_formula(self, solids, clustered):
        """CR2 and Satterthwaite's degrees of freedom with matrices of all structures, as the papers write them."""
        _, X, y, material = solids
        groups = material if clustered else np.arange(len(y))
        fit = LeastSquares().fit(X, y, material if clustered else None)
        A = X[:, fit.seen_]
        bread = np.linalg.inv(A.T @ A)
        left = np.eye(len(A)) - A @ bread @ A.T
        residual = left @ y
        scores, vectors = [], []
        for group in sorted(set(groups)):
            own = groups == group
            values, axes = np.linalg.eigh(left[np.ix_(own, own)])
            kept = values > 1e-8
            adjusted = axes[:, kept] / np.sqrt(values[kept]) @ axes[:, kept].T
            scores.append(bread @ A[own].T @ adjusted @ residual[own])
            vectors.append(left[:, own] @ adjusted @ A[own] @ bread)
        stderr = np.sqrt((np.array(scores) ** 2).sum(axis=0))
        got = fit.stderr_[fit.seen_]
        for k in np.flatnonzero(np.isfinite(got)):
            between = np.array([v[:, k] for v in vectors])
            M = between @ between.T
            freedom = np.trace(M) ** 2 / (M**2).sum()
            assert got[k] == pytest.approx(stderr[k] * scipy.stats.t.ppf(0.975, freedom) / 1.959964, rel=1e-5)
        # Some elements occur in one material only: the formula gives numbers, which say nothing about them.
        assert set(np.flatnonzero(fit.seen_ & np.isnan(fit.stderr_)) + 1) >= ({39, 55, 73} if clustered else set())

    @pytest.mark.parametrize("materials", [15, 30, 60])
    def test_intervals_hold_with_few_materials(self, materials):
        inside = []
        for seed in range(60):
            rng = np.random.default_rng(seed)
            X = np.repeat(random_fractions(rng, materials, np.arange(1, 13)), 4, axis=0)
            groups = np.repeat(np.arange(materials), 4)
            y = 0.25 * rng.normal(size=materials)[groups] + 0.05 * rng.normal(size=len(X))
            fit = LeastSquares().fit(X, y, groups)
            known = np.isfinite(fit.stderr_)
            inside.extend(np.abs(fit.coef_[known]) < 1.96 * fit.stderr_[known])
        assert 0.92 <= np.mean(inside) <= 0.985

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
        assert reference.stderr[25] > abs(np.diff((high - low)[[2, 7]])[0])  # 26 lies outside 3 to 8

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


def test_errors_of_the_prior_grow_outside_the_range_of_z():
    Z = np.array([20, 24, 28, 31, 35, 38, 42, 45, 48])
    shift = -0.5 * Z + 0.3 * np.random.default_rng(0).normal(size=len(Z))
    error = prior_error(Z, shift)
    assert (np.diff(error[47:]) > 0).all()
    assert (np.diff(error[:20]) < 0).all()
    assert error[60] > 5 * error[33]
    assert error[33] == pytest.approx(0.3, abs=0.25)
    assert np.isnan(prior_error([8], [1.0])).all()


@pytest.mark.parametrize(("n", "width"), [(5, 20), (8, 30), (12, 40), (20, 60)])
def test_errors_of_the_prior_hold_on_the_published_vectors(published, n, width):
    low, high = published
    known = np.flatnonzero(np.isfinite(high - low))
    inside, outside = [], []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        first = rng.integers(0, len(known) - width + 1)
        seen = np.sort(rng.choice(known[first : first + width], n, replace=False))
        curve, _ = smooth_shift(seen + 1, (high - low)[seen])
        held = np.abs(curve - (high - low)) < 1.96 * prior_error(seen + 1, (high - low)[seen])
        rest = np.setdiff1d(known, seen)
        within = (rest > seen[0]) & (rest < seen[-1])
        inside.extend(held[rest[within]])
        outside.extend(held[rest[~within]])
    assert 0.92 <= np.mean(inside) <= 0.99
    assert np.mean(outside) >= 0.9  # 25 to 60 % with one error for all


class TestNearCollinear:
    """Sodium and chlorine in salts, but for two structures whose composition is off by 2 %."""

    @staticmethod
    def problem(published, off):
        _, high = published
        rng = np.random.default_rng(0)
        others = random_fractions(rng, 60, np.array([3, 8, 12, 13, 14, 16, 19, 20, 22, 25, 26, 29]))
        salts = fractions(*({11: 0.5, 17: 0.5} for _ in range(28)), {11: 0.5 + off, 17: 0.5 - off}, {11: 0.5, 17: 0.5})
        X = np.vstack([others, salts])
        return X, X @ np.nan_to_num(high) + 0.05 * rng.normal(size=len(X))

    def test_they_take_the_prior_where_its_error_is_smaller(self, published):
        low, high = published
        X, y = self.problem(published, 0.02)
        fit = LeastSquares().fit(X, y)
        reference = complete(fit, policy="prior", source=low, needed=fit.seen_)
        pair = [10, 16]
        assert fit.determined_[pair].all()
        assert list(reference.origin[pair]) == ["prior", "prior"]
        assert np.abs(reference.values - high)[pair].max() < 0.5 * np.abs(fit.coef_ - high)[pair].max()
        assert reference.values[pair].sum() == pytest.approx(fit.coef_[pair].sum(), abs=0.02)  # what is known stays
        rest = fit.seen_ & ~np.isin(np.arange(94), pair)
        np.testing.assert_allclose(reference.values[rest], fit.coef_[rest], atol=1e-9)

    def test_what_is_well_apart_stays(self, published):
        low, _ = published
        X, y = self.problem(published, 0.4)
        fit = LeastSquares().fit(X, y)
        reference = complete(fit, policy="prior", source=low, needed=fit.seen_)
        assert set(reference.origin[fit.seen_]) == {"fit"}
        np.testing.assert_array_equal(reference.values[fit.seen_], fit.coef_[fit.seen_])


class TestTied:
    """References that no structure determines one by one."""

    def test_one_compound_leans_on_the_source_plus_one_shift(self, published):
        low, _ = published
        fit = LeastSquares().fit(fractions({29: 7, 79: 1}, {29: 7, 79: 1}), [-4.0, -4.2])
        reference = complete(fit, policy="prior", source=low, needed=fit.seen_)
        assert reference.predict(fractions({29: 7, 79: 1})) == pytest.approx([-4.1])
        assert np.diff(reference.values[[28, 78]]) == pytest.approx(np.diff(low[[28, 78]]))
        assert list(reference.combination[[28, 78]]) == ["7 Cu + Au"] * 2
        assert set(reference.origin[[28, 78]]) == {"prior"}
        assert np.isnan(reference.stderr[[28, 78]]).all()

    def test_without_a_source_they_share_one_energy_wherever_its_zero_is(self):
        X = fractions({29: 7, 79: 1}, {29: 7, 79: 1}, {8: 1})
        for zero in (0.0, 100.0):
            fit = LeastSquares().fit(X[:2], zero + np.array([-4.0, -4.2]))
            reference = complete_alone(fit, needed=fit.seen_)
            assert reference.values[[28, 78]] == pytest.approx([zero - 4.1] * 2)
        with pytest.raises(ValueError, match="Fe"):
            complete_alone(fit, needed=np.arange(94) == 25)

    @pytest.mark.parametrize(
        ("structures", "words"),
        [
            ([{31: 1, 33: 1}, {31: 2, 33: 2}], {31: "Ga + As", 33: "Ga + As"}),
            (
                [{31: 1, 33: 1}, {49: 1, 33: 1}, {31: 1, 49: 1, 33: 2}],
                dict.fromkeys([31, 33, 49], "(Ga + As), (As + In)"),
            ),
            ([{11: 1, 17: 1}, {19: 2, 8: 1}], {11: "Na + Cl", 17: "Na + Cl", 8: "O + 2 K", 19: "O + 2 K"}),
            ([{14: 1}, {14: 3, 8: 1}], {}),
        ],
    )
    def test_what_is_determined_is_said(self, structures, words):
        found = combinations(LeastSquares().fit(fractions(*structures), np.zeros(len(structures))).null_space_)
        assert {int(Z) + 1: str(found[Z]) for Z in np.flatnonzero(found != "")} == words


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
