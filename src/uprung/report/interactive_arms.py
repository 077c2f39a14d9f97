"""Errors of arms at a single size inside the page: a row per arm, runs named on hovering."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from markupsafe import Markup, escape

from uprung.figures.style import TARGETS
from uprung.report.interactive import BOTTOM, IDLE, RIGHT, TOP, WIDTH, LogAxes, round_steps, run_mark
from uprung.scaling import LAW_POPULATION, with_measures

ROW = 24
CHARACTER = 10.5  # pixels, at the size that labels have on a narrow screen
MOST = 26  # characters of a label


def interactive_arms(curves: pd.DataFrame, labels: Mapping[str, str], *, target: str, name: str) -> Markup:
    """Return the errors of one budget, target and size as markup, the lowest mean on top.

    Args:
        curves: rows of the budget, all targets and populations.
        labels: arm -> name; colour and mark follow its order.
        target: which error.
        name: a name that no other figure of the page has.
    """
    runs = with_measures(curves[(curves["target"] == target) & (curves["population"] == LAW_POPULATION)])
    arms = [str(arm) for arm in runs.groupby("arm")["mae"].mean().sort_values().index]
    short = {arm: labels[arm] if len(labels[arm]) <= MOST else labels[arm][: MOST - 1] + "…" for arm in arms}
    left, height = 16 + CHARACTER * max(map(len, short.values())), TOP + ROW * len(arms) + BOTTOM
    factor = TARGETS[target][2]
    x = pd.concat([runs["mae"], runs["untouched"], runs["baseline"]]).dropna() * factor
    pad = max((x.max() / x.min()) ** 0.04, 1.05)
    axes = LogAxes((x.min() / pad, x.max() * pad), (1.0, 2.0), left=left, height=height)
    parts = [
        f'<path d="M{axes.across(value):.1f},{TOP}v{ROW * len(arms)}" class="grid"/>'
        f'<text x="{axes.across(value):.1f}" y="{height - BOTTOM + 20}" text-anchor="middle">{value:,.6g}</text>'
        for value in round_steps(axes.x)
    ]
    for row, arm in enumerate(arms):
        up, index, mine = TOP + ROW * (row + 0.5), list(labels).index(arm), runs[runs["arm"] == arm]
        parts.append(f'<path d="M{left:.0f},{up}H{WIDTH - RIGHT}" class="grid"/>')
        parts.append(f'<text x="{left - 8:.0f}" y="{up + 4.5}" text-anchor="end">{escape(short[arm])}</text>')
        if mine["untouched"].notna().any():
            at = axes.across(float(mine["untouched"].mean()) * factor)
            parts.append(f'<path d="M{at:.1f},{up - 7}v14" class="before"/>')
        marks = (
            run_mark(run, labels[arm], index, target, (axes.across(run["mae"] * factor), up))
            for _, run in mine.iterrows()
        )
        parts.append(f'<g data-arm="{escape(arm)}">{"".join(marks)}</g>')
    if runs["baseline"].notna().any():
        at = axes.across(float(runs["baseline"].mean()) * factor)
        parts.append(f'<path d="M{at:.1f},{TOP}v{ROW * len(arms)}" class="baseline"/>')
    what, unit, _ = TARGETS[target]
    middle = (left + WIDTH - RIGHT) / 2
    parts.append(
        f'<text x="{middle:.0f}" y="{height - 14}" text-anchor="middle">test MAE, {what} ({unit}), '
        f"n = {runs['n_frames'].mean():,.0f}</text>"
    )
    key = "Bar: before training. Dashed: geometry-free baseline." if runs["untouched"].notna().any() else ""
    return Markup(
        f'<div class="explore" data-curves="{escape(name)}"><svg viewBox="0 0 {WIDTH} {height}" role="img" '
        f'aria-label="Test error of the {what} by arm, run by run" style="max-width: {WIDTH}px">{"".join(parts)}</svg>'
        f'<p>{key} <output data-idle="{IDLE}">{IDLE}</output></p></div>'
    )
