"""Figure of properties after a repair with few labels: errors over those before, against the number of labels."""

from __future__ import annotations

from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullLocator

from uprung.figures import style
from uprung.figures.axes import GREY, grid_behind, panels, plain_numbers, subdivisions
from uprung.physics.repair import NUMBER, TRAINING

#: Way of repair -> how it is called, and its line.
WAYS = {NUMBER: ("one number", "-"), TRAINING: ("fine-tuned", "--")}
#: Ratios that every panel shows.
NEAREST = (0.8, 1.25)


@mpl.rc_context(style.RC)
def repair(table: pd.DataFrame) -> Figure:
    """Draw MAE after over before against k, a panel per property, with sets of both functionals in one panel.

    Args:
        table: of `uprung.physics.repair_tables.repair_table`.
    """
    known = table[table["way"].isin(list(WAYS)) & np.isfinite(table["mae_ratio"]) & (table["mae_ratio"] > 0)]
    # one number does not move a volume: there is nothing to see
    known = known.groupby(["test", "quantity"], sort=False).filter(lambda part: (part["mae_ratio"] != 1).any())
    if known.empty:
        return style.text_figure("no property has been repaired")
    shots = sorted(set(map(int, known["shots"])))
    place = {k: x for x, k in enumerate(shots)}
    series = [*known[["model", "functional"]].drop_duplicates().itertuples(index=False, name=None)]
    groups = list(known.groupby(["test", "quantity", _turn(known)], sort=False))
    figure, axes, _ = panels(len(groups), most=3, width=style.PAGE, height=2.1, extra=0.5)
    for axis, ((_, quantity, _), part) in zip(axes, groups, strict=True):
        axis.set_title(f"{quantity}\n({_named(list(dict.fromkeys(part['set'])))})", fontsize=7)
        axis.axhline(1, color=GREY, lw=0.8, ls="--", zorder=0)
        for n, (model, functional) in enumerate(series):
            for m, (way, (_, line)) in enumerate(WAYS.items()):
                own = part[(part["model"] == model) & (part["functional"] == functional) & (part["way"] == way)]
                aside = (2 * n + m - len(series) + 0.5) * 0.6 / (2 * len(series))
                _draw(axis, own, place, aside, {"color": style.colour(n), "marker": style.marker(n), "ls": line})
        _log_scale(axis, part)
        axis.set_xticks(list(place.values()), list(map(str, place)))
        axis.set_xlim(-0.5, len(shots) - 0.5)
        axis.xaxis.set_minor_locator(NullLocator())
        axis.set(xlabel="labelled structures", ylabel="MAE after / before")
        grid_behind(axis)
    handles = [
        Line2D([], [], color=style.colour(n), marker=style.marker(n), ms=4, label=f"{model}, {style.functional(name)}")
        for n, (model, name) in enumerate(series)
    ]
    handles += [Line2D([], [], color=GREY, ls=line, label=name) for name, line in WAYS.values()]
    handles.append(Line2D([], [], color=GREY, ls="", marker="o", mfc="white", ms=4, label="no interval"))
    figure.legend(handles=handles, loc="outside upper center", ncols=3)
    return figure


def _named(sets: list[str]) -> str:
    """Return names of sets, of a second one that begins as the first what it has beside."""
    first, *others = sets
    return ", ".join([first, *(name.removeprefix(first) for name in others)])


def _log_scale(axis: Axes, part: pd.DataFrame) -> None:
    ends = part[["mae_ratio", "mae_ratio_low", "mae_ratio_high"]].to_numpy(np.float64)
    low, high = (float(end) for end in (np.nanmin(ends), np.nanmax(ends)))
    low, high = 0.9 * min(low, NEAREST[0]), 1.1 * max(high, NEAREST[1])
    axis.set_yscale("log")
    axis.set_ylim(low, high)
    axis.yaxis.set_major_locator(LogLocator(subs=subdivisions(high / low)))
    plain_numbers(axis.yaxis)


def _turn(table: pd.DataFrame) -> pd.Series:
    """Return which set of its test and functional a row is of, so that sets of two functionals share a panel."""
    known: dict[tuple[str, str], list[str]] = {}
    turns = []
    for test, functional, name in zip(table["test"], table["functional"], table["set"], strict=True):
        sets = known.setdefault((test, functional), [])
        if name not in sets:
            sets.append(name)
        turns.append(sets.index(name))
    return pd.Series(turns, index=table.index, name="turn")


def _draw(axis: Axes, own: pd.DataFrame, place: dict[int, int], aside: float, look: dict[str, Any]) -> None:
    if own.empty:
        return
    own = own.sort_values("shots")
    value = own["mae_ratio"].to_numpy()
    x = [place[int(k)] + aside for k in own["shots"]]
    ends = np.stack([value - own["mae_ratio_low"], own["mae_ratio_high"] - value])
    known = np.isfinite(ends).all(axis=0)
    bars = np.clip(np.nan_to_num(ends), 0, None)
    axis.errorbar(x, value, yerr=bars, lw=0.9, elinewidth=0.8, color=look["color"], ls=look["ls"])
    for sure, fill in ((known, look["color"]), (~known, "white")):
        axis.plot(np.array(x)[sure], value[sure], ls="", ms=3.5, mfc=fill, **{k: look[k] for k in ("color", "marker")})
