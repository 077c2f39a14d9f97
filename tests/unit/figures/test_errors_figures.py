from __future__ import annotations

import numpy as np
import pandas as pd

from uprung.figures.errors import component_parity, errors_by_force, parity

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


def test_parity_of_components_is_of_one_target_and_tells_the_error_of_the_whole_test() -> None:
    label = np.linspace(-2, 2, 400)
    table = pd.DataFrame({"target": "force", "label": label, "predicted": 0.8 * label})
    stress = table.assign(target="stress", predicted=90.0)
    wild = pd.DataFrame({"target": "force", "label": label, "predicted": np.where(label > 1.9, 50, label)})
    values = {"b": wild, "a": pd.concat([table, stress])}
    figure = component_parity(values, {"a": 0.0123, "b": 0.5}, target="force", arm_labels=ARMS)
    first, second = figure.axes
    assert (first.get_title(), second.get_title()) == ("first arm", "second arm")
    assert first.texts[0].get_text() == "MAE 12.3 meV/Å"
    assert "outside" in second.texts[0].get_text()
    assert first.get_xlim() == second.get_ylim()
    assert 2 < first.get_xlim()[1] < 3, "a huge prediction does not shrink the cloud"
    assert int(first.collections[0].get_array().sum()) > 0
    nothing = component_parity({"a": table}, {"a": 0.1}, target="stress", arm_labels=ARMS)
    assert "no stress labels" in nothing.axes[0].texts[0].get_text()


def test_parity_of_forces_that_are_all_zero_has_axes() -> None:
    still = pd.DataFrame({"target": "force", "label": np.zeros(9), "predicted": np.full(9, 1e-9)})
    (axis,) = component_parity({"a": still}, {"a": 1e-9}, target="force", arm_labels=ARMS).axes
    assert axis.get_xlim() == (-1, 1)
