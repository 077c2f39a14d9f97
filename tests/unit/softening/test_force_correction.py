"""The correction by one number on forces that are known to be soft."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from uprung.softening.draws import Draw
from uprung.softening.force_correction import (
    ByElement,
    CorrectionMethod,
    Floats,
    against_number,
    by_number,
    correction_table,
    drawn,
)


def cloud(
    slope: float, noise: float = 0.0, *, trajectories: int = 6, frames: int = 3, material: str = "Si", seed: int = 0
) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    atoms = 20
    n = trajectories * frames * atoms
    label = rng.normal(size=(n, 3))
    predicted = slope * label + noise * rng.normal(size=(n, 3))
    frame = np.arange(n) // atoms
    columns = {f"label_{a}": label[:, k] for k, a in enumerate("xyz")}
    columns |= {f"predicted_{a}": predicted[:, k] for k, a in enumerate("xyz")}
    names = {"frame_id": [f"{material}-{f}" for f in frame], "trajectory": [f"t{f // frames}" for f in frame]}
    return pd.DataFrame(names | {"material": material} | columns)


def table_of(
    clouds: pd.DataFrame, *, shots: list[int], draws: int, seed: int, **others: CorrectionMethod
) -> pd.DataFrame:
    """Return the table of the correction by one number, and by other methods with the first three of its draws."""
    fits = {"shots": shots, "seed": seed}
    found = [drawn(clouds, by_number, name="number", draws=draws, **fits)]
    found += [drawn(clouds, method, name=name, draws=draws, first=3, **fits) for name, method in others.items()]
    both = against_number(pd.concat(found, ignore_index=True))
    return correction_table(clouds, both, methods=["number", *others], shots=shots)


def test_one_structure_repairs_forces_that_are_soft_by_a_factor() -> None:
    table = table_of(cloud(0.8), shots=[1, 2], draws=10, seed=0)
    assert list(table["shots"]) == [1, 2]
    np.testing.assert_allclose(table["multiplier"], 1.25)
    np.testing.assert_allclose(table["slope_before"], 0.8)
    np.testing.assert_allclose(table["slope_after"], 1.0)
    np.testing.assert_allclose(table["mae_after"], 0, atol=1e-12)


def test_more_structures_narrow_the_interval() -> None:
    table = table_of(cloud(0.8, noise=0.3, trajectories=20), shots=[1, 10], draws=100, seed=0)
    width = table["multiplier_high"] - table["multiplier_low"]
    assert width[1] < 0.6 * width[0]


def test_a_calibrated_predictor_is_left_as_it_is() -> None:
    """Shrunk by just what it does not know: slope below 1, but c* = 1 and no error to repair."""
    rng = np.random.default_rng(0)
    table = cloud(1.0, trajectories=40)
    predicted = rng.normal(size=(len(table), 3)) * 0.8
    for k, axis in enumerate("xyz"):
        table[f"predicted_{axis}"] = predicted[:, k]
        table[f"label_{axis}"] = predicted[:, k] + 0.6 * rng.normal(size=len(table))
    found = table_of(table, shots=[20], draws=50, seed=1).iloc[0]
    assert found["slope_before"] == pytest.approx(0.64, abs=0.03)
    assert found["multiplier"] == pytest.approx(1.0, abs=0.03)
    assert found["mae_ratio"] == pytest.approx(1.0, abs=0.01)
    assert found["cmae_ratio"] > 1.2  # division by the slope would make it worse


def test_no_frame_is_judged_by_a_fit_to_its_own_trajectory() -> None:
    """Trajectories with multipliers of their own: with two of them, each is corrected by the other's number."""
    one, other = cloud(0.5, trajectories=1), cloud(0.8, trajectories=1, seed=1)
    other["trajectory"], other["frame_id"] = "t9", other["frame_id"] + "b"
    found = table_of(pd.concat([one, other]), shots=[3], draws=40, seed=0).iloc[0]
    assert found["draws"] == 40
    assert {round(found["slope_after_low"], 6), round(found["slope_after_high"], 6)} == {0.5 / 0.8, 0.8 / 0.5}


def test_what_cannot_be_drawn_is_said() -> None:
    single = table_of(cloud(0.8, trajectories=1), shots=[1], draws=5, seed=0).iloc[0]
    assert single["draws"] == 0
    assert "one trajectory" in single["reason"]
    assert np.isnan(single["slope_after"])
    few = table_of(cloud(0.8, trajectories=2, frames=2), shots=[3], draws=5, seed=0).iloc[0]
    assert few["reason"] == "no half of the 4 frames, 0 of them at rest, holds 3 structures"


def test_the_seed_decides_and_materials_stand_apart() -> None:
    both = pd.concat([cloud(0.8, 0.2), cloud(0.6, 0.2, material="Ge")])
    first, again = (table_of(both, shots=[1], draws=5, seed=3) for _ in range(2))
    pd.testing.assert_frame_equal(first, again)
    alone = table_of(both[both["material"] == "Ge"], shots=[1], draws=5, seed=3)
    assert alone.iloc[0]["multiplier"] == first.set_index("material").loc["Ge", "multiplier"]


def test_frames_at_rest_are_judged_but_not_fitted_to() -> None:
    table = cloud(0.8, trajectories=8, frames=1)
    rest = table["trajectory"].isin(["t0", "t1", "t2"])
    columns = [name for name in table if name.startswith(("label", "predicted"))]
    table.loc[rest, columns] *= 1e-3
    table.loc[rest, [name for name in columns if name.startswith("predicted")]] *= -5
    found = table_of(table, shots=[1], draws=50, seed=0).iloc[0]
    assert found["at_rest"] == 3
    assert found["multiplier_low"] == pytest.approx(1.25)
    assert found["multiplier_high"] == pytest.approx(1.25)


