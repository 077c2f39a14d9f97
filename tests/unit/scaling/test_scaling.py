from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from uprung import scaling

PAPER = Path(__file__).parents[3] / "data" / "paper" / "scaling_points.csv"
SIZES = np.array([100, 200, 400, 800, 1600])


def make_curves(arms: dict[str, list[float]], *, seeds=(0, 1), spread=0.02, bad=(), **columns) -> pd.DataFrame:
    """One row per arm, size and seed; seed k is shifted by a factor 1 ± spread; `bad` are unconverged."""
    rows = []
    for arm, values in arms.items():
        for n, value in zip(SIZES, values, strict=True):
            for k, seed in enumerate(seeds):
                converged = (arm, int(n)) not in bad
                rows.append(
                    {
                        **{"budget": "b", "arm": arm, "size": str(n), "n_frames": int(n) + k, "n_materials": 9},
                        **{"seed": seed, "fidelity": "r2scan", "target": "energy", "population": "covered"},
                        **{"n_test": 50, "mae": value * (1 + spread) ** (1 - 2 * k), "baseline": 0.5},
                        **{"converged": converged, "reason": "" if converged else "above its baseline"},
                        **columns,
                    }
                )
    return pd.DataFrame(rows)


def power(prefactor: float, exponent: float) -> list[float]:
    return list(prefactor * SIZES**-exponent)


# ---- power law -------------------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=40)
@given(a=st.floats(-0.5, 1.5), c=st.floats(1e-3, 1e3), k=st.integers(3, 7), m=st.integers(1, 4))
def test_exact_law_is_recovered(a, c, k, m):
    n = np.repeat(SIZES[0] * 2.0 ** np.arange(k), m)
    law = scaling.power_law(n, c * n**-a)
    assert law.exponent == pytest.approx(a, abs=1e-9)
    assert law.prefactor == pytest.approx(c, rel=1e-6)
    assert law.df == k - 2
    assert law.predict(n)[0] == pytest.approx(c * n**-a, rel=1e-9)
    assert law.exponent_interval()[1] - law.exponent_interval()[0] < 1e-5


def test_single_seed_fit_is_the_textbook_regression():
    n = np.array([100.0, 300, 500, 2000, 9000])
    mae = np.array([0.5, 0.31, 0.22, 0.15, 0.06])
    law = scaling.power_law(n, mae)
    oracle = stats.linregress(np.log(n), np.log(mae))
    assert law.exponent == pytest.approx(-oracle.slope)
    assert law.se_exponent == pytest.approx(oracle.stderr)
    assert np.log(law.prefactor) == pytest.approx(oracle.intercept)
    assert law.r2 == pytest.approx(oracle.rvalue**2)
    low, high = law.exponent_interval()
    assert high - low == pytest.approx(2 * stats.t.ppf(0.975, 3) * oracle.stderr)
    c_low, c_high = law.prefactor_interval()
    half = stats.t.ppf(0.975, 3) * oracle.intercept_stderr
    assert (np.log(c_low), np.log(c_high)) == pytest.approx((oracle.intercept - half, oracle.intercept + half))


def test_seeds_of_one_size_are_not_independent_evidence():
    """Copying every run leaves line and interval where they are; a fit that counts runs would shrink."""
    mae = np.array([0.5, 0.28, 0.2, 0.08, 0.05])
    once = scaling.power_law(SIZES, mae)
    copied = scaling.power_law(np.repeat(SIZES, 4), np.repeat(mae, 4))
    assert copied.exponent_interval() == pytest.approx(once.exponent_interval())
    assert copied.predict(500.0)[2] == pytest.approx(once.predict(500.0)[2])
    assert copied.n_points == 20
    assert copied.n_sizes == 5


def test_size_tokens_join_runs_whose_frame_counts_differ():
    n = np.array([100, 103, 200, 204, 400, 401], dtype=float)
    tokens = np.array(["100", "100", "200", "200", "400", "400"], dtype=object)
    assert scaling.power_law(n, 1 / n, sizes=tokens).df == 1
    assert scaling.power_law(n, 1 / n).df == 4


def test_two_sizes_are_refused_and_named():
    with pytest.raises(scaling.LawRefused, match=r"2 distinct size.*100, 200.*needs 3"):
        scaling.power_law([100, 100, 200], [1.0, 1.1, 0.9])


@pytest.mark.parametrize("bad", [0.0, -1.0, float("nan"), float("inf")])
def test_errors_that_have_no_logarithm_are_refused(bad):
    with pytest.raises(ValueError, match="positive, finite MAE"):
        scaling.power_law([1, 2, 4], [1.0, bad, 1.0])
    with pytest.raises(ValueError, match="positive, finite training size"):
        scaling.power_law([1, bad, 4], [1.0, 1.0, 1.0])


