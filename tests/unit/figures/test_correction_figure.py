"""The figure of the correction shows its table."""

from __future__ import annotations

import numpy as np
import pandas as pd

from uprung.figures.correction import correction


def table(reason: str = "") -> pd.DataFrame:
    rows = [
        {"model": model, "material": material, "shots": k, "slope_before": before, "slope_after": after + 0.01 * k}
        | {"mae_ratio": 1.2 - 0.1 * k, "cmae_ratio": 0.8, "reason": reason}
        for model, before in (("a", 0.8), ("b", 0.6))
        for material, after in (("Li", 0.9), ("Si", 1.0), ("Ge", 1.1))
        for k in (1, 2, 5)
    ]
    return pd.DataFrame(rows)


def test_marks_are_medians_over_materials_at_none_and_each_k() -> None:
    figure = correction(table(), labels={"a": "first", "b": "second"})
    slopes, errors = figure.axes
    assert [tick.get_text() for tick in slopes.get_xticklabels()] == ["none", "1", "2", "5"]
    lines = [line.get_ydata() for line in slopes.lines if len(line.get_ydata()) == 4]
    np.testing.assert_allclose(lines[0], [0.8, 1.01, 1.02, 1.05])
    np.testing.assert_allclose(lines[1], [0.6, 1.01, 1.02, 1.05])
    ratios = [line.get_ydata() for line in errors.lines if len(line.get_ydata()) == 4]
    np.testing.assert_allclose(ratios[0], [1, 1.1, 1.0, 0.7])
    assert [text.get_text() for text in figure.legends[0].get_texts()][:2] == ["first", "second"]


def test_reasons_are_shown_where_there_is_nothing_to_draw() -> None:
    figure = correction(table("all frames are of one trajectory"), labels={"a": "first"})
    assert "one trajectory" in figure.axes[0].texts[0].get_text()
