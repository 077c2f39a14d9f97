"""Interactive learning curves inside the page: runs named on hovering, arms hidden on demand.

The marks are SVG with titles, which any browser shows on hovering; `page.js` shows them at once and hides arms.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from markupsafe import Markup, escape

from uprung.figures.style import COLOURS, TARGETS
from uprung.report.format import error
from uprung.scaling import LAW_POPULATION

WIDTH, HEIGHT = 560, 390
LEFT, RIGHT, TOP, BOTTOM = 86, 12, 12, 62
#: Half-size paths of the marks, in the order of the arms: they differ in grey as well.
_MARKS = (
    "M-4,0a4,4 0 1,0 8,0a4,4 0 1,0 -8,0z",
    "M-3.6,-3.6h7.2v7.2h-7.2z",
    "M0,-5l5,5l-5,5l-5,-5z",
    "M0,-5l4.6,8h-9.2z",
    "M0,5l4.6,-8h-9.2z",
    "M-1.6,-5h3.2v3.4h3.4v3.2h-3.4v3.4h-3.2v-3.4h-3.4v-3.2h3.4z",
    "M-4.5,-3l1.5,-1.5l3,3l3,-3l1.5,1.5l-3,3l3,3l-1.5,1.5l-3,-3l-3,3l-1.5,-1.5l3,-3z",
    "M0,-6l1.6,4.2h4.2l-3.4,2.7l1.3,4.3l-3.7,-2.6l-3.7,2.6l1.3,-4.3l-3.4,-2.7h4.2z",
)
IDLE = "Point at a mark for arm, size, seed and error."
MARKS = (*_MARKS, *_MARKS[3:], *_MARKS[:3])  # as the markers of the figures


@dataclass(frozen=True)
class LogAxes:
    """Two logarithmic axes of a figure."""

    x: tuple[float, float]
    y: tuple[float, float]
    left: float = LEFT
    height: float = HEIGHT

    def across(self, x: float) -> float:
        """Return the horizontal pixel of a value."""
        share = np.log(x / self.x[0]) / np.log(self.x[1] / self.x[0])
        return float(self.left + share * (WIDTH - self.left - RIGHT))

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Return pixels of a point."""
        up = np.log(y / self.y[0]) / np.log(self.y[1] / self.y[0])
        return self.across(x), self.height - BOTTOM - up * (self.height - TOP - BOTTOM)

    def path(self, x: Sequence[float], y: Sequence[float]) -> str:
        """Return an SVG path through points; what lies outside is cut at the frame's height."""
        low, high = self.y[0] / 1e3, self.y[1] * 1e3
        points = (self.place(a, min(max(b, low), high)) for a, b in zip(x, y, strict=True))
        return "M" + "L".join(f"{a:.1f},{b:.1f}" for a, b in points)


def interactive_curves(
    curves: pd.DataFrame, bands: pd.DataFrame, labels: Mapping[str, str], *, target: str, x_label: str, name: str
) -> Markup:
    """Return the learning curves of one budget and target as markup.

    Args:
        curves: rows of the budget, all targets and populations.
        bands: of the same budget, as from `uprung.scaling.bands`.
        labels: arm -> name; colour and mark follow its order.
        target: which error.
        x_label: of the horizontal axis.
        name: a name that no other figure of the page has.
    """
    runs = curves[(curves["target"] == target) & (curves["population"] == LAW_POPULATION)]
    lines = bands[(bands["target"] == target) & bands["chosen"].astype(bool)]
    factor = TARGETS[target][2]
    x, y = runs["n_frames"], runs["mae"] * factor
    # a single size, or a single run, stands in the middle
    pads = [max((v.max() / v.min()) ** share, 1.05) for v, share in ((x, 0.06), (y, 0.08))]
    axes = LogAxes((x.min() / pads[0], x.max() * pads[0]), (y.min() / pads[1], y.max() * pads[1]))
    clip = re.sub(r"[^\w-]", "-", name) + "-frame"  # a budget of given points is any text
    frame = f'x="{LEFT}" y="{TOP}" width="{WIDTH - LEFT - RIGHT}" height="{HEIGHT - TOP - BOTTOM}"'
    parts = [f'<clipPath id="{clip}"><rect {frame}/></clipPath>', f'<rect {frame} class="grid"/>']
    parts += _ticks(axes, x_label, f"test MAE, {TARGETS[target][0]} ({TARGETS[target][1]})")
    arms = [arm for arm in labels if arm in set(runs["arm"])]
    for arm in arms:
        index = list(labels).index(arm)
        law = lines[lines["arm"] == arm] if len(lines) else lines
        mine = runs[runs["arm"] == arm]
        parts.append(f'<g data-arm="{escape(arm)}">{_arm(axes, mine, law, labels[arm], index, target, clip)}</g>')
    boxes = "".join(
        f'<label><input type="checkbox" checked value="{escape(arm)}"> '
        f'<svg width="14" height="12" viewBox="-7 -6 14 12" aria-hidden="true"><path d="{MARKS[i]}" '
        f'fill="{COLOURS[i]}"/></svg> {escape(labels[arm])}</label> '
        for arm in arms
        for i in [list(labels).index(arm)]
    )
    return Markup(
        f'<div class="explore" data-curves="{escape(name)}"><p>{boxes}</p>'
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="Learning curves, '
        f'{TARGETS[target][0]} error, run by run" style="max-width: {WIDTH}px">{"".join(parts)}</svg>'
        f'<p><output data-idle="{IDLE}">{IDLE}</output></p></div>'
    )


