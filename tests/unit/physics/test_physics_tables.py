"""Ratios with intervals over materials, and outcomes that survive a kill."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT

from uprung.config.physics import PhysicsSet
from uprung.physics.networks import CURVES, VALUES, Kept, cost_line, network_tables
from uprung.physics.references import Material
from uprung.physics.results import Accuracy
from uprung.physics.tables import NO_READING, intervals_of, shown, summary

ABOUT = {"model": "toy", "budget": "", "arm": "", "size": "", "seed": -1}


def values(x: np.ndarray, y: np.ndarray, material: np.ndarray, quantity: str = "bulk modulus") -> pd.DataFrame:
    table = pd.DataFrame({"reference": x, "predicted": y, "material": material, "x": np.nan, "key": ""})
    return table.assign(set="own", quantity=quantity, unit="GPa", converged=True, reason="", **ABOUT)


def test_a_network_with_low_values_has_a_ratio_below_one() -> None:
    rng = np.random.default_rng(0)
    x = rng.uniform(50, 200, 60)
    table = values(x, 0.8 * x + rng.normal(0, 2, 60), np.repeat([f"m{k}" for k in range(20)], 3))
    table.loc[0, "predicted"] = np.nan
    table.loc[1, "converged"] = False
    (row,) = summary(table, resamples=300, seed=0).to_dict("records")
    assert row["ratio"] == pytest.approx(0.8, abs=0.01)
    assert 0.78 < row["ratio_low"] < row["ratio"] < row["ratio_high"] < 0.82
    assert row["multiplier"] > 1
    assert row["reading"] == "too low"
    assert row["below"] == 1
    assert row["bias"] < 0
    assert (row["materials"], row["values"], row["failed"], row["unconverged"]) == (20, 59, 1, 1)


def test_intervals_are_over_materials_and_not_over_their_values() -> None:
    rng = np.random.default_rng(1)
    material = np.repeat(np.arange(5), 40)
    x = rng.uniform(1, 2, 200)
    y = x * np.array([0.6, 0.8, 1.0, 1.2, 1.4])[material]
    own = intervals_of(x, y, material, resamples=500, seed=0)["ratio"]
    alone = intervals_of(x, y, np.arange(200), resamples=500, seed=0)["ratio"]
    assert own[1] - own[0] > 4 * (alone[1] - alone[0])
    assert intervals_of(x, y, material, resamples=500, seed=0)["ratio"] == own
    few = intervals_of(x[:80], y[:80], material[:80], resamples=500, seed=0)
    assert np.isnan(list(few.values())).all()


def test_a_quantity_that_may_be_zero_has_no_ratio() -> None:
    table = values(np.zeros(4), np.array([0.0, 1.0, 2.0, 0.0]), np.array(list("abcd")), "imaginary modes")
    (row,) = summary(table, resamples=100, seed=0).to_dict("records")
    assert np.isnan(row["ratio"])
    assert row["reading"] == NO_READING
    assert row["mae"] == 0.75


def test_nothing_but_failures_is_a_row() -> None:
    table = values(np.full(2, np.nan), np.full(2, np.nan), np.array(["a", "b"]))
    (row,) = summary(table, resamples=100, seed=0).to_dict("records")
    assert (row["materials"], row["values"], row["failed"]) == (0, 0, 2)
    assert np.isnan(row["ratio"])


def test_figures_show_checkpoints_and_the_largest_size() -> None:
    base = values(np.arange(3.0), np.arange(3.0), np.array(list("abc")))
    runs = [
        base.assign(model="run", budget=budget, arm="keep", size=size, seed=seed)
        for budget, size, seed in [("b", "10", 0), ("b", "20", 0), ("b", "20", 1), ("c", "20", 0)]
    ]
    found = shown(pd.concat([base, *runs], ignore_index=True), budget="b", labels={"keep": "kept"})
    assert found["name"].drop_duplicates().tolist() == ["toy", "kept"]
    assert found.loc[found["model"] == "run", ["size", "seed"]].drop_duplicates().values.tolist() == [["20", 0]]


SET = PhysicsSet.model_validate({"test": "volumes", "functional": "EMT", "files": ["none"]})
CRYSTALS = [
    Material(name, [bulk(name, "fcc", a=a)], {}, [name]) for name, a in (("Cu", 3.6), ("Ag", 4.1), ("Au", 4.05))
]


class Counting(EMT):
    """EMT that counts, and is killed after so many evaluations."""

    def __init__(self, most: int = 10**9) -> None:
        super().__init__()
        self.most, self.done = most, 0

    def calculate(self, *args: object) -> None:
        self.done += 1
        if self.done > self.most:
            raise KeyboardInterrupt
        super().calculate(*args)


def test_what_is_finished_survives_a_kill(tmp_path: Path) -> None:
    accuracy, sets = Accuracy(steps=200), {"own": (SET, CRYSTALS)}
    whole = Counting()
    expected, curves = network_tables(sets, whole, accuracy, Kept(tmp_path / "a", {"network": "emt"}))
    assert list(expected) == VALUES
    assert list(curves) == CURVES
    kept = Kept(tmp_path / "b", {"network": "emt"})
    with pytest.raises(KeyboardInterrupt):
        network_tables(sets, Counting(whole.done - 3), accuracy, kept)
    files = list((tmp_path / "b").iterdir())
    assert len(files) == 2
    files[0].write_bytes(files[0].read_bytes()[:-9])  # damaged: computed again
    rest = Counting()
    found, _ = network_tables(sets, rest, accuracy, kept)
    pd.testing.assert_frame_equal(found, expected)
    assert rest.done < whole.done
    none = Counting()
    network_tables(sets, none, accuracy, kept)
    assert none.done <= 2  # of the cost line
    other = Counting()
    network_tables(sets, other, accuracy, Kept(tmp_path / "b", {"network": "another"}))
    assert other.done == whole.done


def test_a_refused_material_is_a_row_and_the_others_are_computed(tmp_path: Path) -> None:
    refused = Material("Xx", unusable="structure is disordered")
    sets = {"own": (SET, [refused, CRYSTALS[0]])}
    found, _ = network_tables(sets, EMT(), Accuracy(steps=200), Kept(tmp_path, {}))
    assert found["reason"].tolist() == ["structure is disordered", ""]
    assert found["predicted"].isna().tolist() == [True, False]


def test_the_cost_is_said_before() -> None:
    line = cost_line([("own", SET, material) for material in CRYSTALS], [60.0, 60.0, 60.0], EMT())
    assert line.startswith("3 materials, about 180 evaluations of an atom: some ")
    assert line.endswith("measured")
    assert cost_line([("own", SET, Material("Cu"))], [9.0], EMT()) == "1 material, about 9 evaluations of an atom"
