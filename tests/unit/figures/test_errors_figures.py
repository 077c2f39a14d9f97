from __future__ import annotations

import numpy as np
import pandas as pd

from uprung.figures.errors import errors_by_force, parity

ARMS = {"a": "first arm", "b": "second arm"}


def test_errors_and_slopes_against_the_size_of_the_force() -> None:
    keys = ["10.0", "0.0", "0.3", "1.0"]  # any order, as text
    table = pd.DataFrame({"arm": "a", "by": "force", "target": "force", "key": keys, "n": [20, 90, 90, 90]})
    table["mae"], table["slope"] = [4.0, 1.0, 2.0, 3.0], [0.9, 50.0, 0.7, 0.8]
    figure = errors_by_force(pd.concat([table, table.assign(arm="b", mae=9.0)]), arm_labels=ARMS)
    error, slope = figure.axes
    np.testing.assert_allclose(error.lines[0].get_ydata(), [1000, 2000, 3000, 4000])
    np.testing.assert_allclose(slope.lines[0].get_ydata(), [0.7, 0.8, 0.9])  # none for the smallest forces
    np.testing.assert_allclose(slope.lines[0].get_xdata(), [1, 2, 3])
    assert [label.get_text() for label in error.get_xticklabels()] == ["0–0.3", "0.3–1", "1–10", "> 10"]
    assert "fewer than 30 components: from 10.0" in figure.get_supxlabel()
    assert "no forces" in errors_by_force(table.iloc[:0], arm_labels=ARMS).axes[0].texts[0].get_text()


def test_parity_tells_the_error_and_what_lies_outside() -> None:
    label = np.linspace(-4, -1, 20)
    good = pd.DataFrame({"energy_label": label, "energy": label + 0.01})
    bad = pd.DataFrame({"energy_label": label, "energy": np.where(label > -1.1, 50.0, label)})
    figure = parity({"b": bad, "a": good}, arm_labels=ARMS)
    first, second = figure.axes
    assert (first.get_title(), second.get_title()) == ("first arm", "second arm")
    assert "MAE 10" in first.texts[0].get_text()
    assert "mean error +10" in first.texts[0].get_text()
    assert "outside" not in first.texts[0].get_text()
    assert "1 outside" in second.texts[0].get_text()
    assert first.get_xlim() == first.get_ylim() == second.get_ylim()
