"""A reporting checklist for learning curves and their laws, filled in from the tables of a study."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pandas as pd

from uprung.config.study import Study
from uprung.laws import REACH
from uprung.report.arms import arms_of_each
from uprung.report.blocks import Block, Table
from uprung.report.curve_study import CurveStudy
from uprung.report.format import listing, plural
from uprung.report.results import StudyResults, is_true
from uprung.report.sections.curves import budget_words
from uprung.report.sections.law_checks import hit_rate_words
from uprung.scaling import LAW_POPULATION

Item = tuple[str, str]
UNKNOWN = "not known: the points were given"


def section(items: Sequence[Item]) -> Iterator[Block]:
    """Yield the section."""
    yield Table("What a reader needs to judge curves and laws, as this study has it.", ["item", "here"], items, 2)


def study_items(study: Study, results: StudyResults, curves: CurveStudy) -> list[Item]:
    """Return the checklist of a study that trains."""
    tested = results.curves.groupby("population")["n_test"].mean()
    budgets = "; ".join(f"{name}: {budget_words(budget)}" for name, budget in study.budgets.items())
    overlap = results.split["pretraining"]["in_pretraining"]
    recipe = study.training
    return [
        ("architecture and checkpoint", ", ".join(arms_of_each(study))),
        ("split", f"by {study.split.group}, the same for all arms, sizes and seeds"),
        ("subsets", f"nested, {study.split.sampling}, whole draws of one {study.split.draw}"),
        ("test", f"{tested['all']:,.0f} structures"),
        ("test materials seen in pretraining", "not known" if overlap is None else f"{overlap:,}"),
        ("budget, scored checkpoint", budgets),
        ("recipe", f"batch {recipe.batch_size}, learning rate {recipe.learning_rate:g}, the same for all arms"),
        *_curve_items(curves),
        ("which runs enter laws", "decided size by size on validation errors; no test error decides"),
        ("failed runs", failed_words(results.failed)),
        ("population of the laws", coverage_words(results.laws)),
        *law_items(curves),
    ]


def points_items(curves: CurveStudy) -> list[Item]:
    """Return the checklist of a study of given points."""
    names = ("architecture and checkpoint", "split", "subsets", "test", "budget, scored checkpoint", "recipe")
    return [
        *((name, UNKNOWN) for name in names),
        *_curve_items(curves),
        ("which runs enter laws", "all that the table has, from the smallest size on that the study file names"),
        ("failed runs", UNKNOWN),
        *law_items(curves),
    ]


def _curve_items(curves: CurveStudy) -> list[Item]:
    table = curves.results.curves
    sizes = sorted(table.groupby("size")["n_frames"].mean())
    seeds = table["seed"].nunique()
    return [
        ("sizes", listing([f"{n:,.0f}" for n in sizes])),
        ("seeds", plural(seeds, "seed") + (": no spread over runs is known" if seeds == 1 else "")),
    ]


def law_items(curves: CurveStudy) -> list[Item]:
    """Return the items about laws."""
    results = curves.results
    laws, fitted = results.laws, results.laws[results.laws["fitted"].map(is_true)]
    sources = sorted(set(fitted["interval"].astype(str)))
    moved = results.sensitivity[results.sensitivity["outside"].map(is_true)]
    refused = int((results.crossover["kind"] == "refused").sum())
    crossed = int(results.crossover["kind"].isin(["in range", "extrapolated"]).sum())
    return [
        ("laws", f"{len(fitted)} of {len(laws)} curves have one; others refused with their reasons"),
        ("shape before any law", shape_words(laws)),
        ("intervals", "; ".join(sources) or "none"),
        ("many arms and targets", "simultaneous intervals beside the single ones (Bonferroni)"),
        ("region of the fit", f"{plural(len(moved), 'exponent')} outside its interval without an end of the sizes"),
        ("back-test", hit_rate_words(results.back_test)),
        ("crossovers", f"{crossed} by laws, {refused} refused"),
        ("extrapolation", f"refused beyond {REACH:g} times the largest size without evidence against a floor"),
        ("fits", "double precision, searched from several starts; scaling/parameters.csv, scaling/comparison.csv"),
    ]


def shape_words(laws: pd.DataFrame) -> str:
    """State how many curves have the shape of a learning curve, and where that cannot be tested."""
    shapes = laws["shape"].astype(str)
    bad, unknown = int(shapes.str.contains("beyond noise").sum()), int(shapes.str.startswith("noise unknown").sum())
    good = int(shapes.str.endswith("within noise").sum())
    return f"{good} fall ever more slowly within noise, {bad} do not, {unknown} cannot be tested"


def failed_words(failed: pd.DataFrame) -> str:
    """State how many runs failed, over arms and targets."""
    if failed.empty:
        return "not known"
    return f"{failed['failed'].sum():,.0f} of {failed['runs'].sum():,.0f} over arms and targets, each with its interval"


def coverage_words(laws: pd.DataFrame) -> str:
    """State which share of the test the laws speak for."""
    share = laws.loc[laws["population"] == LAW_POPULATION, "coverage"].min()
    if pd.isna(share):
        return "not known"
    return f"{100 * share:.0f} % of the test: elements that every seed saw at the smallest size that enters a law"
