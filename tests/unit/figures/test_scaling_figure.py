from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from uprung import scaling
from uprung.figures import style
from uprung.figures.convergence import convergence
from uprung.figures.scaling import learning_curves

LABELS = {"scratch": "from scratch", "transfer": "pretrained"}
SIZES = (100, 200, 400, 800, 1600)


def curves(targets=("energy", "force"), budgets=("steps",), offset=1.0) -> pd.DataFrame:
    rows = []
    for budget in budgets:
        for target in targets:
            for arm, (c, a) in {"scratch": (0.5, 0.8), "transfer": (0.16, 0.25)}.items():
                for n in SIZES:
                    for seed in (0, 1):
                        mae = offset * c * (n / 100) ** -a * (1.03 - 0.04 * seed + 0.01 * (n == 400))
                        converged = not (arm == "scratch" and n == 100)
                        rows.append(
                            {
                                **{"budget": budget, "arm": arm, "size": str(n), "n_frames": n + 2 * seed},
                                **{"n_materials": n, "seed": seed, "fidelity": "r2scan", "target": target},
                                **{"population": "covered", "n_test": 90, "mae": mae, "baseline": 0.45},
                                **{"converged": converged, "reason": "" if converged else "above its baseline"},
                            }
                        )
    return pd.DataFrame(rows)


def draw(table: pd.DataFrame, **options):
    fits = scaling.fit_curves(table)
    laws, bands = scaling.laws_table(fits), scaling.bands(fits)
    crossings = scaling.crossovers(table, fits, scratch="scratch")
    targets = options.pop("targets", tuple(dict.fromkeys(table["target"])))
    figure = learning_curves(
        table, laws, targets=targets, arm_labels=LABELS, bands=bands, crossings=crossings, **options
    )
    FigureCanvasAgg(figure).draw()  # no warning is tolerated: see the mark below
    return figure, crossings


pytestmark = pytest.mark.filterwarnings("error")


def marker_points(axis, filled: bool) -> list[tuple[float, float]]:
    points = []
    for line in axis.lines:
        white = line.get_markerfacecolor() == "white"
        is_run = line.get_linestyle() == "None" and line.get_marker() in style.MARKERS[:2]
        if is_run and white != filled and line.get_markerfacecolor() != "none":
            points += list(zip(*line.get_data(), strict=True))
    return points


def test_every_run_is_drawn_in_the_unit_shown_hollow_where_unconverged():
    table = curves()
    figure, _ = draw(table)
    energy, force = figure.axes
    assert energy.get_ylabel() == "test MAE, energy (meV/atom)"
    assert force.get_ylabel() == "test MAE, force (meV/Å)"
    here = table[table["target"] == "energy"]
    for filled in (True, False):
        mine = here[here["converged"] == filled]
        expected = sorted(zip(mine["n_frames"], 1000 * mine["mae"], strict=True))
        assert np.allclose(sorted(marker_points(energy, filled)), expected)
    assert energy.get_xscale() == energy.get_yscale() == "log"


def test_ticks_are_the_sizes_in_plain_numbers_and_limits_hold_all_points():
    figure, _ = draw(curves())
    axis = figure.axes[0]
    assert [t.get_text() for t in axis.get_xticklabels()] == ["100", "200", "400", "800", "1,600"]
    assert axis.get_xlabel() == "labelled r²SCAN structures in training"
    low, high = axis.get_ylim()
    assert low < 1000 * curves()["mae"].min()
    assert high > 1000 * curves()["mae"].max()


def test_a_crossing_in_range_is_ringed_on_the_line_and_written_with_its_interval():
    figure, crossings = draw(curves(targets=("energy",)))
    row = crossings.iloc[0]
    assert row["kind"] == "in range"
    axis = figure.axes[0]
    rings = [x for x in axis.lines if x.get_marker() == "o" and x.get_markerfacecolor() == "none"]
    assert [float(r.get_xdata()[0]) for r in rings] == pytest.approx([row["n"]])
    text = " ".join(" ".join(t.get_text() for t in axis.texts).split())
    assert "from scratch overtakes pretrained at" in text
    assert "(95 %: 780 to 810)" in text
    names = [t.get_text() for legend in figure.legends for t in legend.get_texts()]
    assert "fitted lines cross, with 95 % interval" in names
    assert names.count("pretrained") == 1


def test_the_baseline_is_named_once_for_arms_that_share_it():
    figure, _ = draw(curves())
    named = [[t.get_text() for t in a.texts if t.get_text() in ("reference\nonly", "F = 0")] for a in figure.axes]
    assert named == [["reference\nonly"], ["F = 0"]]


