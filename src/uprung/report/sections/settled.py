"""What an error is measured against: training that lasts longer, the network before training, no network at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from uprung.report.blocks import Cell, Row, Table, by_arm
from uprung.report.format import NONE, TARGETS, error, listing, plural, sentence, times
from uprung.report.results import where
from uprung.scaling import YARDSTICKS, with_measures
from uprung.scaling.settled import BETWEEN, FIRM, SETTLED, UNTESTED, are_firm

#: Share of the error on the worst 1 % of the test frames beyond which a run counts as blown up.
BLOWN = 0.5
#: Ratio of last to best from which both are shown.
APART = 1.2
MARKS = {SETTLED: "●", BETWEEN: "●"}


def measure_rows(curves: pd.DataFrame, yardsticks: pd.DataFrame, labels: Mapping[str, str], target: str) -> list[Row]:
    """Return the rows below the arms of a table of errors: before training, and without a network.

    Args:
        curves: rows of one budget, target and population.
        yardsticks: of `uprung.evaluation.yardsticks`, all populations.
        labels: arm -> name as printed.
        target: of the curves.
    """
    order = curves.groupby("size")["n_frames"].mean().sort_values().index
    started = with_measures(curves).dropna(subset=["untouched"])
    rows: dict[tuple[str, ...], list[str]] = {}
    for arm in (arm for arm in labels if arm in set(started["arm"])):
        means = where(started, arm=arm).groupby("size")["untouched"].mean()
        cells = tuple(error(float(means.get(size, float("nan"))), target, units=False) for size in order)
        rows.setdefault(cells, []).append(labels[arm])
    found: list[Row] = [
        [f"before training (n = 0): {'all that are pretrained' if len(rows) == 1 else listing(names)}", *cells]
        for cells, names in rows.items()
    ]
    here = where(yardsticks, target=target, population=str(curves["population"].iloc[0]))
    for name in (name for name in YARDSTICKS if name in set(here["yardstick"])):
        means = where(here, yardstick=name).groupby("size")["mae"].mean()
        cells = tuple(error(float(means.get(size, float("nan"))), target, units=False) for size in order)
        found.append([f"no network: {YARDSTICKS[name]}", *cells])
    return found


def marks(runs: pd.DataFrame, target: str) -> list[str]:
    """Return the notes in a cell: a dot for a settled point, and the other one of last and best where it differs."""
    known = with_measures(runs)
    notes = [MARKS[state] for state in set(known["settled"]) if state in MARKS]
    mae, other = float(known["mae"].mean()), float(known["mae_other"].mean())
    if other > 0 and max(other / mae, mae / other) > APART:
        notes.append(f"⇄ {error(other, target, units=False)}")
    return notes


def settled_table(second: pd.DataFrame, labels: Mapping[str, str], *, target: str) -> Table | None:
    """Return how much a second budget changes the errors, an arm per row; None where nothing was trained twice.

    Args:
        second: of `uprung.scaling.settled.second_budgets`, rows of one budget and population.
        labels: arm -> name as printed.
        target: which error.
    """
    here = where(second, target=target)
    if here.empty:
        return None
    order = here.groupby("size")["n_frames"].mean().sort_values()

    def cell(arm: str, size: str) -> str | Cell:
        mine = where(here, arm=arm, size=size)
        if mine.empty:
            return NONE
        row = mine.iloc[0]
        return Cell(f"{100 * row['change']:+.0f} %".replace("-", "−"), style="best" if row["settled"] else "")

    other, ratio = listing(list(dict.fromkeys(here["other"]))), listing([f"{x:.2g}" for x in here["times"].unique()])
    return Table(
        f"Change of the {TARGETS[target][0]} error under a budget of {ratio} times the steps ({other}; seeds that both "
        "have). Bold: settled.",
        ["arm", *(f"n = {n:,.0f}" for n in order)],
        by_arm(labels, here["arm"], order.index, cell),
    )


def rates_table(rates: Mapping[str, pd.DataFrame], labels: Mapping[str, str]) -> Table | None:
    """Return the validation loss of every learning rate tried, the chosen one bold; None where none was chosen."""
    if not rates:
        return None
    tried = sorted({float(rate) for table in rates.values() for rate in table["learning_rate"]})
    rows: list[Row] = []
    for arm, table in rates.items():
        loss = table.set_index("learning_rate")
        cells = [
            Cell(f"{loss['val_loss'][r]:.3g}", style="best" if str(loss["chosen"][r]) == "True" else "")
            if r in loss.index
            else NONE
            for r in tried
        ]
        rows.append([labels[arm], *cells])
    return Table(
        "Learning rates tried once per arm, at one size and seed: validation loss at the end. Bold: chosen for all "
        "runs of the arm.",
        ["arm", *(f"{rate:g}" for rate in tried)],
        rows,
    )


def ends(sizes: Sequence[str]) -> list[tuple[str, str]]:
    """Return the smallest and the largest of sizes with their names; a single one has no name."""
    return [("smallest", sizes[0]), ("largest", sizes[-1])] if len(sizes) > 1 else [("", sizes[0])]


def before_training(curves: pd.DataFrame, labels: Mapping[str, str], *, target: str) -> list[str]:
    """State which arms are better than the best of them was before training, and which are worse.

    An arm before training is the network that it begins with, with the arm's reference energies.

    Args:
        curves: rows of one budget, target and population.
        labels: arm -> name as printed.
        target: of the curves.
    """
    known = with_measures(curves)
    if known["untouched"].isna().all():
        return []
    means = known.groupby(["size", "arm"])[["n_frames", "mae", "untouched"]].mean().reset_index()
    ranked = means.assign(untouched=means["untouched"].round(9), place=means["arm"].map(list(labels).index))
    best = ranked.dropna(subset=["untouched"]).sort_values(["untouched", "place"]).groupby("size").first()
    spread = ranked.groupby("size")["untouched"].agg(lambda errors: errors.max() - errors.min())
    alike = spread == 0  # of forces, say, on which references have no bearing
    start, whose = best["untouched"], best["arm"].map(labels).where(~alike, "the pretrained network")
    arms = [arm for arm in labels if arm in set(means["arm"])]
    what, order = TARGETS[target][0], list(means.groupby("size")["n_frames"].mean().sort_values().index)
    first, last = float(start[order[0]]), float(start[order[-1]])
    words = (
        error(first, target)
        if first / last < 1.02
        else f"{error(first, target)} (smallest size) to {error(last, target)} (largest)"
    )
    found = [f"Before any training the lowest {what} error is {words}, that of {whose[order[-1]]}."]
    for place, size in ends(order):
        here = where(means, size=size).set_index("arm")["mae"]
        before = f"{whose[size]} before training ({error(float(start[size]), target)})"
        at = f"At the {place} size" if place else f"At n = {where(means, size=size)['n_frames'].mean():,.0f}"
        worse = {labels[a]: float(here[a]) / float(start[size]) for a in arms if a in here and here[a] >= start[size]}
        if worse:
            factors = [f"{name} ({times(ratio)})" for name, ratio in worse.items()]
            found.append(f"{at} training does not get below {before} in {listing(factors)}.")
        else:
            found.append(f"{at} every arm is below {before}.")
    return found


def without_network(
    curves: pd.DataFrame, yardsticks: pd.DataFrame, labels: Mapping[str, str], *, target: str
) -> list[str]:
    """State what solves the test without a network at the largest size, and which arms it beats."""
    size = str(curves.sort_values("n_frames")["size"].iloc[-1])
    here = where(yardsticks, target=target, population=str(curves["population"].iloc[0]), size=size)
    if here.empty:
        return []
    means = here.groupby("yardstick")["mae"].mean().sort_values()
    arms = where(curves, size=size).groupby("arm")["mae"].mean()
    beaten = [label for arm, label in labels.items() if arm in arms and arms[arm] > means.iloc[0]]
    whom = "no arm" if not beaten else "every arm" if len(beaten) == len(arms) else listing(beaten)
    name = YARDSTICKS[str(means.index[0])]
    at = "the largest size" if len(set(curves["size"])) > 1 else f"n = {curves['n_frames'].mean():,.0f}"
    return [f"Without any network, “{name}” reaches {error(float(means.iloc[0]), target)} at {at}, below {whom}."]


def hedged(sentences: Sequence[str], curves: pd.DataFrame, labels: Mapping[str, str]) -> list[str]:
    """Return sentences about the order of arms, marked where a point of an arm that they name is not settled.

    Args:
        sentences: about arms of a budget and target.
        curves: rows of that budget, target and one population.
        labels: arm -> name as printed.
    """
    known, found = with_measures(curves), []
    for text in sentences:
        arms = [arm for arm, label in labels.items() if label in text and arm in set(known["arm"])]
        loose = bool(arms) and not are_firm(known, arms)
        found.append(f"{text.rstrip('.')}; not settled." if loose else text)
    return found


def settled_words(curves: pd.DataFrame, *, target: str) -> str:
    """State how many points are settled, and what may be said of the others."""
    points = with_measures(curves).groupby(["arm", "size"])["settled"].first()
    firm, untested = int(points.isin(FIRM).sum()), int((points == UNTESTED).sum())
    what = TARGETS[target][0]
    if firm == len(points):
        return f"All {plural(len(points), 'point')} are settled in {what}: a second budget does not change them."
    if untested == len(points):
        return f"No point is settled in {what}: without a second budget, longer training may change any order."
    rest = f"; {untested} have no second budget" if untested else ""
    return (
        f"{firm} of {plural(len(points), 'point')} are settled in {what}{rest}. The others are above the baseline at "
        "most, and longer training may change their order."
    )


def blow_ups(curves: pd.DataFrame, labels: Mapping[str, str], *, target: str) -> list[str]:
    """State which runs owe most of their error to the worst 1 % of the test frames."""
    known = with_measures(curves)
    bad = known[known["tail"] > BLOWN]
    if bad.empty:
        return []
    runs = [
        f"{labels[str(row['arm'])]} n = {row['n_frames']:,.0f} seed {row['seed']} ({100 * float(row['tail']):.0f} %)"
        for _, row in bad.iterrows()
    ]
    verb = "owes" if len(bad) == 1 else "owe"
    return [
        sentence(
            f"{plural(len(bad), 'run')} of {len(known)} {verb} more than half of the {TARGETS[target][0]} error to the "
            f"worst 1 % of the test frames: {listing(runs)}"
        )
    ]
