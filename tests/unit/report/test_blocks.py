"""What has no content is not drawn."""

from __future__ import annotations

import pandas as pd
from markupsafe import Markup

from uprung import scaling
from uprung.figures.style import save, text_figure
from uprung.report.blocks import Cell, Details, Heading, Picture, Sentences, Table, Text, drawn, picture
from uprung.report.format import NONE

FULL = Table("full", ["arm", "n = 1", "n = 2"], [["a", "1", NONE], ["b", NONE, Cell("2", "note")]])
DASHES = Table("dashes", ["arm", "n = 1"], [["a", NONE], ["b", Cell(NONE)]])


def test_a_table_of_dashes_is_left_out_and_a_column_of_dashes_too() -> None:
    half = Table("half", ["arm", "law", "n", "remark"], [["a", NONE, "3", "why"], ["b", Cell(NONE), "4", ""]], 2, True)
    first, second = drawn([DASHES, FULL, half, Table("none", ["arm", "x"], [])])
    assert first == FULL
    assert (second.columns, second.text, second.last_text) == (["arm", "n", "remark"], 1, True)
    assert second.rows == [["a", "3", "why"], ["b", "4", ""]]


def test_details_keep_the_tables_that_say_something() -> None:
    (kept,) = drawn([Details("all", [DASHES, FULL]), Details("nothing", [DASHES]), Sentences([])])
    assert kept == Details("all", [FULL])


def test_a_heading_over_nothing_is_left_out() -> None:
    found = drawn([Heading("one"), DASHES, Heading("two"), Text("words"), Heading("three"), Heading("four")])
    assert found == [Heading("two"), Text("words")]
    assert drawn([Heading("one")]) == []


def test_a_figure_that_says_why_it_is_empty_is_left_out(tmp_path) -> None:
    save(text_figure("no forces were tested"), tmp_path / "parity")
    empty = picture({"parity": tmp_path / "parity.svg"}, "parity")
    full = Picture("x", Markup("<svg></svg>"), "x")
    assert drawn([empty, full]) == [full]


def test_a_law_whose_exponent_may_be_zero_is_not_drawn() -> None:
    keys = {"budget": "b", "fidelity": "f", "target": "energy", "population": "covered"}
    laws = pd.DataFrame([{**keys, "arm": "steep", "exponent_low": 0.1}, {**keys, "arm": "flat", "exponent_low": -0.1}])
    laws = pd.concat([laws, pd.DataFrame([{**keys, "arm": "refused", "exponent_low": float("nan")}])])
    bands = pd.DataFrame([{**keys, "arm": arm, "n": n} for arm in ("steep", "flat", "refused") for n in (1, 2)])
    assert scaling.falling(bands, laws)["arm"].tolist() == ["steep", "steep"]
    assert scaling.falling(pd.DataFrame(), laws).empty
