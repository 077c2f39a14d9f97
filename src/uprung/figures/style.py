"""The look that all figures share: sizes, fonts, colours, units and how a figure is saved."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import LogFormatter, LogFormatterSciNotation

COLUMN = 3.5  # inch, one journal column
PAGE = 7.2  # inch, two journal columns

_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8C8C8C")
_MARKERS = ("o", "s", "D", "^", "v", "P", "X", "*")
#: Okabe-Ito colours, distinguishable with the common colour-vision deficiencies; markers repeat the
#: information so that a figure also reads in grey. The ninth to sixteenth have the colours again with other markers.
COLOURS = (*_COLOURS, *_COLOURS)
MARKERS = (*_MARKERS, *_MARKERS[3:], *_MARKERS[:3])

#: Target -> (long name, unit shown, factor from the table's unit to the unit shown).
TARGETS: dict[str, tuple[str, str, float]] = {
    "energy": ("energy", "meV/atom", 1e3),
    "force": ("force", "meV/Å", 1e3),
    "stress": ("stress", "GPa", 1.0),
    "magmom": ("magnetic moment", "μB", 1.0),
}

#: A colour map whose lightness rises steadily: it reads in grey and with colour-vision deficiencies.
BY_NUMBER = "viridis"

RC: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 8,
    "axes.titlesize": 9,
    "axes.labelsize": 8,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.7,
    "lines.linewidth": 1.2,
    "lines.markersize": 4.5,
    "figure.dpi": 120,
    "savefig.dpi": 200,
    "figure.constrained_layout.use": True,
    "text.parse_math": False,  # words are the user's: a $ in them is a $
    "svg.fonttype": "none",
    "svg.hashsalt": "uprung",  # the same figure gives the same bytes
}


def functional(name: str) -> str:
    """Return a functional's name as printed: 'r2SCAN' -> 'r²SCAN'."""
    return name.replace("r2SCAN", "r²SCAN").replace("R2SCAN", "r²SCAN")


def colour(k: int) -> str:
    """Return the colour of series k, from the beginning again after the last."""
    return COLOURS[k % len(COLOURS)]


def marker(k: int) -> str:
    """Return the marker of series k, from the beginning again after the last."""
    return MARKERS[k % len(MARKERS)]


def new_figure(
    rows: int = 1, columns: int = 1, *, width: float = PAGE, height: float = 2.8
) -> tuple[Figure, list[mpl.axes.Axes]]:
    """Return a figure in the house style and its axes in reading order."""
    with mpl.rc_context(RC):
        figure = Figure(figsize=(width, height), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False)
    return figure, list(axes.flat)


def in_lines(text: str, most: int) -> str:
    """Return a text with each of its lines broken at spaces and hyphens so that none is longer, but for one word."""
    return "\n".join(part for line in text.split("\n") for part in textwrap.wrap(line, most) or [""])


#: The id of the text in an SVG without anything else.
NOTHING_DRAWN = "nothing-is-drawn"


def text_figure(text: str, *, width: float = COLUMN, height: float = 1.0) -> Figure:
    """Return a figure that says why there is nothing to draw."""
    figure, (axis,) = new_figure(width=width, height=height)
    axis.axis("off")
    axis.text(0.5, 0.5, text, ha="center", va="center", fontsize=RC["font.size"], gid=NOTHING_DRAWN)
    return figure


class Powers(LogFormatterSciNotation):
    """Labels of a log axis without mathtext: 10⁻², 2×10³."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        """Return the label of a tick; "" where it has none."""
        text = re.sub(r"\$|\\mathdefault|[{}]", "", super().__call__(x, pos)).replace(r"\times", "×")
        base, power, exponent = text.partition("^")
        return base + exponent.translate(_RAISED) if power else text


_RAISED = str.maketrans("-−0123456789", "⁻⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def _without_mathtext(figure: Figure) -> None:
    """Let every text of a figure be shown as it is, the labels of log axes included."""
    for axis in (axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)):
        if isinstance(axis.get_major_formatter(), LogFormatter):
            axis.set_major_formatter(Powers())
        if isinstance(old := axis.get_minor_formatter(), LogFormatter):
            axis.set_minor_formatter(Powers(labelOnlyBase=old.labelOnlyBase, minor_thresholds=old.minor_thresholds))
    for text in figure.findobj(Text):
        text.set_parse_math(False)


def save(figure: Figure, stem: str | Path) -> None:
    """Write `stem`.svg and `stem`.png; the SVG carries no date, so that equal figures are equal files."""
    stem = Path(stem)
    stem.parent.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context(RC):
        _without_mathtext(figure)
        figure.savefig(stem.with_suffix(".svg"), metadata={"Date": None})
        figure.savefig(stem.with_suffix(".png"))