def test_methods_are_fitted_to_and_judged_on_the_same_structures() -> None:
    clouds = pd.concat([cloud(0.8, 0.3), cloud(0.6, 0.3, material="Ge", seed=1)])
    seen: dict[tuple[str, int, int], Draw] = {}

    def halved(material: str, chosen: Draw) -> tuple[Floats, dict[str, float]]:
        seen[material, len(chosen.fitted), chosen.draw] = chosen
        corrected, about = by_number(material, chosen)
        return corrected, about | {"energies": 2.0}

    table = table_of(clouds, shots=[1, 4], draws=20, seed=0, training=halved)
    assert list(table["method"]) == ["number"] * 4 + ["training"] * 4
    assert list(table["draws"]) == [20] * 4 + [3] * 4
    assert set(seen) == {(m, k, draw) for m in ("Si", "Ge") for k in (1, 4) for draw in range(3)}
    for chosen in seen.values():
        assert not {frame.trajectory for frame in chosen.fitted} & {frame.trajectory for frame in chosen.judged}
    again = drawn(clouds, halved, name="training", shots=[1, 4], draws=3, seed=0)
    number = drawn(clouds, by_number, name="number", shots=[1, 4], draws=20, seed=0).query("draw < 3")
    same = [name for name in number if name not in ("method", "energies")]
    pd.testing.assert_frame_equal(again[same], number[same].reset_index(drop=True))
    trained = table[table["method"] == "training"]
    assert (trained["mae_to_number"] == 1).all()
    assert (trained["energies"] == 2).all()
    assert table.loc[table["method"] == "number", "energies"].isna().all()


def test_without_the_number_nothing_is_compared_with_it() -> None:
    found = against_number(drawn(cloud(0.8), by_number, name="training", shots=[1], draws=2, seed=0))
    assert found["mae_to_number"].isna().all()


def parts_of(clouds: pd.DataFrame, shares: dict[int, np.ndarray]) -> pd.DataFrame:
    """Return forces by element: element -> its share of the predicted forces."""
    own = {axis: clouds[f"predicted_{axis}"].to_numpy() for axis in "xyz"}
    return pd.concat(
        pd.DataFrame({name: values * share for name, values in own.items()}).assign(
            frame_id=clouds["frame_id"].to_numpy(), element=element
        )
        for element, share in shares.items()
    )


def test_one_number_per_element_is_the_one_number_where_there_is_one_element() -> None:
    clouds = cloud(0.8, 0.3)
    method = ByElement(parts_of(clouds, {14: np.ones(len(clouds))}))
    found = [drawn(clouds, m, name="number", shots=[1, 4], draws=10, seed=0) for m in (by_number, method)]
    assert (found[1]["multiplier_spread"] == 0).all()
    same = [name for name in found[0] if name != "multiplier_spread"]
    pd.testing.assert_frame_equal(found[0][same], found[1][same], check_exact=False, rtol=1e-9)


def test_elements_that_are_soft_by_numbers_of_their_own_are_told_apart() -> None:
    clouds = cloud(1.0, 0.0)
    share = np.random.default_rng(1).normal(size=len(clouds))
    for axis in "xyz":  # the labels are 1.2 of the one element's part and 0.7 of the other's
        clouds[f"label_{axis}"] = clouds[f"predicted_{axis}"] * (1.2 * share + 0.7 * (1 - share))
    method = ByElement(parts_of(clouds, {3: share, 8: 1 - share}))
    table = table_of(clouds, shots=[2], draws=10, seed=0, **{"per-element": method})
    assert table["mae_after"][0] > 0.1
    np.testing.assert_allclose(table["mae_after"][1], 0, atol=1e-12)
    assert table["multiplier"][1] == pytest.approx(0.95)
    assert table["multiplier_spread"][1] == pytest.approx(0.5)


def test_an_element_that_the_structures_do_not_have_is_left_as_it_is() -> None:
    one, other = cloud(0.8, trajectories=1), cloud(0.5, trajectories=1, seed=1)
    other["trajectory"], other["frame_id"] = "t9", other["frame_id"] + "b"
    parts = pd.concat([parts_of(one, {14: np.ones(len(one))}), parts_of(other, {32: np.ones(len(other))})])
    found = drawn(pd.concat([one, other]), ByElement(parts), name="number", shots=[1], draws=10, seed=0)
    np.testing.assert_allclose(found["slope_after"], found["slope_before"])
    assert set(found["multiplier"].round(6)) == {1.25, 2.0}


def test_the_first_draws_are_the_first_that_are_possible() -> None:
    """Trajectories of several lengths: not every half holds k structures."""
    long, short = cloud(0.8, 0.2, trajectories=1, frames=4), cloud(0.8, 0.2, trajectories=3, frames=1, seed=1)
    short["trajectory"], short["frame_id"] = "s" + short["trajectory"], short["frame_id"] + "b"
    every = drawn(pd.concat([long, short]), by_number, name="number", shots=[4], draws=20, seed=0)
    assert every["draw"].iloc[0] > 0 or (np.diff(every["draw"]) > 1).any()
    first = drawn(pd.concat([long, short]), by_number, name="number", shots=[4], draws=20, seed=0, first=3)
    pd.testing.assert_frame_equal(first, every.head(3))
