"""The part of the page about learning curves and their laws, for studies that train and studies of given points."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
from markupsafe import Markup

from uprung.report import captions, curve_tables, law_tables
from uprung.report.format import TARGETS
from uprung.report.interactive import interactive_curves
from uprung.report.results import LawResults
from uprung.report.tables import Table
from uprung.scaling import LAW_POPULATION


@dataclass(frozen=True)
class Curves:
    """What one budget's runs gave for all targets."""

    budget: str
    about: str
    explore: list[Markup]
    errors: list[Table]
    all_frames: list[Table]
    unconverged: Table | None
    laws: Table
    comparisons: list[Table]
    parameters: list[Table]
    crossover: Table | None
    multipliers: list[Table]
    ratios: list[Table]
    needed: list[Table]
    far: list[Table]
    meaning: list[tuple[str, list[str]]]


def curves_of(
    results: LawResults,
    labels: Mapping[str, str],
    budget: str,
    *,
    about: str,
    targets: Sequence[str],
    meaning: Mapping[str, list[str]],
    x_label: str,
) -> Curves:
    """Return tables and figures to explore of one budget.

    Args:
        results: tables of laws.
        labels: arm -> name as printed.
        budget: which one.
        about: what the budget is, in words.
        targets: in the order of the page.
        meaning: target -> sentences.
        x_label: what training sizes count.
    """
    curves = results.curves[results.curves["budget"] == budget]
    inside = curves[curves["population"] == LAW_POPULATION]
    targets = [t for t in targets if t in set(inside["target"])]
    populations = captions.populations(curves)
    per_population = {
        str(name): [
            curve_tables.errors_table(part[part["target"] == t], labels, target=t, population=populations[str(name)])
            for t in targets
        ]
        for name, part in curves.groupby("population")
    }
    same = len(set(curves.groupby("population")["n_test"].mean())) == 1

    def by_target(table: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
        here = table[table["budget"] == budget]
        return [(t, here[here["target"] == t]) for t in targets]

    bands = results.bands[results.bands["budget"] == budget]
    crossover = results.crossover[results.crossover["budget"] == budget]
    return Curves(
        budget=budget,
        about=about,
        explore=[
            interactive_curves(curves, bands, labels, target=t, x_label=x_label, name=f"explore-{budget}-{t}")
            for t in targets
        ],
        errors=per_population.get(LAW_POPULATION, []),
        all_frames=[] if same else per_population["all"],
        unconverged=curve_tables.unconverged_table(inside, labels),
        laws=law_tables.laws_table(results.laws[results.laws["budget"] == budget], labels),
        comparisons=_there(law_tables.comparison_table(p, labels, target=t) for t, p in by_target(results.comparison)),
        parameters=_there(law_tables.parameters_table(p, labels, target=t) for t, p in by_target(results.parameters)),
        crossover=curve_tables.crossover_table(crossover, labels),
        multipliers=_there(
            curve_tables.multiplier_table(p, labels, target=t) for t, p in by_target(results.multiplier)
        ),
        ratios=_there(law_tables.ratio_table(p, labels, target=t) for t, p in by_target(results.multiplier_curve)),
        needed=_there(law_tables.labels_table(p, labels, target=t) for t, p in by_target(results.labels)),
        far=_there(law_tables.extrapolation_table(p, labels, target=t) for t, p in by_target(results.extrapolation)),
        meaning=[(TARGETS[t][0], meaning[t]) for t in targets],
    )


def _there(tables: Iterable[Table | None]) -> list[Table]:
    return [table for table in tables if table is not None]
