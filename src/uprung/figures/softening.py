"""Figures of softening: slopes of predicted on labelled forces, by material and against the training-set size."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, NullLocator

from uprung.figures import style
from uprung.softening import POOLED

GREY = "#777777"
FEW = 12  # materials that are drawn by name; of more, the distribution is


def _series(table: pd.DataFrame, arm_labels: Mapping[str, str], budget: str) -> dict[str, pd.DataFrame]:
    """Return name -> rows: the checkpoints, and every arm at its largest size (means over seeds where several)."""
    whole = table[table["subset"] == "all"]
    found = {str(name): part for name, part in whole[whole["model"] != "run"].groupby("model", sort=False)}
    runs = whole[(whole["model"] == "run") & (whole["budget"] == budget)]
    if len(runs):
        largest = runs[runs["n_frames_trained"] == runs["n_frames_trained"].max()]
        columns = ["slope", "slope_low", "slope_high"]
        for arm, label in arm_labels.items():
            own = largest[largest["arm"] == arm]
            if len(own):
                found[label] = own.groupby("material", sort=False)[columns].mean().reset_index()
    return found


def slopes_by_material(table: pd.DataFrame, *, arm_labels: Mapping[str, str], budget: str) -> Figure:
    """Draw the slope of every material with its interval (few materials), or their distribution (many).

    Args:
        table: of `uprung.softening.softening_table` with the columns model, budget, arm, n_frames_trained.
        arm_labels: names of the arms and their order.
        budget: whose runs are drawn, at the largest size.
    """
    series = _series(table, arm_labels, budget)
    materials = [m for m in dict.fromkeys(table["material"]) if m != POOLED]
    figure, (axis,) = style.new_figure(width=style.PAGE * 0.8, height=3.4)
    with mpl.rc_context(style.RC):
        axis.axhline(1, color=GREY, ls="--", lw=0.9)
        for k, (_, rows) in enumerate(series.items()):
            look: dict[str, Any] = {"color": style.COLOURS[k % 8], "marker": style.MARKERS[k % 8], "ms": 4, "ls": ""}
            own = rows[rows["material"] != POOLED].set_index("material")
            if len(materials) <= FEW:
                own = own.reindex(materials)
                x = np.arange(len(materials)) + (k - (len(series) - 1) / 2) * 0.7 / max(len(series), 1)
                gaps = np.abs(own[["slope_low", "slope_high"]].to_numpy().T - own["slope"].to_numpy())
                axis.errorbar(x, own["slope"], yerr=np.nan_to_num(gaps), elinewidth=0.8, **look)
            else:
                values = np.sort(own["slope"].dropna().to_numpy())
                axis.step(values, np.arange(1, len(values) + 1) / len(values), where="post", color=look["color"])
        if len(materials) <= FEW:
            axis.set_xticks(range(len(materials)), materials)
            axis.set(ylabel="slope of predicted on labelled forces", xlabel="material")
        else:
            axis.lines[0].remove()
            axis.axvline(1, color=GREY, ls="--", lw=0.9)
            axis.set(xlabel="slope of predicted on labelled forces", ylabel="share of materials below")
        axis.grid(visible=True, axis="y", color="#e6e6e6", lw=0.5)
        marker = len(materials) <= FEW
        handles = [
            Line2D(
                [],
                [],
                color=style.COLOURS[k % 8],
                marker=style.MARKERS[k % 8] if marker else "",
                ls="" if marker else "-",
                ms=4,
                label=name,
            )
            for k, name in enumerate(series)
        ]
        figure.legend(handles=handles, loc="outside upper center", ncols=min(3, len(handles)))
    return figure


def slopes_by_size(table: pd.DataFrame, *, arm_labels: Mapping[str, str], budget: str) -> Figure:
    """Draw the mean slope over materials against the training-set size, a line per arm, the checkpoints beside it.

    Args: see `slopes_by_material`. Marks are runs, lines join their means over seeds.
    """
    whole = table[(table["subset"] == "all") & (table["material"] != POOLED)]
    runs = whole[(whole["model"] == "run") & (whole["budget"] == budget)]
    if not len(runs):
        return style.text_figure("no trained network was evaluated")
    figure, (axis,) = style.new_figure(width=style.PAGE * 0.7, height=3.2)
    with mpl.rc_context(style.RC):
        axis.axhline(1, color=GREY, ls="--", lw=0.9)
        for k, (name, own) in enumerate(whole[whole["model"] != "run"].groupby("model", sort=False)):
            axis.axhline(float(own["slope"].mean()), color=GREY, ls=(":", "-.")[k % 2], lw=0.9, label=str(name))
        for k, arm in enumerate(arm_labels):
            own = runs[runs["arm"] == arm].groupby(["size", "seed", "n_frames_trained"], as_index=False)["slope"].mean()
            if not len(own):
                continue
            colour, marker = style.COLOURS[k], style.MARKERS[k]
            axis.plot(own["n_frames_trained"], own["slope"], marker, color=colour, ms=2.5, alpha=0.5, ls="")
            means = own.groupby("n_frames_trained")["slope"].mean()
            axis.plot(means.index, means, color=colour, marker=marker, ms=4, lw=1)
        sizes = sorted(set(runs["n_frames_trained"]))
        axis.set(xscale="log", xlabel="labelled structures in training", ylabel="slope, mean over materials")
        axis.set_xticks(sizes)
        axis.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:,.0f}"))
        axis.xaxis.set_minor_locator(NullLocator())
        axis.grid(visible=True, color="#e6e6e6", lw=0.5)
        handles = [
            Line2D([], [], color=style.COLOURS[k], marker=style.MARKERS[k], ms=4, lw=1, label=label)
            for k, label in enumerate(arm_labels.values())
        ]
        handles += [line for line in axis.lines if not str(line.get_label()).startswith("_")]
        figure.legend(handles=handles, loc="outside upper center", ncols=min(3, len(handles)))
    return figure
