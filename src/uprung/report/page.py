"""The report: one HTML page with its figures inside, put together from the tables that a study's stages wrote."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from uprung import __version__
from uprung.config.report import Report
from uprung.config.study import Study
from uprung.report.arms import arm_labels, functional_of, scratch_of
from uprung.report.blocks import Block, PageSection
from uprung.report.curve_study import CurveStudy
from uprung.report.interactive import SCRIPT
from uprung.report.results import StudyResults
from uprung.report.sections import (
    crossovers,
    curves,
    data,
    errors,
    laws,
    limits,
    making,
    meaning,
    references,
    shift,
    softening,
    training,
)

TEMPLATE, STYLE = (Path(__file__).with_name(name) for name in ("page.html.j2", "style.css"))


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

    sections = [
        section("data", "Data", data.section(study, results)),
        section("shift", "Energy shift between the functionals", shift.section(study, results)),
        section("references", "Reference energies", references.section(study, results)),
        section("curves", "Learning curves", curves.section(drawn, list(curves.lead_of(study, results)))),
        section("errors", "Errors by element, compound and force", errors.section(study, results)),
        section("training", "Forgetting and gradients", training.section(study, results)),
        section("softening", "Softening of the forces", softening.section(study, results)),
        section("laws", "Scaling laws", laws.section(drawn)),
        section("crossovers", "Crossovers and data multipliers", crossovers.section(drawn)),
        section("meaning", "Findings", meaning.section(drawn, found)),
        section(
            "limits",
            "Limitations",
            limits.section(limits.study_limits(study, results), study.report.limits),
        ),
        section(
            "making",
            "Reproduction and files",
            making.section(command, making.study_blocks(study, results), making.study_files(study)),
        ),
    ]
    if not results.softening:
        sections = [each for each in sections if each.name != "softening"]
    short = [*shift.pair_findings(study, results, study.transfer.pair)[:2], *meaning.in_short(study, results)]
    return render(sections, name=study.study, report=study.report, runs=drawn.runs_words(), short=short)


def section(name: str, title: str, blocks: Iterator[Block]) -> PageSection:
    """Return a section of the page."""
    return PageSection(name, title, list(blocks))


def render(sections: Sequence[PageSection], *, name: str, report: Report, runs: str, short: Sequence[str]) -> str:
    """Return a page as HTML.

    Args:
        sections: in their order.
        name: of the study.
        report: title and abstract.
        runs: how many runs there are, in words.
        short: sentences at the top.
    """
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(TEMPLATE.read_text()).render(
        sections=sections,
        name=name,
        title=report.title or f"Study {name}",
        abstract=report.abstract,
        runs=runs,
        short=short,
        version=__version__,
        css=Markup(STYLE.read_text()),
        script=SCRIPT,
    )