def _arm(axes: LogAxes, runs: pd.DataFrame, law: pd.DataFrame, label: str, index: int, target: str, clip: str) -> str:
    """Return band and line of the law, a dotted line through the means over seeds, and the runs of one arm."""
    factor, colour = TARGETS[target][2], COLOURS[index]
    parts = []
    if len(law):
        around = [*law["n"], *law["n"][::-1]], [*(law["low"] * factor), *(law["high"][::-1] * factor)]
        parts.append(f'<path d="{axes.path(*around)}z" fill="{colour}" opacity="0.13" clip-path="url(#{clip})"/>')
        line = axes.path(list(law["n"]), list(law["mae"] * factor))
        parts.append(f'<path d="{line}" fill="none" stroke="{colour}" stroke-width="1.6" clip-path="url(#{clip})"/>')
    means = runs.groupby("size")[["n_frames", "mae"]].mean().sort_values("n_frames")
    joined = axes.path(list(means["n_frames"]), list(means["mae"] * factor))
    parts.append(f'<path d="{joined}" fill="none" stroke="{colour}" stroke-dasharray="1 3" clip-path="url(#{clip})"/>')
    for _, run in runs.iterrows():
        parts.append(
            run_mark(run, label, index, target, axes.place(float(run["n_frames"]), float(run["mae"]) * factor))
        )
    return "".join(parts)


def run_mark(run: pd.Series, label: str, index: int, target: str, place: tuple[float, float]) -> str:
    """Return the mark of a run that says on hovering what it is.

    Args:
        run: a row of a curves table.
        label: of its arm.
        index: of its arm, for colour and mark.
        target: whose error is said.
        place: pixels.
    """
    words = f"{label}: n = {run['n_frames']:,.0f}, seed {run['seed']}, {error(run['mae'], target)}"
    if not run["converged"]:
        words += f"; not in laws: {run['reason']}"
    hollow, colour = "" if run["converged"] else ' class="hollow"', COLOURS[index]
    return (
        f'<path data-run tabindex="0" d="{MARKS[index]}" transform="translate({place[0]:.1f},{place[1]:.1f})"{hollow} '
        f'fill="{colour}" stroke="{colour}"><title>{escape(words)}</title></path>'
    )


def _ticks(axes: LogAxes, x_label: str, y_label: str) -> list[str]:
    """Return grid lines with numbers, and the names of the axes."""
    parts = []
    for value in round_steps(axes.x):
        x, _ = axes.place(value, axes.y[0])
        parts.append(f'<path d="M{x:.1f},{TOP}V{HEIGHT - BOTTOM}" class="grid"/>')
        parts.append(f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 20}" text-anchor="middle">{value:,.6g}</text>')
    for value in round_steps(axes.y):
        _, y = axes.place(axes.x[0], value)
        parts.append(f'<path d="M{LEFT},{y:.1f}H{WIDTH - RIGHT}" class="grid"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 5:.1f}" text-anchor="end">{value:,.6g}</text>')
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(f'<text x="{middle:.0f}" y="{HEIGHT - 14}" text-anchor="middle">{escape(x_label)}</text>')
    upright = f'transform="translate(18,{(TOP + HEIGHT - BOTTOM) / 2:.0f}) rotate(-90)"'
    return [*parts, f'<text {upright} text-anchor="middle">{escape(y_label)}</text>']


def round_steps(ends: tuple[float, float]) -> list[float]:
    """Return round numbers on a logarithmic axis: powers of ten, with 2 and 5 where these are few."""
    decades = range(int(np.floor(np.log10(ends[0]))), int(np.ceil(np.log10(ends[1]))) + 1)
    for factors in ((1,), (1, 2, 5), (1, 1.5, 2, 3, 4, 5, 7)):
        found = [f * 10.0**d for d in decades for f in factors if ends[0] <= f * 10.0**d <= ends[1]]
        if len(found) >= 3:
            return found
    return found
