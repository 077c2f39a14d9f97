"""Figures of multipliers, laws and budgets draw what the tables say."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from uprung import scaling
from uprung.figures.budgets import budget_curves
from uprung.figures.laws import DASHES, data_multipliers, law_comparison
from uprung.laws import LAWS

pytestmark = pytest.mark.filterwarnings("error")
LABELS = {"scratch": "from scratch", "t": "pretrained"}
SIZES = (100, 200, 400, 800, 1600, 3200)


def curves(budgets=("steps",), converged=True) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    rows = [
        {
            **{"budget": b, "arm": arm, "size": str(n), "n_frames": n, "n_materials": 9, "seed": seed},
            **{"fidelity": "hi", "target": target, "population": "covered", "n_test": 50},
            **{"mae": c * n**-a * (1 + 0.02 * rng.standard_normal()) / (1 + k), "baseline": 0.5},
            **{"converged": converged, "reason": "" if converged else "worse"},
        }
        for k, b in enumerate(budgets)
        for arm, c, a in (("scratch", 5, 0.6), ("t", 1, 0.4))
        for target in ("energy", "force")
        for n in SIZES
        for seed in (0, 1)
    ]
    return pd.DataFrame(rows)


def drawn(figure):
    FigureCanvasAgg(figure).draw()
    return [axis for axis in figure.axes if axis.get_visible()]


def test_the_multiplier_is_drawn_as_in_its_table_with_its_band():
    fits = scaling.fit_curves(curves())
    table = scaling.multiplier_curves(fits, scratch="scratch")
    axes = drawn(data_multipliers(table, scratch="scratch", arm_labels=LABELS))
    assert [a.get_title(loc="left") for a in axes] == ["Energy", "Force"]
    here = table[table["target"] == "energy"]
    line = next(x for x in axes[0].lines if len(x.get_xdata()) == len(here))
    assert np.allclose(line.get_ydata(), here["multiplier"])
    band = axes[0].collections[0].get_paths()[0].vertices
    assert band[:, 1].max() == pytest.approx(here["high"].max())
    assert band[:, 1].min() == pytest.approx(here["low"].min())


def test_all_laws_are_drawn_relative_to_the_power_law():
    table = curves()
    fits = scaling.fit_curves(table)
    figure = law_comparison(table, scaling.bands(fits), scaling.comparison_table(fits), arm_labels=LABELS)
    axes = drawn(figure)
    assert len(axes) == 4
    lines = [x for x in axes[0].lines if x.get_color() == "black"]
    assert len(lines) == len({str(x._unscaled_dash_pattern) for x in lines}) == len(LAWS)
    assert np.allclose(lines[0].get_ydata(), 1.0)


def test_without_any_law_the_figures_say_so():
    table = curves(converged=False)
    fits = scaling.fit_curves(table)
    ratio = data_multipliers(scaling.multiplier_curves(fits, scratch="scratch"), scratch="scratch", arm_labels=LABELS)
    laws = law_comparison(table, scaling.bands(fits), scaling.comparison_table(fits), arm_labels=LABELS)
    for figure, words in ((ratio, "no data multiplier"), (laws, "nothing to compare")):
        FigureCanvasAgg(figure).draw()
        texts = [t.get_text() for t in [*figure.texts, *(t for a in figure.axes for t in a.texts)]]
        assert any(words in text for text in texts)


def test_budgets_share_a_panel_and_differ_in_line_style():
    table = curves(budgets=("steps100", "epochs5"))
    figure = budget_curves(table, arm_labels=LABELS)
    axes = drawn(figure)
    assert len(axes) == 2
    means = table[table["target"] == "energy"].groupby(["budget", "arm", "n_frames"])["mae"].mean() * 1000
    joined = {x.get_linestyle(): x for x in axes[0].lines if len(x.get_xdata()) and x.get_linestyle() in ("-", "--")}
    assert np.allclose(joined["--"].get_ydata(), means.loc["epochs5", "t"])
    names = [t.get_text() for legend in figure.legends for t in legend.get_texts()]
    assert {"steps100", "epochs5", "from scratch", "pretrained"} <= set(names)
    with pytest.raises(ValueError, match="5 budgets"):
        budget_curves(curves(budgets=tuple("abcde")), arm_labels=LABELS)


def test_every_law_has_a_line_style():
    assert len(DASHES) >= len(LAWS)