def test_published_points_are_grey_and_said_to_be_another_data_set():
    published = pd.DataFrame(
        {"arm": ["scratch", "transfer"], "target": "energy", "n_frames": [190_560, 0], "mae": [0.022, 0.17]}
    )
    figure, _ = draw(curves(targets=("energy",)), published=published)
    axis = figure.axes[0]
    assert axis.get_xlim()[1] > 190_560
    names = [t.get_text() for legend in figure.legends for t in legend.get_texts()]
    assert "published scratch: another data set" in names
    assert "100,000" in [t.get_text() for t in axis.get_xticklabels()]


@pytest.mark.parametrize("converged", [True, False])
def test_texts_do_not_overlap_and_stay_on_the_page(converged):
    """Five arms that all change order with scratch: the longest notes, from fits or, without any, from the means."""
    table = curves(targets=("energy", "force", "stress", "magmom")).assign(converged=converged)
    transfer = table[table["arm"] == "transfer"]
    names = ["scratch", "transfer", "trainable-ref", "checkpoint-ref", "residual-ref"]
    table = pd.concat([table, *(transfer.assign(arm=name) for name in names[2:])])
    fits = scaling.fit_curves(table)
    laws = scaling.laws_table(fits)
    crossings = scaling.crossovers(table, fits, scratch="scratch")
    targets = tuple(dict.fromkeys(table["target"]))
    figure = learning_curves(table, laws, targets=targets, arm_labels={n: n for n in names}, crossings=crossings)
    assert set(crossings["kind"]) == ({"in range"} if converged else {"none"})
    FigureCanvasAgg(figure).draw()
    renderer = FigureCanvasAgg(figure).get_renderer()
    boxes = [
        t.get_window_extent(renderer) for a in figure.axes for t in (*a.texts, a.title, a._left_title) if t.get_text()
    ]
    boxes += [legend.get_window_extent(renderer) for legend in figure.legends]
    page = figure.bbox
    for i, box in enumerate(boxes):
        assert page.x0 <= box.x0
        assert box.x1 <= page.x1
        assert page.y0 <= box.y0
        assert box.y1 <= page.y1
        for other in boxes[i + 1 :]:
            assert not (box.padded(-1).overlaps(other.padded(-1)))


def test_many_notes_and_arms_make_the_figure_longer_and_not_its_panels_smaller():
    one, heights = curves(targets=("energy",)), []
    transfer = one[one["arm"] == "transfer"]
    for count in (1, 12):
        names = ["scratch", "transfer", *(f"an arm with a long name {k}" for k in range(count))]
        table = pd.concat([one, *(transfer.assign(arm=name) for name in names[2:])])
        fits = scaling.fit_curves(table)
        crossings = scaling.crossovers(table, fits, scratch="scratch")
        labels = {name: name for name in names}
        figure = learning_curves(
            table, scaling.laws_table(fits), targets=["energy"], arm_labels=labels, crossings=crossings
        )
        FigureCanvasAgg(figure).draw()
        heights.append(figure.axes[0].get_window_extent().height)
    assert heights[1] > 0.8 * heights[0]


def test_each_budget_has_its_panels():
    figure, _ = draw(curves(targets=("energy",), budgets=("epochs50", "steps1000")))
    assert [a.get_title(loc="left") for a in figure.axes] == ["Energy, epochs50", "Energy, steps1000"]


def test_curves_without_any_law_or_crossing_are_drawn():
    table = curves().assign(converged=False, reason="still falling")
    laws = scaling.fit_laws(table)
    figure = learning_curves(table, laws, targets=["energy"], arm_labels=LABELS)
    FigureCanvasAgg(figure).draw()
    assert not marker_points(figure.axes[0], filled=True)
    names = [t.get_text() for legend in figure.legends for t in legend.get_texts()]
    assert "fitted law with 95 % band" not in names


def test_tables_of_a_single_size_are_drawn_as_they_are_read_from_files(tmp_path):
    table = curves()
    table = table[table["size"] == "400"]
    fits = scaling.fit_curves(table)
    read = {}
    for name, found in (("laws", scaling.laws_table(fits)), ("bands", scaling.bands(fits))):
        found.to_csv(tmp_path / name, index=False)  # an empty file forgets the types of its columns
        read[name] = pd.read_csv(tmp_path / name)
    assert not len(read["bands"])
    figure = learning_curves(table, read["laws"], targets=["energy"], arm_labels=LABELS, bands=read["bands"])
    assert len(marker_points(figure.axes[0], filled=True)) == 4


def test_an_arm_alone_is_drawn():
    table = curves(targets=("energy",))
    figure, crossings = draw(table[table["arm"] == "scratch"])
    assert len(crossings) == 0
    assert len(marker_points(figure.axes[0], filled=True)) == 8


