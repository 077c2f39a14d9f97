"""The figure of the correction shows its table."""

from __future__ import annotations

import numpy as np
import pandas as pd

from uprung.figures.correction import correction


def table(reason: str = "", *, methods: tuple[str, ...] = ("number",)) -> pd.DataFrame:
    rows = [
        {"model": model, "material": material, "shots": k, "slope_before": before, "slope_after": after + 0.01 * k}
        | {"mae_ratio": (1.2 - 0.1 * k) / n, "cmae_ratio": 0.8, "reason": reason, "method": method}
        for n, method in enumerate(methods, start=1)
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


def test_every_method_of_a_model_is_a_series_in_its_colour() -> None:
    both = table(methods=("number", "training"))
    both = both[(both["model"] == "a") | (both["method"] == "number")]  # b is a network of the study: not trained
    figure = correction(both, labels={"a": "first", "b": "second"})
    _, errors = figure.axes
    lines = [line for line in errors.lines if len(line.get_ydata()) == 4]
    np.testing.assert_allclose([line.get_ydata()[-1] for line in lines], [0.7, 0.35, 0.7])
    assert [line.get_linestyle() for line in lines] == ["-", "--", "-"]
    assert lines[0].get_color() == lines[1].get_color() != lines[2].get_color()
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names[:3] == ["first, one number", "first, fine-tuned", "second, one number"]
    # one promise per model, not per method
    assert sum(line.get_linestyle() == ":" for line in errors.lines) == 2


def test_many_models_have_a_row_each_with_the_smallest_and_largest_k() -> None:
    known = table(methods=("number", "training"))
    one = known[known["model"] == "a"]
    more = pd.concat([one.assign(model=f"m{k}", slope_before=0.5 + k / 100) for k in range(9)])
    slopes, errors = correction(more, labels={f"m{k}": f"network {k}" for k in range(9)}).axes
    assert [tick.get_text() for tick in slopes.get_yticklabels()] == [f"network {k}" for k in range(9)]
    told = [text.get_text() for text in slopes.figure.legends[0].get_texts()]
    assert told == ["before", "one number, k = 1", "one number, k = 5", "fine-tuned, k = 1", "fine-tuned, k = 5"]
    marks = [line.get_xdata() for line in slopes.lines if len(line.get_xdata()) == 9]
    np.testing.assert_allclose(marks[0], 0.5 + np.arange(9) / 100)
    np.testing.assert_allclose(marks[1], 1.01)
    ratios = [line.get_xdata() for line in errors.lines if len(line.get_xdata()) == 9]
    assert {round(float(values[0]), 2) for values in ratios} == {1.1, 0.7, 0.55, 0.35}
