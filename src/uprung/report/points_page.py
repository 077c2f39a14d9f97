"""The report of a study of given points: curves, laws and what follows from them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from uprung import __version__
from uprung.report import captions, findings, law_limits
from uprung.report.format import TARGETS, plural, sentence
from uprung.report.interactive import SCRIPT
from uprung.report.law_part import curves_of
from uprung.report.making import LAW_FILES
from uprung.report.page import figure_of, runs_words
from uprung.report.results import LawResults
from uprung.report.tables import Table

FILES = (
    ("scaling/curves.csv", "the points as they were read"),
    ("scaling/left_out.csv", "rows that no curve can have, with their reasons"),
    *LAW_FILES,
    ("figures/", "all figures as SVG and PNG"),
)


def render_points(
    study: Mapping[str, Any],
    results: LawResults,
    left_out: pd.DataFrame,
    *,
    digest: str,
    template: str,
    css: str,
) -> str:
    """Return the page of a study of given points as HTML with everything inside.

    Args:
        study: plain values of its study file, with `command`.
        results: tables and figures.
        left_out: rows of the points that no curve can have.
        digest: SHA-256 of the table of points.
        template: Jinja2 source of the page.
        css: style sheet.
    """
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    context = points_context(study, results, left_out, digest)
    return environment.from_string(template).render(context, css=Markup(css))


def points_context(
    study: Mapping[str, Any], results: LawResults, left_out: pd.DataFrame, digest: str
) -> dict[str, Any]:
    """Return everything that the template shows, as text, tables and figures."""
    curves, report = results.curves, study["report"]
    there = dict.fromkeys(curves["arm"])
    order = [*(arm for arm in study["labels"] if arm in there), *(arm for arm in there if arm not in study["labels"])]
    labels = {arm: study["labels"].get(arm, arm) for arm in order}
    targets = [t for t in TARGETS if t in set(curves["target"])]
    scratch = study["scratch"] if study["scratch"] in labels else None
    budgets = list(dict.fromkeys(curves["budget"]))
    meaning = {b: {t: _meaning(results, labels, b, t, scratch) for t in targets} for b in budgets}
    return {
        "study": {
            "title": report["title"] or f"Study {study['study']}",
            "abstract": report["abstract"],
            "name": study["study"],
            "scratch": scratch,
            "falling": 0.0,
        },
        "version": __version__,
        "points": {"about": about(study, curves), "left_out": _left_out(left_out)},
        "runs": runs_words(curves),
        "short": [sentence(text) for text in meaning[budgets[0]][targets[0]]],
        "budgets": [
            curves_of(
                results,
                labels,
                b,
                about="The points as they were given",
                targets=targets,
                meaning=meaning[b],
                x_label=study["x_label"],
            )
            for b in budgets
        ],
        "curve_figures": [figure_of(results, "learning-curves", captions.GIVEN_CURVES)],
        "law_figures": [
            figure_of(results, "law-comparison", captions.LAW_COMPARISON),
            figure_of(results, "data-multiplier", captions.DATA_MULTIPLIER),
        ],
        "limits": [sentence(text) for text in (*law_limits.points_limits(results), *report["limits"])],
        "making": {
            "command": study["command"],
            "files": FILES,
            "hashes": Table("The table of points.", ["file", "SHA-256"], [(study["points"], digest)], text=2),
        },
        "explore_script": SCRIPT,
    }


def about(study: Mapping[str, Any], curves: pd.DataFrame) -> list[str]:
    """Say what the points are."""
    seeds = curves["seed"].nunique()
    words = [
        f"Points from {study['points']}: {plural(len(curves), 'run')}. Nothing was trained here; nothing is known "
        "about how the points were made beyond what the table says."
    ]
    if study["smallest"]:
        words.append(f"Laws use sizes from {study['smallest']:,.0f} on; smaller ones are drawn hollow.")
    if seeds == 1:
        words.append(
            "There is one seed. Intervals of laws come from the scatter of the sizes about them alone; those of single "
            "points are unknown."
        )
    return words


def _left_out(left_out: pd.DataFrame) -> Table | None:
    if left_out.empty:
        return None
    rows = [tuple(str(row[c]) for c in ("line", "arm", "target", "reason")) for _, row in left_out.iterrows()]
    return Table("Rows that no curve can have.", ["line", "arm", "target", "reason"], rows, text=4)


def _meaning(
    results: LawResults, labels: Mapping[str, str], budget: str, target: str, scratch: str | None
) -> list[str]:
    """Return all that the numbers of one budget say about a target."""
    crossover, multiplier, laws = (
        table[(table["budget"] == budget) & (table["target"] == target)]
        for table in (results.crossover, results.multiplier, results.laws)
    )
    words = findings.fitted_laws(laws, labels, target=target)
    if scratch is None:
        return words
    return [
        *findings.overtaking(crossover, labels, target=target),
        *findings.multipliers(multiplier, labels, target=target),
        *words,
    ]
