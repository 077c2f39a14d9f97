"""Errors after training against errors before it."""

from __future__ import annotations

import numpy as np
import pandas as pd

from uprung.figures.before_after import before_after, before_after_table

INITS = {"swap": "pretrained", "own": "small"}
LABELS = {"scratch": "from scratch", "swap": "references", "own": "own network"}


def history() -> pd.DataFrame:
    rows = []
    for arm, start in (("scratch", 9.0), ("swap", 0.1), ("own", 0.4)):
        for size, factor in (("100", 0.5), ("400", 0.25)):
            for step, done in ((10, 0.6), (20, 1.0), (0, 0.0)):
                error = start * (1 - (1 - factor) * done)
                run = {"budget": "b", "arm": arm, "size": size, "seed": 0}
                rows.append(run | {"step": step, "val_energy": error, "val_force": 2 * error})
    return pd.DataFrame(rows)


def test_first_and_last_validation_of_arms_that_start_from_a_network() -> None:
    table = before_after_table(history(), INITS, ["energy", "force"])
    assert set(table["arm"]) == {"swap", "own"}
    assert len(table) == 8
    own = table[(table["arm"] == "own") & (table["size"] == "400")].set_index("target")
    assert own.loc["energy", "init"] == "small"
    assert own.loc["energy", ["before", "after"]].tolist() == [0.4, 0.1]
    assert own.loc["force", ["before", "after"]].tolist() == [0.8, 0.2]


def test_marks_are_runs_in_the_unit_shown_and_grow_with_the_size() -> None:
    table = before_after_table(history(), INITS, ["energy", "force"])
    figure = before_after(table, arm_labels=LABELS)
    energy = figure.axes[0]
    marks = [line for line in energy.lines if line.get_linestyle() == "None"]
    points = {(line.get_xdata()[0], line.get_ydata()[0]): line.get_markersize() for line in marks}
    np.testing.assert_allclose(sorted(points), [(100, 25), (100, 50), (400, 100), (400, 200)])
    assert points[max(p for p in points if p[1] < 150)] > points[max(points)]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["references", "own network", "no change"]


def test_without_pretrained_arms_the_figure_says_so() -> None:
    table = before_after_table(history(), {}, ["energy"])
    assert "no arm starts" in before_after(table, arm_labels=LABELS).axes[0].texts[0].get_text()
