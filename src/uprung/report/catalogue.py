"""Tables of a study: file, content, columns of text. Read by the rules, the report and the docs.

A file may hold wildcards: `analysis/{pair}/shift.csv`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from string import Formatter
from typing import TYPE_CHECKING, Any

from uprung.config.runs import tuned_arms

if TYPE_CHECKING:
    from uprung.config.study import Study


@dataclass(frozen=True)
class ResultFile:
    """A table, manifest or card below `results/<study>/`.

    `text` names the columns of names and sentences: there an empty cell is an empty text, in all others a missing
    number. The page reads the file, links to it, or both.
    """

    file: str
    about: str
    text: tuple[str, ...] = ()
    read: bool = True
    linked: bool = True


_CURVE = ("budget", "arm", "fidelity", "target", "population")
_TWO_CURVES = ("budget", "fidelity", "target", "population", "scratch", "transfer")
_HOLES = ("budget", "arm", "size")
_MODEL = ("model", "budget", "arm", "size", "material")

_LAW_COLUMNS = (*_CURVE, "law", "title", "shape", "interval", "reason", "excluded")

#: Tables of laws, of studies that train and studies of given points alike.
LAWS: dict[str, ResultFile] = {
    "laws": ResultFile(
        "scaling/laws.csv",
        "scaling laws, fitted and refused",
        _LAW_COLUMNS,
    ),
    "laws_all": ResultFile(
        "scaling/laws_all.csv",
        "scaling laws on all test structures, where the others cover less than half of them",
        _LAW_COLUMNS,
    ),
    "parameters": ResultFile("scaling/parameters.csv", "all parameters of all laws", (*_CURVE, "law", "parameter")),
    "comparison": ResultFile("scaling/comparison.csv", "laws compared", (*_CURVE, "law", "title", "reason")),
    "failed": ResultFile(
        "scaling/failed.csv", "share of failed runs, with intervals", ("budget", "arm", "target", "which")
    ),
    "sensitivity": ResultFile(
        "scaling/sensitivity.csv",
        "exponents without the smallest and without the largest size",
        (*_CURVE, "law", "region", "reason"),
    ),
    "back_test": ResultFile(
        "scaling/back_test.csv", "the largest size of each curve predicted from the others", (*_CURVE, "law", "reason")
    ),
    "joint": ResultFile(
        "scaling/joint.csv", "laws in target and source size", ("budget", "target", "family", "arms", "reason")
    ),
    "bands": ResultFile("scaling/bands.csv", "fitted laws as lines with 95 % bands", (*_CURVE, "law")),
    "crossover": ResultFile(
        "scaling/crossover.csv",
        "crossovers",
        (
            *(*_TWO_CURVES, "kind", "better_above", "reason", "law_scratch", "law_transfer"),
            *("observed_better_above", "observed_reason"),
        ),
    ),
    "multiplier": ResultFile(
        "scaling/multiplier.csv", "data multipliers by interpolation", (*_TWO_CURVES, "size", "bound", "reason")
    ),
    "multiplier_curve": ResultFile(
        "scaling/multiplier_curve.csv",
        "data multipliers by the laws, with intervals",
        (*_TWO_CURVES, "law_scratch", "law_transfer", "reason"),
    ),
    "labels": ResultFile("scaling/labels.csv", "labels needed for given errors", (*_CURVE, "law", "reason")),
    "extrapolation": ResultFile(
        "scaling/extrapolation.csv", "errors at requested sizes", (*_CURVE, "law", "title", "reason")
    ),
}
_CURVE_COLUMNS = (*_CURVE, "size", "reason", "settled")

#: Files of a study of given points.
POINTS: dict[str, ResultFile] = {
    "curves": ResultFile("scaling/curves.csv", "the points as they were read", _CURVE_COLUMNS),
    "left_out": ResultFile("scaling/left_out.csv", "rejected rows with their reasons", ("arm", "target", "reason")),
    **LAWS,
}

#: Files of a study that trains, in the order of the page.
FILES: dict[str, ResultFile] = {
    "frames": ResultFile("frames/{fidelity}/manifest.json", "structures of {fidelity}: counts, rejections, hashes"),
    "pairs": ResultFile("pairs/{pair}/manifest.json", "structures that both fidelities of {pair} label"),
    "split": ResultFile("split/manifest.json", "split: counts, and every excluded frame with its reason"),
    "sizes": ResultFile("split/sizes.csv", "content of every training-set size", ("size",)),
    "analyses": ResultFile("analysis/{pair}/summary.json", "what could not be analysed, {pair}", linked=False),
    "correlations": ResultFile(
        "analysis/{pair}/correlation.csv", "label agreement, {pair}", ("quantity", "unit", "subset")
    ),
    "by_element": ResultFile("analysis/{pair}/by_element.csv", "label agreement by element, {pair}", read=False),
    "shifts": ResultFile("analysis/{pair}/shift.csv", "energy shift by element, {pair}", ("element",)),
    "importance": ResultFile(
        "analysis/{pair}/importance.csv",
        "importance of elements for the difference of formation energies, {pair}",
        read=False,
    ),
    "references": ResultFile(
        "references/references.csv",
        "reference energies of the first seed",
        ("element", "origin", "estimator", "reference", "size"),
    ),
    "teachers": ResultFile(
        "teachers/{taught}/manifest.json",
        "source frames that the teachers of {taught} label, and how many they agree on",
    ),
    "fisher": ResultFile(
        "fisher/{pulled}/manifest.json", "structures behind the Fisher information that pulls {pulled}"
    ),
    "reference_comparison": ResultFile(
        "atomref/comparison.csv", "errors and diagnostics of every reference fit, size and seed", read=False
    ),
    "reference_errors": ResultFile(
        "atomref/summary.csv",
        "the same over the seeds, with intervals",
        ("reference", "estimator", "scope", "size", "population"),
    ),
    "curves": ResultFile("scaling/curves.csv", "test error of every run", _CURVE_COLUMNS),
    "second": ResultFile(
        "scaling/second_budget.csv",
        "points trained twice, the second time longer: which are settled",
        ("budget", "other", "arm", "size", "target", "population"),
    ),
    "yardsticks": ResultFile(
        "scaling/yardsticks.csv",
        "what solves the test without a network",
        ("yardstick", "size", "target", "population"),
    ),
    "rates": ResultFile("tune/{tuned}.csv", "learning rates tried for {tuned}, on validation"),
    "summary": ResultFile("scaling/summary.csv", "mean and spread over seeds", read=False),
    **LAWS,
    "history": ResultFile("scaling/history.csv", "validation errors along every run", read=False),
    "errors": ResultFile(
        "errors/errors.csv",
        "errors by element, kind of compound and size of the force",
        ("budget", "arm", "size", "by", "key", "target"),
    ),
    "worst": ResultFile(
        "errors/worst.csv",
        "the test structures with the largest errors",
        ("frame_id", "formula", "target", "arm", "worst_of"),
    ),
    "forgetting": ResultFile(
        "forgetting/forgetting.csv", "errors of every run at the source fidelity", ("budget", "arm", "size", "target")
    ),
    "holes": ResultFile(
        "holes/{holes}.csv", "random structures that fall into holes of the energy surface, by {holes}", _HOLES
    ),
    "evalsets": ResultFile("softening/{evalset}/frames/manifest.json", "structures of {evalset}", linked=False),
    "evalsets_left_out": ResultFile("softening/{evalset}/left_out.json", "frames without a graph", linked=False),
    "softening": ResultFile(
        "softening/{evalset}/softening.csv", "slopes of the forces on {evalset}", (*_MODEL, "subset", "reading")
    ),
    "corrections": ResultFile(
        "softening/{evalset}/correction.csv",
        "forces on {evalset} corrected with few labels",
        (*_MODEL, "method", "reason"),
    ),
    "physics": ResultFile(
        "physics/{physics}.csv",
        "properties of crystals against published values, {physics}",
        (
            *("model", "budget", "arm", "size", "set", "material", "key", "quantity", "unit", "reason", "reading"),
            *("pool", "test", "functional", "way"),
        ),
    ),
    "models": ResultFile(
        "models/index.csv", "every trained network, its file, hash, data and errors on all test frames", read=False
    ),
    "cards": ResultFile(
        "runs/{budget}/{arm}/n{size}/seed{seed}/card.yaml", "hashes, options, versions and time of a run", linked=False
    ),
}
#: Folders that the page links to.
FOLDERS = {
    "figures/": "all figures as SVG and PNG",
    "runs/": "every run: model, metrics, predictions, card",
}


def physics_tables(study: Study) -> list[str]:
    """Return the names of the tables about properties of crystals."""
    options = study.tests.physics
    if options is None:
        return []
    more = {"transfer": options.runs != "none", "repair": options.repair is not None}
    return ["summary", "values", *(name for name, is_there in more.items() if is_there)]


def evalsets_of(study: Study) -> Mapping[str, Any]:
    """Return the evaluation sets of a study by name."""
    return study.tests.softening.sets


def fields_of(pattern: str) -> list[str]:
    """Return the names of the wildcards of a pattern."""
    return [name for _, name, _, _ in Formatter().parse(pattern) if name]


def wildcards(pattern: str, study: Study) -> list[dict[str, str]]:
    """Return the values that the wildcards of a pattern take in a study, one mapping per file."""
    choices: Mapping[str, list[str]] = {
        "fidelity": list(study.fidelities),
        "pair": list(study.pairs),
        "evalset": list(evalsets_of(study)),
        "holes": ["arms", "networks"] if study.tests.holes else [],
        "physics": physics_tables(study),
        "budget": list(study.budgets),
        "arm": list(study.arms),
        "tuned": tuned_arms(study),
        "taught": [name for name, arm in study.arms.items() if arm.replay and arm.replay.teachers],
        "pulled": [name for name, arm in study.arms.items() if arm.ewc],
        "size": [size.replace("%", "pct") for size in study.sizes],  # as in the folders of runs
        "seed": [str(seed) for seed in study.seeds],
    }
    names = fields_of(pattern)
    if {"budget", "arm", "size", "seed"} <= set(names):
        of_run = [run._replace(size=run.size.replace("%", "pct"))._asdict() for run in study.runs]
        return [{name: str(run[name]) for name in names} for run in of_run]
    return [dict(zip(names, values, strict=True)) for values in product(*(choices[name] for name in names))]


def expanded(pattern: str, study: Study) -> list[str]:
    """Return the files, or figures, that a pattern stands for in a study."""
    return [pattern.format(**values) for values in wildcards(pattern, study)]
