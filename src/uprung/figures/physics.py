"""Figures of properties of crystals: parity, ratios, mixing energies, phonons."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from uprung.figures import style
from uprung.figures.axes import GREY, grid_behind, panels

PUBLISHED = "black"


@mpl.rc_context(style.RC)
def parity(values: pd.DataFrame) -> Figure:
    """Draw predicted against published values, a panel per set and quantity that can be compared.

    Args:
        values: of `uprung.physics.tables.shown`.
    """
    own = values.dropna(subset=["reference", "predicted"])
    groups = [(names, part) for names, part in own.groupby(["set", "quantity", "unit"], sort=False)]
    groups = [(names, part) for names, part in groups if part[["material", "key"]].drop_duplicates().shape[0] > 1]
    if not groups:
        return style.text_figure("no property has two values or more")
    networks = list(dict.fromkeys(values["name"]))
    figure, axes, _ = panels(len(groups), most=3, width=style.PAGE, height=2.3, extra=0.3)
    for axis, ((name, quantity, unit), part) in zip(axes, groups, strict=True):
        for k, network in enumerate(networks):
            mine = part[part["name"] == network]
            sure = mine["converged"].astype(str) == "True"
            look: dict[str, Any] = {
                "color": style.colour(k),
                "marker": style.marker(k),
                "ls": "",
                "ms": 3.5,
                "mew": 0.7,
                "alpha": 0.8,
            }
            axis.plot(mine.loc[sure, "reference"], mine.loc[sure, "predicted"], **look)
            axis.plot(mine.loc[~sure, "reference"], mine.loc[~sure, "predicted"], **look, mfc="none")
        low, high = (
            part[["reference", "predicted"]].to_numpy().min(),
            part[["reference", "predicted"]].to_numpy().max(),
        )
        margin = 0.05 * (high - low or 1)
        ends = [low - margin, high + margin]
        axis.plot(ends, ends, color=GREY, lw=0.8, ls="--", zorder=0)
        axis.set(xlim=ends, ylim=ends, aspect="equal", title=f"{quantity}\n({name}, {unit})")
        axis.set(xlabel="published", ylabel="predicted")
        axis.locator_params(nbins=5)
        grid_behind(axis)
    _legend(figure, networks)
    return figure


@mpl.rc_context(style.RC)
def ratios(table: pd.DataFrame) -> Figure:
    """Draw the ratios of predicted to published values with their intervals, a row per set and quantity.

    Args:
        table: the summary, of `uprung.physics.tables.shown`.
    """
    own = table.dropna(subset=["ratio"])
    if own.empty:
        return style.text_figure("no property has a ratio")
    rows = list(dict.fromkeys(zip(own["set"], own["quantity"], strict=True)))
    networks = list(dict.fromkeys(table["name"]))
    height = 1.1 + len(rows) * (0.2 + 0.11 * len(networks))
    figure, (axis,) = style.new_figure(width=style.PAGE, height=height)
    for k, network in enumerate(networks):
        offset = 0.7 * ((k + 0.5) / len(networks) - 0.5)
        mine = own[own["name"] == network].set_index(["set", "quantity"])
        for place, row in enumerate(rows):
            if row in mine.index:
                value, low, high = (float(mine.loc[row, column]) for column in ("ratio", "ratio_low", "ratio_high"))
                bar = None if np.isnan(low) else [[max(value - low, 0)], [max(high - value, 0)]]
                look: dict[str, Any] = {
                    "color": style.colour(k),
                    "fmt": style.marker(k),
                    "ms": 4,
                    "lw": 1,
                    "capsize": 2,
                }
                axis.errorbar(value, place + offset, xerr=bar, **look)
    axis.axvline(1, color=GREY, lw=0.8, ls="--", zorder=0)
    axis.set_yticks(range(len(rows)), [f"{quantity} ({name})" for name, quantity in rows])
    axis.set_ylim(len(rows) - 0.5, -0.5)
    axis.set_xlabel("ratio of predicted to published values")
    grid_behind(axis)
    _legend(figure, networks)
    return figure


@mpl.rc_context(style.RC)
def mixing(values: pd.DataFrame) -> Figure:
    """Draw mixing energies over composition with their distribution over arrangements, a panel per system.

    Args:
        values: of `uprung.physics.tables.shown`.
    """
    own = values[values["quantity"] == "mixing energy"].dropna(subset=["predicted"])
    if own.empty:
        return style.text_figure("no network gives a mixing energy")
    systems = list(own.groupby(["set", "material"], sort=False))
    networks = list(dict.fromkeys(values["name"]))
    figure, axes, _ = panels(len(systems), height=2.8, extra=0.3)
    for axis, ((_, system), part) in zip(axes, systems, strict=True):
        first = part[part["name"] == part["name"].iloc[0]]
        _band(axis, first, "reference", PUBLISHED, "")
        for k, network in enumerate(networks):
            _band(axis, part[part["name"] == network], "predicted", style.colour(k), style.marker(k))
        axis.axhline(0, color=GREY, lw=0.6)
        axis.set(title=system, xlabel=f"share of {str(system).split('-')[-1]}", ylabel="mixing energy (meV/atom)")
        grid_behind(axis)
    _legend(figure, networks, published=True)
    return figure


def _band(axis: Axes, part: pd.DataFrame, side: str, colour: str, marker: str) -> None:
    by = part.groupby("x")[side]
    axis.plot(by.mean().index, by.mean(), color=colour, marker=marker, ms=3.5, ls="-" if marker else "--")
    axis.fill_between(by.min().index, by.min(), by.max(), color=colour, alpha=0.15, lw=0)


@mpl.rc_context(style.RC)
def phonons(curves: pd.DataFrame) -> Figure:
    """Draw bands and densities of states of crystals with published force constants, a row per crystal.

    Args:
        curves: of `uprung.physics.tables.shown`.
    """
    crystals = list(_crystals(curves))
    if not crystals:
        return style.text_figure("no network gives phonons")
    networks = list(dict.fromkeys(curves["name"]))
    figure, axes = style.new_figure(len(crystals), 2, width=style.PAGE, height=2.9 * len(crystals) + 0.3)
    for row, (name, path, lines, states) in enumerate(crystals):
        left, right = axes[2 * row : 2 * row + 2]
        for k, network in enumerate(networks):
            look: dict[str, Any] = {"color": style.colour(k), "lw": 0.9}
            for _, branch in lines[lines["name"] == network].groupby("branch"):
                left.plot(branch["x"], branch["predicted"], **look)
            mine = states[states["name"] == network]
            right.plot(mine["predicted"], mine["x"], **look)
        first = lines[lines["name"] == lines["name"].iloc[0]]
        for _, branch in first.groupby("branch"):
            left.plot(branch["x"], branch["reference"], color=PUBLISHED, lw=0.8, ls="--")
        given = states[states["name"] == states["name"].iloc[0]]
        right.plot(given["reference"], given["x"], color=PUBLISHED, lw=0.8, ls="--")
        branch = first[first["branch"] == first["branch"].min()]["x"].to_numpy()
        ends = [0.0, *branch[1:][np.diff(branch) == 0], branch[-1]]
        left.set_xticks(ends, list(path.replace("G", "Γ")))
        for axis in (left, right):
            axis.axhline(0, color=GREY, lw=0.6)
            axis.set_ylim(given["x"].min(), given["x"].max())
        for end in ends:
            left.axvline(end, color="#e6e6e6", lw=0.5, zorder=0)
        left.set(xlim=(0, branch[-1]), ylabel="frequency (THz)", title=name)
        right.set(xlim=(0, None), xlabel="density of states (1/THz)")
    _legend(figure, networks, published=True)
    return figure


def _crystals(curves: pd.DataFrame) -> Iterator[tuple[str, str, pd.DataFrame, pd.DataFrame]]:
    """Yield the name of each crystal, the letters of its path, its bands, and its densities of states."""
    for (_, name), own in curves.groupby(["set", "material"], sort=False):
        lines, states = own[own["curve"].str.startswith("bands ")], own[own["curve"] == "density of states"]
        if len(lines):
            yield str(name), lines["curve"].iloc[0].removeprefix("bands "), lines, states


def _legend(figure: Figure, networks: list[str], *, published: bool = False) -> None:
    handles = [
        Line2D([], [], color=style.colour(k), marker=style.marker(k), label=network, ms=4)
        for k, network in enumerate(networks)
    ]
    if published:
        handles.insert(0, Line2D([], [], color=PUBLISHED, ls="--", label="published"))
    figure.legend(handles=handles, loc="outside upper center", ncols=min(len(handles), 4))
