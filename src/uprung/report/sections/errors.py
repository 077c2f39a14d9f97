"""Errors by element, kind of compound and size of the force."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import pandas as pd
from ase.data import chemical_symbols

from uprung.config.study import Study
from uprung.report.arms import arm_labels
from uprung.report.blocks import Block, Cell, Details, Heading, Row, Table, picture, there
from uprung.report.format import NONE, TARGETS, error, plural, unit
from uprung.report.results import StudyResults, where

NAMES = {"kind": "kind of compound", "element": "element"}


def section(study: Study, results: StudyResults) -> Iterator[Block]:
    """Yield the section: the first budget at the largest size."""
    yield picture(results.figures, "errors-force")
    yield picture(results.figures, "parity")
    yield from (picture(results.figures, name) for name in ("parity-force", "parity-stress") if name in results.figures)
    here = where(results.errors, budget=next(iter(study.budgets)))
    size = str(results.curves.sort_values("n_frames")["size"].iloc[-1])

    def tables(by: str) -> list[Table]:
        found = (breakdown_table(here, arm_labels(study), target=t, by=by, size=size) for t in study.transfer.targets)
        return there(found)

    yield from tables("kind")
    yield Details("Errors by element", tables("element"))
    if len(results.worst):
        yield Heading("Structures with the largest errors")
        yield picture(results.figures, "worst-structures")
        yield worst_table(results.worst, arm_labels(study))


def breakdown_table(
    errors: pd.DataFrame, labels: Mapping[str, str], *, target: str, by: str, size: str
) -> Table | None:
    """Return mean errors of one target, a kind of compound or an element per row and an arm per column.

    Args:
        errors: of `uprung.evaluation.error_tables.mean_errors_by`, one budget.
        labels: arm -> name as printed.
        target: which error.
        by: `kind` or `element`.
        size: token of the training-set size.
    """
    here = where(errors, by=by, target=target, size=size)
    if not len(here):
        return None
    key = here["key"].astype(int) if by == "element" else here["key"]
    here = here.assign(order=key).sort_values("order")
    arms = [arm for arm in labels if arm in set(here["arm"])]
    rows: list[Row] = []
    for name, part in here.groupby("order", sort=False):
        found = part.set_index("arm")
        shown = chemical_symbols[int(str(name))] if by == "element" else str(name)
        count = plural(int(found["n"].max()), "value")
        best = found["mae"].min()
        cells: list[str | Cell] = [Cell(shown, count)]
        for arm in arms:
            if arm not in found.index:
                cells.append(NONE)
                continue
            mae = float(found["mae"][arm])
            cells.append(Cell(error(mae, target, units=False), style="best" if mae == best else ""))
        rows.append(cells)
    return Table(
        f"Error (MAE) of the {TARGETS[target][0]} by {NAMES[by]} in {unit(target)}, n = {size}, all seeds together, "
        "on all test frames. "
        "Bold: lowest in its row."
        + (" An energy counts for every element in the structure." if (by, target) == ("element", "energy") else ""),
        [NAMES[by], *(labels[arm] for arm in arms)],
        rows,
    )


def worst_table(worst: pd.DataFrame, labels: Mapping[str, str]) -> Table:
    """Return the structures with the largest errors, an arm per column.

    Args:
        worst: of `uprung.evaluation.worst.worst_structures` with the columns formula and worst_of.
        labels: arm -> name as printed.
    """
    target, best = str(worst["target"].iloc[0]), str(worst["worst_of"].iloc[0])
    arms = [arm for arm in labels if arm in set(worst["arm"])]
    rows: list[Row] = []
    for _, part in worst.groupby("rank", sort=False):
        first, found = part.iloc[0], part.set_index("arm")["error"]
        formula = Cell(str(first["formula"]), plural(int(first["nsites"]), "atom"))
        rows.append([str(first["rank"]), str(first["frame_id"]), formula, *_errors_of(found, arms, target)])
    return Table(
        f"The test structures with the largest {TARGETS[target][0]} errors of {labels[best]}, the arm with the lowest "
        f"mean error (largest size, first seed, all test frames), and the errors of all arms there, in {unit(target)}.",
        ["rank", "structure", "formula", *(labels[arm] for arm in arms)],
        rows,
        text=3,
    )


def _errors_of(found: pd.Series, arms: Sequence[str], target: str) -> list[str]:
    return [error(float(found.get(arm, float("nan"))), target, units=False) for arm in arms]
