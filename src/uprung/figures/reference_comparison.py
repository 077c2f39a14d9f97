"""Figure of the errors of reference energies alone, by estimator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import wrap

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter, NullLocator
from numpy.typing import NDArray

from uprung.figures.axes import grid_behind
from uprung.figures.style import COLOURS, MARKERS, PAGE, RC, new_figure

Floats = NDArray[np.float64]

#: Share of a step between two sizes over which the marks of one size are spread, so that their bars can be told apart.
SPREAD = 0.4
#: A reference whose error is nowhere within this factor of the baseline's is named beside the second panel, not drawn.
NEAR = 1.5
NOTE_WIDTH = 62  # characters that fit above a panel
NOTE_LINE = 8.6  # points


@mpl.rc_context(RC)
def reference_errors(summary: pd.DataFrame, *, baseline: str) -> Figure:
    """Draw the error of reference energies alone against training size, and its change against the baseline.

    summary: columns reference, size, n_frames, population, mae, mae_min, mae_max, ratio, ratio_low, ratio_high, as
    from `uprung.atomref.compare.compare_references`. The first panel has all test structures, the second
    those with elements seen at the smallest size (all, if there is none); bars are the range over seeds and the paired
    95 % interval. Of more references than can be told apart the first are drawn, the baseline among them, and the
    others are named. Raises ValueError on an unknown baseline.
    """
    names, others = _drawn(list(dict.fromkeys(summary["reference"])), baseline)
    summary = summary[summary["reference"].isin(names)]
    figure, (left, right) = new_figure(1, 2, width=PAGE, height=3.6)
    sizes = summary.groupby("size")["n_frames"].mean().sort_values().to_numpy(dtype=np.float64)
    populations = set(summary["population"])
    near = summary[summary["population"] == ("covered" if "covered" in populations else "all")]
    far = _far(near, baseline)
    for i, name in enumerate(names):
        shift = _shift(i, len(names), sizes)
        every = summary[(summary["population"] == "all") & (summary["reference"] == name)]
        _line(left, every, ("mae", "mae_min", "mae_max"), shift, i, name)
        if name != baseline and name not in far:
            _line(right, _percent(near[near["reference"] == name]), ("change", "low", "high"), shift, i, None)
    right.axhline(0, color=COLOURS[names.index(baseline)], linewidth=1.4, zorder=1)
    words = [_far_words(far), f"Not drawn: {', '.join(others)}" if others else ""]
    note = "\n".join(line for text in words for line in wrap(text, NOTE_WIDTH, break_on_hyphens=False))
    height = 6 + NOTE_LINE * len(note.splitlines())
    left.set_title("All test structures", loc="left", fontweight="bold", pad=height)
    right.set_title(_title(populations, sizes[0]), loc="left", fontweight="bold", pad=height)
    right.annotate(note, (0, 1), (0, 4), xycoords="axes fraction", textcoords="offset points", fontsize=7, va="bottom")
    left.set_ylabel("test MAE of references alone (eV/atom)")
    right.set_ylabel(f"change of the MAE against {baseline} (%)")
    for axis in (left, right):
        _axes(axis, sizes)
    left.set_yscale("log")
    left.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    left.yaxis.set_minor_formatter(NullFormatter())
    left.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:,.4g}"))
    right.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:+.3g}".replace("-", "−") if v else "0"))
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=min(len(names), 4))
    return figure


def _drawn(names: list[str], baseline: str) -> tuple[list[str], list[str]]:
    """Return the references that are drawn, no more than there are colours, and the others."""
    if baseline not in names:
        raise ValueError(f"reference errors: the baseline {baseline!r} is not among {', '.join(names)}")
    others = [name for name in names if name != baseline]
    left_out = others[len(COLOURS) - 1 :]
    return [name for name in names if name not in left_out], left_out


def _title(populations: set[str], smallest: float) -> str:
    return (
        f"Elements that every seed saw at n = {smallest:,.0f}" if "covered" in populations else "Against the baseline"
    )


def _far(rows: pd.DataFrame, baseline: str) -> dict[str, tuple[float, float]]:
    """Return the smallest and largest ratio of references that are nowhere near the baseline."""
    found = rows[rows["reference"] != baseline].groupby("reference", sort=False)["ratio"].agg(["min", "max"])
    return {
        str(name): (float(low), float(high))
        for name, low, high in found.itertuples(name=None)
        if low > NEAR or high < 1 / NEAR
    }


def _far_words(far: Mapping[str, tuple[float, float]]) -> str:
    """Return which references are off the scale, and by how much."""
    words = [f"{name} ({low:.2g} to {high:.2g} times the error)" for name, (low, high) in far.items()]
    return f"Off the scale: {', '.join(words)}" if words else ""


def _percent(rows: pd.DataFrame) -> pd.DataFrame:
    change = {"change": "ratio", "low": "ratio_low", "high": "ratio_high"}
    return rows.assign(**{new: 100 * (rows[old] - 1) for new, old in change.items()})


def _shift(index: int, n: int, sizes: Floats) -> float:
    """Return the factor by which the marks of one reference are moved along the logarithmic axis."""
    if len(sizes) < 2 or n < 2:
        return 1.0
    step = float(np.log(sizes[1:] / sizes[:-1]).min())
    return float(np.exp(SPREAD * step * (index / (n - 1) - 0.5)))


def _line(axis: Axes, rows: pd.DataFrame, columns: Sequence[str], shift: float, index: int, label: str | None) -> None:
    """Draw one reference in its colour and marker, with bars from the second column to the third."""
    rows = rows.dropna(subset=columns[0]).sort_values("n_frames")
    middle, low, high = (rows[name].to_numpy(dtype=np.float64) for name in columns)
    axis.errorbar(
        rows["n_frames"] * shift,
        middle,
        yerr=[np.maximum(middle - low, 0), np.maximum(high - middle, 0)],
        fmt=f"{MARKERS[index]}-",
        color=COLOURS[index],
        markersize=4,
        linewidth=0.9,
        elinewidth=0.8,
        capsize=1.5,
        label=label,
    )


def _axes(axis: Axes, sizes: Floats) -> None:
    axis.set_xscale("log")
    axis.xaxis.set_major_locator(FixedLocator(sizes.tolist()))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:,.4g}"))
    grid_behind(axis)
    axis.set_xlabel("labelled structures in the subset")
