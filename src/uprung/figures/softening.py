"""Figures of softening: slopes of predicted on labelled forces by material and training-set size, and the clouds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, NullLocator

from uprung.figures import style
from uprung.figures.axes import GREY, GRID, MANY, arm_handles, panels, quartiles_in_rows, rows_of_networks
from uprung.softening.slopes import POOLED, statistics

FEW = 12  # materials that are drawn by name; of more, the distribution is
SLOPE = "slope of predicted on labelled forces"


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


@mpl.rc_context(style.RC)
def slopes_by_material(table: pd.DataFrame, *, arm_labels: Mapping[str, str], budget: str) -> Figure:
    """Draw the slope of every material with its interval (few materials), or their distribution (many).

    More than `MANY` networks have a row each: with the materials by colour, or with quartiles.

    Args:
        table: of `uprung.softening.slopes.softening_table` with the columns model, budget, arm, n_frames_trained.
        arm_labels: names of the arms and their order.
        budget: whose runs are drawn, at the largest size.
    """
    series = _series(table, arm_labels, budget)
    materials = [m for m in dict.fromkeys(table["material"]) if m != POOLED]
    own = {
        name: rows[rows["material"] != POOLED].set_index("material").reindex(materials) for name, rows in series.items()
    }
    if len(own) > MANY:
        return _in_rows(own, materials)
    figure, (axis,) = style.new_figure(width=style.PAGE * 0.8, height=3.4)
    (_by_name if len(materials) <= FEW else _distribution)(axis, own)
    looks = [
        {"marker": style.marker(k), "ls": ""} if len(materials) <= FEW else {"ls": _line(k)} for k in range(len(own))
    ]
    handles = [
        Line2D([], [], color=style.colour(k), ms=4, label=name, **look)  # type: ignore[arg-type]
        for k, (name, look) in enumerate(zip(own, looks, strict=True))
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=min(3, len(handles)))
    return figure


def _line(k: int) -> str:
    return ("-", "--", "-.", ":")[k % 4]


def _by_name(axis: Axes, series: Mapping[str, pd.DataFrame]) -> None:
    axis.axhline(1, color=GREY, ls="--", lw=0.9)
    for k, rows in enumerate(series.values()):
        look: dict[str, Any] = {"color": style.colour(k), "marker": style.marker(k), "ms": 4, "ls": ""}
        x = np.arange(len(rows)) + (k - (len(series) - 1) / 2) * 0.7 / len(series)
        gaps = np.abs(rows[["slope_low", "slope_high"]].to_numpy().T - rows["slope"].to_numpy())
        axis.errorbar(x, rows["slope"], yerr=np.nan_to_num(gaps), elinewidth=0.8, **look)
        axis.set_xticks(range(len(rows)), list(rows.index))
    axis.set(ylabel=SLOPE, xlabel="material")
    axis.grid(axis="y", **GRID)  # type: ignore[arg-type]


def _distribution(axis: Axes, series: Mapping[str, pd.DataFrame]) -> None:
    axis.axvline(1, color=GREY, ls="--", lw=0.9)
    for k, rows in enumerate(series.values()):
        values = np.sort(rows["slope"].dropna().to_numpy())
        share = np.arange(1, len(values) + 1) / max(len(values), 1)
        axis.step(values, 100 * share, where="post", color=style.colour(k), ls=_line(k))
    everything = np.concatenate([rows["slope"].dropna().to_numpy() for rows in series.values()])
    if len(everything):
        low, high = np.percentile(everything, [1, 99])
        axis.set_xlim(low - 0.05, max(high, 1) + 0.05)
    axis.set(xlabel=SLOPE, ylabel="materials below (%)", ylim=(0, 100))
    axis.grid(**GRID)  # type: ignore[arg-type]


def _in_rows(series: Mapping[str, pd.DataFrame], materials: Sequence[str]) -> Figure:
    figure, (axis,), places = rows_of_networks(list(series))
    axis.axvline(1, color=GREY, ls="--", lw=0.9)
    if len(materials) <= FEW:
        for k, material in enumerate(materials):
            found = np.array([rows.loc[material, ["slope", "slope_low", "slope_high"]] for rows in series.values()])
            gaps = np.nan_to_num(np.abs(found[:, 1:].astype(float).T - found[:, 0].astype(float)))
            aside = ((len(materials) - 1) / 2 - k) * 0.7 / len(materials)
            look: dict[str, Any] = {"color": style.colour(k), "marker": style.marker(k), "ms": 4, "ls": ""}
            axis.errorbar(found[:, 0], places + aside, xerr=gaps, elinewidth=0.8, label=material, **look)
        figure.legend(*axis.get_legend_handles_labels(), loc="outside upper center", ncols=min(6, len(materials)))
    else:
        quartiles_in_rows(axis, places, [rows["slope"] for rows in series.values()], color=style.colour(0))
        everything = np.concatenate([rows["slope"].dropna().to_numpy() for rows in series.values()])
        axis.set_xlim(*np.percentile(everything, [2, 98]) + np.array([-0.05, 0.05]))
    axis.set_xlabel(SLOPE if len(materials) <= FEW else f"{SLOPE}: median over materials, and half of them")
    return figure


@mpl.rc_context(style.RC)
def slopes_by_size(table: pd.DataFrame, *, arm_labels: Mapping[str, str], budget: str) -> Figure:
    """Draw the median slope over materials against the training-set size, a line per arm, the checkpoints beside it.

    Args: see `slopes_by_material`. Marks are runs, lines join their means over seeds.
    """
    whole = table[(table["subset"] == "all") & (table["material"] != POOLED)]
    runs = whole[(whole["model"] == "run") & (whole["budget"] == budget)]
    if not len(runs):
        return style.text_figure("no trained network was evaluated")
    figure, (axis,) = style.new_figure(width=style.PAGE * 0.7, height=3.2)
    axis.axhline(1, color=GREY, ls="--", lw=0.9)
    for k, (name, rows) in enumerate(whole[whole["model"] != "run"].groupby("model", sort=False)):
        axis.axhline(float(rows["slope"].median()), color=GREY, ls=(":", "-.")[k % 2], lw=1.2, label=str(name))
    arms = [arm for arm in arm_labels if arm in set(runs["arm"])]
    for k, arm in enumerate(arms):
        own = runs[runs["arm"] == arm].groupby(["size", "seed", "n_frames_trained"], as_index=False)
        slopes = own["slope"].median()
        colour, marker = style.colour(k), style.marker(k)
        # arms side by side, so that runs of one size do not hide each other
        aside = 1.03 ** (k - (len(arms) - 1) / 2)
        axis.plot(slopes["n_frames_trained"] * aside, slopes["slope"], marker, color=colour, ms=2.5, alpha=0.5)
        means = slopes.groupby("n_frames_trained")["slope"].mean()
        axis.plot(means.index * aside, means, color=colour, marker=marker, ms=4.5, lw=1)
    sizes = sorted(set(runs["n_frames_trained"]))
    axis.set(xscale="log", xlabel="labelled structures in training", ylabel="slope, median over materials")
    axis.set_xlim(sizes[0] / 1.6, sizes[-1] * 1.6)
    axis.set_xticks(sizes)
    axis.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:,.0f}"))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.grid(**GRID)  # type: ignore[arg-type]
    handles = arm_handles({arm: arm_labels[arm] for arm in arms}, ms=4, lw=1)
    handles += [line for line in axis.lines if not str(line.get_label()).startswith("_")]
    figure.legend(handles=handles, loc="outside upper center", ncols=min(3, len(handles)))
    return figure


@mpl.rc_context(style.RC)
def force_clouds(clouds: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw predicted against labelled force components, a panel per model.

    Args:
        clouds: model -> table of `uprung.softening.slopes.cloud`.
    """
    width = min(style.PAGE, 2.4 * len(clouds))
    figure, axes, columns = panels(len(clouds), most=4, width=width, height=2.3)
    pairs = {
        name: tuple(table[[f"{side}_{a}" for a in "xyz"]].to_numpy(float).ravel() for side in ("label", "predicted"))
        for name, table in clouds.items()
    }
    # one atom with a huge force must not shrink the cloud to a dot: the rest is counted in the panel
    end = 1.05 * float(max(np.percentile(np.abs(x), 99.5) for x, _ in pairs.values()))
    for k, (axis, (name, (x, y))) in enumerate(zip(axes, pairs.items(), strict=True)):
        found = statistics(x, y)
        outside = int(((np.abs(x) > end) | (np.abs(y) > end)).sum())
        axis.hexbin(x, y, gridsize=45, extent=(-end, end, -end, end), bins="log", cmap="viridis_r", lw=0.1, mincnt=1)
        axis.plot((-end, end), (-end, end), color=GREY, ls="--", lw=0.8)
        axis.plot((-end, end), (-end * found["slope"], end * found["slope"]), color="#D55E00", lw=1)
        axis.set(xlim=(-end, end), ylim=(-end, end), aspect="equal")
        axis.set_title(style.in_lines(name, 24), fontsize=7.5)
        words = f"slope {found['slope']:.3f}" + (f"\n{outside:,} outside" if outside else "")
        axis.text(0.04, 0.96, words, transform=axis.transAxes, va="top", fontsize=6.5)
        if k % columns == 0:
            axis.set_ylabel("predicted (eV/Å)")
        if k >= len(pairs) - columns:
            axis.set_xlabel("labelled (eV/Å)")
    return figure
