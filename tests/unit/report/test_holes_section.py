"""What the page says of holes follows from the two tables; nothing is said where the test is off."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
from test_page import study

from uprung.evaluation.hole_tables import arms_table, networks_table
from uprung.figures.style import new_figure, save
from uprung.report.blocks import Picture, Table, Text
from uprung.report.sections.holes import blocks


def results(folder: Path) -> Any:
    starts = pd.concat(
        pd.DataFrame(
            {
                **{"budget": budget, "arm": arm, "size": size, "seed": seed, "lost": [False] * 9 + [True]},
                "start": [f"s{k}" for k in range(10)],
                "energy": [-41.5, *[0.1] * 9],
                "hole": ["energy"] * found + [""] * (10 - found),
            }
        )
        for budget, arm, size, seed, found in [("", "chgnet-0.3.0", "", -1, 2), ("quick", "keep", "800", 0, 1)]
    )
    save(new_figure()[0], folder / "holes")
    tables = {"arms": arms_table(starts), "networks": networks_table(starts)}
    return SimpleNamespace(holes=tables, figures={"holes": folder / "holes.svg"})


def test_every_arm_has_one_number_with_its_interval(tmp_path: Path) -> None:
    shown = list(blocks(study(tests={"holes": {"depth": 2.0, "rattle": 0.25}}), results(tmp_path)))
    assert any(isinstance(block, Picture) for block in shown)
    (text,) = [block.text for block in shown if isinstance(block, Text)]
    assert "more than 2 eV/atom below" in text
    assert "rattled by 0.25 Å" in text
    (table,) = [block for block in shown if isinstance(block, Table)]
    assert [row[0] for row in table.rows] == ["chgnet-0.3.0, untouched", "keep"]
    share = table.rows[1][2]
    assert not isinstance(share, str)
    assert (share.text, share.note) == ("10.0", "1.8 to 40.4")
    assert table.rows[1][3:] == ["1", "0", "0", "1", "−41.5"]


def test_nothing_is_said_where_the_test_is_off() -> None:
    assert list(blocks(study(), SimpleNamespace())) == []
