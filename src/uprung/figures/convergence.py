"""Figure of the training histories: validation errors along the runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator

from uprung.figures import style
from uprung.figures.axes import GRID, legend_of_arms, plain_numbers, subdivisions

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@mpl.rc_context(style.RC)
def convergence(history: pd.DataFrame, *, arm_labels: Mapping[str, str]) -> Figure:
    """Draw validation MAE of energy and force against the step: a column per size, a line per run.

    `history` has the columns budget, arm, size, seed, step, val_energy (eV/atom), val_force (eV/Å); a target that was
    not validated is a column of NaN, or absent. Raises ValueError for several budgets or an arm without label.
    """
    budgets = list(dict.fromkeys(history["budget"]))
    unnamed = sorted(set(history["arm"]) - set(arm_labels))
    if len(budgets) != 1 or unnamed:
        raise ValueError(f"convergence draws one budget and named arms: got budgets {budgets}, no label for {unnamed}")
    targets = [t for t in ("energy", "force") if f"val_{t}" in history and history[f"val_{t}"].notna().any()]
    if not targets:
        raise ValueError("convergence needs a column val_energy or val_force with values")
    sizes = sorted(set(history["size"].astype(str)), key=lambda s: (not s.isdigit(), int(s) if s.isdigit() else 0, s))
    figure, axes = style.new_figure(len(targets), len(sizes), height=1.9 * len(targets) + 0.5)
    for k, axis in enumerate(axes):
        target, size = targets[k // len(sizes)], sizes[k % len(sizes)]
        column = f"val_{target}"
        here = history[history["size"].astype(str) == size].dropna(subset=[column])
        _histories(axis, here, column, style.TARGETS[target][2], list(arm_labels))
        values = history[column].dropna() * style.TARGETS[target][2]
        axis.set_ylim(values.min() / 1.25, values.max() * 1.25)
        axis.set_xlim(0, float(history["step"].max()) * 1.04)
        axis.xaxis.set_major_locator(MaxNLocator(3))
        axis.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:,.0f}"))
        axis.yaxis.set_major_locator(LogLocator(subs=subdivisions(values.max() / values.min())))
        plain_numbers(axis.yaxis)
        axis.tick_params(labelleft=k % len(sizes) == 0, labelbottom=k // len(sizes) == len(targets) - 1)
        axis.grid(**GRID)  # type: ignore[arg-type]
        if k < len(sizes):
            axis.set_title(f"n = {int(size):,}" if size.isdigit() else f"n = {size}")
        if k % len(sizes) == 0:
            axis.set_ylabel(f"validation MAE,\n{style.TARGETS[target][0]} ({style.TARGETS[target][1]})")
    figure.supxlabel("optimiser step", fontsize=8)
    legend_of_arms(figure, arm_labels, ms=3.5, lw=1)
    return figure


def _histories(axis: Axes, history: pd.DataFrame, column: str, factor: float, arms: list[str]) -> None:
    axis.set_yscale("log")
    for i, arm in enumerate(arms):
        for _, run in history[history["arm"] == arm].sort_values("step").groupby("seed"):
            every = max(1, len(run) // 3)
            axis.plot(
                run["step"],
                run[column] * factor,
                color=style.COLOURS[i],
                marker=style.MARKERS[i],
                markevery=list(range(len(run) - 1, 0, -every)),
                ms=3,
                lw=0.8,
            )