def test_bad_requests_are_refused():
    table = curves(targets=("energy",))
    laws = scaling.fit_laws(table)
    with pytest.raises(ValueError, match="allowed are"):
        learning_curves(table, laws, targets=["charge"], arm_labels=LABELS)
    with pytest.raises(ValueError, match=r"no points of target\(s\) \['force'\]"):
        learning_curves(table, laws, targets=["force"], arm_labels=LABELS)
    with pytest.raises(ValueError, match=r"no label for \['transfer'\]"):
        learning_curves(table, laws, targets=["energy"], arm_labels={"scratch": "s"})


def test_the_same_table_gives_the_same_file(tmp_path):
    for name in ("one", "two"):
        style.save(draw(curves())[0], tmp_path / name)
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
    assert (tmp_path / "one.png").stat().st_size > 10_000


def history(**columns) -> pd.DataFrame:
    rows = [
        {
            "budget": "b",
            "arm": arm,
            "size": size,
            "seed": seed,
            "step": step,
            "val_energy": 0.5 / (1 + step / 100 + seed),
        }
        for arm in LABELS
        for size in ("100", "1600", "200")
        for seed in (0, 1)
        for step in range(0, 500, 50)
    ]
    return pd.DataFrame(rows).assign(**columns)


def test_convergence_has_a_panel_per_target_and_size_in_order():
    table = history()
    figure = convergence(table.assign(val_force=table["val_energy"] * 2), arm_labels=LABELS)
    FigureCanvasAgg(figure).draw()
    assert [a.get_title() for a in figure.axes] == ["n = 100", "n = 200", "n = 1,600", "", "", ""]
    assert all(len(a.lines) == 4 for a in figure.axes)
    assert np.allclose(figure.axes[0].lines[0].get_ydata()[0], 500)  # meV/atom
    assert len(convergence(table, arm_labels=LABELS).axes) == 3


def test_convergence_refuses_what_it_cannot_draw():
    with pytest.raises(ValueError, match="no label"):
        convergence(history(), arm_labels={"scratch": "s"})
    with pytest.raises(ValueError, match="val_energy or val_force"):
        convergence(history(val_energy=np.nan), arm_labels=LABELS)
    two = pd.concat([history(), history(budget="c")])
    with pytest.raises(ValueError, match="one budget"):
        convergence(two, arm_labels=LABELS)


def test_a_yardstick_without_error_is_drawn_where_it_can_be():
    yardsticks = pd.DataFrame(
        [
            {"yardstick": name, "size": str(n), "n_frames": n, "seed": 0, "target": "energy", "mae": mae}
            for name, mae in (("composition", 0.3), ("shift", 0.0))
            for n in SIZES
        ]
    ).assign(population="covered")
    figure, _ = draw(curves(targets=("energy",)), yardsticks=yardsticks)
    low, high = figure.axes[0].get_ylim()
    assert 0 < low < high < np.inf


def test_a_single_size_is_drawn_by_arm_the_lowest_on_top():
    table = curves().query("size == '400'")
    table = table.assign(untouched=[0.3 if arm == "transfer" else None for arm in table["arm"]])
    measured = pd.DataFrame(
        {"yardstick": "shift", "size": "400", "n_frames": 400, "target": "energy", "population": "covered"}
        | {"mae": mae}
        for mae in (0.01, 0.03)
    )
    laws = scaling.laws_table(scaling.fit_curves(table))
    figure = learning_curves(
        table, laws, targets=("energy", "force"), arm_labels=LABELS, yardsticks=measured, bands=None
    )
    FigureCanvasAgg(figure).draw()
    energy, force = figure.axes
    here = table[table["target"] == "energy"]
    means = here.groupby("arm")["mae"].mean().sort_values()
    names = [t.get_text() for t in energy.get_yticklabels()]
    assert names == [*(LABELS[arm] for arm in means.index), scaling.YARDSTICKS["shift"]]
    assert energy.get_ylim()[0] > energy.get_ylim()[1]  # the first row is on top
    assert energy.get_xlabel() == "test MAE, energy (meV/atom)"
    places = sorted(marker_points(energy, filled=True))
    expected = sorted(
        (1000 * mae, list(means.index).index(arm)) for arm, mae in zip(here["arm"], here["mae"], strict=True)
    )
    assert np.allclose(places, expected)
    (bar,) = [line for line in energy.lines if line.get_marker() == "|"]
    assert (bar.get_xdata()[0], bar.get_ydata()[0]) == (pytest.approx(300), names.index(LABELS["transfer"]))
    (cross,) = [line for line in energy.lines if line.get_marker() == "x"]
    assert (cross.get_xdata()[0], cross.get_ydata()[0]) == (pytest.approx(20), 2)
    assert not [line for line in force.lines if line.get_marker() == "x" and len(line.get_xdata())]
