"""The report: one HTML page with its figures inside, put together from the tables that a study's stages wrote."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from uprung import __version__
from uprung.report import (
    breakdown,
    captions,
    findings,
    label_findings,
    law_limits,
    limits,
    making,
    reference_findings,
    softening_tables,
    tables,
    training_tables,
)
from uprung.report.format import TARGETS, listing, plural, sentence
from uprung.report.interactive import SCRIPT
from uprung.report.law_part import Curves, curves_of
from uprung.report.results import LawResults, Results
from uprung.report.study import Pair, Study
from uprung.report.svg import inline_figure
from uprung.report.tables import Table


@dataclass(frozen=True)
class Figure:
    """A figure as it stands on the page."""

    name: str
    markup: Markup
    caption: str


@dataclass(frozen=True)
class Comparison:
    """Two fidelities and how their labels differ."""

    name: str
    heading: str
    findings: list[str]
    table: Table
    figures: list[Figure]
    remark: str


def render(study: Study, results: Results, *, template: str, css: str) -> str:
    """Return the page as HTML with everything inside.

    Args:
        study: names and options that the page shows.
        results: tables and figures.
        template: Jinja2 source of the page.
        css: style sheet.
    """
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(template).render(context(study, results), css=Markup(css))


def context(study: Study, results: Results) -> dict[str, Any]:
    """Return everything that the template shows, as text, tables and figures."""
    labels = {name: arm.label for name, arm in study.arms.items()}
    budgets = [_curves(study, results, labels, budget) for budget in study.budgets]
    ordered = sorted(study.pairs.values(), key=lambda pair: pair.name != study.transfer)
    comparisons = [_comparison(study, results, pair) for pair in ordered]
    return {
        "study": study,
        "points": None,
        "version": __version__,
        "short": _short(study, results, labels, comparisons[0]),
        "data": _data(study, results),
        "comparisons": comparisons,
        "references": _references(study, results),
        "budgets": budgets,
        "curve_figures": [
            figure_of(results, "learning-curves", captions.learning_curves(study.published)),
            *([figure_of(results, "budgets", captions.BUDGETS)] if "budgets" in results.figures else []),
            figure_of(results, "convergence", captions.convergence(next(iter(study.budgets)))),
        ],
        "error_figures": [
            figure_of(results, "errors-force", captions.ERRORS_BY_FORCE),
            figure_of(results, "parity", captions.PARITY),
        ],
        "error_tables": _error_tables(study, results, labels, "kind"),
        "element_tables": _error_tables(study, results, labels, "element"),
        "training_tables": [
            table
            for target in study.targets
            if (table := training_tables.forgetting_table(_first(results, study), labels, target=target, low=study.low))
        ],
        "training_figures": [
            figure_of(results, "forgetting", captions.forgetting(study.low, study.high)),
            figure_of(results, "dynamics", captions.dynamics(next(iter(study.budgets)))),
            *([figure_of(results, "before-after", captions.BEFORE_AFTER)] if "before-after" in results.figures else []),
        ],
        "softening": [_softening(study, results, labels, name) for name in results.softening],
        "softening_compared": softening_tables.comparison(results.softening, study.evalsets),
        "limits": [sentence(limit) for limit in (*_limits(study, results), *study.limits)],
        "making": _making(study, results),
        "runs": runs_words(results.curves),
        "explore_script": SCRIPT,
        "law_figures": [
            figure_of(results, "law-comparison", captions.LAW_COMPARISON),
            figure_of(results, "data-multiplier", captions.DATA_MULTIPLIER),
        ],
    }


def _error_tables(study: Study, results: Results, labels: Mapping[str, str], by: str) -> list[Table]:
    """Return where the networks of the first budget err at the largest size, for every target."""
    here = results.errors[results.errors["budget"] == next(iter(study.budgets))]
    size = str(results.curves.sort_values("n_frames")["size"].iloc[-1])
    found = [breakdown.breakdown_table(here, labels, target=t, by=by, size=size) for t in study.targets]
    return [table for table in found if table is not None]


def _softening(study: Study, results: Results, labels: Mapping[str, str], name: str) -> dict[str, Any]:
    """Return what one evaluation set says about the size of forces."""
    table = results.softening[name]
    budget = next(iter(study.budgets))
    several = len(set(table.loc[table["model"] == "run", "size"])) > 1
    methods = list(dict.fromkeys(results.corrections[name]["method"]))
    return {
        "name": name,
        "findings": [
            *softening_tables.not_judged(results.evalsets[name], results.evalsets_left_out[name]),
            *softening_tables.findings(table),
            *softening_tables.corrections(results.corrections[name]),
        ],
        "table": softening_tables.softening_table(table, labels, budget=budget, title=f"evaluation set {name}"),
        "figures": [
            figure_of(results, f"softening-{name}{kind}", captions.softening(kind, name, methods))
            for kind in ("", "-parity", "-correction", *(["-sizes"] if several else []))
        ],
    }


def _first(results: Results, study: Study) -> pd.DataFrame:
    table = results.forgetting
    return table[table["budget"] == next(iter(study.budgets))]


def figure_of(results: LawResults, name: str, caption: str) -> Figure:
    """Return a figure of a study as it stands on the page."""
    alt = caption.split(". ")[0] + "."
    return Figure(name, inline_figure(results.figures[name], alt=alt), caption)


def _data(study: Study, results: Results) -> dict[str, Any]:
    exclusion = tables.exclusion_table(results.split)
    split = study.split
    shares = ":".join(f"{split[side]:g}" for side in ("train", "val", "test"))
    return {
        "frames": tables.frames_table(results.frames, study.functionals),
        "left_out": {name: words for name, f in results.frames.items() if (words := tables.left_out_words(f))},
        "validated": {n: words for n, f in results.frames.items() if (words := tables.validation_words(f))},
        "pairs": tables.pairs_table(study.pairs, results.pairs, study.transfer),
        "split": tables.split_table(results.split, split["group"]),
        "split_words": captions.split_words(split["group"], split["draw"], shares),
        "exclusions": exclusion,
        "sizes": tables.sizes_table(results.sizes),
        "roles": f"The low fidelity is {study.low}, the target {study.high}; networks are trained and tested on the "
        f"{listing([TARGETS[t][0] for t in study.targets])} labels of {study.high}.",
    }


def _comparison(study: Study, results: Results, pair: Pair) -> Comparison:
    low, high = study.functionals[pair.low], study.functionals[pair.high]
    facts = results.analyses[pair.name]
    kinds = ["energy", "labels", "shift", "elements"]
    remark = str(facts["importance"])
    if not remark:
        kinds.append("importance")
    return Comparison(
        name=pair.name,
        heading=f"{pair.name}: {low} and {high}" + (", trained on" if pair.name == study.transfer else ""),
        findings=[
            *label_findings.label_agreement(results.correlations[pair.name], low=low, high=high),
            *label_findings.shift_by_element(results.shifts[pair.name], low=low, high=high),
        ],
        table=tables.correlation_table(results.correlations[pair.name], low=low, high=high),
        figures=[figure_of(results, f"{pair.name}-{k}", captions.shift(k, pair.name, low, high)) for k in kinds],
        remark=f"No importance of elements for formation energies: {remark}." if remark else "",
    )


def _references(study: Study, results: Results) -> dict[str, Any]:
    return {
        "arms": tables.arms_table(study.arms),
        "table": tables.references_table(results.references),
        "figure": figure_of(results, "references", captions.REFERENCES),
        "errors": tables.reference_errors_table(results.reference_errors, study.baseline),
        "errors_figure": figure_of(results, "reference-errors", captions.REFERENCE_ERRORS),
        "errors_found": reference_findings.reference_errors(results.reference_errors, study.baseline),
        "baseline": f"The energy baseline, which learns nothing about geometry, predicts with reference "
        f"{study.baseline} of the same size and seed alone; the baselines of forces, stresses and moments are 0.",
    }


def _curves(study: Study, results: Results, labels: Mapping[str, str], budget: str) -> Curves:
    return curves_of(
        results,
        labels,
        budget,
        about=study.budgets[budget],
        targets=study.targets,
        meaning={t: _meaning(study, results, labels, budget, t) for t in study.targets},
        x_label=f"labelled {study.functionals[study.high]} structures in training",
    )


def _meaning(study: Study, results: Results, labels: Mapping[str, str], budget: str, target: str) -> list[str]:
    """Return all that the numbers of one budget say about a target."""
    curves = findings.covered(results.curves, budget, target)
    laws, crossover, multiplier = (
        table[(table["budget"] == budget) & (table["target"] == target)]
        for table in (results.laws, results.crossover, results.multiplier)
    )
    return [
        *findings.lowest_errors(curves, labels, target=target),
        *findings.reference_effect(curves, study.arms, target=target),
        *findings.overtaking(crossover, labels, target=target),
        *findings.multipliers(multiplier, labels, target=target),
        *findings.fitted_laws(laws, labels, target=target),
        findings.converged_points(curves, target=target),
    ]


def _short(study: Study, results: Results, labels: Mapping[str, str], first: Comparison) -> list[str]:
    """Return the few sentences at the top: the first target under the first budget."""
    budget, target = next(iter(study.budgets)), study.targets[0]
    curves = findings.covered(results.curves, budget, target)
    here = results.crossover
    crossover = here[(here["budget"] == budget) & (here["target"] == target)]
    return [
        *first.findings[:2],
        *findings.lowest_errors(curves, labels, target=target),
        *findings.reference_effect(curves, study.arms, target=target)[-1:],
        *findings.overtaking(crossover, labels, target=target),
    ]


def runs_words(curves: pd.DataFrame) -> str:
    """Say how many runs, arms, sizes, seeds and budgets there are."""
    identity = curves[["budget", "arm", "size", "seed"]].drop_duplicates()
    parts = [
        plural(identity["arm"].nunique(), "arm"),
        plural(identity["size"].nunique(), "training-set size"),
        plural(identity["seed"].nunique(), "seed"),
    ]
    parts += [plural(n, "budget") for n in (len(set(identity["budget"])),) if n > 1]
    return f"{plural(len(identity), 'training run')}: {listing(parts)}."


def _limits(study: Study, results: Results) -> list[str]:
    curves, manifest = results.curves, results.frames[study.high]
    everyone = curves[curves["population"] == "all"]
    return [
        *limits.split_limits(study.split["group"], int(everyone["n_test"].max())),
        *limits.pretraining_limits(results.split["pretraining"], study.pretrained, study.arms),
        *limits.seed_limits(curves["seed"].nunique()),
        *limits.exclusion_limits(results.split, study.high),
        *limits.convergence_limits(curves),
        *law_limits.law_limits(results.laws, results.crossover, results.comparison),
        *limits.coverage_limits(curves, results.references),
        *limits.reference_limits(study.arms),
        *limits.target_limits(study.targets, manifest["labels"]),
        *limits.budget_limits(
            study.budgets, study.pretrained, str(results.frames[study.low]["label_scale"]), study.arms
        ),
    ]


def _making(study: Study, results: Results) -> dict[str, Any]:
    return {
        "effort": making.effort(results.cards),
        "recipe": making.recipe_table(results.cards, study.targets),
        "versions": making.versions_table(results.cards),
        "hashes": making.hashes_table(results.frames),
        "files": making.data_files(list(study.pairs)),
        "command": study.command,
    }
