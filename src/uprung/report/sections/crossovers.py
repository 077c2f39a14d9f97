"""Crossovers and data multipliers: where curves meet, and how many labels pretraining saves."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import pandas as pd
from markupsafe import Markup

from uprung.laws import REACH
from uprung.report.blocks import Block, Cell, Heading, Row, Table, Text, by_arm, picture
from uprung.report.curve_study import CurveStudy
from uprung.report.format import NONE, TARGETS, amount, error, fixed, listing, minus, sentence, times, two_digits
from uprung.report.results import is_true, where

NO_MULTIPLIER = Markup('No data multiplier can be given at any size; see <a href="#meaning">Findings</a>.')


def section(curves: CurveStudy) -> Iterator[Block]:
    """Yield the section."""
    results = curves.following
    if curves.single_size:
        return
    if not curves.scratch:
        yield Text("No arm starts from random weights, so pretraining has nothing to be compared with.")
    for budget in curves.budgets:
        if len(curves.budgets) > 1:
            yield Heading(f"Budget {budget}")
        bases = list(dict.fromkeys(results.crossover["scratch"]))
        for base in bases:
            if table := crossover_table(where(results.crossover, budget=budget, scratch=base), curves.labels):
                yield table
        multipliers = []
        for base in bases:
            own = curves.tables(multiplier_table, where(results.multiplier, scratch=base), budget)
            multipliers += own
            yield from own
            yield from curves.tables(ratio_table, where(results.multiplier_curve, scratch=base), budget)
        yield from curves.tables(labels_table, results.labels, budget)
        if curves.scratch and not multipliers:
            yield Text(NO_MULTIPLIER)
    if curves.scratch:
        yield picture(results.figures, "data-multiplier")


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
    others = "each other arm" if crossover["transfer"].nunique() == len(labels) - 1 else "arms that it is compared with"
    return Table(
        f"Crossings of {scratch} with {others}. By means: the measured sizes between which the means over seeds "
        "last change order, converged or not. By laws: where the fitted laws cross, with 95 % interval, below it the "
        "one that holds for all arms and targets together.",
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
            return f"none: {labels[str(who)]} lower at {_sizes(reason)}"
        return f"none: {reason}"
    low, high = row["observed_between_low"], row["observed_between_high"]
    notes = [f"{labels[str(row['observed_better_above'])]} lower above"]
    notes += [] if is_true(row["observed_every_seed"]) else ["not in every seed"]
    notes += [] if is_true(row["observed_converged"]) else ["not all converged"]
    notes += [] if row["observed_changes"] == 1 else [f"last of {int(row['observed_changes'])} changes"]
    return f"n = {low:,.0f} to {high:,.0f} ({', '.join(notes)})"


def _by_laws(row: pd.Series, labels: Mapping[str, str]) -> tuple[str, str | Cell, str]:
    if row["kind"] in ("none", "refused"):
        return NONE, NONE, _named(str(row["reason"]), row, labels)
    spans = [f"{two_digits(row[f'low{name}'])} to {two_digits(row[f'high{name}'])}" for name in ("", "_all")]
    interval = Cell(spans[0], f"together {spans[1]}")
    where = "extrapolated: " if row["kind"] == "extrapolated" else ""
    remark = f"{where}{labels[str(row['better_above'])]} better above"
    if row["kind"] == "extrapolated" and math.isfinite(row["decades"]):
        remark += f"; {decades(row['decades'])} outside the sizes"
    return f"n = {two_digits(row['n'])}", interval, remark


def decades(powers: float) -> str:
    """Return how far outside the measured sizes something lies: 'less than 0.1 decades', '1.2 decades'."""
    return f"{fixed(powers, 1)} decades" if powers >= 0.05 else "less than 0.1 decades"


def _named(reason: str, row: pd.Series, labels: Mapping[str, str]) -> str:
    """Return a reason with the arms' printed names."""
    for arm in (str(row["scratch"]), str(row["transfer"])):
        reason = reason.replace(f"no law for {arm}:", f"no law for {labels[arm]}:")
    return minus(reason)


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
    scratch = labels[str(multiplier["scratch"].iloc[0])]
    reasons = sorted({_plain(str(reason)) for reason in multiplier["reason"]} - {""})
    why = f" ({'; '.join(reasons)})" if reasons else ""
    return Table(
        f"Data multiplier in the {TARGETS[target][0]} error: how many times more labels {scratch} needs for the same "
        "error, by log–log interpolation of its measured curve; range over seeds below. > and <: the error lies "
        f"outside that curve. A dash: not measurable{why}.",
        ["arm", *(f"n = {n:,.0f}" for n in order)],
        by_arm(labels, multiplier["transfer"], order.index, lambda arm, size: cells.get((arm, size), Cell(NONE))),
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


def ratio_table(ratios: pd.DataFrame, labels: Mapping[str, str], *, target: str) -> Table | None:
    """Return data multipliers by the laws at the smallest, a middle and the largest size; None without two laws."""
    ratios = ratios[ratios["multiplier"].map(math.isfinite)]
    if ratios.empty:
        return None
    rows: list[Row] = []
    for arm, label in labels.items():
        mine = ratios[ratios["transfer"] == arm]
        if len(mine):
            shown = [mine.iloc[i] for i in sorted({0, len(mine) // 2, len(mine) - 1})]
            rows += [[label, f"{row['n']:,.0f}", ratio_words(row), _outside(row)] for row in shown]
    return Table(
        f"Data multiplier in the {TARGETS[target][0]} error by the fitted laws, with its 95 % interval, at the "
        "smallest, a middle and the largest size of each arm. The last column says by how many powers of ten the "
        "size that it is compared with lies outside the measured ones.",
        ["arm", "n", "multiplier", "decades outside"],
        rows,
    )


def _outside(row: pd.Series) -> str:
    return fixed(row["decades"], 1) if row["decades"] > 0.05 else NONE


def ratio_words(row: pd.Series) -> str:
    """Return a multiplier with its interval: '4.9 (1.9 to 13)'."""
    high = "∞" if math.isinf(row["high"]) else amount(row["high"])
    return f"{amount(row['multiplier'])} ({amount(row['low'])} to {high})"


def labels_table(needed: pd.DataFrame, labels: Mapping[str, str], *, target: str) -> Table | None:
    """Return how many labels each arm needs for some errors, for one budget and target; None without a law."""
    if needed.empty:
        return None
    arms = {arm: label for arm, label in labels.items() if arm in set(needed["arm"])}
    rows: list[Row] = []
    for wanted in sorted(set(needed["error"]), reverse=True):
        mine = {str(row["arm"]): _labels_cell(row) for _, row in needed[needed["error"] == wanted].iterrows()}
        rows.append([error(wanted, target), *(mine[arm] for arm in arms)])
    return Table(
        f"Labels that the law of each arm needs for an error of the {TARGETS[target][0]}, with 95 % interval; below, "
        "how many more than its largest size, and by how many powers of ten that is an extrapolation. Valid while "
        f"the law holds. Beyond {REACH:g} times the largest size a number is refused without evidence against a floor.",
        ["error", *arms.values()],
        rows,
    )


def _labels_cell(row: pd.Series) -> Cell:
    low, high = span_of_sizes(row["low"], row["high"])
    if str(row["reason"]).startswith("the law as fitted reaches it at"):
        return Cell("refused", str(row["reason"]))
    if not math.isfinite(row["n"]):
        return Cell("not reached", f"{low} or more" if math.isfinite(row["low"]) else "")
    text = f"{two_digits(row['n'])} ({low} to {high})"
    if row["more"] <= 0:
        return Cell(text)
    return Cell(text, f"{two_digits(row['more'])} more; {fixed(row['decades'], 1)} decades")


def span_of_sizes(low: float, high: float) -> tuple[str, str]:
    """Return both ends of an interval of sizes in words."""
    return two_digits(low), "any larger size" if math.isinf(high) else two_digits(high)


def overtaking(crossover: pd.DataFrame, labels: Mapping[str, str], *, target: str) -> list[str]:
    """State whether and where the arm from random weights overtakes each other arm, or is overtaken.

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


def _sizes(reason: str) -> str:
    return "the only size" if "the only" in reason else "every size"


def _order(row: pd.Series) -> str:
    """Return what the measured means of two arms show, with holes for the names."""
    low, high = float(row["observed_between_low"]), float(row["observed_between_high"])
    if math.isnan(low):
        if str(row["observed_reason"]).startswith("no size"):
            return "{scratch} and {others} have no size in common"
        better = not str(row["observed_reason"]).startswith("transfer")
        side = "below" if better else "above"
        seeds = "one seed, spread unknown" if row["observed_seeds"] == 1 else "means over seeds"
        sizes = _sizes(str(row["observed_reason"]))
        return f"{{what}}: the error of {{scratch}} is {side} that of {{others}} at {sizes} ({seeds})"
    overtakes = str(row["observed_better_above"]) == str(row["scratch"])
    verb = "overtakes" if overtakes else "is overtaken by"
    notes = ["in every seed" if is_true(row["observed_every_seed"]) else "not in every seed"]
    notes = ["one seed, spread unknown"] if row["observed_seeds"] == 1 else notes
    if not is_true(row["observed_converged"]):
        notes.append("with unconverged points")
    if int(row["observed_changes"]) > 1:
        notes.append(f"the last of {int(row['observed_changes'])} changes of order")
    return f"{{what}}: {{scratch}} {verb} {{others}} between n = {low:,.0f} and {high:,.0f} ({', '.join(notes)})"


def _law_crossings(crossover: pd.DataFrame, labels: Mapping[str, str], what: str) -> list[str]:
    """State where fitted laws cross; a crossing outside the measured sizes is said to be an extrapolation."""
    sentences = []
    for _, row in crossover[crossover["kind"].isin(["in range", "extrapolated"])].iterrows():
        place = f"n = {two_digits(row['n'])} (95 % interval {two_digits(row['low'])} to {two_digits(row['high'])})"
        beyond = ""
        if row["kind"] == "extrapolated":
            beyond = f", an extrapolation by {decades(row['decades'])}, not a measurement"
        one, two = labels[str(row["scratch"])], labels[str(row["transfer"])]
        sentences.append(
            f"The {what} laws of {one} and {two} cross at {place}{beyond}; "
            f"{labels[str(row['better_above'])]} is better above."
        )
    return sentences


def multipliers(multiplier: pd.DataFrame, labels: Mapping[str, str], *, target: str) -> list[str]:
    """State how many times more labels the arm from random weights needs, at the smallest size that gives an answer.

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
    single = " (one seed, spread unknown)" if int(row["n_seeds"]) == 1 else ""
    if pd.isna(row["multiplier"]):
        bound = str(row["bound"])
        side = "more than" if bound.startswith(">") else "less than"
        return f"{start} {side} {times(float(bound[1:]))} as many labels, the end of its measured curve{single}."
    spread = single
    if int(row["n_seeds"]) > 1 and pd.notna(row["multiplier_min"]):
        spread = f" ({amount(row['multiplier_min'])} to {amount(row['multiplier_max'])} over {row['n_seeds']} seeds)"
    return f"{start} {times(row['multiplier'])} as many labels{spread}."
