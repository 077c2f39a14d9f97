"""Figures of forgetting and of gradients by layer."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from uprung.figures import style
from uprung.figures.axes import GREY, GRID, arm_handles, panels


@mpl.rc_context(style.RC)
def forgetting(
    table: pd.DataFrame,
    pretrained: Mapping[str, float],
    *,
    arm_labels: Mapping[str, str],
    others: Mapping[str, Mapping[str, float]] | None = None,
) -> Figure:
    """Draw the target's test error against the source's, a line per arm from its smallest to its largest size.

    Args:
        table: of `uprung.evaluation.forgetting.forgetting_table`, one budget; energies re-referenced.
        pretrained: target -> source error of the checkpoint as it is, drawn as a dashed line.
        arm_labels: names of the arms and their order.
        others: name -> the same of checkpoints of other architectures, which are named then.
    """
    targets = [t for t in ("energy", "force") if t in set(table["target"])]
    if not targets:
        return style.text_figure("no source frames were tested")
    figure, axes = style.new_figure(1, len(targets), width=style.PAGE * (1 if len(targets) > 1 else 0.6), height=3.3)
    for axis, target in zip(axes, targets, strict=True):
        here = table[table["target"] == target]
        column = "source_rereferenced" if target == "energy" else "source_mae"
        name, unit, factor = style.TARGETS[target]
        for k, arm in enumerate(arm_labels):
            _path(axis, here[here["arm"] == arm], column, factor, k)
        for network, errors in {"": pretrained, **(others or {})}.items():
            if target in errors:
                axis.axvline(errors[target] * factor, color=GREY, ls="--", lw=0.9)
                place, up = (errors[target] * factor, 0.98, network), axis.get_xaxis_transform()
                axis.text(*place, transform=up, color=GREY, fontsize=6, rotation=90, ha="right", va="top")
        axis.set(xscale="log", yscale="log", title=name.capitalize())
        how = ", re-referenced" if target == "energy" else ""
        axis.set_xlabel(f"error at the source fidelity{how} ({unit})")
        axis.set_ylabel(f"error at the target fidelity ({unit})")
        for one in (axis.xaxis, axis.yaxis):
            low, high = one.get_view_interval()
            one.set_major_locator(LogLocator(subs=(1, 2, 5) if high / low > 5 else (1, 1.5, 2, 3, 4, 5, 6, 8)))
            one.set_major_formatter(FuncFormatter(lambda v, _: f"{v:,.6g}"))
            one.set_minor_locator(NullLocator())
        axis.grid(**GRID)  # type: ignore[arg-type]
    handles = arm_handles(arm_labels, ms=4, lw=1)
    handles.append(Line2D([], [], color=GREY, ls="--", lw=0.9, label="checkpoint before the transfer"))
    figure.legend(handles=handles, loc="outside upper center", ncols=min(3, len(handles)))
    return figure


def _path(axis: Axes, runs: pd.DataFrame, column: str, factor: float, k: int) -> None:
    """Draw the runs of an arm as small marks and their means over seeds as a line that grows with n."""
    runs = runs.dropna(subset=[column, "mae"])
    if not len(runs):
        return
    colour, marker = style.COLOURS[k], style.MARKERS[k]
    axis.plot(runs[column] * factor, runs["mae"] * factor, marker, color=colour, ms=2.5, alpha=0.4, lw=0)
    means = runs.groupby("size", sort=False)[["n_frames", column, "mae"]].mean().sort_values("n_frames")
    axis.plot(means[column] * factor, means["mae"] * factor, "-", color=colour, lw=0.9)
    sizes = [3.0 + 3.5 * i / max(len(means) - 1, 1) for i in range(len(means))]
    for (_, point), size in zip(means.iterrows(), sizes, strict=True):
        axis.plot(point[column] * factor, point["mae"] * factor, marker, color=colour, ms=size)


@mpl.rc_context(style.RC)
def dynamics(history: pd.DataFrame, *, arm_labels: Mapping[str, str]) -> Figure:
    """Draw the norm of the gradient in every layer against the step, a line per arm (mean over seeds).

    Args:
        history: of the runs of one budget and size: arm, seed, step and the columns `grad_<layer>` of
            `uprung.training.loop.gradient_norms`; a layer that an arm does not train is not drawn for it.
        arm_labels: names of the arms and their order.
    """
    blocks = [name.removeprefix("grad_") for name in map(str, history) if name.startswith("grad_block")]
    layers = ["embeddings", *sorted(blocks, key=lambda name: int(name[5:])), "readout"]
    layers = [layer for layer in layers if f"grad_{layer}" in history and history[f"grad_{layer}"].notna().any()]
    if not layers:
        return style.text_figure("no gradient was recorded")
    figure, axes, columns = panels(len(layers), most=3, width=style.PAGE, height=1.9, extra=0.5)
    for k, (axis, layer) in enumerate(zip(axes, layers, strict=True)):
        for i, arm in enumerate(arm_labels):
            runs = history[history["arm"] == arm].dropna(subset=[f"grad_{layer}"])
            means = runs.groupby("step")[f"grad_{layer}"].mean()
            means = means[means > 0]
            if len(means):
                axis.plot(means.index, means, color=style.COLOURS[i], marker=style.MARKERS[i], ms=2.5, lw=0.9)
        axis.set(yscale="log", title=layer.replace("block", "block "))
        axis.xaxis.set_major_locator(MaxNLocator(4))
        axis.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:,.0f}"))
        axis.grid(**GRID)  # type: ignore[arg-type]
        if k % columns == 0:
            axis.set_ylabel("norm of the gradient")
    figure.supxlabel("optimiser step", fontsize=8)
    handles = arm_handles(arm_labels, ms=3.5, lw=1)
    figure.legend(handles=handles, loc="outside upper center", ncols=min(3, len(handles)))
    return figure