@pytest.mark.parametrize(("sizes", "seeds"), [(4, 2), (5, 2), (6, 5)])
def test_intervals_cover_in_simulated_studies(sizes, seeds):
    """Seed noise and lack of fit of equal size; 600 studies, so 95 % ± 3 standard errors is 92.3 to 97.7 %."""
    rng = np.random.default_rng(7)
    n = 100 * 2.0 ** np.arange(sizes)
    hit = met = 0
    for _ in range(600):
        laws = []
        for a, c in ((0.6, 0.3 * np.log(1600)), (0.3, 0.0)):
            noise = 0.1 * rng.standard_normal((sizes, seeds)) + 0.1 * rng.standard_normal((sizes, 1))
            laws.append(scaling.power_law(np.repeat(n, seeds), np.exp(c - a * np.log(n)[:, None] + noise).ravel()))
        low, high = laws[1].exponent_interval()
        hit += low <= 0.3 <= high
        crossing = scaling.crossover(*laws)
        met += crossing.low <= 1600 <= crossing.high
    assert 0.92 <= hit / 600 <= 0.98
    assert 0.92 <= met / 600 <= 0.99


# ---- crossover -------------------------------------------------------------------------------------------------------


def law(exponent, at_400, se=0.01, sizes=SIZES, df=3):
    x = np.log(sizes)
    return scaling.PowerLaw(
        exponent=exponent,
        log_n=float(x.mean()),
        log_mae=float(np.log(at_400)),
        se_exponent=se,
        se_log_mae=se,
        df=df,
        r2=0.9,
        n_points=10,
        n_sizes=5,
        n_min=float(sizes[0]),
        n_max=float(sizes[-1]),
    )


def test_crossing_is_where_the_lines_meet_and_its_interval_where_they_cannot_be_told_apart():
    one, two = law(0.8, 0.2), law(0.3, 0.15)
    found = scaling.crossover(one, two)
    assert (found.kind, found.better_above, found.reason) == ("in range", "scratch", "")
    assert one.predict(found.n)[0] == pytest.approx(two.predict(found.n)[0])
    assert found.n == pytest.approx(400 * np.exp(np.log(0.2 / 0.15) / 0.5))
    t = stats.t.ppf(0.975, 6)  # equal errors: Welch-Satterthwaite gives 3 + 3
    for end in (found.low, found.high):
        x = np.log(end / 400)
        gap = np.log(one.predict(end)[0] / two.predict(end)[0])
        assert abs(gap) == pytest.approx(t * np.sqrt(2) * 0.01 * np.hypot(1, x), rel=1e-6)
    assert found.low < found.n < found.high


@settings(deadline=None, max_examples=60)
@given(a=st.floats(0.2, 1), b=st.floats(-0.2, 0.15), gap=st.floats(0.5, 2), se=st.floats(1e-4, 0.3))
def test_swapping_the_laws_swaps_only_the_names(a, b, gap, se):
    one, two = law(a, 0.2 * gap, se), law(b, 0.2, se)
    here, there = scaling.crossover(one, two), scaling.crossover(two, one)
    assert here.kind == there.kind
    assert [here.low, here.high, here.n] == pytest.approx([there.low, there.high, there.n], nan_ok=True)
    if here.kind != "none":
        assert {here.better_above, there.better_above} == {"scratch", "transfer"}
        assert here.low <= here.n <= here.high


def test_slopes_that_cannot_be_told_apart_are_parallel_within_error():
    found = scaling.crossover(law(0.5, 0.3, se=0.05), law(0.45, 0.1, se=0.05))
    assert found.kind == "none"
    assert np.isnan(found.n)
    assert "parallel within error" in found.reason
    assert found.high == np.inf
    assert found.low > 1600  # the gap of the levels excludes a crossing in the measured range
    assert scaling.crossover(law(0.5, 0.3), law(0.5, 0.1)).kind == "none"


def test_a_crossing_below_the_data_is_none_and_one_beyond_is_extrapolated():
    below = scaling.crossover(law(0.8, 0.05), law(0.3, 0.2))
    assert (below.kind, below.better_above) == ("none", "scratch")
    assert "below the smallest size" in below.reason
    beyond = scaling.crossover(law(0.8, 0.9), law(0.3, 0.2))
    assert beyond.kind == "extrapolated"
    assert beyond.decades == pytest.approx(np.log10(beyond.n / 1600))
    assert f"{beyond.decades:.2f} decades" in beyond.reason


