from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure

from uprung.figures.reference_comparison import reference_errors

RATIOS = {"target": 1.0, "ridge": 0.9, "source": 30.0}


@pytest.fixture
def summary() -> pd.DataFrame:
    rows = []
    for population in ("all", "covered"):
        for name, ratio in RATIOS.items():
            for n in (100, 200, 400):
                mae = ratio * 10 / n**0.5
                row = {"reference": name, "size": str(n), "n_frames": n, "population": population, "mae": mae}
                row |= {"mae_min": 0.9 * mae, "mae_max": 1.1 * mae, "ratio": ratio}
                rows.append(row | {"ratio_low": 0.95 * ratio, "ratio_high": 1.1 * ratio})
    return pd.DataFrame(rows)


def drawn(figure: Figure, panel: int) -> dict[str, ErrorbarContainer]:
    figure.canvas.draw()
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    containers = [c for c in figure.axes[panel].containers if isinstance(c, ErrorbarContainer)]
    colours = {c.lines[0].get_color(): c for c in containers}
    left = [c.lines[0].get_color() for c in figure.axes[0].containers]
    return {name: colours[colour] for name, colour in zip(names, left, strict=True) if colour in colours}


def test_errors_on_the_left_and_changes_in_percent_on_the_right(summary: pd.DataFrame) -> None:
    figure = reference_errors(summary, baseline="target")
    left, right = drawn(figure, 0), drawn(figure, 1)
    assert set(left) == set(RATIOS)
    np.testing.assert_allclose(left["ridge"].lines[0].get_ydata(), [0.9, 0.9 / 2**0.5, 0.45])
    bars = left["ridge"].lines[2][0].get_segments()[0]
    np.testing.assert_allclose(bars[:, 1], [0.81, 0.99])
    assert set(right) == {"ridge"}
    np.testing.assert_allclose(right["ridge"].lines[0].get_ydata(), [-10] * 3)
    np.testing.assert_allclose(right["ridge"].lines[2][0].get_segments()[0][:, 1], [-14.5, -1])


def test_what_is_far_off_is_named_not_drawn(summary: pd.DataFrame) -> None:
    notes = [text.get_text() for text in reference_errors(summary, baseline="target").axes[1].texts]
    assert notes == ["Off the scale: source (30 to 30 times the error)"]
    near = summary[summary["reference"] != "source"]
    assert [text.get_text() for text in reference_errors(near, baseline="target").axes[1].texts] == [""]


def test_marks_of_one_size_stand_apart_around_it(summary: pd.DataFrame) -> None:
    first = [
        container.lines[0].get_xdata()[0]
        for container in drawn(reference_errors(summary, baseline="target"), 0).values()
    ]
    assert len(set(first)) == 3
    assert np.exp(np.mean(np.log(first))) == pytest.approx(100)
    assert max(first) / min(first) < 2**0.5  # clear of the next size


def test_without_covered_structures_all_are_compared(summary: pd.DataFrame) -> None:
    figure = reference_errors(summary[summary["population"] == "all"], baseline="target")
    assert set(drawn(figure, 1)) == {"ridge"}
    assert "every seed" not in figure.axes[1].get_title(loc="left")


def test_a_missing_fit_leaves_a_gap(summary: pd.DataFrame) -> None:
    gone = (summary["reference"] == "ridge") & (summary["size"] == "100")
    columns = ["mae", "mae_min", "mae_max", "ratio", "ratio_low", "ratio_high"]
    summary.loc[gone, columns] = np.nan
    assert len(drawn(reference_errors(summary, baseline="target"), 0)["ridge"].lines[0].get_ydata()) == 2


def test_more_references_than_colours_are_named_and_the_baseline_is_always_drawn(summary: pd.DataFrame) -> None:
    ridge = summary[summary["reference"] == "ridge"]
    many = pd.concat([ridge.assign(reference=f"r{k}") for k in range(18)])
    figure = reference_errors(many, baseline="r17")
    assert set(drawn(figure, 0)) == {*(f"r{k}" for k in range(15)), "r17"}
    assert [text.get_text() for text in figure.axes[1].texts] == ["Not drawn: r15, r16"]


def test_an_unknown_baseline_is_refused(summary: pd.DataFrame) -> None:
    with pytest.raises(ValueError, match="baseline 'mean' is not among target, ridge, source"):
        reference_errors(summary, baseline="mean")
