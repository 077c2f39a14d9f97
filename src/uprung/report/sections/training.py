"""Effects of training: errors at the source fidelity, gradients by layer, errors before and after."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pandas as pd
from markupsafe import Markup

from uprung.config.study import Study
from uprung.report.arms import arm_labels
from uprung.report.blocks import Block, Cell, Table, Text, by_arm, picture, there
from uprung.report.format import NONE, TARGETS, error, plural, unit
from uprung.report.results import StudyResults, where
from uprung.report.sections import holes


def section(study: Study, results: StudyResults) -> Iterator[Block]:
    """Yield the section: the first budget."""
    budget, labels = next(iter(study.budgets)), arm_labels(study)
    yield picture(results.figures, "forgetting", low=study.low, high=study.high)
    yield picture(results.figures, "dynamics", budget=budget)
    if "before-after" in results.figures:
        yield picture(results.figures, "before-after")
    here = where(results.forgetting, budget=budget)
    tables = there(forgetting_table(here, labels, target=t, low=study.low) for t in study.transfer.targets)
    yield from tables
    if not tables:
        nothing = "No source frames were tested (<code>tests.forgetting.frames: 0</code>, or none held out)."
        yield Text(Markup(nothing))
    yield from holes.blocks(study, results)


def forgetting_table(forgetting: pd.DataFrame, labels: Mapping[str, str], *, target: str, low: str) -> Table | None:
    """Return errors on held-out source frames, an arm per row and a size per column; None where none were tested.

    Args:
        forgetting: of `uprung.evaluation.forgetting.forgetting_table`, one budget.
        labels: arm -> name as printed.
        target: which error.
        low: name of the source fidelity.
    """
    here = where(forgetting, target=target)
    if not len(here):
        return None
    order = here.groupby("size")["n_frames"].mean().sort_values()
    linear = target == "energy" and here["source_rereferenced"].notna().any()

    def cell(arm: str, size: str) -> str | Cell:
        means = where(here, arm=arm, size=size)[["source_mae", "source_rereferenced"]].mean()
        raw, left = (error(float(mean), target, units=False) for mean in means)
        return Cell(left, f"raw {raw}") if linear and raw != NONE else raw

    how = ", minus a fit linear in composition (fitted to training materials; raw errors below)" if linear else ""
    frames, unseen = int(here["source_frames"].max()), int(here["source_unseen"].max())
    left = f" {plural(unseen, 'frame')} with elements in no training frame left out." if linear and unseen else ""
    return Table(
        f"Error (MAE) of the {TARGETS[target][0]} on {plural(frames, 'held-out frame')} of {low} in {unit(target)}{how}"
        f": mean over {plural(int(here['seed'].nunique()), 'seed')}.{left}",
        ["arm", *(f"n = {n:,.0f}" for n in order)],
        by_arm(labels, here["arm"], order.index, cell),
    )
