"""Words of a user are shown as they are: no mathtext, no label lost, on linear and log axes."""

from __future__ import annotations

from pathlib import Path

import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import LogFormatter
from test_scaling_figure import curves

from uprung import scaling
from uprung.figures import style
from uprung.figures.axes import legend_of_arms
from uprung.figures.scaling import learning_curves

HOSTILE = [r"$\bad{", "_hidden", "a_b^c", "$1 and $2", "{br}", "100 %", "<b>&", "$x$", "\\", "Ω — ü"]


def shown(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text)]


@pytest.mark.parametrize("words", HOSTILE)
def test_words_anywhere_in_a_figure(tmp_path: Path, words: str) -> None:
    figure, (axis,) = style.new_figure()
    axis.set(title=words, xlabel=words, ylabel=words, xscale="log", yscale="log", xlim=(1e-2, 1e3), ylim=(2, 7))
    axis.text(0.5, 3, words)
    legend_of_arms(figure, {"a": words, "b": "other"})
    colours = figure.colorbar(axis.scatter([1, 2], [3, 4], c=[5, 6]), label=words)
    colours.ax.set_yticks([5, 6], [words, "x"])
    figure.suptitle(words)
    style.save(figure, tmp_path / "figure")
    assert sum(text == words for text in shown(figure)) >= 7
    assert "10⁻²" in shown(figure)
    svg = (tmp_path / "figure.svg").read_text(encoding="utf-8")
    assert "mathdefault" not in svg
    assert svg.count(words.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")) >= 7


def test_a_text_in_place_of_a_figure(tmp_path: Path) -> None:
    style.save(style.text_figure(r"no $\bad{ law"), tmp_path / "figure")
    assert r"no $\bad{ law" in (tmp_path / "figure.svg").read_text(encoding="utf-8")


@pytest.mark.parametrize("words", HOSTILE)
def test_labels_of_arms_in_learning_curves(tmp_path: Path, words: str) -> None:
    table = curves()
    table["arm"] = table["arm"].replace("scratch", words)
    fits = scaling.fit_curves(table)
    laws, bands = scaling.laws_table(fits), scaling.bands(fits)
    crossings = scaling.crossovers(table, fits, scratch=words)
    figure = learning_curves(
        table,
        laws,
        targets=("energy", "force"),
        arm_labels={words: words, "transfer": words * 2},
        bands=bands,
        crossings=crossings,
        x_label=words,
    )
    style.save(figure, tmp_path / "figure")
    assert {words, words * 2} <= set(shown(figure))


@pytest.mark.parametrize(
    ("value", "label"), [(0.01, "10⁻²"), (1.0, "10⁰"), (1e12, "10¹²"), (0.0, "0"), (2000.0, "2×10³")]
)
def test_powers_without_mathtext(value: float, label: str) -> None:
    powers = style.Powers(minor_thresholds=(float("inf"), float("inf")))
    assert isinstance(powers, LogFormatter)
    _, (axis,) = style.new_figure()
    axis.set(xscale="log", xlim=(1e-3, 1e13))
    axis.xaxis.set_major_formatter(powers)
    assert powers(value) == label
