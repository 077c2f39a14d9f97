"""Figures of errors: against the size of the force, and predicted against labelled energies."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from uprung.figures import style
from uprung.figures.axes import GREY, GRID, arm_handles, panels

SLOPES_FROM = 0.1  # eV/Å; the slope on smaller forces is that of the error


@mpl.rc_context(style.RC)
def errors_by_force(table: pd.DataFrame, *, arm_labels: Mapping[str, str]) -> Figure:
    """Draw the force error, and the slope of predicted on labelled forces, against the size of the force.

    Args:
        table: of `evaluation.error_tables.mean_errors_by`, rows with `by` = force of one size, mean over seeds; columns
            arm, key (lower end of the range, eV/Å), n, mae, slope.
        arm_labels: names of the arms and their order.
    """
    here = table[(table["by"] == "force") & (table["target"] == "force")]
    if not len(here):
        return style.text_figure("no forces were tested")
    lower = np.sort(here["key"].astype(float).unique())
    position = {value: k for k, value in enumerate(lower)}
    figure, axes = style.new_figure(1, 2, height=3.2)
    for k, arm in enumerate(arm_labels):
        runs = here[here["arm"] == arm]
        runs = runs.assign(x=runs["key"].astype(float).map(position)).sort_values("x")
        look: dict[str, Any] = {"color": style.COLOURS[k], "marker": style.MARKERS[k], "ms": 4, "lw": 1}
        axes[0].plot(runs["x"], runs["mae"] * 1e3, **look)
        large = runs[runs["key"].astype(float) >= SLOPES_FROM]
        axes[1].plot(large["x"], large["slope"], **look)
    counts = here.groupby("key")["n"].max()
    names = [f"{value:g}–{end:g}" for value, end in pairwise(lower)] + [f"> {lower[-1]:g}"]
    for axis in axes:
        axis.set_xticks(range(len(lower)), names, rotation=30, ha="right")
        axis.set_xlabel("size of the labelled force (eV/Å)")
        axis.grid(**GRID)  # type: ignore[arg-type]
    axes[0].set(yscale="log", title="Error of a component", ylabel="MAE (meV/Å)")
    axes[0].yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:,.6g}"))
    axes[1].axhline(1, color=GREY, ls="--", lw=0.9)
    slopes = here.loc[here["key"].astype(float) >= SLOPES_FROM, "slope"].dropna()
    axes[1].set(title="Softness", ylabel="slope of predicted on labelled", xlim=axes[0].get_xlim())
    if len(slopes):
        axes[1].set_ylim(min(0.5, slopes.min() - 0.1), max(1.2, slopes.max() + 0.1))
    few = [str(value) for value in counts.index[counts < 30]]
    if few:
        figure.supxlabel(f"fewer than 30 components: from {', '.join(few)} eV/Å", fontsize=7, color=GREY)
    handles = arm_handles(arm_labels, ms=4, lw=1)
    figure.legend(handles=handles, loc="outside upper center", ncols=min(3, len(handles)))
    return figure


@mpl.rc_context(style.RC)
def parity(predictions: Mapping[str, pd.DataFrame], *, arm_labels: Mapping[str, str]) -> Figure:
    """Draw predicted against labelled energies per atom, a panel per arm.

    Args:
        predictions: arm -> frames with columns energy_label and energy (eV/atom).
        arm_labels: names of the arms and their order.
    """
    arms = [arm for arm in arm_labels if arm in predictions]
    figure, axes, columns = panels(len(arms), most=3, width=style.PAGE, height=2.4)
    values = pd.concat([predictions[arm][["energy_label", "energy"]] for arm in arms])
    label = values["energy_label"].dropna()
    span = float(label.max() - label.min()) or 1.0
    ends = (float(label.min()) - 0.05 * span, float(label.max()) + 0.05 * span)
    for k, (axis, arm) in enumerate(zip(axes, arms, strict=True)):
        here = predictions[arm].dropna(subset=["energy_label"])
        gap = (here["energy"] - here["energy_label"]) * 1e3
        outside = int(((here["energy"] < ends[0]) | (here["energy"] > ends[1])).sum())
        axis.plot(ends, ends, color=GREY, ls="--", lw=0.8)
        axis.plot(here["energy_label"], here["energy"], ".", color=style.COLOURS[0], ms=2.5, alpha=0.5)
        axis.set(xlim=ends, ylim=ends, aspect="equal")
        axis.set_title(arm_labels[arm], fontsize=8)
        words = f"MAE {gap.abs().mean():,.3g}\nmean error {gap.mean():+,.3g}\nmeV/atom".replace("-", "−")
        words += f"\n{outside} outside" if outside else ""
        axis.text(0.04, 0.96, words, transform=axis.transAxes, va="top", fontsize=6.5)
        axis.xaxis.set_minor_locator(NullLocator())
        if k % columns == 0:
            axis.set_ylabel("predicted (eV/atom)")
        if k >= len(arms) - columns:
            axis.set_xlabel("labelled (eV/atom)")
    return figure


@mpl.rc_context(style.RC)
def component_parity(
    values: Mapping[str, pd.DataFrame], errors: Mapping[str, float], *, target: str, arm_labels: Mapping[str, str]
) -> Figure:
    """Draw predicted against labelled components of forces or stresses, a panel per arm.

    Args:
        values: arm -> table of `uprung.evaluation.components.components`.
        errors: arm -> mean absolute error on the whole test, eV/Å or GPa.
        target: `force` or `stress`.
        arm_labels: names of the arms and their order.
    """
    own = {arm: table[table["target"] == target] for arm, table in values.items()}
    arms = [arm for arm in arm_labels if arm in own and len(own[arm])]
    if not arms:
        return style.text_figure(f"no {target} labels were tested")
    _, unit, factor = style.TARGETS[target]
    figure, axes, columns = panels(len(arms), most=4, width=style.PAGE, height=2.1)
    # one atom with a huge force must not shrink the cloud to a dot: the rest is counted in the panel
    end = 1.05 * max(float(np.percentile(np.abs(own[arm]["label"]), 99.5)) for arm in arms) or 1.0
    scale = {"force": "eV/Å", "stress": "GPa"}[target]
    for k, (axis, arm) in enumerate(zip(axes, arms, strict=True)):
        x, y = (own[arm][side].to_numpy(float) for side in ("label", "predicted"))
        outside = int(((np.abs(x) > end) | (np.abs(y) > end)).sum())
        axis.hexbin(x, y, gridsize=40, extent=(-end, end, -end, end), bins="log", cmap="viridis_r", lw=0.1, mincnt=1)
        axis.plot((-end, end), (-end, end), color=GREY, ls="--", lw=0.8)
        axis.set(xlim=(-end, end), ylim=(-end, end), aspect="equal")
        axis.set_title(arm_labels[arm], fontsize=8)
        words = f"MAE {errors[arm] * factor:,.3g} {unit}" + (f"\n{outside:,} outside" if outside else "")
        axis.text(0.04, 0.96, words, transform=axis.transAxes, va="top", fontsize=6.5)
        if k % columns == 0:
            axis.set_ylabel(f"predicted ({scale})")
        if k >= len(arms) - columns:
            axis.set_xlabel(f"labelled ({scale})")
    return figure
