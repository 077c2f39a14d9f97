"""Changes of ratios and errors with intervals over materials and draws, and what they are said to mean."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from uprung.physics.labels import Fit, PoolFrame
from uprung.physics.paired import Resampling, compared
from uprung.physics.repair import NUMBER, TRAINING, UNTOUCHED, by_number, by_training, repaired
from uprung.physics.repair_tables import SOUND, UNSETTLED, WORSE, reading, repair_table
from uprung.physics.transfer import transfer_table
from uprung.softening.draws import ScoredFrame

ABOUT = {"model": "toy", "pool": "p", "test": "volumes", "functional": "PBE"}


def cloud(materials: int, draws: int, *, spread: float, after: float, per: int = 2, seed: int = 0) -> pd.DataFrame:
    """Return values of materials, before 0.8 of the references and after a share that differs from draw to draw."""
    rng = np.random.default_rng(seed)
    of_draw = rng.normal(0, spread, draws)
    rows = []
    for m in range(materials):
        x = rng.uniform(50, 150, per)
        own, noise = rng.normal(0, 0.02), rng.normal(0, 0.01, per)
        for d in range(draws):
            for k in range(per):
                y = x[k] * (after + own + of_draw[d])
                before = x[k] * (0.8 + own + noise[k])
                rows.append({"material": f"m{m}", "draw": d, "reference": x[k], "before": before, "after": y})
    return pd.DataFrame(rows)


def test_statistics_are_those_of_the_values() -> None:
    rows = cloud(6, 3, spread=0.0, after=0.95)
    found = compared(rows, Resampling(200, 0))
    one = rows[rows["draw"] == 0]
    x, y, before = one["reference"], one["after"], one["before"]
    assert (found["materials"], found["draws"], found["values"]) == (6, 3, 12)
    assert found["ratio"] == pytest.approx((x * y).sum() / (x * x).sum())
    assert found["mae"] == pytest.approx((y - x).abs().mean())
    assert found["mae_change"] == pytest.approx((y - x).abs().mean() - (before - x).abs().mean())
    assert found["mae_ratio"] == pytest.approx(found["mae"] / found["mae_before"])
    for name in ("ratio", "mae", "mae_change", "ratio_change"):
        assert found[f"{name}_low"] <= found[name] <= found[f"{name}_high"]


def test_intervals_are_over_draws_as_well() -> None:
    quiet, loud = (compared(cloud(8, 6, spread=s, after=0.95), Resampling(500, 0)) for s in (0.0, 0.2))
    assert loud["ratio_high"] - loud["ratio_low"] > 3 * (quiet["ratio_high"] - quiet["ratio_low"])


def test_draws_of_each_material_average_out_and_shared_ones_do_not() -> None:
    rows = cloud(8, 6, spread=0.2, after=0.95)
    shared, own = (compared(rows, Resampling(500, 0, shared=shared)) for shared in (True, False))
    assert shared["ratio_high"] - shared["ratio_low"] > 1.5 * (own["ratio_high"] - own["ratio_low"])


@pytest.mark.parametrize(("materials", "draws"), [(2, 6), (8, 2)])
def test_few_materials_or_draws_have_no_interval(materials: int, draws: int) -> None:
    found = compared(cloud(materials, draws, spread=0.1, after=0.95), Resampling(100, 0))
    assert np.isnan([value for name, value in found.items() if name.endswith(("_low", "_high"))]).all()
    assert np.isfinite(found["ratio"])
    of_draws_at_hand = compared(cloud(8, 2, spread=0.1, after=0.95), Resampling(100, 0, draws_needed=False))
    assert np.isfinite(of_draws_at_hand["ratio_low"])


def test_a_material_that_few_draws_judge_counts_as_much_as_others() -> None:
    rows = pd.DataFrame(
        [{"material": "often", "draw": d, "reference": 1.0, "before": 1.0, "after": 1.0} for d in range(9)]
        + [{"material": "once", "draw": 0, "reference": 1.0, "before": 1.0, "after": 2.0}]
    )
    assert compared(rows, Resampling(100, 0))["mae"] == pytest.approx(0.5)


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    """Materials and draws have effects of their own; the truth is the mean of both."""
    hits, tries = 0, 150
    for seed in range(tries):
        rng = np.random.default_rng(seed)
        effect = rng.normal(0, 0.05, (12, 1)) + rng.normal(0, 0.05, (1, 8)) + rng.normal(0, 0.02, (12, 8))
        m, d = np.indices(effect.shape).reshape(2, -1)
        rows = pd.DataFrame({"material": m, "draw": d, "reference": 1.0, "before": 1.0, "after": 0.9 + effect.ravel()})
        found = compared(rows, Resampling(200, seed))
        hits += found["ratio_low"] <= 0.9 <= found["ratio_high"]
    assert 0.85 < hits / tries <= 1


def interval(ratio: tuple[float, float], change: tuple[float, float]) -> dict[str, float]:
    return {"ratio_low": ratio[0], "ratio_high": ratio[1], "mae_change_low": change[0], "mae_change_high": change[1]}


NAN = float("nan")


@pytest.mark.parametrize(
    ("ratio", "change", "k", "said"),
    [
        ((0.95, 1.05), (-3, -1), 1, "one label is enough"),
        ((0.95, 1.05), (-3, -1), 5, "5 labels are enough"),
        ((0.95, 1.15), (-3, -1), 1, "better, not settled whether enough"),
        ((0.7, 0.85), (-3, -1), 2, "better, but 2 labels are not enough"),
        ((0.95, 1.05), (-3, 1), 1, UNSETTLED),
        ((0.95, 1.05), (1, 3), 1, WORSE),
        ((NAN, NAN), (NAN, NAN), 1, UNSETTLED),
        ((NAN, NAN), (1, 3), 1, WORSE),
        ((NAN, NAN), (-3, -1), 1, "better, not settled whether enough"),  # no ratio: the quantity may be zero
        ((0.95, 1.05), (0, 0), 0, SOUND),
        ((0.7, 0.85), (0, 0), 0, "to be repaired"),
        ((0.7, 0.95), (0, 0), 0, UNSETTLED),
    ],
)
def test_only_intervals_decide_what_is_said(ratio: Any, change: Any, k: int, said: str) -> None:
    assert reading(interval(ratio, change), k, 0.1) == said


def network_values(scale: float, names: list[str], quantity: str = "C11") -> pd.DataFrame:
    x = 100.0 + 10 * np.arange(len(names))
    table = pd.DataFrame({"material": names, "reference": x, "predicted": scale * x})
    return table.assign(set="own", key="", quantity=quantity, unit="GPa", x=np.nan, converged=True, reason="")


def fit(k: int, draw: int, scale: float, names: list[str]) -> Fit:
    label = np.arange(1.0, 7.0)
    labelled = tuple(PoolFrame(ScoredFrame(f"f{n}", f"f{n}", label, scale * label), "Si") for n in range(k))
    return Fit(k, draw, labelled, frozenset(("own", name) for name in names))


NAMES = [f"m{k}" for k in range(5)]


def test_one_number_repairs_what_is_soft_by_a_factor_and_one_label_is_enough() -> None:
    noise = 1 + 0.02 * np.arange(-2, 3)
    values = network_values(0.8, NAMES)
    values["predicted"] *= noise
    draws = [fit(1, d, 0.8, NAMES) for d in range(3)]
    found = repaired(values, draws, [1], [], lambda chosen: values, same=False)
    table = repair_table(found.assign(**ABOUT), resamples=200, seed=0, tolerance=0.1, shared=True)
    before, after = table.to_dict("records")
    assert (before["way"], before["shots"], before["reading"]) == (UNTOUCHED, 0, "to be repaired")
    assert (after["way"], after["shots"], after["draws"]) == (NUMBER, 1, 3)
    assert after["ratio"] == pytest.approx(before["ratio"] * 1.25)
    assert after["reading"] == "one label is enough"


def test_what_no_draw_judges_is_a_row_with_the_reason() -> None:
    values = network_values(0.8, NAMES)
    found = repaired(values, [fit(1, 0, 0.8, NAMES[:3])], [1, 2], ["own"], lambda chosen: values[:3], same=True)
    missing = found[found["predicted"].isna()]
    counts = missing.groupby(["way", "shots"]).size().to_dict()
    assert counts == {(NUMBER, 1): 2, (NUMBER, 2): 5, (TRAINING, 1): 2, (TRAINING, 2): 5}
    assert set(missing["reason"]) == {
        "the pool has no 1 structure of its composition",
        "the pool has no 2 structures of its composition",
    }
    table = repair_table(found.assign(**ABOUT), resamples=100, seed=0, tolerance=0.1, shared=False)
    (two,) = table[(table["way"] == NUMBER) & (table["shots"] == 2)].to_dict("records")
    assert (two["failed"], two["values"], two["reading"]) == (5, 0, UNSETTLED)
    assert "no 2 structures" in two["reason"]


def test_a_quantity_that_does_not_follow_from_its_value_has_the_reason() -> None:
    found = by_number(network_values(0.8, NAMES, "heat capacity"), fit(1, 0, 0.8, NAMES))
    assert found["predicted"].isna().all()
    assert set(found["reason"]) == {"it depends on all frequencies, of which the table has none"}


def test_a_trained_network_stands_beside_the_values_before() -> None:
    values = pd.concat([network_values(0.8, NAMES), network_values(0.7, NAMES, "C44")], ignore_index=True)
    values.loc[0, "key"] = "elsewhere"
    after = values.assign(predicted=values["reference"])
    lost = after["material"] == "m1"
    after = after[~lost | (after["quantity"] == "C11")].copy()
    after.loc[after["material"] == "m1", ["predicted", "reason", "converged", "key"]] = [np.nan, "too far", False, "?"]
    found = by_training(values, fit(2, 4, 0.8, NAMES[:3]), ["own"], lambda chosen: after)
    assert set(found["material"]) == set(NAMES[:3])
    assert (found["way"].unique().tolist(), found["shots"].unique().tolist()) == ([TRAINING], [2])
    gone = found[found["material"] == "m1"]
    assert gone["predicted"].isna().all()
    assert set(gone["reason"]) == {"too far"}
    whole = found[found["material"] != "m1"]
    np.testing.assert_allclose(whole["predicted"], whole["reference"])
    np.testing.assert_allclose(whole["untouched"] / whole["reference"], [0.8, 0.8, 0.7, 0.7])
    assert by_training(values, fit(1, 0, 0.8, NAMES), [], lambda chosen: after).empty


def run(arm: str, seed: int, scale: float) -> pd.DataFrame:
    return network_values(scale, NAMES).assign(model="run", budget="b", arm=arm, size="10", seed=seed)


def test_an_arm_that_softens_is_said_to_by_paired_intervals() -> None:
    start = network_values(0.95, NAMES).assign(model="toy", budget="", arm="", size="", seed=-1)
    noise = 1 + 0.01 * np.arange(-2, 3)
    softer = [run("softer", seed, 0.85) for seed in range(2)]
    for each in softer:
        each["predicted"] *= noise
    values = pd.concat([start, *softer, run("alike", 0, 0.95), run("scratch", 0, 0.5)], ignore_index=True)
    table = transfer_table(values, {"softer": "toy", "alike": "toy"}, resamples=200, seed=0).set_index("arm")
    assert list(table.index) == ["softer", "alike"]
    assert table.loc["softer", "reading"] == "lower, worse"
    assert table.loc["alike", "reading"] == "not settled"
    assert table.loc["softer", "ratio_change"] == pytest.approx(-0.1, abs=0.01)
    assert table.loc["softer", "draws"] == 2
    nothing = transfer_table(values, {"softer": "another"}, resamples=200, seed=0)
    assert nothing.empty
    assert "reading" in nothing
