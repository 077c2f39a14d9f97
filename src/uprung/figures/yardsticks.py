"""What arms are measured against in the figure of the learning curves: n = 0, and what needs no network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd
from matplotlib.lines import Line2D

from uprung.scaling import LAW_POPULATION, YARDSTICKS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BEFORE: dict[str, Any] = {"color": "black", "lw": 1.3, "ls": (0, (5, 1, 1, 1))}
LINES: dict[str, dict[str, Any]] = {
    "composition": {"color": "#b0b0b0", "marker": "1"},
    "shift": {"color": "#8a8a8a", "marker": "2"},
    "bond": {"color": "#5a5a5a", "marker": "3"},
    "difference": {"color": "#333333", "marker": "4"},
}
STYLE: dict[str, Any] = {"lw": 0.8, "ls": "-", "ms": 5, "mew": 0.9, "zorder": 1.8}


def before_training(points: pd.DataFrame) -> pd.DataFrame:
    """Return the lowest error before training at every size: the untouched network with the best arm's references.

    Args:
        points: rows of a curves table, one budget and target.
    """
    means = points.groupby(["size", "arm"])[["n_frames", "untouched"]].mean().dropna()
    return means.groupby("size").min().sort_values("n_frames")


def means_of(yardsticks: pd.DataFrame | None, target: str) -> pd.DataFrame:
    """Return the means over seeds of all yardsticks of a target: yardstick, n_frames, mae."""
    if yardsticks is None or yardsticks.empty:
        return pd.DataFrame({"yardstick": [], "n_frames": [], "mae": []})
    here = yardsticks[(yardsticks["target"] == target) & (yardsticks["population"] == LAW_POPULATION)]
    means = here.groupby(["yardstick", "size"], as_index=False)[["n_frames", "mae"]].mean()
    return means.sort_values("n_frames")


def draw(axis: Axes, start: pd.DataFrame, yardsticks: pd.DataFrame, factor: float) -> list[str]:
    """Draw the errors before training and the yardsticks; return the names of the yardsticks drawn."""
    axis.plot(start["n_frames"], start["untouched"] * factor, zorder=2.6, **BEFORE)
    drawn = []
    for name, look in LINES.items():
        mine = yardsticks[yardsticks["yardstick"] == name]
        if len(mine):
            axis.plot(mine["n_frames"], mine["mae"] * factor, **STYLE, **look)
            drawn.append(name)
    return drawn


def handles(names: Sequence[str], *, start: bool) -> tuple[list[Line2D], list[str]]:
    """Return handles and names of the legend."""
    lines = [Line2D([], [], **BEFORE)] if start else []
    words = ["before training (n = 0)"] if start else []
    known = [name for name in LINES if name in names]
    return [*lines, *(Line2D([], [], **STYLE, **LINES[n]) for n in known)], [*words, *(YARDSTICKS[n] for n in known)]