def test_the_published_study_is_reproduced_with_honest_intervals():
    points = scaling.published_points(PAPER)
    assert set(points["target"]) == {"energy", "force"}
    assert points["mae"].max() == pytest.approx(0.542)  # eV/atom
    slopes = {"energy": (-0.615, -0.301, 719_996), "force": (-0.394, -0.134, 317_475)}
    for target, (scratch, transfer, n) in slopes.items():
        laws = {}
        for arm in ("scratch", "transfer"):
            part = points[(points["target"] == target) & (points["arm"] == arm) & (points["n_frames"] >= 1000)]
            assert len(part) == 6
            laws[arm] = scaling.power_law(part["n_frames"].to_numpy(float), part["mae"].to_numpy(float))
        assert -laws["scratch"].exponent == pytest.approx(scratch, abs=0.01)
        assert -laws["transfer"].exponent == pytest.approx(transfer, abs=0.01)
        found = scaling.crossover(laws["scratch"], laws["transfer"])
        assert found.kind == "extrapolated"
        assert found.n == pytest.approx(n, rel=0.05)
        assert found.high / found.low > 10  # six printed digits carry no meaning


def test_published_points_name_an_unknown_unit(tmp_path):
    path = tmp_path / "points.csv"
    path.write_text("n_train,quantity,arm,mae,unit\n100,energy,scratch,1,kcal/mol\n")
    with pytest.raises(ValueError, match=r"kcal/mol.*allowed are"):
        scaling.published_points(path)


# ---- tables ----------------------------------------------------------------------------------------------------------


def test_laws_use_covered_converged_points_and_say_what_they_left_out():
    curves = make_curves({"scratch": power(9, 0.6), "t": power(1, 0.2)}, bad=[("scratch", 100)])
    other = curves.assign(population="all", mae=curves["mae"] * 7)
    laws = scaling.fit_laws(pd.concat([curves, other])).set_index("arm")
    assert list(laws["population"].unique()) == ["covered"]
    assert laws.loc["t", "exponent"] == pytest.approx(0.2, abs=2e-3)
    assert laws.loc["t", "prefactor"] == pytest.approx(1, rel=0.02)
    row = laws.loc["scratch"]
    assert (row["n_points"], row["n_sizes"], row["n_seeds"], row["n_excluded"]) == (8, 4, 2, 2)
    assert row["excluded"] == "n=100 seed 0: above its baseline; n=100 seed 1: above its baseline"
    assert row["exponent"] == pytest.approx(0.6, abs=2e-3)
    assert row["exponent_low"] < row["exponent"] < row["exponent_high"]


def test_a_law_without_enough_sizes_is_a_row_with_its_reason():
    bad = [("scratch", n) for n in (100, 200, 400)]
    laws = scaling.fit_laws(make_curves({"scratch": power(9, 0.6)}, bad=bad))
    assert not laws.loc[0, "fitted"]
    assert "2 distinct size(s) (1600, 800)" in laws.loc[0, "reason"]
    assert "6 point(s) excluded" in laws.loc[0, "reason"]
    assert np.isnan(laws.loc[0, "exponent"])


def test_crossovers_from_fits_and_from_the_means():
    arms = {"scratch": power(0.2 * 400**0.8, 0.8), "t": power(0.15 * 400**0.3, 0.3), "u": power(0.01, 0.3)}
    curves = make_curves(arms, bad=[("u", int(n)) for n in SIZES])
    table = scaling.crossovers(curves, scaling.fit_curves(curves), scratch="scratch").set_index("transfer")
    row = table.loc["t"]
    assert (row["kind"], row["better_above"]) == ("in range", "scratch")
    assert row["n"] == pytest.approx(400 * (0.2 / 0.15) ** 2, rel=0.02)
    assert (row["observed_between_low"], row["observed_between_high"]) == (400.5, 800.5)
    assert row["observed_better_above"] == "scratch"
    assert row["observed_converged"]
    assert row["observed_every_seed"]
    row = table.loc["u"]
    assert row["kind"] == "none"
    assert "no law for u: converged points at 0 distinct" in row["reason"]
    assert row["observed_reason"] == "transfer is better at every common size"


def test_the_last_change_of_order_counts_and_disagreeing_seeds_show():
    curves = make_curves({"scratch": [3, 1, 3, 1.005, 2], "t": [2, 2, 2, 1, 1]}, spread=0.0)
    swap = (curves["arm"] == "scratch") & (curves["size"] == "800") & (curves["seed"] == 0)
    curves.loc[swap, "mae"] = 0.99
    row = scaling.crossovers(curves, scaling.fit_curves(curves), scratch="scratch").iloc[0]
    assert row["observed_changes"] == 4
    assert "4 times" in row["observed_reason"]
    assert (row["observed_between_low"], row["observed_between_high"]) == (800.5, 1600.5)
    assert not row["observed_every_seed"]


def test_an_unknown_scratch_arm_is_named():
    curves = make_curves({"scratch": power(9, 0.6), "t": power(1, 0.2)})
    with pytest.raises(ValueError, match=r"no arm 'random'; it has \['scratch', 't'\]"):
        scaling.data_multiplier(curves, scratch="random")


