"""Reference energies: those of the arms, how they are fitted, and what they predict alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from uprung.config.study import Study
from uprung.report.arms import arm_labels, arms_of_each, options_of, reference_of
from uprung.report.blocks import Block, Cell, Heading, Row, Sentences, Table, Text, picture
from uprung.report.format import NONE, TARGETS, amount, count, error, listing, plural
from uprung.report.results import StudyResults


def section(study: Study, results: StudyResults) -> Iterator[Block]:
    """Yield the section."""
    baseline = study.scaling.baseline
    yield arms_table(study)
    yield Sentences(made_for_arms(results.teachers, results.fisher, arm_labels(study)))
    yield references_table(results.references)
    tied = tied_references(results.references)
    if tied:
        yield Sentences(tied)
    yield picture(results.figures, "references")
    yield Text(
        f"The geometry-free energy baseline is reference {baseline} of the same size and seed alone; the baselines of "
        "forces, stresses and moments are 0."
    )
    yield Heading("Errors of reference energies alone")
    yield Sentences(reference_errors(results.reference_errors, baseline))
    yield reference_errors_table(results.reference_errors, baseline)
    yield picture(results.figures, "reference-errors")


def made_for_arms(
    teachers: Mapping[str, Mapping[str, Any]], fisher: Mapping[str, Mapping[str, Any]], labels: Mapping[str, str]
) -> list[str]:
    """State what teachers and Fisher information of the arms rest on.

    Args:
        teachers: arm -> manifest, as of `uprung.training.teachers.teach`.
        fisher: arm -> manifest of the Fisher information of the network that the arm starts from.
        labels: arm -> name as printed.
    """
    said = []
    for arm, facts in teachers.items():
        limits = listing(
            [f"{error(limit, target)} in {TARGETS[target][0]}" for target, limit in facts["limits"].items()]
        )
        said.append(
            f"The teachers of {labels[arm]}, {listing(facts['teachers'])}, agree on {facts['accepted']:,} of "
            f"{plural(facts['frames'], 'source frame')} (to a standard deviation of {limits})."
        )
    for arm, facts in fisher.items():
        frames = plural(facts["structures"], "source frame")
        said.append(
            f"The Fisher information that pulls {labels[arm]} is estimated on {frames} of training materials with "
            f"{facts['network']}."
        )
    return said


REFERENCES = {
    "": "the checkpoint's",
    "target": "fitted to target energies",
    "source": "fitted to low-fidelity energies",
    "residual": "fitted to target minus pretrained prediction",
}


def arms_table(study: Study) -> Table:
    """Return the arms and what sets them apart."""
    labels = arm_labels(study)
    options = {name: "; ".join(options_of(arm)) for name, arm in study.arms.items()}
    scope = {"subset": "the run's own n labels", "train": "whole training split (more than n labels)"}
    several = len(arms_of_each(study)) > 1
    rows: list[Row] = []
    for name, arm in study.arms.items():
        fit = reference_of(study, name)
        rows.append(
            [
                Cell(labels[name], name if name != labels[name] else ""),
                *([study.checkpoint_of(name)] if several else []),
                arm.init if arm.init in ("random", "pretrained") else f"{arm.init}, pretrained in this study",
                REFERENCES[fit.labels if fit else ""],
                scope[fit.scope] if fit else NONE,
                "yes" if arm.references_trainable else "no",
                *([options[name] or NONE] if any(options.values()) else []),
            ]
        )
    further = ["further"] if any(options.values()) else []
    return Table(
        "The arms of the study. The reference energy of a structure is its composition times elemental values; the "
        "network learns the rest.",
        [
            "arm",
            *(["architecture"] if several else []),
            *("initial weights", "reference energies", "labels they use", "references trained"),
            *further,
        ],
        rows,
        text=5 + several + len(further),
    )


#: Origins of values that the labels did not determine.
FILLED = ("prior", "source")


def references_table(references: pd.DataFrame) -> Table:
    """Return for every reference and size how many elements were fitted or guessed, and how well they are known."""
    rows = []
    for (name, size), part in references.groupby(["reference", "size"], sort=False):
        filled, seen = part["origin"].isin(FILLED), part["n_structures"] > 0
        fit = part[~filled]
        known, guessed = fit["stderr"].dropna(), part[filled]["stderr"].dropna()
        rows.append(
            (
                str(name),
                str(size),
                ", ".join(sorted(set(part["estimator"]))),
                count(len(fit)),
                count((filled & seen).sum()),
                count((filled & ~seen).sum()),
                Cell(amount(1e3 * known.median()) if len(known) else NONE, f"{len(known)} of {len(fit)} known"),
                amount(1e3 * guessed.median()) if len(guessed) else NONE,
            )
        )
    return Table(
        "Reference fits of the first seed, each on the structures that its labels come from: the run's subset of n, "
        "or the training split where the arm says so. Elements whose structures determine them in sums with others "
        "only are tied; what is determined is kept, and the prior divides it. An element without a training structure "
        "takes its value from the prior: source reference (the checkpoint's for a residual fit) plus a shift smooth "
        "in the atomic number, or one shift for all where no element is determined by itself. Standard errors in "
        "meV/atom are medians over elements, clustered by material; they are unknown for an element that occurs in "
        "one material only.",
        ["reference", "size", "estimator", "fitted", "tied", "unseen", "std error, fitted", "std error, prior"],
        rows,
        text=3,
    )


def tied_references(references: pd.DataFrame) -> list[str]:
    """State which sums of references the largest subset determines where it does not determine elements one by one."""
    tied = references[references["origin"].isin(FILLED) & (references["n_structures"] > 0)]
    sentences = []
    for name, part in tied.groupby("reference", sort=False):
        last = part[part["size"] == part["size"].iloc[-1]]
        text = f"At n = {last['size'].iloc[0]} reference {name} is not determined element by element"
        sentences.append(f"{text}: {combination_words(last)}.")
    return sentences


def combination_words(tied: pd.DataFrame) -> str:
    """Return what is determined of elements that are not determined one by one.

    Args:
        tied: their rows of the reference table.
    """
    parts = []
    for combination, own in tied.groupby(tied["combination"].fillna("").astype(str), sort=False):
        what = f"{combination} is determined" if combination else "the proportion hardly varies and the prior decides"
        parts.append(f"of {listing(own['element'].tolist())} {what}")
    return "; ".join(parts)


def reference_errors_table(summary: pd.DataFrame, baseline: str) -> Table:
    """Return what references alone predict at the smallest and the largest size, for both test populations."""
    frames = summary.groupby("size")["n_frames"].mean().sort_values()
    ends = list(dict.fromkeys((str(frames.index[0]), str(frames.index[-1]))))
    n_test = summary.groupby("population")["n_test"].first()
    shown = [(population, size) for population in n_test.index for size in ends]
    rows = []
    for name, part in summary.groupby("reference", sort=False):
        at = [part[(part["population"] == population) & (part["size"] == size)] for population, size in shown]
        cells = [_error_cell(here, str(name) == baseline) for here in at]
        rows.append((Cell(str(name), part["estimator"].to_numpy()[0]), *cells))
    n_groups = summary.groupby("population")["n_groups"].first()
    counts = [
        f"{n_test[p]:,} {'test' if p == 'all' else 'covered'} structures ({plural(int(n_groups[p]), 'group')})"
        for p in n_test.index
    ]
    return Table(
        f"Mean absolute error of reference energies alone, eV/atom, mean over seeds; under it the ratio to {baseline} "
        f"with its paired 95 % interval over test groups. {listing(counts)}; covered are those whose elements every "
        "seed saw at the smallest size.",
        ["reference", *(f"{population}, n = {frames[size]:,.0f}" for population, size in shown)],
        rows,
    )


def _error_cell(rows: pd.DataFrame, is_baseline: bool) -> Cell:
    if rows.empty or not rows["mae"].notna().all():
        return Cell(NONE, "no fit")
    row = rows.iloc[0]
    if is_baseline or pd.isna(row["ratio"]):
        return Cell(amount(row["mae"]))
    ratio, low, high = (amount(row[name]) for name in ("ratio", "ratio_low", "ratio_high"))
    return Cell(amount(row["mae"]), f"{ratio} ({low} to {high})")


def reference_errors(summary: pd.DataFrame, baseline: str) -> list[str]:
    """State which references alone are better or worse than the baseline beyond their intervals, at either end.

    Args:
        summary: rows over the seeds, as from `uprung.atomref.compare.compare_references`.
        baseline: reference that the others are compared with.
    """
    everyone = summary[(summary["population"] == "all") & summary["mae"].notna()]
    means = everyone.groupby("size")["n_frames"].mean().sort_values()
    ends = dict.fromkeys((str(means.index[0]), str(means.index[-1]))) if len(means) else {}
    sentences = [_at(everyone[everyone["size"] == size], baseline, means[size]) for size in ends]
    return [*sentences, *_missing(summary)]


def _at(rows: pd.DataFrame, baseline: str, n: float) -> str:
    """Return what one size shows on all test structures."""
    best = rows.sort_values("mae").iloc[0]
    text = (
        f"With n = {n:,.0f}, the lowest error of references alone on all test structures is that of "
        f"{best['reference']}, {amount(best['mae'])} eV/atom"
    )
    base = rows[rows["reference"] == baseline]
    others = rows[(rows["reference"] != baseline) & rows["ratio"].notna()]
    if base.empty or others.empty:
        return f"{text}; there is no other reference to compare with {baseline}."
    if best["reference"] != baseline:
        text += f" ({baseline}: {amount(base['mae'].iloc[0])})"
    better = others.loc[others["ratio_high"] < 1, "reference"].tolist()
    worse = others.loc[others["ratio_low"] > 1, "reference"].tolist()
    alike = [name for name in others["reference"] if name not in (*better, *worse)]
    parts = [
        f"{listing(names)} {'is' if len(names) == 1 else 'are'} {what}"
        for names, what in ((better, "better"), (worse, "worse"), (alike, "indistinguishable from it"))
        if names
    ]
    return f"{text}. Against {baseline}, by the paired 95 % intervals: {'; '.join(parts)}."


def _missing(summary: pd.DataFrame) -> list[str]:
    """State which references could not be fitted for some seed and size."""
    rows = summary[summary["population"] == "all"]
    seeds = int(rows["n_seeds"].max())
    short = rows[rows["n_seeds"] < seeds]
    return [
        f"{name} could not be fitted at {plural(len(part), 'size')} for every seed ({listing(part['size'].tolist())}); "
        "the reasons are in atomref/comparison.csv."
        for name, part in short.groupby("reference", sort=False)
    ]
