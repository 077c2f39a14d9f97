"""What follows from fitted laws: multipliers, extrapolations, labels for an error."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from uprung import scaling
from uprung.scaling.resamples import RUN_KEYS, Resamples

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
    fits = scaling.fit_curves(curves())
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
    draws = 0.1 * np.random.default_rng(0).standard_normal(400)
    noise = Resamples(table[RUN_KEYS].assign(ln_ratio=[draws] * len(table)))
    plain, noisy = scaling.fit_curves(table), scaling.fit_curves(table, resamples=noise)
    assert "bootstrap over test materials" in noisy[0].interval
    assert "bootstrap" not in plain[0].interval

    def width(fits, resamples):
        row = scaling.crossovers(table, fits, scratch="scratch", resamples=resamples).iloc[0]
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
