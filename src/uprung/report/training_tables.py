"""Tables of what training did to the networks."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from uprung.report.format import NONE, TARGETS, error, plural, unit
from uprung.report.tables import Cell, Table


def forgetting_table(forgetting: pd.DataFrame, labels: Mapping[str, str], *, target: str, low: str) -> Table | None:
    """Return errors on held-out source frames, an arm per row and a size per column; None where none were tested.

    Args:
        forgetting: of `uprung.evaluation.forgetting.forgetting_table`, one budget.
        labels: arm -> name as printed.
        target: which error.
        low: name of the source fidelity.
    """
    here = forgetting[forgetting["target"] == target]
    if not len(here):
        return None
    order = here.groupby("size")["n_frames"].mean().sort_values()
    linear = target == "energy" and here["source_rereferenced"].notna().any()
    rows: list[list[str | Cell]] = []
    for arm, label in labels.items():
        mine = here[here["arm"] == arm]
        if not len(mine):
            continue
        cells: list[str | Cell] = [label]
        for size in order.index:
            runs = mine[mine["size"] == size]
            if not len(runs):
                cells.append(NONE)
                continue
            raw = error(float(runs["source_mae"].mean()), target, units=False)
            if linear:
                cells.append(Cell(error(float(runs["source_rereferenced"].mean()), target, units=False), f"raw {raw}"))
            else:
                cells.append(raw)
        rows.append(cells)
    how = (
        ", after what is linear in composition was taken away (fitted on training materials; as predicted below)"
        if linear
        else ""
    )
    frames, unseen = int(here["source_frames"].max()), int(here["source_unseen"].max())
    left = f" {plural(unseen, 'frame')} with elements in no training frame left out." if linear and unseen else ""
    return Table(
        f"Error (MAE) of the {TARGETS[target][0]} on {plural(frames, 'held-out frame')} of {low} in {unit(target)}{how}"
        f": mean over {plural(int(here['seed'].nunique()), 'seed')}.{left}",
        ["arm", *(f"n = {n:,.0f}" for n in order)],
        rows,
    )
