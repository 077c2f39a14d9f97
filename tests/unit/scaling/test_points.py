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


ROWS = "n,arm,target,mae,seed\n100,a,energy,0.3,0\n200,a,energy,0.2,0\n400,a,energy,0.1,0\n"
TEXTS: dict[str, tuple[bytes, str]] = {
    "fractional seed": (ROWS.replace("0.2,0", "0.2,1.9").encode(), r"seed is not a whole number .* line 3: '1\.9'"),
    "negative seed": (ROWS.replace("0.2,0", "0.2,-1").encode(), r"seed is not a whole number .* line 3: '-1'"),
    "seed of a truth value": (ROWS.replace("0.2,0", "0.2,True").encode(), "line 3: 'True'"),
    "no seed": (ROWS.replace("0.2,0", "0.2,").encode(), "seed is not a whole number .* line 3: ''"),
    "seed beyond all": (ROWS.replace("0.2,0", "0.2,1e300").encode(), "line 3: '1e300'"),
    "fractional size": (
        ROWS.replace("200", "200.5").encode(),
        r"n is not a positive number of structures, a whole .*'200\.5'",
    ),
    "hexadecimal size": (ROWS.replace("200", "0x20").encode(), "line 3: '0x20'"),
    "size with a separator": (ROWS.replace("200", "1_000").encode(), "line 3: '1_000'"),
    "infinite error": (ROWS.replace("0.2", "inf").encode(), "mae is not a positive error, the first in line 3: 'inf'"),
    "error of NaN": (ROWS.replace("0.2", "NaN").encode(), "positive error, the first in line 3: 'NaN'"),
    "a decimal comma": (ROWS.replace("0.2,", '"0,2",').encode(), "line 3: '0,2'"),
    "no arm": (ROWS.replace("200,a", "200,").encode(), r"1 row\(s\) without an arm, the first in line 3"),
    "cut off in a row": (ROWS[:-8].encode(), "line 4 has 3 cells, but the header has 5: n, arm, target, mae, seed"),
    "cut off in a quotation": (f'{ROWS}800,"a'.encode(), "line 5: no row of a CSV file: unexpected end of data"),
    "a cell too many": (ROWS.replace("0.2,0", "0.2,0,9").encode(), "line 3 has 6 cells, but the header has 5"),
    "a cell too many in all rows": (ROWS.replace(",0\n", ",0,9\n").encode(), "line 2 has 6 cells"),
    "a column twice": (ROWS.replace("seed", "mae").encode(), "the header has the column 'mae' 2 times"),
    "a column without a name": (ROWS.replace("seed", "").encode(), "the header has the column '' 1 times"),
    "semicolons": (ROWS.replace(",", ";").encode(), r"missing column\(s\) .*needed are"),
    "nothing": (b"", r"missing column\(s\) .*it has \[\]"),
    "a header alone": (b"n,arm,target,mae\n", "the table has no rows"),
    "Parquet under the name": (b"PAR1\x15\x04\x15\x80\xff" + bytes(20) + b"PAR1", "no text"),
    "gzip under the name": (b"\x1f\x8b\x08\x00" + bytes(9), "byte 1 is no text in UTF-8"),
    "a spreadsheet under the name": (b"PK\x03\x04" + bytes(40), "no text; save the table as CSV in UTF-8"),
    "UTF-16": (ROWS.encode("utf-16"), "no text in UTF-8; save"),
    "Latin-1": (ROWS.replace("a,e", "\xe9,e").encode("latin-1"), "no text in UTF-8; save"),
}


@pytest.mark.parametrize("name", TEXTS)
def test_a_file_that_is_no_table_of_points_is_told_in_one_line(tmp_path, name):
    content, message = TEXTS[name]
    path = tmp_path / "my.csv"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message) as error:
        read_points(path)
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)
    assert type(error.value) is ValueError  # nothing that pandas or a codec raises


@pytest.mark.parametrize(
    "text",
    [
        "\ufeff" + ROWS,
        ROWS.replace("\n", "\r\n"),
        ROWS.replace(",", " , "),
        ROWS.replace("200", "2e2").replace("400", "400.0").replace("0.2,0", "0.2,0.0"),
        ROWS.replace("200,a", '200,"a"') + "\n\n",
        ROWS.rstrip("\n"),
    ],
    ids=[
        "byte order mark",
        "Windows",
        "spaces",
        "ways to write a whole number",
        "quotes, empty lines",
        "no last newline",
    ],
)
def test_tables_as_other_programs_write_them(tmp_path, text):
    (tmp_path / "my.csv").write_bytes(text.encode())
    curves = read_points(tmp_path / "my.csv").curves
    assert curves["n_frames"].tolist() == [100, 200, 400]
    assert curves["seed"].tolist() == [0, 0, 0]
    assert set(curves["arm"]) == {"a"}
