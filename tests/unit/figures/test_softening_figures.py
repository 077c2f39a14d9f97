"""Figures of softening show the numbers of their tables."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from uprung.figures.softening import force_clouds, slopes_by_material, slopes_by_size
from uprung.softening.slopes import POOLED

LABELS = {"scratch": "from scratch", "swap": "references"}


def table(materials: list[str]) -> pd.DataFrame:
    rows = []
    for k, material in enumerate([*materials, POOLED]):
        row = {"material": material, "subset": "all", "budget": "", "arm": "", "size": "", "seed": -1}
        for model, slope in (("chgnet-0.3.0", 0.8 + 0.01 * k), ("chgnet-r2scan", 0.6 + 0.01 * k)):
            rows.append(row | {"model": model, "slope": slope, "slope_low": slope - 0.1, "slope_high": slope + 0.1})
        for arm, offset in (("scratch", 0.0), ("swap", 0.2)):
            for n in (100, 400):
                for seed in (0, 1):
                    slope = 0.5 + offset + n / 4000 + 0.01 * seed
                    run = {"model": "run", "budget": "b", "arm": arm, "size": str(n), "seed": seed}
                    run |= {"slope": slope, "slope_low": slope - 0.1, "slope_high": slope + 0.1, "n_frames_trained": n}
                    rows.append(row | run)
    return pd.DataFrame(rows)


def test_few_materials_are_drawn_by_name_with_their_intervals() -> None:
    figure = slopes_by_material(table(["Li", "Si"]), arm_labels=LABELS, budget="b")
    axis = figure.axes[0]
    assert [tick.get_text() for tick in axis.get_xticklabels()] == ["Li", "Si"]
    drawn = [line.get_ydata() for line in axis.lines if len(line.get_ydata()) == 2]
    assert any(np.allclose(y, [0.8, 0.81]) for y in drawn)
    # the arm at its largest size, mean over seeds
    assert any(np.allclose(y, [0.605, 0.605]) for y in drawn)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "chgnet-0.3.0",
        "chgnet-r2scan",
        "from scratch",
        "references",
    ]


def test_many_materials_are_drawn_as_the_share_below_each_slope() -> None:
    figure = slopes_by_material(table([f"m{k}" for k in range(20)]), arm_labels=LABELS, budget="b")
    first = figure.axes[0].lines[1]
    np.testing.assert_allclose(first.get_xdata(), 0.8 + 0.01 * np.arange(20))
    np.testing.assert_allclose(first.get_ydata(), 100 * np.arange(1, 21) / 20)


def test_slopes_against_the_size_are_medians_over_materials_and_means_over_seeds() -> None:
    axis = slopes_by_size(table(["Li", "Si", "Ge"]), arm_labels=LABELS, budget="b").axes[0]
    lines = [line.get_ydata() for line in axis.lines]
    assert any(len(y) == 2 and np.allclose(y, [0.53, 0.605]) for y in lines)
    assert any(np.allclose(y, 0.81) for y in lines)  # median of the checkpoint


def test_without_runs_the_figure_says_so() -> None:
    whole = table(["Li"])
    figure = slopes_by_size(whole[whole["model"] != "run"], arm_labels=LABELS, budget="b")
    assert "no trained network" in figure.axes[0].texts[0].get_text()


def test_a_cloud_shows_its_slope_and_counts_what_lies_outside() -> None:
    rng = np.random.default_rng(0)
    label = rng.normal(size=(1000, 3))
    label[0] = 50
    columns = {f"label_{a}": label[:, k] for k, a in enumerate("xyz")}
    columns |= {f"predicted_{a}": 0.5 * label[:, k] for k, a in enumerate("xyz")}
    axis = force_clouds({"half": pd.DataFrame(columns)}).axes[0]
    words = axis.texts[0].get_text()
    assert words.startswith("slope 0.500")
    assert int(words.split("\n")[1].split()[0]) == pytest.approx(15, abs=8)
    assert axis.get_xlim()[1] < 10


def test_long_names_above_the_clouds_do_not_run_into_each_other() -> None:
    columns = {f"{side}_{a}": [-1.0, 0.5, 1.0] for side in ("label", "predicted") for a in "xyz"}
    names = [f"TensorNet-MatPES-{functional}-v2025.1-converted" for functional in ("PBE", "r2SCAN", "B97M", "HSE06")]
    figure = force_clouds({name: pd.DataFrame(columns) for name in names})
    FigureCanvasAgg(figure).draw()
    boxes = sorted((axis.title.get_window_extent() for axis in figure.axes), key=lambda box: box.x0)
    assert all(left.x1 < right.x0 for left, right in pairwise(boxes))
    assert [axis.get_title().replace("\n", "") for axis in figure.axes] == names


@pytest.mark.parametrize("materials", [["Li", "Si"], [f"M{k}" for k in range(20)]])
def test_many_networks_have_a_row_each(materials: list[str]) -> None:
    known = table(materials)
    one = known[known["model"] == "chgnet-0.3.0"]
    more = pd.concat([known, *(one.assign(model=f"network-with-a-long-name-{k}") for k in range(10))])
    figure = slopes_by_material(more, arm_labels=LABELS, budget="b")
    (axis,) = figure.axes
    names = [tick.get_text() for tick in axis.get_yticklabels()]
    assert names == [*(name for name in dict.fromkeys(more["model"]) if name != "run"), *LABELS.values()]
    FigureCanvasAgg(figure).draw()
    edge = figure.bbox
    texts = [*axis.get_yticklabels(), *(text for legend in figure.legends for text in legend.get_texts())]
    assert all(edge.x0 <= box.x0 and box.x1 <= edge.x1 for box in (text.get_window_extent() for text in texts))
    own = more[(more["model"] == "chgnet-0.3.0") & (more["material"] != POOLED)]["slope"]
    drawn = np.concatenate([line.get_xdata() for line in axis.lines if line.get_marker() not in ("", "None", "|")])
    wanted = own if len(materials) < 5 else [own.median()]
    assert all(np.isclose(drawn, value).any() for value in wanted)
