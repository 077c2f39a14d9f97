"""Limits of laws and of given points, found from the tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pandas as pd

from uprung.laws import REACH
from uprung.laws.selection import EVIDENCE
from uprung.report.blocks import Block, Sentences
from uprung.report.format import plural, sentence
from uprung.report.results import LawResults, is_true
from uprung.scaling import LOW_COVERAGE


def section(found: Sequence[str], own: Sequence[str]) -> Iterator[Block]:
    """Yield the section: what was found, and what the study file adds."""
    yield Sentences([sentence(text) for text in (*found, *own)])


def law_limits(laws: pd.DataFrame, crossover: pd.DataFrame, comparison: pd.DataFrame | None = None) -> list[str]:
    """State how many laws were refused, how thin the fitted ones are, and that extrapolations are no measurements."""
    fitted = laws["fitted"].map(is_true)
    limits = coverage_limits(laws)
    if not fitted.any():
        limits.append("No curve has a scaling law: nothing is said of other sizes.")
    elif not fitted.all():
        limits.append(f"{int((~fitted).sum())} of {len(laws)} scaling laws are refused, each with its reason.")
    thin = laws[fitted & (laws["n_sizes"] < 5)]
    if len(thin):
        limits.append(
            f"{plural(len(thin), 'law rests', 'laws rest')} on fewer than five sizes; a straight line in log–log "
            "through so few cannot tell a power law from another form."
        )
    elif (fitted & (laws["law"] == "power")).any():
        limits.append("A power law is assumed, not shown: the sizes span too little to tell it from other forms.")
    if comparison is not None:
        limits += curvature_limits(comparison)
    single = laws[fitted & (laws["df"] == 1) & (laws["n_seeds"] == 1)]
    if len(single):
        limits.append(
            f"{plural(len(single), 'law has', 'laws have')} three sizes and one seed: one degree of freedom, no known "
            "noise. An exponent can be computed, but nothing about form, crossing or saving of labels is established."
        )
    if (crossover["kind"] == "refused").any():
        limits.append(
            f"Crossings further out than {REACH:g} times the largest size are refused where the points hold no "
            "evidence against a floor."
        )
    if (crossover["kind"] == "extrapolated").any():
        limits.append("Crossings outside the measured sizes are extrapolations of fitted laws.")
    return limits


def coverage_limits(laws: pd.DataFrame) -> list[str]:
    """State where the laws speak for less than half of the test."""
    share = laws["coverage"].min()
    if not share < LOW_COVERAGE:
        return []
    return [
        f"The laws speak for {100 * share:.0f} % of the test structures only: those whose elements every seed saw at "
        "the smallest size that enters a law."
    ]


def curvature_limits(comparison: pd.DataFrame) -> list[str]:
    """State where the seeds refute a power law that is kept all the same, since the sizes cannot tell what holds."""
    keys = ["budget", "arm", "target"]
    refuted = comparison[comparison["p_line"] < EVIDENCE].groupby(keys).size().index
    kept = comparison[(comparison["law"] == "power") & comparison["chosen"].map(is_true)].set_index(keys).index
    count = len(refuted.intersection(kept))
    if not count:
        return []
    return [
        f"{plural(count, 'curve bends', 'curves bend')} more than seed scatter explains (p < {EVIDENCE:g}), but the "
        "sizes cannot say which other law holds: the power law is kept, and its interval contains the misfit."
    ]


def points_limits(results: LawResults) -> list[str]:
    """State what given points cannot show."""
    limits = [
        "The predictions are unknown, so no interval covers the choice of the test materials: in simulated studies "
        "such intervals contain the truth in fewer than 95 % of cases (docs/laws.md).",
        "Whether the runs behind the points had converged is not known.",
    ]
    if len(set(results.curves["seed"])) == 1:
        limits.append(
            "There is one seed: nothing is known about the spread over subsets and initial weights, and intervals come "
            "from the scatter of the sizes about the laws."
        )
    return [*limits, *law_limits(results.laws, results.crossover, results.comparison)]
