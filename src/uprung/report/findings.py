"""Sentences about the results, each made from the tables: other numbers give other words.

Errors come from the tables of `uprung.scaling` for the test frames whose elements every seed saw (`covered`). Whether
two arms differ is judged seed by seed, since a seed's runs share their subset and test frames.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from uprung.report.format import TARGETS, amount, error, fixed, listing, plural, sentence, times, two_digits
from uprung.report.study import Arm
from uprung.scaling import LAW_POPULATION


@dataclass(frozen=True)
class Comparison:
    """Errors of two arms at one size: means over the seeds that both have, and in how many the first is lower."""

    first: float
    second: float
    seeds: int
    lower: int
    converged: bool

    @property
    def agree(self) -> bool:
        """Whether every seed shows the order of the means."""
        return self.lower == (self.seeds if self.first < self.second else 0)

    @property
    def seed_words(self) -> str:
        """How far the seeds back the order of the means."""
        if self.seeds == 1:
            return "one seed, spread unknown"
        if self.agree:
            return f"in each of {self.seeds} seeds"
        return f"but not in each of {self.seeds} seeds, so the order is not settled"


def covered(table: pd.DataFrame, budget: str, target: str) -> pd.DataFrame:
    """Return the rows of one budget and target on the covered test frames."""
    return table[(table["budget"] == budget) & (table["target"] == target) & (table["population"] == LAW_POPULATION)]


def sizes_of(curves: pd.DataFrame) -> list[str]:
    """Return the size tokens that every arm has, smallest first."""
    order = curves.groupby("size")["n_frames"].mean().sort_values()
    arms = curves["arm"].nunique()
    return [str(s) for s in order.index if curves.loc[curves["size"] == s, "arm"].nunique() == arms]


def size_words(curves: pd.DataFrame, size: str) -> str:
    """Return 'n = 400' with the mean number of training frames of a size."""
    return f"n = {curves.loc[curves['size'] == size, 'n_frames'].mean():,.0f}"


def compare(curves: pd.DataFrame, first: str, second: str, size: str) -> Comparison | None:
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
    return Comparison(
        first=float(both[first].mean()),
        second=float(both[second].mean()),
        seeds=len(both),
        lower=int((both[first] < both[second]).sum()),
        converged=bool(runs["converged"].all()),
    )


def lowest_errors(curves: pd.DataFrame, labels: Mapping[str, str], *, target: str) -> list[str]:
    """Say which arm has the lowest error at the smallest and at the largest size, and by how much.

    Args:
        curves: one budget, target and population.
        labels: arm -> name as printed.
        target: of the curves.
    """
    sizes = sizes_of(curves)
    if not sizes:
        return [f"No training-set size has every arm, so the {TARGETS[target][0]} errors are not ranked."]
    return [
        _lowest_at(curves, labels, target, size, place)
        for size, place in zip(dict.fromkeys((sizes[0], sizes[-1])), ("smallest", "largest"), strict=False)
    ]


def _lowest_at(curves: pd.DataFrame, labels: Mapping[str, str], target: str, size: str, place: str) -> str:
    here = curves[curves["size"] == size]
    means = here.groupby("arm")["mae"].mean().sort_values()
    where = f"At the {place} size ({size_words(curves, size)})"
    what, baseline = TARGETS[target][0], float(here["baseline"].mean())
    best = str(means.index[0])
    if means.iloc[0] >= baseline:
        return (
            f"{where} no arm has a lower {what} error than the predictor that learns nothing about geometry "
            f"({error(baseline, target)}); the lowest is {labels[best]} with {error(means.iloc[0], target)}."
        )
    text = f"{where} the lowest {what} error is that of {labels[best]}, {error(means.iloc[0], target)}"
    if not here.loc[here["arm"] == best, "converged"].all():
        text += " (not converged)"
    if len(means) == 1:
        return f"{text}; there is no other arm to compare it with."
    second = str(means.index[1])
    found = compare(curves, best, second, size)
    if found is None:
        return f"{text}; the next, of {labels[second]}, shares no seed with it."
    return (
        f"{text}; the next, of {labels[second]}, is {error(means.iloc[1], target)}, "
        f"{times(means.iloc[1] / means.iloc[0])} as much ({found.seed_words})."
    )


REFERENCE_WORDS = {
    "": "the checkpoint's own references",
    "target": "references fitted to the target energies",
    "source": "references fitted to the source energies",
    "residual": "references fitted to the residual (target minus pretrained prediction)",
}


def reference_effect(curves: pd.DataFrame, arms: Mapping[str, Arm], *, target: str) -> list[str]:
    """Say how the choice of reference energies changes the error of otherwise equal pretrained arms.

    Args:
        curves: one budget, target and population.
        arms: all arms; compared are the pretrained ones whose references stay fixed in training.
        target: of the curves.
    """
    here, sizes = set(curves["arm"]), sizes_of(curves)
    ordered = ("", "source", "target", "residual")
    plain = [a for a in arms.values() if a.init == "pretrained" and not a.trainable and a.name in here]
    chosen = sorted({a.fitted_to: a for a in reversed(plain)}.values(), key=lambda a: ordered.index(a.fitted_to))
    if len(chosen) < 2 or not sizes:
        return ["No two pretrained arms differ only in their reference energies, so their effect cannot be told apart."]
    pairs = [(chosen[0], other) for other in chosen[1:]]
    if len(chosen) > 2 and [a.fitted_to for a in chosen[-2:]] == ["target", "residual"]:
        pairs.append((chosen[-2], chosen[-1]))
    return [_effect(curves, old, new, sizes, target) for old, new in pairs]


def _effect(curves: pd.DataFrame, old: Arm, new: Arm, sizes: Sequence[str], target: str) -> str:
    parts = []
    for size in dict.fromkeys((sizes[0], sizes[-1])):
        found = compare(curves, new.name, old.name, size)
        if found is None:
            parts.append(f"no common seed at {size_words(curves, size)}")
            continue
        high, low = max(found.first, found.second), min(found.first, found.second)
        word = "lower" if found.first < found.second else "higher"
        change = f"{times(high / low)} {word}" if high / low >= 1.05 else "within 5 %"
        hollow = "" if found.converged else "; not both converged"
        parts.append(
            f"{error(found.first, target)} instead of {error(found.second, target)} at {size_words(curves, size)} "
            f"({change}, {found.seed_words}{hollow})"
        )
    what = TARGETS[target][0]
    return sentence(
        f"with {REFERENCE_WORDS[new.fitted_to]} in place of {REFERENCE_WORDS[old.fitted_to]}, all else equal, the "
        f"{what} error is {listing(parts)}"
    )


def overtaking(crossover: pd.DataFrame, labels: Mapping[str, str], *, target: str) -> list[str]:
    """Say whether and where the arm from random weights overtakes each other arm, or is overtaken.

    Args:
        crossover: rows of one budget and target, as from `uprung.scaling.crossovers`.
        labels: arm -> name as printed.
        target: of the rows.
    """
    what = TARGETS[target][0]
    if crossover.empty:
        return [f"No arm starts from random weights, so nothing is said about overtaking in {what}."]
    said: dict[tuple[str, str], list[str]] = {}
    for _, row in crossover.iterrows():
        said.setdefault((str(row["scratch"]), _order(row)), []).append(labels[str(row["transfer"])])
    sentences = []
    for (scratch, words), others in said.items():
        text = words.format(scratch=labels[scratch], others=listing(others), what=what)
        sentences.append(sentence(text))
    return sentences + _law_crossings(crossover, labels, what)


def _order(row: pd.Series) -> str:
    """Return what the measured means of two arms show, with holes for the names."""
    low, high = float(row["observed_between_low"]), float(row["observed_between_high"])
    if math.isnan(low):
        if str(row["observed_reason"]).startswith("no size"):
            return "{scratch} and {others} have no size in common"
        better = not str(row["observed_reason"]).startswith("transfer")
        side = "below" if better else "above"
        return f"{{what}}: the error of {{scratch}} is {side} that of {{others}} at every size (means over seeds)"
    overtakes = str(row["observed_better_above"]) == str(row["scratch"])
    verb = "overtakes" if overtakes else "is overtaken by"
    notes = ["in every seed" if is_true(row["observed_every_seed"]) else "not in every seed"]
    if not is_true(row["observed_converged"]):
        notes.append("with unconverged points")
    if int(row["observed_changes"]) > 1:
        notes.append(f"the last of {int(row['observed_changes'])} changes of order")
    return f"{{what}}: {{scratch}} {verb} {{others}} between n = {low:,.0f} and {high:,.0f} ({', '.join(notes)})"


def is_true(value: object) -> bool:
    """Return whether a cell says yes, read from a file or in memory."""
    return str(value) in ("True", "1", "1.0")


def _law_crossings(crossover: pd.DataFrame, labels: Mapping[str, str], what: str) -> list[str]:
    """Say where fitted laws cross; a crossing outside the measured sizes is said to be an extrapolation."""
    sentences = []
    for _, row in crossover[crossover["kind"] != "none"].iterrows():
        place = f"n = {two_digits(row['n'])} (95 % interval {two_digits(row['low'])} to {two_digits(row['high'])})"
        beyond = ""
        if row["kind"] == "extrapolated":
            beyond = f", an extrapolation by {fixed(row['decades'], 1)} decades and no measurement"
        one, two = labels[str(row["scratch"])], labels[str(row["transfer"])]
        sentences.append(
            f"The {what} laws of {one} and {two} cross at {place}{beyond}; "
            f"{labels[str(row['better_above'])]} is better above."
        )
    return sentences


def multipliers(multiplier: pd.DataFrame, labels: Mapping[str, str], *, target: str) -> list[str]:
    """Say how many times more labels the arm from random weights needs, at the smallest size that gives an answer.

    Args:
        multiplier: rows of one budget and target, as from `uprung.scaling.data_multiplier`.
        labels: arm -> name as printed.
        target: of the rows.
    """
    sentences: list[str] = []
    none: list[str] = []
    what = TARGETS[target][0]
    for arm, part in multiplier.groupby("transfer", sort=False):
        known = part[part["multiplier"].notna() | (part["bound"] != "")].sort_values("n_frames")
        if known.empty:
            none.append(labels[str(arm)])
            continue
        row = known.iloc[0]
        sentences.append(_multiplier(row, labels, what))
    if none:
        sentences.append(
            f"For {listing(none)} no data multiplier in {what} can be given: the arm or the scratch curve is not "
            "converged where it would be read."
        )
    return sentences


def _multiplier(row: pd.Series, labels: Mapping[str, str], what: str) -> str:
    one, two = labels[str(row["scratch"])], labels[str(row["transfer"])]
    start = f"For the {what} error of {two} at n = {row['n_frames']:,.0f}, {one} needs"
    if pd.isna(row["multiplier"]):
        bound = str(row["bound"])
        side = "more than" if bound.startswith(">") else "less than"
        return f"{start} {side} {times(float(bound[1:]))} as many labels, the end of its measured curve."
    spread = ""
    if int(row["n_seeds"]) > 1 and pd.notna(row["multiplier_min"]):
        spread = f" ({amount(row['multiplier_min'])} to {amount(row['multiplier_max'])} over {row['n_seeds']} seeds)"
    return f"{start} {times(row['multiplier'])} as many labels{spread}."


def converged_points(curves: pd.DataFrame, *, target: str) -> str:
    """Say how many runs of a target count as converged.

    Args:
        curves: one budget, target and population.
        target: of the curves.
    """
    good, total = int(curves["converged"].sum()), len(curves)
    what = TARGETS[target][0]
    if good == total:
        return f"All {plural(total, 'run')} count as converged in {what}."
    return f"{good} of {plural(total, 'run')} count as converged in {what}; the other {total - good} enter no law."


def fitted_laws(laws: pd.DataFrame, labels: Mapping[str, str], *, target: str) -> list[str]:
    """Say which exponents were fitted, which is the steepest beyond its interval, and which laws were refused.

    Args:
        laws: rows of one budget and target, as from `uprung.scaling.fit_laws`.
        labels: arm -> name as printed.
        target: of the rows.
    """
    what = TARGETS[target][0]
    good = laws[laws["fitted"].map(is_true)].sort_values("exponent", ascending=False)
    refused = [labels[str(a)] for a in laws.loc[~laws["fitted"].map(is_true), "arm"]]
    sentences = []
    if len(good) > 1:
        first, rest = good.iloc[0], good.iloc[1:]
        name = labels[str(first["arm"])]
        if (rest["exponent_high"] < first["exponent_low"]).all():
            sentences.append(f"The {what} error of {name} falls fastest with training size, beyond the intervals.")
        else:
            sentences.append(
                f"The fitted {what} exponents do not single out one arm as learning fastest: "
                f"the interval of the largest ({name}) overlaps others."
            )
    flat = [labels[str(a)] for a in good.loc[good["exponent_low"] <= 0, "arm"]]
    if flat:
        sentences.append(
            f"Within the interval of its exponent, the {what} error of {listing(flat, 'or')} need not fall at all."
        )
    if refused:
        sentences.append(f"No {what} law is fitted to {listing(refused)}: too few converged sizes.")
    return sentences
