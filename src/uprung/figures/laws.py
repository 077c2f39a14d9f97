"""Figures of fitted laws: data multipliers against size, and all laws compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator

from uprung.figures import style
from uprung.figures.axes import (
    GREY,
    X_LABEL,
    grid_behind,
    legend_of_arms,
    panels,
    plain_numbers,
    rows_of,
    subdivisions,
)
from uprung.laws import LAWS, TITLES, FloatArray
from uprung.scaling import LAW_POPULATION

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Line styles of the laws, in the order of `LAWS`: they differ in grey as well.
DASHES: Sequence[Any] = ("-", "--", ":", "-.", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 4)))
NOTHING = "No two curves with a law:\nno data multiplier can be drawn."
NO_LAW = "No curve has a law:\nthere is nothing to compare."


@mpl.rc_context(style.RC)
def data_multipliers(
    table: pd.DataFrame, *, scratch: str | Sequence[str] | None, arm_labels: Mapping[str, str], x_label: str = X_LABEL
) -> Figure:
    """Draw how many times more labels scratch needs for equal error, with 95 % bands: a panel per budget and target.

    Thin parts lie outside the sizes that scratch was measured at.

    Args:
        table: of `uprung.scaling.multiplier_curves`.
        scratch: the arm that the others are compared with, or the arms of several architectures; rows that compare with
            others are not drawn.
        arm_labels: arm -> name; colour and marker follow its order.
        x_label: of the horizontal axis.
    """
    bases = [scratch] if isinstance(scratch, str) else list(scratch or [])
    table = table[np.isfinite(table["multiplier"]) & table["scratch"].isin(bases)] if len(table) else table
    shown = list(dict.fromkeys(zip(table["budget"], table["target"], strict=True)))
    if not shown:
        return style.text_figure(NOTHING, height=1.2)
    figure, axes, _ = panels(len(shown), height=2.9)
    several = len({budget for budget, _ in shown}) > 1
    for axis, (budget, target) in zip(axes, shown, strict=True):
        _ratio_panel(axis, rows_of(table, budget, target), list(arm_labels))
        axis.set_title(_title(target, budget, several), loc="left", fontweight="bold")
        axis.set_xlabel(x_label)
        axis.set_ylabel("data multiplier")
    name = arm_labels[bases[0]] if len(bases) == 1 else "random weights"
    equal = Line2D([], [], color=GREY, ls="--", lw=1, label=f"as good as {name}")
    legend_of_arms(figure, arm_labels, table["transfer"], more=[equal], handlelength=2.4, lw=1.4)
    return figure


def _title(target: str, budget: str, several: bool) -> str:
    return style.TARGETS[target][0].capitalize() + (f", {budget}" if several else "")


def _ratio_panel(axis: Axes, table: pd.DataFrame, arms: list[str]) -> None:
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.axhline(1.0, color=GREY, ls="--", lw=1, zorder=1)
    values = table["multiplier"]
    low, high = min(values.min(), 1.0) / 2, max(values.max(), 1.0) * 2
    for arm, part in table.groupby("transfer", sort=False):
        i = arms.index(str(arm))
        colour = style.COLOURS[i]
        band = part["low"].clip(low / 10, high * 10), part["high"].clip(low / 10, high * 10)
        axis.fill_between(part["n"], *band, color=colour, alpha=0.13, lw=0, zorder=1)
        axis.plot(part["n"], part["multiplier"], "-", color=colour, lw=0.7, zorder=2)
        inside = part[part["decades"] < 1e-9]
        every = max(1, len(inside) // 4)
        axis.plot(
            inside["n"], inside["multiplier"], "-", color=colour, lw=1.6, marker=style.MARKERS[i], markevery=every
        )
    axis.set_ylim(low, high)
    axis.yaxis.set_major_locator(LogLocator(subs=subdivisions(high / low)))
    _ticks(axis)


def _ticks(axis: Axes) -> None:
    spans = axis.get_xlim()
    axis.xaxis.set_major_locator(LogLocator(subs=subdivisions(spans[1] / spans[0])))
    plain_numbers(axis.xaxis, axis.yaxis)
    grid_behind(axis)


@mpl.rc_context(style.RC)
def law_comparison(
    curves: pd.DataFrame,
    bands: pd.DataFrame,
    comparison: pd.DataFrame,
    *,
    arm_labels: Mapping[str, str],
    x_label: str = X_LABEL,
) -> Figure:
    """Draw errors and all fitted laws relative to the power law, a panel per curve that has laws.

    Args:
        curves: a curves table; converged runs are drawn.
        bands: of `uprung.scaling.bands`.
        comparison: of `uprung.scaling.comparison_table`; the chosen law is named.
        arm_labels: arm -> name; colour and marker follow its order.
        x_label: of the horizontal axis.
    """
    found = bands[["budget", "target", "arm"]].drop_duplicates().itertuples(index=False, name=None)
    budgets, targets = list(dict.fromkeys(bands["budget"])), list(dict.fromkeys(bands["target"]))
    arms = list(arm_labels)
    shown = sorted(found, key=lambda p: (budgets.index(p[0]), targets.index(p[1]), arms.index(p[2])))
    if not shown:
        return style.text_figure(NO_LAW, height=1.2)
    width = style.PAGE * {1: 0.5, 2: 0.8}.get(len(shown), 1.0)
    figure, axes, _ = panels(len(shown), most=3, width=width, height=2.0, extra=0.5)
    points = curves[(curves["population"] == LAW_POPULATION) & curves["converged"]]
    several = len({budget for budget, *_ in shown}) > 1
    for axis, (budget, target, arm) in zip(axes, shown, strict=True):
        here = (rows_of(table, budget, target) for table in (points, bands, comparison))
        runs, lines, scores = (table[table["arm"] == arm] for table in here)
        _comparison_panel(axis, runs, lines, arms.index(arm))
        chosen = scores.loc[scores["chosen"].astype(bool), "title"].iloc[0]
        axis.set_title(f"{_title(target, budget, several)}: {arm_labels[arm]}\n{chosen}", fontsize=7.5)
    figure.supxlabel(x_label, fontsize=8)
    figure.supylabel("error / error of the power law", fontsize=8)
    drawn = [law for law in LAWS if law in set(bands["law"])]
    handles = [Line2D([], [], color="black", ls=DASHES[LAWS.index(v)], lw=1.2, label=TITLES[v]) for v in drawn]
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles), handlelength=2.8)
    return figure


def _comparison_panel(axis: Axes, points: pd.DataFrame, bands: pd.DataFrame, index: int) -> None:
    """Draw runs and laws of one curve, divided by its power law."""
    plain = bands[bands["law"] == LAWS[0]]

    def power(n: pd.Series) -> FloatArray:
        return np.asarray(np.exp(np.interp(np.log(n), np.log(plain["n"]), np.log(plain["mae"]))))

    axis.set_xscale("log")
    axis.fill_between(
        plain["n"], plain["low"] / plain["mae"], plain["high"] / plain["mae"], color=GREY, alpha=0.15, lw=0
    )
    for law, part in bands.groupby("law", sort=False):
        dash = DASHES[LAWS.index(str(law))]
        axis.plot(part["n"], part["mae"] / power(part["n"]), ls=dash, color="black", lw=1.2, zorder=3)
    ratio = points["mae"] / power(points["n_frames"])
    axis.plot(points["n_frames"], ratio, style.MARKERS[index], color=style.COLOURS[index], ms=3.5, zorder=2)
    reach = max(float(np.abs(np.log(ratio)).max()) * 1.3, 0.05)
    axis.set_ylim(np.exp(-reach), np.exp(reach))
    _ticks(axis)
    axis.yaxis.set_major_locator(MaxNLocator(4))
