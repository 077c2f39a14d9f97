"""Tables of the page about learning curves: errors, unconverged points, laws, crossovers, data multipliers."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

import pandas as pd

from uprung.report.findings import is_true
from uprung.report.format import NONE, TARGETS, amount, error, fixed, listing, plural, span, two_digits, unit
from uprung.report.tables import Cell, Table

HOLLOW = "○"


def errors_table(curves: pd.DataFrame, labels: Mapping[str, str], *, target: str, population: str) -> Table:
    """Return mean test errors over seeds with their range, an arm per row and a size per column.

    Args:
        curves: rows of one budget, target and population.
        labels: arm -> name as printed.
        target: of the curves.
        population: how the caption calls the test frames.
    """
    order = curves.groupby("size")["n_frames"].mean().sort_values()
    best = curves.groupby(["size", "arm"])["mae"].mean().groupby("size").min()
    rows: list[list[str | Cell]] = []
    for arm, label in labels.items():
        mine = curves[curves["arm"] == arm]
        if len(mine):
            parts = [(mine[mine["size"] == size], float(best[size])) for size in order.index]
            rows.append([label, *(_error_cell(part, lowest, target) for part, lowest in parts)])
    if curves["baseline"].notna().any():
        baseline = curves.groupby("size")["baseline"].mean()
        shown = [error(float(baseline[size]), target, units=False) for size in order.index]
        rows.append(["learns nothing about geometry", *shown])
    seeds = curves["seed"].nunique()
    return Table(
        f"Test error (MAE) of the {TARGETS[target][0]} in {unit(target)}, {population}: mean over "
        f"{plural(seeds, 'seed')}"
        + (", with the range over them below" if seeds > 1 else "")
        + f". Bold: lowest of its column. {HOLLOW} with a grey number: runs kept out of laws, out of all runs.",
        ["arm", *(f"n = {n:,.0f}" for n in order)],
        rows,
    )


def _error_cell(runs: pd.DataFrame, lowest: float, target: str) -> Cell:
    """Return the cell of one arm and size: mean, range over seeds, how many runs are not converged."""
    if runs.empty:
        return Cell(NONE)
    mae, bad = runs["mae"], int((~runs["converged"]).sum())
    notes = [span(float(mae.min()), float(mae.max()), target)] if len(mae) > 1 else []
    if bad:
        notes.append(f"{HOLLOW} {bad}/{len(mae)}")
    style = " ".join(s for s, on in (("best", mae.mean() <= lowest), ("hollow", bad == len(mae))) if on)
    return Cell(error(float(mae.mean()), target, units=False), "  ".join(notes), style)


def unconverged_table(curves: pd.DataFrame, labels: Mapping[str, str]) -> Table | None:
    """Return which runs are kept out of laws, and why; None where all are converged.

    Args:
        curves: rows of one budget and population, all targets.
        labels: arm -> name as printed.
    """
    bad = curves[~curves["converged"]]
    if bad.empty:
        return None
    seeds = curves["seed"].nunique()
    rows = []
    for target in dict.fromkeys(curves["target"]):
        for arm, label in labels.items():
            mine = bad[(bad["arm"] == arm) & (bad["target"] == target)].assign(
                reason=lambda t: t["reason"].str.split("; ")
            )
            for reason, part in mine.explode("reason").groupby("reason"):
                rows.append((TARGETS[target][0], label, _points(part, seeds), str(reason)))
    return Table(
        f"Runs kept out of laws: {len(bad)} of {len(curves)} points, drawn hollow. A run with two reasons is listed "
        "under both.",
        ["target", "arm", "points", "reason"],
        rows,
        text=4,
    )


def _points(part: pd.DataFrame, seeds: int) -> str:
    """Return 'n = 100, 200; 400 (seed 1)'."""
    words = []
    for _, here in sorted(part.groupby("size"), key=lambda item: item[1]["n_frames"].mean()):
        which = "" if len(here) == seeds else f" (seed {listing([str(s) for s in sorted(here['seed'])])})"
        words.append(f"{here['n_frames'].mean():,.0f}{which}")
    return "n = " + ", ".join(words)


def crossover_table(crossover: pd.DataFrame, labels: Mapping[str, str]) -> Table | None:
    """Return where the curve from random weights meets each other one, by laws and by means, for one budget."""
    if crossover.empty:
        return None
    rows = [
        (
            TARGETS[str(row["target"])][0],
            labels[str(row["transfer"])],
            _by_means(row, labels),
            *_by_laws(row, labels),
        )
        for _, row in crossover.iterrows()
    ]
    scratch = labels[str(crossover["scratch"].iloc[0])]
    return Table(
        f"Where the curve of {scratch} meets that of each other arm. By means: between which measured sizes the "
        "order of the means over seeds changes last, converged or not. By laws: where the fitted laws meet, with its "
        "95 % interval.",
        ["target", "arm", "by means", "by laws", "interval", "remark"],
        rows,
        text=3,
        last_text=True,
    )


def _by_means(row: pd.Series, labels: Mapping[str, str]) -> str:
    if pd.isna(row["observed_between_low"]):
        reason = str(row["observed_reason"])
        if reason.startswith(("transfer", "scratch")):
            who = row["transfer"] if reason.startswith("transfer") else row["scratch"]
            return f"none: {labels[str(who)]} lower at every size"
        return f"none: {reason}"
    low, high = row["observed_between_low"], row["observed_between_high"]
    notes = [f"{labels[str(row['observed_better_above'])]} lower above"]
    notes += [] if is_true(row["observed_every_seed"]) else ["not in every seed"]
    notes += [] if is_true(row["observed_converged"]) else ["not all converged"]
    notes += [] if row["observed_changes"] == 1 else [f"last of {int(row['observed_changes'])} changes"]
    return f"n = {low:,.0f} to {high:,.0f} ({', '.join(notes)})"


def _by_laws(row: pd.Series, labels: Mapping[str, str]) -> tuple[str, str, str]:
    if row["kind"] == "none":
        return NONE, NONE, _named(str(row["reason"]), row, labels)
    interval = f"{two_digits(row['low'])} to {two_digits(row['high'])}"
    where = "extrapolated: " if row["kind"] == "extrapolated" else ""
    remark = f"{where}{labels[str(row['better_above'])]} better above"
    if row["kind"] == "extrapolated" and math.isfinite(row["decades"]):
        remark += f"; {fixed(row['decades'], 1)} decades outside the sizes"
    return f"n = {two_digits(row['n'])}", interval, remark


def _named(reason: str, row: pd.Series, labels: Mapping[str, str]) -> str:
    """Return a reason with the arms' printed names."""
    for arm in (str(row["scratch"]), str(row["transfer"])):
        reason = reason.replace(f"no law for {arm}:", f"no law for {labels[arm]}:")
    return minus(reason)


