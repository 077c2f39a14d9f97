"""The report of a study of given points: curves, laws and what follows from them."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from uprung.config.points import PointsStudy
from uprung.report.blocks import Block, Sentences, Table, picture
from uprung.report.catalogue import FOLDERS, POINTS
from uprung.report.curve_study import CurveStudy
from uprung.report.format import TARGETS, error, plural, sentence
from uprung.report.page import render, section
from uprung.report.results import PointsResults
from uprung.report.sections import checklist, crossovers, curves, law_limits, laws, making, meaning

CURVES = (
    "Learning curves: error against the number of training structures, both logarithmic. Each mark is a run, filled "
    "where it takes part in laws; dotted lines join the means over seeds, full lines with a band are fitted laws with "
    "their 95 % band."
)


def points_page(study: PointsStudy, results: PointsResults, *, digest: str, command: str) -> str:
    """Return the page of a study of given points as HTML with everything inside.

    Args:
        study: the study file.
        results: tables and figures.
        digest: SHA-256 of the table of points.
        command: that makes the page.
    """
    arms, known = list(dict.fromkeys(results.curves["arm"])), study.labels
    order = [*(arm for arm in known if arm in arms), *(arm for arm in arms if arm not in known)]
    drawn = CurveStudy(
        results,
        labels={arm: known.get(arm, arm) for arm in order},
        budgets=dict.fromkeys(results.curves["budget"], "The points as they were given"),
        targets=[t for t in TARGETS if t in set(results.curves["target"])],
        scratch=study.scratch if study.scratch in arms else None,
        x_label=study.x_label,
        given=True,
    )

    def found(budget: str, target: str) -> list[str]:
        return meaning.points_findings(drawn, budget, target)

    hashes = Table("The table of points.", ["file", "SHA-256"], [(study.points, digest)], text=2)
    files = [*((entry.file, entry.about) for entry in POINTS.values()), ("figures/", FOLDERS["figures/"])]
    short = found(next(iter(drawn.budgets)), drawn.targets[0])
    sections = [
        section("data", "Data", _data(study, results)),
        section(
            "curves",
            "Learning curves",
            curves.section(drawn, [picture(results.figures, "learning-curves", CURVES)]),
        ),
        section("laws", "Scaling laws", laws.section(drawn)),
        section("crossovers", "Crossovers and data multipliers", crossovers.section(drawn)),
        section("meaning", "Findings", meaning.section(drawn, found, short)),
        section("limits", "Limitations", law_limits.section(law_limits.points_limits(results), study.report.limits)),
        section("checklist", "Reporting checklist", checklist.section(checklist.points_items(drawn))),
        section("making", "Reproduction and files", making.section(command, [hashes], files)),
    ]
    lead = curves.first_drawing(drawn)
    words = [sentence(text) for text in short]
    return render(sections, name=study.study, report=study.report, runs=drawn.runs_words(), short=words, lead=lead)


def _data(study: PointsStudy, results: PointsResults) -> Iterator[Block]:
    """Yield what the points are, and the rows that were left out."""
    curves, seeds = results.curves, results.curves["seed"].nunique()
    words = [
        f"Points from {study.points}: {plural(len(curves), 'run')}. Nothing was trained here; nothing is known "
        "about how the points were made beyond what the table says."
    ]
    if study.smallest:
        words.append(f"Laws use sizes from {study.smallest:,.0f} on; smaller ones are drawn hollow.")
    if seeds == 1:
        words.append(
            "There is one seed. Intervals of laws come from the scatter of the sizes about them alone; those of single "
            "points are unknown."
        )
    yield Sentences(words)
    if len(results.left_out):
        yield _left_out(results.left_out)


def _left_out(left_out: pd.DataFrame) -> Table:
    columns = ["line", "arm", "target", "n", "error", "reason"]
    rows = [
        [*(str(row[c]) for c in ("line", "arm", "target")), f"{row['n']:,.0f}", error(row["mae"], row["target"]), why]
        for _, row in left_out.iterrows()
        if (why := str(row["reason"]))
    ]
    return Table("Rows without a place on a curve.", columns, rows, text=3, last_text=True)
