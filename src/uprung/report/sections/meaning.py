"""Findings, each sentence made from the tables: other numbers give other words.

Errors come from the tables of `uprung.scaling` for the test frames whose elements every seed saw (`covered`). Whether
two arms differ is judged seed by seed, since a seed's runs share their subset and test frames.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from uprung.config.study import Study
from uprung.laws import MIN_SIZES
from uprung.report.arms import arm_labels, arms_of_each, reference_of
from uprung.report.blocks import Block, Heading, Sentences, Text
from uprung.report.curve_study import CurveStudy
from uprung.report.format import TARGETS, error, listing, plural, sentence, times
from uprung.report.results import LawResults, where
from uprung.report.sections import settled
from uprung.report.sections.crossovers import multipliers, overtaking
from uprung.report.sections.curves import yardsticks_of
from uprung.report.sections.laws import fitted_laws
from uprung.scaling import LAW_POPULATION, with_measures
from uprung.scaling.settled import are_firm


def section(
    curves: CurveStudy, findings: Callable[[str, str], list[str]], short: Sequence[str] = ()
) -> Iterator[Block]:
    """Yield the section: what the numbers of every budget say about every target, beyond what the summary says."""
    if not curves.given:
        on = "mean absolute errors on the covered test frames, those whose elements every seed saw at the smallest size"
        yield Text(f"Beyond the summary. Errors are those of the tables above: {on}.")
    for budget in curves.budgets:
        for target in curves.targets_of(budget):
            several = f", budget {budget}" if len(curves.budgets) > 1 else ""
            yield Heading(TARGETS[target][0].capitalize() + several)
            yield Sentences([text for text in findings(budget, target) if text not in short])


def study_findings(study: Study, results: LawResults, budget: str, target: str) -> list[str]:
    """Return all that a study that trains says about a target under a budget."""
    here, labels = covered(results.curves, budget, target), arm_labels(study)
    laws, crossover, multiplier = (
        where(table, budget=budget, target=target) for table in (results.laws, results.crossover, results.multiplier)
    )
    one, few = curves_have(here, 1), curves_have(here, MIN_SIZES - 1)
    return [
        *settled.before_training(here, labels, target=target),
        *settled.without_network(here, yardsticks_of(results), labels, target=target),
        settled.settled_words(here, target=target),
        *lowest_errors(here, labels, target=target),
        *reference_effect(here, study, target=target),
        *settled.hedged(overtaking(crossover, labels, target=target), here, labels),
        *([] if one else settled.hedged(multipliers(multiplier, labels, target=target), here, labels)),
        *([] if few else fitted_laws(laws, labels, target=target)),
        converged_points(here, target=target),
        *settled.blow_ups(here, labels, target=target),
    ]


def curves_have(curves: pd.DataFrame, most: int) -> bool:
    """Return whether curves have no more than so many sizes."""
    return len(set(curves["size"])) <= most


def _before_training(curves: pd.DataFrame, study: Study, target: str) -> list[str]:
    """State for every architecture which arms at the largest size are better than its network was before training."""
    labels, groups, found = arm_labels(study), arms_of_each(study), list[str]()
    for checkpoint, arms in groups.items():
        own = curves[curves["arm"].isin(arms)]
        said = settled.before_training(own, labels, target=target)[-1:] if len(own) else []
        found += [f"{checkpoint}: {text}" for text in said] if len(groups) > 1 else said
    return found


def in_short(study: Study, results: LawResults) -> list[str]:
    """Return the answer at the top of the page: the first target under the first budget, and the errors of the others.

    Each sentence is one of `study_findings` and can be read alone.
    """
    budget, (target, *others) = next(iter(study.budgets)), study.transfer.targets
    here, labels = covered(results.curves, budget, target), arm_labels(study)
    crossover = where(results.crossover, budget=budget, target=target)
    return [
        *lowest_errors(here, labels, target=target)[::-1],
        *_before_training(here, study, target),
        *settled.without_network(here, yardsticks_of(results), labels, target=target),
        *(text for text in reference_effect(here, study, target=target)[-1:] if text != NO_EFFECT),
        *settled.hedged(overtaking(crossover, labels, target=target), here, labels)[:2],
        *(text for t in others for text in lowest_errors(covered(results.curves, budget, t), labels, target=t)[-1:]),
    ]


def points_findings(curves: CurveStudy, budget: str, target: str) -> list[str]:
    """Return all that given points say about a target under a budget."""
    crossover, multiplier, laws = (
        where(table, budget=budget, target=target)
        for table in (curves.results.crossover, curves.results.multiplier, curves.results.laws)
    )
    words = fitted_laws(laws, curves.labels, target=target)
    if curves.scratch is None:
        return words
    return [
        *overtaking(crossover, curves.labels, target=target),
        *multipliers(multiplier, curves.labels, target=target),
        *words,
    ]


@dataclass(frozen=True)
class ArmComparison:
    """Errors of two arms at one size: means over the seeds that both have, and in how many the first is lower."""

    first: float
    second: float
    seeds: int
    lower: int
    settled: bool

    @property
    def agree(self) -> bool:
        """Whether every seed shows the order of the means."""
        return self.lower == (self.seeds if self.first < self.second else 0)

    @property
    def seed_words(self) -> str:
        """How far the seeds back the order of the means, and whether longer training may change it."""
        last = "" if self.settled else "; not settled"
        if self.seeds == 1:
            return f"one seed, spread unknown{last}"
        if self.agree:
            return f"in each of {self.seeds} seeds{last}"
        return f"but not in each of {self.seeds} seeds, so the order is uncertain{last}"


def covered(table: pd.DataFrame, budget: str, target: str) -> pd.DataFrame:
    """Return the rows of one budget and target on the covered test frames."""
    return where(table, budget=budget, target=target, population=LAW_POPULATION)


def sizes_of(curves: pd.DataFrame) -> list[str]:
    """Return the size tokens that every arm has, smallest first."""
    order = curves.groupby("size")["n_frames"].mean().sort_values()
    arms = curves["arm"].nunique()
    return [str(s) for s in order.index if curves.loc[curves["size"] == s, "arm"].nunique() == arms]


def size_words(curves: pd.DataFrame, size: str) -> str:
    """Return 'n = 400' with the mean number of training frames of a size."""
    return f"n = {curves.loc[curves['size'] == size, 'n_frames'].mean():,.0f}"


def compare(curves: pd.DataFrame, first: str, second: str, size: str) -> ArmComparison | None:
    """Compare two arms at one size over the seeds that both have; None without one.

    Args:
        curves: one budget, target and population.
        first: an arm.
        second: another arm.
        size: size token.
    """
    here = curves[curves["size"] == size]
    wide = here.pivot_table(index="seed", columns="arm", values="mae")
    if first not in wide or second not in wide:
        return None
    both = wide[[first, second]].dropna()
    if both.empty:
        return None
    runs = here[here["arm"].isin([first, second]) & here["seed"].isin(both.index)]
    return ArmComparison(
        first=float(both[first].mean()),
        second=float(both[second].mean()),
        seeds=len(both),
        lower=int((both[first] < both[second]).sum()),
        settled=are_firm(with_measures(runs), [first, second]),
    )


def lowest_errors(curves: pd.DataFrame, labels: Mapping[str, str], *, target: str) -> list[str]:
    """State which arm has the lowest error at the smallest and at the largest size, and by how much.

    Args:
        curves: one budget, target and population.
        labels: arm -> name as printed.
        target: of the curves.
    """
    sizes = sizes_of(curves)
    if not sizes:
        return [f"No training-set size has every arm, so the {TARGETS[target][0]} errors are not ranked."]
    return [_lowest_at(curves, labels, target, size, place) for place, size in settled.ends(sizes)]


def _lowest_at(curves: pd.DataFrame, labels: Mapping[str, str], target: str, size: str, place: str) -> str:
    here = curves[curves["size"] == size]
    means = here.groupby("arm")["mae"].mean().sort_values()
    where = f"At the {place} size ({size_words(curves, size)})" if place else f"At {size_words(curves, size)}"
    what, baseline = TARGETS[target][0], float(here["baseline"].mean())
    best = str(means.index[0])
    if means.iloc[0] >= baseline:
        return (
            f"{where} no arm has a lower {what} error than the geometry-free baseline ({error(baseline, target)}); "
            f"the lowest is {labels[best]} with {error(means.iloc[0], target)}."
        )
    text = f"{where} the lowest {what} error is that of {labels[best]}, {error(means.iloc[0], target)}"
    if not here.loc[here["arm"] == best, "converged"].all():
        text += " (in no law)"
    if len(means) == 1:
        return f"{text}; there is no other arm to compare it with."
    second = str(means.index[1])
    found = compare(curves, best, second, size)
    if found is None:
        return f"{text}; the next, of {labels[second]}, shares no seed with it."
    ratio = float(means.iloc[1] / means.iloc[0])
    more = f"{times(ratio)} as much" if ratio >= 1.05 else "within 5 %"
    return f"{text}; the next, of {labels[second]}, is {error(means.iloc[1], target)}, {more} ({found.seed_words})."


REFERENCE_WORDS = {
    "": "the checkpoint's own references",
    "source": "references fitted to the source energies",
    "target": "references fitted to the target energies",
    "residual": "references fitted to the residual (target minus pretrained prediction)",
}


NO_EFFECT = "No two pretrained arms differ only in their reference energies, so their effect cannot be isolated."


def reference_effect(curves: pd.DataFrame, study: Study, *, target: str) -> list[str]:
    """State how the choice of reference energies changes the error of otherwise equal pretrained arms.

    Args:
        curves: one budget, target and population.
        study: its arms; compared are the pretrained ones whose references stay fixed in training.
        target: of the curves.
    """
    here, sizes, groups, said = set(curves["arm"]), sizes_of(curves), arms_of_each(study), list[str]()
    for checkpoint, arms in groups.items():
        chosen: dict[str, str] = {}  # labels that the references are fitted to -> first arm
        for name in arms:
            arm = study.arms[name]
            if arm.init == "pretrained" and not arm.references_trainable and name in here:
                fit = reference_of(study, name)
                chosen.setdefault(fit.labels if fit else "", name)
        kinds = [kind for kind in REFERENCE_WORDS if kind in chosen]
        if len(kinds) < 2 or not sizes:
            continue
        pairs = [(kinds[0], other) for other in kinds[1:]]
        if len(kinds) > 2 and kinds[-2:] == ["target", "residual"]:
            pairs.append((kinds[-2], kinds[-1]))
        effects = [_effect(curves, chosen, old, new, sizes, target) for old, new in pairs]
        said += [f"{checkpoint}: {effect}" for effect in effects] if len(groups) > 1 else effects
    return said or [NO_EFFECT]


def _effect(
    curves: pd.DataFrame, arms: Mapping[str, str], old: str, new: str, sizes: Sequence[str], target: str
) -> str:
    """Compare the arms of two kinds of references at the smallest and the largest size."""
    parts = []
    for size in dict.fromkeys((sizes[0], sizes[-1])):
        found = compare(curves, arms[new], arms[old], size)
        if found is None:
            parts.append(f"no common seed at {size_words(curves, size)}")
            continue
        high, low = max(found.first, found.second), min(found.first, found.second)
        word = "lower" if found.first < found.second else "higher"
        change = f"{times(high / low)} {word}" if high / low >= 1.05 else "within 5 %"
        parts.append(
            f"{error(found.first, target)} instead of {error(found.second, target)} at {size_words(curves, size)} "
            f"({change}, {found.seed_words})"
        )
    what = TARGETS[target][0]
    return sentence(
        f"with {REFERENCE_WORDS[new]} in place of {REFERENCE_WORDS[old]}, all else equal, the {what} error is "
        f"{listing(parts)}"
    )


def converged_points(curves: pd.DataFrame, *, target: str) -> str:
    """State how many runs of a target enter laws.

    Args:
        curves: one budget, target and population.
        target: of the curves.
    """
    good, total = int(curves["converged"].sum()), len(curves)
    what = TARGETS[target][0]
    if curves_have(curves, MIN_SIZES - 1):
        return f"{good} of {plural(total, 'run')} have converged in {what}."
    if good == total:
        return f"All {plural(total, 'run')} enter the laws in {what}."
    return f"{good} of {plural(total, 'run')} enter the laws in {what}; the other {total - good} do not."
