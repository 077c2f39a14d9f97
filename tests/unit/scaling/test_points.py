"""A table of one's own: what is read, and what is said about each kind of bad input."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from uprung import scaling
from uprung.scaling.points import read_points

PAPER = Path(__file__).parents[3] / "data/paper/scaling_points.csv"
GOOD = pd.DataFrame(
    {
        "n": [100, 200, 400] * 4,
        "arm": ["scratch"] * 6 + ["transfer"] * 6,
        "target": "energy",
        "mae": np.linspace(0.5, 0.1, 12),
        "seed": ([0] * 3 + [1] * 3) * 2,
    }
)


def read(tmp_path: Path, table: pd.DataFrame, **options):
    path = tmp_path / "my.csv"
    table.to_csv(path, index=False)
    return read_points(path, **options)


def test_points_become_curves_that_laws_accept(tmp_path):
    found = read(tmp_path, GOOD)
    assert len(found.curves) == 12
    assert found.left_out.empty
    assert scaling.fit_laws(scaling.check_curves(found.curves))["fitted"].all()
    assert set(found.curves["budget"]) == {"points"}


def test_errors_in_milli_units_are_converted_and_other_names_of_columns_taken(tmp_path):
    table = GOOD.rename(columns={"n": "n_train", "target": "quantity"}).assign(unit="meV/atom")
    assert read(tmp_path, table).curves["mae"].max() == pytest.approx(0.5e-3)


def test_the_published_points_are_read_with_their_zero_shot_rows_left_out():
    found = read_points(PAPER, smallest=1000)
    assert list(found.left_out["line"]) == [2, 17]
    assert "0 has no place" in found.left_out["reason"].iloc[0]
    laws = scaling.fit_laws(found.curves).set_index(["arm", "target"])["exponent"]
    expected = {
        ("scratch", "energy"): 0.615,
        ("transfer", "energy"): 0.301,
        ("scratch", "force"): 0.394,
        ("transfer", "force"): 0.134,
    }
    for key, exponent in expected.items():
        assert laws[key] == pytest.approx(exponent, abs=0.01)


def test_one_seed_gives_intervals_from_the_scatter_and_says_so(tmp_path):
    table = GOOD[GOOD["seed"] == 0].drop(columns="seed")
    assert set(scaling.fit_laws(read(tmp_path, table).curves)["interval"]) == {"scatter of size means; one seed"}


BAD = {
    "no column": (lambda t: t.drop(columns="mae"), r"missing column\(s\) \['mae'\].*needed are"),
    "no rows": (lambda t: t.iloc[:0], "the table has no rows"),
    "two sizes": (lambda t: t[t["n"] < 300], r"no curve has 3 sizes.*scratch, energy: 2"),
    "zero error": (lambda t: t.assign(mae=t["mae"].where(t.index != 4, 0.0)), r"1 row.*positive error.*line 6: '0\.0'"),
    "negative error": (lambda t: t.assign(mae=-t["mae"]), "12 row.*positive error.*line 2"),
    "words": (lambda t: t.astype({"mae": str}).assign(mae="low"), "positive error.*'low'"),
    "negative size": (lambda t: t.assign(n=-t["n"]), "positive number of structures"),
    "twice": (lambda t: pd.concat([t, t.iloc[[3]]]), r"1 duplicated row.*line 14.*scratch.*n = 100, seed 1"),
    "seeds not told apart": (lambda t: t.drop(columns="seed"), "6 duplicated row.*a seed of its own"),
    "mixed units": (
        lambda t: t.assign(unit=["eV/atom"] * 6 + ["meV/atom"] * 6),
        r"target energy has mixed units \['eV/atom', 'meV/atom'\]",
    ),
    "wrong unit": (lambda t: t.assign(unit="GPa"), r"unit\(s\) \['GPa'\] of target energy; allowed are"),
    "unknown target": (lambda t: t.assign(target="gap"), r"unknown target\(s\) \['gap'\]; allowed are"),
    "all too small": (lambda t: t, "no curve has 3 sizes from 150 on"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_named_with_its_place(tmp_path, name):
    change, message = BAD[name]
    with pytest.raises(ValueError, match=message):
        read(tmp_path, change(GOOD), smallest=150 if name == "all too small" else None)
