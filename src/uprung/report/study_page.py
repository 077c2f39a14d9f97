"""The report of a study that trains."""

from __future__ import annotations

from uprung.config.study import Study
from uprung.report.arms import arm_labels, functional_of, scratch_of
from uprung.report.curve_study import CurveStudy
from uprung.report.page import render, section
from uprung.report.results import StudyResults
from uprung.report.sections import (
    checklist,
    crossovers,
    curves,
    data,
    errors,
    law_limits,
    laws,
    limits,
    making,
    meaning,
    physics,
    references,
    repair,
    shift,
    softening,
    training,
)


def study_page(study: Study, results: StudyResults, *, command: str) -> str:
    """Return the page of a study that trains, as HTML with everything inside.

    Args:
        study: the study file.
        results: tables and figures.
        command: that makes the page.
    """
    targets = study.transfer.targets
    drawn = CurveStudy(
        results,
        labels=arm_labels(study),
        budgets={name: curves.budget_words(budget) for name, budget in study.budgets.items()},
        targets=targets,
        scratch=scratch_of(study),
        x_label=f"labelled {functional_of(study, study.high)} structures in training",
    )

    def found(budget: str, target: str) -> list[str]:
        return meaning.study_findings(study, results, budget, target)

    short = [
        *shift.doubts(results),
        *meaning.in_short(study, results),
        *shift.pair_findings(study, results, study.transfer.pair)[1:2],
    ]
    called = "Errors by arm" if drawn.single_size else "Learning curves"
    sections = [
        section("data", "Data", data.section(study, results)),
        section("shift", "Energy shift between the functionals", shift.section(study, results)),
        section("references", "Reference energies", references.section(study, results)),
        section("curves", called, curves.section(drawn, list(curves.lead_of(study, results)))),
        section("errors", "Errors by element, compound and force", errors.section(study, results)),
        section("training", "Forgetting and gradients", training.section(study, results)),
        section("softening", "Softening of the forces", softening.section(study, results)),
        section("physics", "Physics", physics.section(study, results)),
        section("repair", "Repair of properties with few labels", repair.section(study, results)),
        section("laws", "Scaling laws", laws.section(drawn)),
        section("crossovers", "Crossovers and data multipliers", crossovers.section(drawn)),
        section("meaning", "Findings", meaning.section(drawn, found, short)),
        section(
            "limits",
            "Limitations",
            law_limits.section(limits.study_limits(study, results), study.report.limits),
        ),
        section("checklist", "Reporting checklist", checklist.section(checklist.study_items(study, results, drawn))),
        section(
            "making",
            "Reproduction and files",
            making.section(command, making.study_blocks(study, results), making.study_files(study)),
        ),
    ]
    if not results.softening:
        sections = [each for each in sections if each.name != "softening"]
    if study.tests.physics is None:
        sections = [each for each in sections if each.name != "physics"]
    if study.tests.physics is None or study.tests.physics.repair is None:
        sections = [each for each in sections if each.name != "repair"]
    lead = curves.first_drawing(drawn)
    return render(sections, name=study.study, report=study.report, runs=drawn.runs_words(), short=short, lead=lead)