def test_data_multiplier_of_parallel_laws_is_constant_and_open_outside_the_curve():
    """Transfer = scratch with four times the data; scratch reaches 1,600, so sizes up to 400 are bracketed."""
    curves = make_curves({"scratch": power(1, 0.5), "t": list(1 / np.sqrt(4.0 * SIZES))}, spread=0.0)
    table = scaling.data_multiplier(curves, scratch="scratch").set_index("size")
    for size in ("100", "200"):
        row = table.loc[size]
        assert row["multiplier"] == pytest.approx(4, rel=0.02)
        assert row["n_scratch"] == pytest.approx(4 * row["n_frames"], rel=0.02)
        assert row["multiplier_min"] <= row["multiplier_max"]
        assert (row["bound"], row["reason"]) == ("", "")
    assert table.loc["800", "bound"] == "> 2"
    assert "does not come down" in table.loc["800", "reason"]
    assert np.isnan(table.loc["800", "multiplier"])
    worse = make_curves({"scratch": power(1, 0.5), "t": list(3 / np.sqrt(SIZES))}, spread=0.0)
    row = scaling.data_multiplier(worse, scratch="scratch").set_index("size").loc["400"]
    assert row["bound"].startswith("< 0.25")
    assert "below this error from 100" in row["reason"]


def test_data_multiplier_leaves_unconverged_points_empty():
    curves = make_curves({"scratch": power(1, 0.5), "t": power(0.5, 0.5)}, bad=[("t", 100), ("scratch", 1600)])
    table = scaling.data_multiplier(curves, scratch="scratch").set_index("size")
    assert "kept out of laws" in table.loc["100", "reason"]
    assert np.isfinite(table.loc["200", "multiplier"])
    assert table.loc["400", "bound"].startswith("> ")  # 1600 is not part of the curve


@settings(deadline=None, max_examples=50)
@given(st.floats(0.05, 2.0), st.lists(st.floats(0.1, 1.0), min_size=2, max_size=6))
def test_matching_size_lies_on_the_curve(mae, errors):
    n = 100 * 2.0 ** np.arange(len(errors))
    size, bound = scaling.matching_size(mae, n, np.array(errors))
    if bound == "at least":
        assert size == n[-1]
        assert errors[-1] > mae
    elif bound == "at most":
        assert size == n[0]
        assert max(errors) <= mae
    else:
        assert np.exp(np.interp(np.log(size), np.log(n), np.log(errors))) == pytest.approx(mae, rel=1e-6)
        assert all(e <= mae for e, k in zip(errors, n, strict=True) if k > size * (1 + 1e-9))


def test_a_study_of_one_arm_gives_empty_tables_with_their_columns():
    curves = make_curves({"scratch": power(1, 0.5)})
    crossings = scaling.crossovers(curves, scaling.fit_curves(curves), scratch="scratch")
    assert len(crossings) == 0
    assert {"transfer", "kind", "observed_between_low"} <= set(crossings.columns)
    assert {"multiplier", "reason"} <= set(scaling.data_multiplier(curves, scratch="scratch").columns)
    two = make_curves({"scratch": power(1, 0.5), "t": power(1, 0.4)})
    full = scaling.crossovers(two, scaling.fit_curves(two), scratch="scratch")
    assert list(full.columns) == list(crossings.columns)


def test_summary_has_mean_range_and_t_interval():
    curves = make_curves({"scratch": power(1, 0.5)}, seeds=(0, 1, 2), bad=[("scratch", 100)])
    curves["mae"] = [v + 0.01 * k for v in power(1, 0.5) for k in (-1, 0, 1)]
    row = scaling.summarise(curves).iloc[0]
    assert (row["size"], row["n_seeds"], row["n_converged"]) == ("100", 3, 0)
    assert [row["mae_min"], row["mae"], row["mae_max"]] == pytest.approx([0.09, 0.1, 0.11])
    assert row["mae_halfwidth"] == pytest.approx(4.3027 * 0.01 / np.sqrt(3), rel=1e-4)
    assert scaling.summarise(make_curves({"a": power(1, 0.5)}, seeds=(0,)))["mae_halfwidth"].isna().all()


def test_bad_tables_are_refused_with_the_row():
    curves = make_curves({"scratch": power(1, 0.5)})
    with pytest.raises(ValueError, match=r"missing column.*baseline"):
        scaling.fit_laws(curves.drop(columns="baseline"))
    with pytest.raises(ValueError, match=r"2 duplicated.*'seed'"):
        scaling.fit_laws(pd.concat([curves, curves.iloc[:2]]))
    with pytest.raises(ValueError, match=r"1 row.*mae is not positive.*'size': '200'"):
        scaling.fit_laws(curves.assign(mae=curves["mae"].where(curves.index != 2, 0.0)))
    with pytest.raises(ValueError, match="column converged"):
        scaling.fit_laws(curves.assign(converged="yes"))
