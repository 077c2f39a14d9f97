"""What follows from fitted laws: multipliers, extrapolations, labels for an error."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from uprung import scaling
from uprung.scaling.materials import RUN_KEYS, MaterialErrors

SIZES = (100, 200, 400, 800, 1600, 3200)
ARMS = {"scratch": (800**0.4 * 0.1, 0.7), "t": (0.1, 0.3)}  # cross at 800


def curves(spread: float = 0.02) -> pd.DataFrame:
    rng = np.random.default_rng(3)
    rows = [
        {
            **{"budget": "b", "arm": arm, "size": str(n), "n_frames": n, "n_materials": 9, "seed": seed},
            **{"fidelity": "hi", "target": "energy", "population": "covered", "n_test": 50, "baseline": 9.0},
            **{"mae": c * n**-a * np.exp(spread * rng.standard_normal()), "converged": True, "reason": ""},
        }
        for arm, (c, a) in ARMS.items()
        for n in SIZES
        for seed in (0, 1, 2)
    ]
    return pd.DataFrame(rows)


def truth(arm: str, n: float) -> float:
    c, a = ARMS[arm]
    return c * n**-a


def test_the_multiplier_is_one_at_the_crossing_and_held_by_its_interval_elsewhere():
    fits = scaling.fit_curves(curves())
    table = scaling.multiplier_curves(fits, scratch="scratch")
    expected = (table["n"] ** (0.3 / 0.7)) * 800 ** (0.4 / 0.7) / table["n"]
    assert table["multiplier"].to_numpy() == pytest.approx(expected.to_numpy(), rel=0.15)
    assert ((table["low"] < expected) & (expected < table["high"])).mean() > 0.9
    crossing = scaling.crossovers(curves(), fits, scratch="scratch").iloc[0]
    below, above = table[table["n"] < crossing["low"]], table[table["n"] > crossing["high"]]
    assert (below["low"] > 1).all()
    assert (above["high"] < 1).all()


def test_extrapolations_of_all_laws_count_decades_and_widen():
    fits = scaling.fit_curves(curves(spread=0.005))
    table = scaling.extrapolations(fits, [32_000, 1600])
    assert list(table["n"].unique()) == [1600, 32_000]
    assert set(table["law"]) == {"power", "saturating", "shifted", "broken"}
    far = table[(table["n"] == 32_000) & (table["law"] == "power")].set_index("arm")
    near = table[(table["n"] == 1600) & (table["law"] == "power")].set_index("arm")
    for arm in ARMS:
        assert far.loc[arm, "decades"] == pytest.approx(1.0)
        assert near.loc[arm, "decades"] == 0
        assert far.loc[arm, "low"] < truth(arm, 32_000) < far.loc[arm, "high"]
        ratio = {k: t.loc[arm, "high"] / t.loc[arm, "low"] for k, t in (("far", far), ("near", near))}
        assert ratio["far"] > ratio["near"]
    assert scaling.extrapolations(fits, []).empty


def test_beyond_twice_the_largest_size_nothing_is_said_without_evidence_against_a_floor():
    rough = curves(spread=0.1)
    fits = scaling.fit_curves(rough)
    far = scaling.extrapolations(fits, [6000, 32_000]).query("law == 'power'").set_index(["arm", "n"])
    for arm in ARMS:
        assert far.loc[(arm, 6000.0), "reason"] == ""
        assert "10.0 times the largest size, and a floor of up to" in far.loc[(arm, 32_000.0), "reason"]
        assert np.isnan(far.loc[(arm, 32_000.0), ["mae", "low", "high"]].to_numpy(dtype=float)).all()
    row = scaling.labels_for_errors(fits, {"energy": [truth("t", 32_000)]}).set_index("arm").loc["t"]
    assert np.isnan(row["n"])
    assert np.isinf(row["high"])
    assert row["reason"].startswith("the law as fitted reaches it at")
    ratio = scaling.multiplier_curves(fits, scratch="scratch")
    assert (ratio["reason"] != "").equals(ratio["multiplier"].isna())


def test_a_crossing_out_of_reach_is_refused_and_the_lines_are_told():
    table = curves(spread=0.1)
    scratch = table["arm"] == "scratch"
    apart = table.assign(mae=table["mae"].where(~scratch, table["mae"] * 6))
    row = scaling.crossovers(apart, scaling.fit_curves(apart), scratch="scratch").iloc[0]
    assert row["kind"] in ("refused", "none")
    exact = curves(spread=0.002)
    exact = exact.assign(mae=exact["mae"].where(exact["arm"] != "scratch", exact["mae"] * 6))
    assert scaling.crossovers(exact, scaling.fit_curves(exact), scratch="scratch").iloc[0]["kind"] == "extrapolated"


def test_simultaneous_intervals_hold_the_single_ones():
    table = curves()
    fits = scaling.fit_curves(table)
    laws = scaling.laws_table(fits)
    assert (laws["exponent_all_low"] < laws["exponent_low"]).all()
    assert (laws["exponent_all_high"] > laws["exponent_high"]).all()
    row = scaling.crossovers(table, fits, scratch="scratch").iloc[0]
    assert row["low_all"] <= row["low"] < row["high"] <= row["high_all"]


def test_laws_on_all_structures_stand_beside_those_of_a_small_part():
    table = curves()
    every = pd.concat([table.assign(n_test=40), table.assign(population="all", n_test=100, mae=table["mae"] * 2)])
    fits = scaling.fit_curves(every)
    assert [fit.coverage for fit in fits] == [0.4, 0.4]
    found = scaling.laws_on_all(every, fits)
    assert set(found["population"]) == {"all"}
    assert found["prefactor"].to_numpy() == pytest.approx(2 * scaling.laws_table(fits)["prefactor"].to_numpy())
    half = every.assign(n_test=100)
    assert scaling.laws_on_all(half, scaling.fit_curves(half)).empty


def test_regions_and_the_back_test_are_rows_of_every_curve():
    fits = scaling.fit_curves(curves())
    regions = scaling.sensitivity(fits)
    assert list(regions["region"].unique()) == ["all", "without the smallest", "without the largest"]
    assert not regions["outside"].any()
    tests = scaling.back_tests(fits)
    hits, made, low, high = scaling.hit_rate(tests)
    assert (hits, made) == (int(tests["hit"].sum()), 2)
    assert 0 <= low < hits / made or hits == 0
    assert high <= 1


def test_a_joint_law_has_an_exponent_for_target_and_source_labels():
    rows = [
        (size, seed, arm, 3 * n**-0.4 * source**-0.2 * np.exp(0.01 * np.cos(n + source + seed)))
        for arm, source in (("own-200", 200.0), ("own-800", 800.0), ("own-all", 1600.0))
        for size, n in (("100", 100.0), ("400", 400.0), ("1600", 1600.0))
        for seed in (0, 1)
    ]
    table = pd.DataFrame(rows, columns=["size", "seed", "arm", "mae"])
    table = table.assign(budget="b", fidelity="f", target="energy", population="covered", reason="", converged=True)
    table = table.assign(n_frames=table["size"].astype(float)).reindex(columns=list(scaling.CURVE_COLUMNS))
    sizes = {"own-200": 200.0, "own-800": 800.0, "own-all": 1600.0}
    row = scaling.joint_laws(table, {arm: ("same", n) for arm, n in sizes.items()}).iloc[0]
    assert row["target_low"] < 0.4 < row["target_high"]
    assert row["source_low"] < 0.2 < row["source_high"]
    assert (row["n_cells"], row["df"]) == (9, 6)
    assert row["p_interaction"] > 0.01
    alone = scaling.joint_laws(table[table["size"] == "400"], {arm: ("same", n) for arm, n in sizes.items()}).iloc[0]
    assert not alone["fitted"]
    assert alone["reason"] == "1 target and 3 source size(s); a joint law needs 3 and 2"
    assert scaling.joint_laws(table, {}).empty


def test_labels_for_an_error_are_those_of_the_law_and_what_is_still_missing():
    fits = scaling.fit_curves(curves(spread=0.005))
    wanted = truth("t", 32_000)
    row = scaling.labels_for_errors(fits, {"energy": [wanted]}).set_index("arm").loc["t"]
    assert row["n"] == pytest.approx(32_000, rel=0.2)
    assert row["low"] < 32_000 < row["high"]
    assert row["more"] == pytest.approx(row["n"] - 3200)
    assert row["decades"] == pytest.approx(1.0, abs=0.1)
    had = scaling.labels_for_errors(fits, {"energy": [truth("t", 400)]}).set_index("arm").loc["t"]
    assert had["more"] == 0


def test_errors_are_shares_of_the_lowest_mean_unless_asked_for():
    fits = scaling.fit_curves(curves(spread=0.0))
    lowest = truth("scratch", 3200)
    assert scaling.wanted_errors(fits, {})["energy"] == pytest.approx(
        [lowest * s for s in (1, 0.75, 0.5, 0.25)], rel=0.05
    )
    assert scaling.wanted_errors(fits, {"energy": [0.1]})["energy"] == [0.1]


def test_shared_test_noise_widens_each_law_and_cancels_in_the_crossing():
    table = curves()
    sums = np.exp(np.random.default_rng(0).standard_normal(120))
    lists = {"errors": [sums] * len(table), "labels": [np.ones(120)] * len(table)}
    noise = MaterialErrors(table[RUN_KEYS].assign(**lists))
    plain, noisy = scaling.fit_curves(table), scaling.fit_curves(table, materials=noise)
    assert "bootstrap-t over test materials" in noisy[0].interval
    assert "bootstrap" not in plain[0].interval

    def width(fits, materials):
        row = scaling.crossovers(table, fits, scratch="scratch", materials=materials).iloc[0]
        return np.log(row["high"] / row["low"])

    bands = [scaling.bands(f).query("chosen").assign(r=lambda t: t["high"] / t["low"])["r"] for f in (plain, noisy)]
    assert (bands[1] > 1.3 * bands[0]).all()
    assert width(noisy, noise) == pytest.approx(width(plain, None), rel=0.05)


def test_an_unknown_law_is_refused_with_the_names():
    with pytest.raises(ValueError, match="'cubic': allowed are auto, power, saturating, shifted, broken"):
        scaling.fit_curves(curves(), law="cubic")


def test_a_law_asked_for_is_taken_and_everything_follows_it():
    fits = scaling.fit_curves(curves(), law="shifted")
    assert set(scaling.laws_table(fits)["law"]) == {"shifted"}
    assert set(scaling.crossovers(curves(), fits, scratch="scratch")["law_transfer"]) == {"shifted"}
    assert set(scaling.labels_for_errors(fits, {"energy": [0.05]})["law"]) == {"shifted"}


def test_from_a_law_that_may_not_fall_no_crossing_follows():
    table = curves()
    flat = table["arm"] == "t"
    jumps = np.where(table["seed"] == 0, 1.4, 0.7)  # a level curve
    table = table.assign(mae=table["mae"].where(~flat, 0.1 * jumps))
    fits = scaling.fit_curves(table)
    laws = scaling.laws_table(fits).set_index("arm")
    assert laws.loc["t", "fitted"]
    assert laws.loc["t", "exponent_low"] < 0
    row = scaling.crossovers(table, fits, scratch="scratch").set_index("transfer").loc["t"]
    assert (row["kind"], np.isnan(row["n"])) == ("none", True)
    assert row["reason"] == "no law for t: its exponent may be zero"
    assert "t" not in set(scaling.multiplier_curves(fits, scratch="scratch")["transfer"])