def minus(text: str) -> str:
    """Return a text whose negative numbers have a proper minus sign."""
    return re.sub(r"(?<![\w.])-(?=\d)", "−", text)


def multiplier_table(multiplier: pd.DataFrame, labels: Mapping[str, str], *, target: str) -> Table | None:
    """Return how many times more labels the arm from random weights needs; None where nothing is measurable.

    Args:
        multiplier: rows of one budget and target.
        labels: arm -> name as printed.
        target: of the rows.
    """
    if not (multiplier["multiplier"].notna() | (multiplier["bound"] != "")).any():
        return None
    order = multiplier.groupby("size")["n_frames"].mean().sort_values()
    cells = {(row["transfer"], row["size"]): _multiplier_cell(row) for _, row in multiplier.iterrows()}
    arms = [arm for arm in labels if arm in set(multiplier["transfer"])]
    rows: list[list[str | Cell]] = [
        [labels[arm], *(cells.get((arm, size), Cell(NONE)) for size in order.index)] for arm in arms
    ]
    scratch = labels[str(multiplier["scratch"].iloc[0])]
    reasons = sorted({_plain(str(reason)) for reason in multiplier["reason"]} - {""})
    why = f" ({'; '.join(reasons)})" if reasons else ""
    return Table(
        f"Data multiplier in the {TARGETS[target][0]} error: how many times more labels {scratch} needs for the same "
        "error, by log–log interpolation of its measured curve; range over seeds below. > and <: the error lies "
        f"outside that curve. A dash: not measurable{why}.",
        ["arm", *(f"n = {n:,.0f}" for n in order)],
        rows,
    )


def _plain(reason: str) -> str:
    """Return the reason of a dash; those of a bound say nothing that the sign does not."""
    return "" if " this error " in f"{reason} " else reason


def _multiplier_cell(row: pd.Series) -> Cell:
    if pd.isna(row["multiplier"]):
        return Cell(str(row["bound"]) or NONE)
    several = int(row["n_seeds"]) > 1 and pd.notna(row["multiplier_min"])
    note = f"{amount(row['multiplier_min'])}–{amount(row['multiplier_max'])}" if several else ""
    return Cell(amount(row["multiplier"]), note)
