"""Figure of errors after training against errors before it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator

from uprung.figures import style
from uprung.figures.axes import GREY, GRID, legend_of_arms, panels, plain_numbers, subdivisions

RUN = ["budget", "arm", "size", "seed"]


def before_after_table(history: pd.DataFrame, inits: Mapping[str, str], targets: Sequence[str]) -> pd.DataFrame:
    """Return the validation error of every run before its first step and after its last one.

    Before the first step an arm is its pretrained network with the arm's reference energies, so that the shift of the
    energy scale is no part of the error.

    Args:
        history: columns step, val_<target>, budget, arm, size, seed.
        inits: arm -> network that it starts from; other arms are left out.
        targets: of the errors.

    Returns:
        One row per run and target: budget, arm, size, seed, init, target, before, after (eV/atom, eV/Å, GPa, μB).
    """
    rows = []
    for names, run in history[history["arm"].isin(list(inits))].groupby(RUN, sort=False):
        first, last = run.sort_values("step").iloc[[0, -1]].to_dict("records")
        about = dict(zip(RUN, names, strict=True)) | {"init": inits[str(names[1])]}
        rows += [about | {"target": t, "before": first[f"val_{t}"], "after": last[f"val_{t}"]} for t in targets]
    return pd.DataFrame(rows, columns=[*RUN, "init", "target", "before", "after"])


@mpl.rc_context(style.RC)
def before_after(table: pd.DataFrame, *, arm_labels: Mapping[str, str]) -> Figure:
    """Draw the error after training against the error before it, log–log, a panel per target.

    Args:
        table: of `before_after_table`, one budget.
        arm_labels: arm -> name; colour and marker follow its order, marks grow with the size.
    """
    targets = list(dict.fromkeys(table["target"]))
    if not targets:
        return style.text_figure("no arm starts from a pretrained network")
    order = list(arm_labels)
    sizes = {
        size: 3 + 3 * k / max(table["size"].nunique() - 1, 1) for k, size in enumerate(dict.fromkeys(table["size"]))
    }
    figure, axes, _ = panels(len(targets), height=3.2)
    for axis, target in zip(axes, targets, strict=True):
        here = table[table["target"] == target]
        _panel(axis, here, target, order, sizes)
    same = Line2D([], [], color=GREY, ls="--", lw=0.9, label="no change")
    legend_of_arms(figure, arm_labels, table["arm"], more=[same], ls="", ms=4)
    return figure


def _panel(axis: Axes, here: pd.DataFrame, target: str, order: Sequence[str], sizes: Mapping[str, float]) -> None:
    name, unit, factor = style.TARGETS[target]
    axis.set(xscale="log", yscale="log")
    for (arm, size), runs in here.groupby(["arm", "size"], sort=False):
        k = order.index(str(arm))
        look = {"color": style.colour(k), "marker": style.marker(k), "ms": sizes[str(size)]}
        axis.plot(runs["before"] * factor, runs["after"] * factor, ls="", alpha=0.8, **look)  # type: ignore[arg-type]
    low, high = here["before"].min() * factor, here["before"].max() * factor
    axis.plot((low, high), (low, high), ls="--", lw=0.9, color=GREY, zorder=0)
    axis.set_title(name.capitalize(), loc="left", fontweight="bold")
    axis.set(xlabel=f"before training ({unit})", ylabel=f"after training ({unit})")
    axis.grid(**GRID)  # type: ignore[arg-type]
    plain_numbers(axis.xaxis, axis.yaxis)
    for one, (start, end) in ((axis.xaxis, axis.get_xlim()), (axis.yaxis, axis.get_ylim())):
        one.set_major_locator(LogLocator(subs=subdivisions(end / start)))
