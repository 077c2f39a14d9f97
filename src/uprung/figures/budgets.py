"""Figure of learning curves under several training budgets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator

from uprung.figures import style
from uprung.figures.axes import X_LABEL, grid_behind, legend_of_arms, panels, plain_numbers, subdivisions
from uprung.scaling import LAW_POPULATION, summarise

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Line styles of the budgets in their order: they differ in grey as well.
DASHES = ("-", "--", ":", "-.")


@mpl.rc_context(style.RC)
def budget_curves(curves: pd.DataFrame, *, arm_labels: Mapping[str, str], x_label: str = X_LABEL) -> Figure:
    """Draw the means over seeds of all arms under all budgets, a panel per target; bars are the range over seeds.

    Args:
        curves: a curves table; a point is filled where all its runs enter the laws.
        arm_labels: arm -> name; colour and marker follow its order.
        x_label: of the horizontal axis.

    Raises:
        ValueError: more budgets than line styles.
    """
    means = summarise(curves[curves["population"] == LAW_POPULATION])
    budgets, targets = list(dict.fromkeys(curves["budget"])), list(dict.fromkeys(curves["target"]))
    if len(budgets) > len(DASHES):
        raise ValueError(f"{len(budgets)} budgets in one figure: at most {len(DASHES)} can be told apart")
    figure, axes, _ = panels(len(targets), height=3.0)
    arms = list(arm_labels)
    for axis, target in zip(axes, targets, strict=True):
        _panel(axis, means[means["target"] == target], target, arms, budgets)
        axis.set_title(style.TARGETS[target][0].capitalize(), loc="left", fontweight="bold")
        axis.set_xlabel(x_label)
    lines = [Line2D([], [], color="#333333", ls=DASHES[i], lw=1.2, label=b) for i, b in enumerate(budgets)]
    figure.legend(handles=lines, loc="outside lower center", ncols=len(lines), handlelength=3)
    legend_of_arms(figure, arm_labels, lw=1.2)
    return figure


def _panel(axis: Axes, means: pd.DataFrame, target: str, arms: list[str], budgets: list[str]) -> None:
    factor = style.TARGETS[target][2]
    axis.set_xscale("log")
    axis.set_yscale("log")
    for (budget, arm), part in means.groupby(["budget", "arm"], sort=False):
        i, mine = arms.index(str(arm)), part.sort_values("n_frames")
        x, y = mine["n_frames"], mine["mae"] * factor
        colour, dash = style.COLOURS[i], DASHES[budgets.index(str(budget))]
        axis.plot(x, y, dash, color=colour, lw=1.2, zorder=2)
        axis.vlines(x, mine["mae_min"] * factor, mine["mae_max"] * factor, color=colour, lw=0.8, zorder=2)
        whole = mine["n_converged"] == mine["n_seeds"]
        for fill, some in ((colour, whole), ("white", ~whole)):
            axis.plot(x[some], y[some], style.MARKERS[i], color=colour, mfc=fill, ms=4, zorder=3)
    name, unit, _ = style.TARGETS[target]
    axis.set_ylabel(f"test MAE, {name} ({unit})")
    low, high = axis.get_ylim()
    axis.yaxis.set_major_locator(LogLocator(subs=subdivisions(high / low)))
    plain_numbers(axis.xaxis, axis.yaxis)
    grid_behind(axis)
