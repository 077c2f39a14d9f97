"""Learning curves: errors of every arm and size, and the runs that laws leave out."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import pandas as pd

from uprung.config.study import Study
from uprung.config.training import Budget
from uprung.report.arms import arm_labels, mix_words, trained_words
from uprung.report.blocks import Block, Cell, Details, Drawing, Heading, Row, Table, Text, by_arm, picture, there
from uprung.report.curve_study import CurveStudy
from uprung.report.format import NONE, TARGETS, error, listing, plural, span, unit
from uprung.report.interactive import interactive_curves
from uprung.report.interactive_arms import interactive_arms
from uprung.report.results import LawResults, StudyResults, where
from uprung.report.sections import settled
from uprung.scaling import LAW_POPULATION

HOLLOW = "○"
ONE_SIZE = (
    "Test errors of every arm at the only training-set size, on the covered test frames; the arm with the lowest mean "
    "is on top. Each mark is a run, filled where settled, pale where not, hollow where it has not converged. A bar is "
    "the network that the arm starts from, with the arm's reference energies, before training; the dashed line is the "
    "geometry-free baseline. Below the line between rows stands what needs no network."
)
PUBLISHED = " Grey crosses are the published study's points, from other data: only their slopes compare."


def section(curves: CurveStudy, lead: Sequence[Block]) -> Iterator[Block]:
    """Yield the section.

    Args:
        curves: of any study.
        lead: what comes before the budgets, as from `lead_of`.
    """
    yield from lead
    for budget, about in curves.budgets.items():
        if not curves.given or len(curves.budgets) > 1:
            yield from (Heading(f"Budget {budget}"), Text(f"{about}."))
        yield from _budget(curves, budget)


def _budget(curves: CurveStudy, budget: str) -> Iterator[Block]:
    """Yield the figures to explore and the tables of errors of one budget."""
    table = where(curves.results.curves, budget=budget)
    inside = where(table, population=LAW_POPULATION)
    targets = curves.targets_of(budget)
    for t in targets:
        if (budget, t) != _first(curves):
            yield _drawing(curves, budget, t)
    errors = {
        name: [
            errors_table(
                where(table, population=name, target=t),
                curves.labels,
                target=t,
                population=called,
                yardsticks=yardsticks_of(curves.results),
            )
            for t in targets
        ]
        for name, called in populations(table).items()
    }
    yield from errors.get(LAW_POPULATION, [])
    if isinstance(curves.results, StudyResults):
        second = where(curves.results.second, budget=budget, population=LAW_POPULATION)
        yield from there(settled.settled_table(second, curves.labels, target=t) for t in targets)
    yield unconverged_table(inside, curves.labels) or Text("All runs enter the laws, for every target.")
    if len(set(table.groupby("population")["n_test"].mean())) > 1:
        yield Details("Errors on all test frames, including those with unseen elements", errors["all"])


def first_drawing(curves: CurveStudy) -> Drawing:
    """Return the picture at the top of the page: the curves of the first target under the first budget."""
    return _drawing(curves, *_first(curves))


def _first(curves: CurveStudy) -> tuple[str, str]:
    budget = next(iter(curves.budgets))
    return budget, curves.targets_of(budget)[0]


def _drawing(curves: CurveStudy, budget: str, target: str) -> Drawing:
    """Return the figure to explore of one budget and target."""
    table, bands = where(curves.results.curves, budget=budget), where(curves.following.bands, budget=budget)
    name = f"explore-{budget}-{target}"
    if curves.single_size:
        return Drawing(interactive_arms(table, curves.labels, target=target, name=name))
    return Drawing(interactive_curves(table, bands, curves.labels, target=target, x_label=curves.x_label, name=name))


def lead_of(study: Study, results: StudyResults) -> Iterator[Block]:
    """Yield what settled and above the baseline mean, and the figures of a study that trains."""
    yield Text(
        "A run is above the baseline when its size enters laws: a line through the validation errors of all sizes is "
        "below that of learning nothing about geometry, and in most runs the validation error fell by no more than "
        f"{100 * study.scaling.falling:g} % over the last fifth of the budget. A learning rate that falls to a "
        "hundredth makes the end of every budget flat, so this says nothing about longer training: a point is settled "
        "when a budget of twice the steps or more changes its error by no more than "
        f"{100 * study.scaling.settled:g} %; a size between two settled ones counts as settled. Covered test "
        "frames are those whose elements every seed saw at the smallest size that enters a law; errors "
        "on all test frames are named as such."
    )
    one = len(set(results.curves["size"])) == 1
    learning = picture(results.figures, "learning-curves", caption=ONE_SIZE if one else "")
    more = trained_words(study) + mix_words(study) + (PUBLISHED if study.scaling.show_published else "")
    yield replace(learning, caption=learning.caption + more)
    yield from there([settled.rates_table(results.rates, arm_labels(study))])
    if "budgets" in results.figures:
        yield picture(results.figures, "budgets")
    yield picture(results.figures, "convergence", budget=next(iter(study.budgets)))


def budget_words(budget: Budget) -> str:
    """Return how long a budget trains and which checkpoint is scored."""
    length = f"{budget.steps:,} optimiser steps" if budget.steps else f"{budget.epochs:,} epochs"
    kept = {
        "last": "last step",
        "val-loss": "lowest validation loss",
        "val-energy": "lowest validation energy error",
    }
    return f"{length} at every size; scored checkpoint: {kept[str(budget.keep)]}"


def populations(curves: pd.DataFrame) -> dict[str, str]:
    """Return how each test population is called, with its number of frames."""
    n = curves.groupby("population")["n_test"].mean()
    words = {
        "all": "all test frames",
        LAW_POPULATION: "covered test frames",
    }
    called = {str(name): words.get(str(name), str(name)) for name in n.index}
    return {
        name: f"{called[name]} ({value:,.0f} frames)" if math.isfinite(value) else "given points"
        for name, value in zip(called, n, strict=True)
    }


def yardsticks_of(results: LawResults) -> pd.DataFrame:
    """Return what solves the test without a network; none in a study of given points."""
    nothing = pd.DataFrame(columns=["yardstick", "size", "target", "population", "mae"])
    return results.yardsticks if isinstance(results, StudyResults) else nothing


def errors_table(
    curves: pd.DataFrame,
    labels: Mapping[str, str],
    *,
    target: str,
    population: str,
    yardsticks: pd.DataFrame | None = None,
) -> Table:
    """Return mean test errors over seeds with their range, an arm per row and a size per column.

    Args:
        curves: rows of one budget, target and population.
        labels: arm -> name as printed.
        target: of the curves.
        population: how the caption calls the test frames.
        yardsticks: of `uprung.evaluation.yardsticks`.
    """
    order = curves.groupby("size")["n_frames"].mean().sort_values()
    best = curves.groupby(["size", "arm"])["mae"].mean().groupby("size").min()
    rows = by_arm(
        labels,
        curves["arm"],
        order.index,
        lambda arm, size: _error_cell(where(curves, arm=arm, size=size), float(best[size]), target),
    )
    if curves["baseline"].notna().any():
        baseline = curves.groupby("size")["baseline"].mean()
        shown = [error(float(baseline[size]), target, units=False) for size in order.index]
        rows.append(["geometry-free baseline", *shown])
    if yardsticks is not None and len(curves):
        rows += settled.measure_rows(curves, yardsticks, labels, target)
    seeds = curves["seed"].nunique()
    return Table(
        f"Test error (MAE) of the {TARGETS[target][0]} in {unit(target)}, {population}: mean over "
        f"{plural(seeds, 'seed')}"
        + (", with the range over them below" if seeds > 1 else "")
        + f". Bold: lowest of the arms. ●: settled. {HOLLOW}: runs excluded from laws, out of all runs. ⇄: the other "
        "one of last and best checkpoint, where it differs by more than 20 %.",
        ["arm", *(f"n = {n:,.0f}" for n in order)],
        rows,
    )


def _error_cell(runs: pd.DataFrame, lowest: float, target: str) -> Cell:
    """Return the cell of one arm and size: mean, range over seeds, settled or not, how many runs enter no law."""
    if runs.empty:
        return Cell(NONE)
    mae, bad = runs["mae"], int((~runs["converged"]).sum())
    notes = [span(float(mae.min()), float(mae.max()), target)] if len(mae) > 1 else []
    if bad:
        notes.append(f"{HOLLOW} {bad}/{len(mae)}")
    notes += settled.marks(runs, target)
    style = " ".join(s for s, on in (("best", mae.mean() <= lowest), ("hollow", bad == len(mae))) if on)
    return Cell(error(float(mae.mean()), target, units=False), "  ".join(notes), style)


def unconverged_table(curves: pd.DataFrame, labels: Mapping[str, str]) -> Table | None:
    """Return which runs are kept out of laws, and why; None where all enter.

    Args:
        curves: rows of one budget and population, all targets.
        labels: arm -> name as printed.
    """
    bad = curves[~curves["converged"]]
    if bad.empty:
        return None
    seeds = curves["seed"].nunique()
    rows: list[Row] = []
    for target in dict.fromkeys(curves["target"]):
        for arm, label in labels.items():
            mine = bad[(bad["arm"] == arm) & (bad["target"] == target)].assign(
                reason=lambda t: t["reason"].str.split("; ")
            )
            for reason, part in mine.explode("reason").groupby("reason"):
                rows.append((TARGETS[target][0], label, _points(part, seeds), str(reason)))
    return Table(
        f"Runs excluded from laws: {len(bad)} of {len(curves)} points, drawn hollow. A run with two reasons is listed "
        "under both.",
        ["target", "arm", "points", "reason"],
        rows,
        text=4,
    )


def _points(part: pd.DataFrame, seeds: int) -> str:
    """Return 'n = 100, 200; 400 (seed 1)'."""
    words = []
    for _, here in sorted(part.groupby("size"), key=lambda item: item[1]["n_frames"].mean()):
        which = "" if len(here) == seeds else f" (seed {listing([str(s) for s in sorted(here['seed'])])})"
        words.append(f"{here['n_frames'].mean():,.0f}{which}")
    return "n = " + ", ".join(words)
