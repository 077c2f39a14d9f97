"""What figures share: panels, ticks, grids, handles of legends."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, NullFormatter

from uprung.figures import style
from uprung.frames.schema import Floats

X_LABEL = "labelled r²SCAN structures in training"
GREY = "#777777"
MANY = 8  # networks that are told apart by colour; of more, each has a row
GRID = {"visible": True, "color": "#e6e6e6", "lw": 0.5}


def panels(
    count: int, *, most: int = 2, width: float | None = None, height: float, extra: float = 0.0
) -> tuple[Figure, list[Axes], int]:
    """Return a figure, its panels in reading order, and how many stand side by side.

    Args:
        count: of the panels.
        most: that stand side by side.
        width: of the figure, inch; default: the page, less for a single column of panels.
        height: of a panel, inch.
        extra: height of what all panels share, inch.
    """
    columns = min(most, count)
    rows = -(-count // columns)
    width = width or style.PAGE * (1 if columns > 1 else 0.62)
    figure, axes = style.new_figure(rows, columns, width=width, height=height * rows + extra)
    for axis in axes[count:]:
        axis.set_visible(False)
    return figure, axes[:count], columns


def rows_of_networks(names: Sequence[str], columns: int = 1) -> tuple[Figure, list[Axes], Floats]:
    """Return a figure with a row for each network, its panels, and the places of the rows.

    Args:
        names: of the networks, from top to bottom.
        columns: panels side by side that share the rows.
    """
    figure, axes = style.new_figure(1, columns, width=style.PAGE, height=1.2 + 0.2 * len(names))
    places = np.arange(len(names), dtype=np.float64)[::-1]
    for k, axis in enumerate(axes):
        axis.set_yticks(places, names if k == 0 else [])
        axis.set_ylim(-0.6, len(names) - 0.4)
        axis.grid(**GRID)  # type: ignore[arg-type]
    return figure, axes, places


def quartiles_in_rows(axis: Axes, places: Floats, values: Sequence[Any], **look: Any) -> None:
    """Draw the median of each row's values, and a bar from the first to the third quartile.

    Args:
        axis: of `rows_of_networks`.
        places: of the rows.
        values: of each row, NaN where there is none.
        look: of matplotlib's error bars.
    """
    found = [(place, np.asarray(each, dtype=np.float64)) for place, each in zip(places, values, strict=True)]
    known = [(place, each[~np.isnan(each)]) for place, each in found if not np.isnan(each).all()]
    if not known:
        return
    middle = np.array([np.percentile(each, [25, 50, 75]) for _, each in known])
    rows, gaps = [place for place, _ in known], np.abs(middle[:, [0, 2]].T - middle[:, 1])
    usual: dict[str, Any] = {"marker": "o", "ms": 4, "ls": "", "elinewidth": 1.2}
    axis.errorbar(middle[:, 1], rows, xerr=gaps, **usual | look)


def arm_handles(labels: Mapping[str, str], arms: Iterable[str] | None = None, **look: Any) -> list[Line2D]:
    """Return handles of arms for a legend, in the colours and markers of their order.

    Args:
        labels: arm -> name.
        arms: those that are shown; default: all.
        look: of the lines.
    """
    shown = set(labels if arms is None else arms)
    return [
        Line2D([], [], color=style.colour(k), marker=style.marker(k), label=label, **look)
        for k, (arm, label) in enumerate(labels.items())
        if arm in shown
    ]


def plain_numbers(*axes: Any) -> None:
    """Label x or y axes with plain numbers, and major ticks alone."""
    for axis in axes:
        axis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:,.6g}"))
        axis.set_minor_formatter(NullFormatter())


def grid_behind(axis: Axes) -> None:
    """Draw a grid at the major ticks, behind all else."""
    axis.grid(which="major", zorder=0, **GRID)  # type: ignore[arg-type]
    axis.set_axisbelow(True)


def subdivisions(ratio: float) -> tuple[float, ...]:
    """Return which multiples of a decade to label so that a log axis has a handful of labels."""
    return (1.0,) if ratio > 150 else (1.0, 2.0, 5.0) if ratio > 4 else (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0)


def legend_of_arms(
    figure: Figure,
    labels: Mapping[str, str],
    arms: Iterable[str] | None = None,
    *,
    more: Sequence[Line2D] = (),
    handlelength: float | None = None,
    **look: Any,
) -> int:
    """Name the arms above the panels, as many in a row as fit by the length of the longest label.

    Args:
        figure: to be labelled.
        labels: arm -> name.
        arms: those that are shown; default: all.
        more: further handles.
        handlelength: of the legend.
        look: of the arms' lines, see `arm_handles`.

    Returns:
        How many rows the legend has.
    """
    handles = arm_handles(labels, arms, **look)
    character, handle = 0.062, 0.5  # inch, at the legend's font size
    longest = max(len(str(line.get_label())) for line in handles)
    columns = max(1, min(len(handles), int(figure.get_figwidth() / (handle + character * longest))))
    every = [*handles, *more]
    figure.legend(handles=every, loc="outside upper center", ncols=columns, handlelength=handlelength)
    return -(-len(every) // columns)


def rows_of(table: pd.DataFrame, budget: str, target: str) -> pd.DataFrame:
    """Return the rows of one budget and target."""
    return table[(table["budget"] == budget) & (table["target"] == target)]
