"""How the mark of a run is filled: in full where settled, pale where not, hollow where it enters no law."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.colors import to_rgb
from matplotlib.lines import Line2D

from uprung.scaling.settled import FIRM

DARK = "#333333"
TINT = 0.55  # of the way from the arm's colour to white, for points that are not settled


def fills(runs: pd.DataFrame, colour: str) -> list[tuple[Any, pd.DataFrame]]:
    """Return the fill of the marks and the runs that have it: settled, not settled, in no law.

    Args:
        runs: rows of a curves table, see `uprung.scaling.with_measures`.
        colour: of their arm.
    """
    good, firm = runs["converged"].astype(bool), runs["settled"].isin(FIRM) | runs["baseline"].isna()
    pale = tuple(c + TINT * (1 - c) for c in to_rgb(colour))
    return [(colour, runs[good & firm]), (pale, runs[good & ~firm]), ("white", runs[~good])]


def handles(*, trained: bool) -> tuple[list[Line2D], list[str]]:
    """Return handles and names of the legend; given points are never called unsettled.

    Args:
        trained: whether the study trained its runs.
    """
    marks = [(DARK, "run, settled" if trained else "run"), ("white", "run in no law")]
    if trained:
        marks.insert(1, ("#c4c4c4", "run, not settled"))
    return [Line2D([], [], ls="", marker="o", color=DARK, mfc=fill) for fill, _ in marks], [word for _, word in marks]
