"""Figure in the place of learning curves where all runs have one training-set size: a row per arm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullLocator

from uprung.figures import states, style
from uprung.figures import yardsticks as measures
from uprung.figures.axes import GREY, panels, plain_numbers, rows_of, subdivisions
from uprung.scaling import LAW_POPULATION, YARDSTICKS, with_measures

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ROW, MARGIN = 0.2, 1.15  # inch
BEFORE = {"marker": "|", "ms": 8, "mew": 1.3, "color": "black", "ls": ""}


@mpl.rc_context(style.RC)
def errors_by_arm(
    curves: pd.DataFrame,
    *,
    targets: Sequence[str],
    arm_labels: Mapping[str, str],
    yardsticks: pd.DataFrame | None = None,
) -> Figure:
    """Draw the test errors of every arm at the only size, lowest on top, one panel per target (and per budget).

    Args:
        curves: a curves table whose runs have one size; the covered population is drawn.
        targets: in the order of the panels; the first one gives the order of the rows.
        arm_labels: arm -> name; colour and marker follow its order.
        yardsticks: of `uprung.evaluation.yardsticks`, rows of their own below the arms.
    """
    points = with_measures(curves[curves["population"] == LAW_POPULATION])
    budgets = list(dict.fromkeys(points["budget"]))
    shown = [(budget, target) for budget in budgets for target in targets]
    means = rows_of(points, *shown[0]).groupby("arm")["mae"].mean().sort_values()
    arms = [*means.index, *(arm for arm in arm_labels if arm in set(points["arm"]) - set(means.index))]
    measured = [measures.means_of(yardsticks, target) for _, target in shown]
    others = [name for name in YARDSTICKS if any(name in set(each["yardstick"]) for each in measured)]
    height = ROW * (len(arms) + len(others)) + MARGIN
    figure, axes, columns = panels(len(shown), height=height, width=style.PAGE)
    names = [*(arm_labels[arm] for arm in arms), *(YARDSTICKS[name] for name in others)]
    for k, (axis, (budget, target), theirs) in enumerate(zip(axes, shown, measured, strict=True)):
        here = rows_of(points, budget, target)
        _rows(axis, here, arms, list(arm_labels), style.TARGETS[target][2])
        for row, name in enumerate(others, start=len(arms)):
            value = theirs.loc[theirs["yardstick"] == name, "mae"] * style.TARGETS[target][2]
            axis.plot(value, [row] * len(value), "x", color="#444444", ms=5, mew=1.1)
        _axes(axis, names if k % columns == 0 else [""] * len(names), len(arms), target)
        axis.set_title(
            style.TARGETS[target][0].capitalize() + (f", {budget}" if len(budgets) > 1 else ""),
            loc="left",
            fontweight="bold",
        )
    _legend(figure, points, bool(others))
    return figure


def _rows(axis: Axes, points: pd.DataFrame, arms: Sequence[str], order: Sequence[str], factor: float) -> None:
    """Draw the runs of every arm, the pretrained network with the arm's references, and the baseline."""
    axis.set_xscale("log")
    for row, arm in enumerate(arms):
        mine, k = points[points["arm"] == arm], order.index(arm)
        for face, part in states.fills(mine, style.COLOURS[k]):
            axis.plot(
                part["mae"] * factor,
                [row] * len(part),
                style.MARKERS[k],
                color=style.COLOURS[k],
                mfc=face,
                mew=0.9,
                zorder=4,
            )
        if mine["untouched"].notna().any():
            axis.plot([mine["untouched"].mean() * factor], [row], **BEFORE, zorder=3)  # type: ignore[arg-type]
    if points["baseline"].notna().any():
        axis.axvline(points["baseline"].mean() * factor, ls="--", color=GREY, lw=1.1, zorder=1)


def _axes(axis: Axes, names: Sequence[str], arms: int, target: str) -> None:
    axis.set_ylim(len(names) - 0.4, -0.6)
    axis.set_yticks(range(len(names)), names)
    axis.tick_params(axis="y", length=0)
    low, high = axis.dataLim.intervalx
    axis.set_xlim(low / (high / low) ** 0.05 / 1.02, high * (high / low) ** 0.05 * 1.02)
    axis.xaxis.set_major_locator(LogLocator(subs=subdivisions(2.5 * high / low)))
    plain_numbers(axis.xaxis)
    axis.xaxis.set_minor_locator(NullLocator() if high / low < 4 else LogLocator(subs=tuple(range(2, 10))))
    axis.hlines(np.arange(len(names)), 0, 1, transform=axis.get_yaxis_transform(), color="#e6e6e6", lw=0.5, zorder=0)
    if arms < len(names):
        axis.axhline(arms - 0.5, color="#999999", lw=0.7)
    axis.spines["left"].set_visible(False)
    name, unit, _ = style.TARGETS[target]
    axis.set_xlabel(f"test MAE, {name} ({unit})")


def _legend(figure: Figure, points: pd.DataFrame, measured: bool) -> None:
    trained = bool(points["baseline"].notna().any())
    marks, names = states.handles(trained=trained)
    names[-1] = "run that has not converged"  # with one size nothing has a law
    if points["untouched"].notna().any():
        marks.append(Line2D([], [], **BEFORE))  # type: ignore[arg-type]
        names.append("before training (n = 0), the arm's references")
    if trained:
        marks.append(Line2D([], [], ls="--", color=GREY, lw=1.1))
        names.append("geometry-free baseline")
    if measured:
        marks.append(Line2D([], [], ls="", marker="x", color="#444444"))
        names.append("without a network")
    figure.legend(marks, names, loc="outside lower center", ncols=3, handlelength=2.0, columnspacing=1.4)
