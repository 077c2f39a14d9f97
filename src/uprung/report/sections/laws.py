"""Scaling laws: what was fitted, which law the points support, and its extrapolation."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace

import pandas as pd

from uprung.laws import LAWS, MIN_SIZES, REACH, TITLES
from uprung.laws.selection import EVIDENCE
from uprung.report.blocks import Block, Cell, Details, Heading, Row, Table, Text, by_arm, picture, there
from uprung.report.curve_study import CurveStudy
from uprung.report.format import MINUS, NONE, TARGETS, error, fixed, listing, minus, two_digits, unit
from uprung.report.results import is_true, where
from uprung.report.sections import law_checks

FORMULAE = "; ".join(f"{name} {TITLES[name]}" for name in LAWS)


ONE_DEGREE = "one degree of freedom: nothing is left to check the law by"
FLAT = "may not fall at all: not drawn, and nothing is derived from it"
PARAMETERS = {
    "exponent": "a",
    "prefactor": "C",
    "floor": "E∞",
    "shift": "N₀",
    "exponent_before": "b",
    "break": "N at the break",
}


def section(curves: CurveStudy) -> Iterator[Block]:
    """Yield the section."""
    results, labels = curves.following, curves.labels
    if curves.too_few_for_laws:
        yield Text(f"A power law needs {MIN_SIZES} sizes; this study has {len(curves.sizes)}, so no law is fitted.")
    for budget in curves.budgets:
        if len(curves.budgets) > 1:
            yield Heading(f"Budget {budget}")
        if curves.too_few_for_laws:
            yield from there([law_checks.failed_table(where(results.failed, budget=budget), labels)])
            continue
        here = where(results.laws, budget=budget)
        yield laws_table(here, labels)
        yield from on_all(here, where(results.laws_all, budget=budget), labels)
        yield from curves.tables(comparison_table, results.comparison, budget)
        if parameters := curves.tables(parameters_table, results.parameters, budget):
            yield Details("All parameters of all laws", parameters)
        yield from curves.tables(extrapolation_table, results.extrapolation, budget)
        yield from law_checks.section(curves, budget)
    yield picture(results.figures, "law-comparison")


def laws_table(laws: pd.DataFrame, labels: Mapping[str, str]) -> Table:
    """Return the fitted exponents with their intervals, and the reasons of refusals, for one budget."""
    rows: list[Row] = []
    for target in dict.fromkeys(laws["target"]):
        for arm, label in labels.items():
            for _, row in where(laws, target=target, arm=arm).iterrows():
                rows.append((TARGETS[target][0], label, *_law_cells(row)))
    return Table(
        "Scaling laws through the converged points of each curve, least squares in log–log over all sizes and seeds: "
        "power law MAE = C·N⁻ᵃ, where no other law is named. Intervals are 95 %, below for each curve those that hold "
        "for all arms and targets together; the remark states the shape of the curve and the source of the intervals. "
        "Excluded: points that do not enter laws or are not requested. A power law needs three sizes, else it is "
        "refused; a curve that rises beyond its noise has none.",
        ["target", "arm", "law", "exponent a", "95 % interval", "R²", "sizes", "points", "excluded", "remark"],
        rows,
        text=3,
        last_text=True,
    )


def on_all(laws: pd.DataFrame, laws_all: pd.DataFrame, labels: Mapping[str, str]) -> Iterator[Block]:
    """Yield the warning that laws cover less than half of the test, and the laws on all of it; nothing otherwise."""
    if laws_all.empty:
        return
    share = float(laws["coverage"].min())
    yield Text(
        f"Warning: the structures whose elements every seed saw at the smallest size that enters a law are "
        f"{100 * share:.0f} % of the test. These laws speak for less than half of it; those on all test structures "
        "stand beside them, in which curves also fall because elements come in."
    )
    table = laws_table(laws_all, labels)
    yield replace(table, caption=f"On all test structures. {table.caption}")


def _law_cells(row: pd.Series) -> tuple[str | Cell, ...]:
    counts = (str(int(row["n_sizes"])), str(int(row["n_points"])), str(int(row["n_excluded"])))
    if not is_true(row["fitted"]):
        reason = minus("; ".join(str(row["reason"]).split("; ")[:2]))
        return (str(row["law"]), NONE, NONE, NONE, *counts, f"refused: {reason}")
    interval, all_of_them = (
        interval_words(row[f"exponent_{name}low"], row[f"exponent_{name}high"], 2) for name in ("", "all_")
    )
    cells = (str(row["law"]), fixed(row["exponent"], 3), Cell(interval, f"together {all_of_them}"), fixed(row["r2"], 3))
    remark = "; ".join(str(row[name]) for name in ("shape", "interval") if row[name])
    remark += f"; {ONE_DEGREE}" if row["df"] == 1 else ""
    return (*cells, *counts, remark if row["exponent_low"] > 0 else f"{FLAT}; {remark}")


def interval_words(low: float, high: float, digits: int) -> str:
    """Return '0.21 to 0.38', open ends in words."""
    if math.isinf(high):
        return f"{fixed(low, digits)} or more"
    return f"{fixed(low, digits)} to {fixed(high, digits)}"


def comparison_table(comparison: pd.DataFrame, labels: Mapping[str, str], *, target: str) -> Table | None:
    """Return how well every law describes each curve of one budget and target; None where no law was fitted."""
    here = comparison[comparison["fitted"].map(is_true)]
    if here.empty:
        return None
    cells = {(str(row["arm"]), str(row["law"])): _score_cell(row) for _, row in here.iterrows()}
    return Table(
        f"Laws compared, {TARGETS[target][0]}: {FORMULAE}. Error in predicting a size left out, as a factor; below "
        "AICc above the power law's, where the sizes suffice for it (lower is better), and the probability that seed "
        "scatter alone would improve on the power law as much. Bold: the selected law, which is the power law unless "
        f"another one has an AICc at all, such a probability below {EVIDENCE:g}, and predicts left-out sizes better.",
        ["arm", *LAWS],
        by_arm(labels, here["arm"], LAWS, lambda arm, law: cells.get((arm, law), Cell(NONE))),
    )


def _score_cell(row: pd.Series) -> Cell:
    left_out = f"×{fixed(math.exp(row['left_out']), 2)}" if math.isfinite(row["left_out"]) else NONE
    notes = []
    if row["law"] != LAWS[0]:
        notes += (
            [f"AICc {row['aicc_over_power']:+.1f}".replace("-", MINUS)] if math.isfinite(row["aicc_over_power"]) else []
        )
        notes += [f"p {probability(row['p_line'])}"] if math.isfinite(row["p_line"]) else []
    return Cell(left_out, ", ".join(notes), "best" if is_true(row["chosen"]) else "")


def probability(p: float) -> str:
    """Return '= 0.023', '< 0.001' below that."""
    return "< 0.001" if p < 0.001 else f"= {p:.2g}"


def parameters_table(parameters: pd.DataFrame, labels: Mapping[str, str], *, target: str) -> Table | None:
    """Return all parameters of all laws of one budget and target with their intervals; None where there are none."""
    if parameters.empty:
        return None
    rows = []
    for arm, label in labels.items():
        mine = parameters[parameters["arm"] == arm]
        for law in LAWS:
            part = mine[mine["law"] == law]
            if len(part):
                words = "; ".join(_parameter(row, target) for _, row in part.iterrows())
                rows.append((label, law + (" (selected)" if is_true(part["chosen"].iloc[0]) else ""), words))
    return Table(
        f"Parameters of all laws with 95 % intervals, {TARGETS[target][0]}: C and E∞ in {unit(target)} (C at N = 1), "
        "N₀ and the break in structures.",
        ["arm", "law", "parameters"],
        rows,
        text=3,
    )


def _parameter(row: pd.Series, target: str) -> str:
    name = str(row["parameter"])
    values = [float(row[k]) for k in ("value", "low", "high")]
    if name in ("prefactor", "floor"):
        shown = [error(v, target, units=False) if math.isfinite(v) else "∞" for v in values]
    elif name in ("shift", "break"):
        shown = ["∞" if math.isinf(v) else two_digits(v) for v in values]
    else:
        shown = ["∞" if math.isinf(v) else fixed(v, 3) for v in values]
    return f"{PARAMETERS.get(name, name)} = {shown[0]} ({shown[1]} to {shown[2]})"


def extrapolation_table(far: pd.DataFrame, labels: Mapping[str, str], *, target: str) -> Table | None:
    """Return the error at the sizes asked for, of one budget and target; None where none was asked for."""
    if far.empty:
        return None
    sizes = sorted(set(far["n"]))
    return Table(
        f"Error of the {TARGETS[target][0]} in {unit(target)} by the law of each arm at requested sizes, with its 95 % "
        "interval; below, the span of the intervals of all laws that could be fitted, and by how many powers of ten "
        f"the size lies outside the measured ones. Beyond {REACH:g} times the largest size an error is refused without "
        "evidence against a floor.",
        ["arm", *(f"n = {n:,.0f}" for n in sizes)],
        by_arm(labels, far["arm"], sizes, lambda arm, n: _far_cell(where(far, arm=arm, n=n), target)),
    )


def _far_cell(rows: pd.DataFrame, target: str) -> Cell:
    taken = rows[rows["chosen"].map(is_true)]
    if taken.empty:
        return Cell(NONE)
    row = taken.iloc[0]
    if pd.isna(row["mae"]):
        return Cell("refused", str(row["reason"]))
    rows = rows[rows["mae"].notna()]
    text = f"{error(row['mae'], target, units=False)} ({_span(row['low'], row['high'], target)})"
    note = f"any law {_span(rows['low'].min(), rows['high'].max(), target)}; {fixed(row['decades'], 1)} decades"
    return Cell(text, note)


def _span(low: float, high: float, target: str) -> str:
    ends = [error(v, target, units=False) if math.isfinite(v) else "∞" for v in (low, high)]
    return f"{ends[0]} to {ends[1]}"


def fitted_laws(laws: pd.DataFrame, labels: Mapping[str, str], *, target: str) -> list[str]:
    """State which exponents were fitted, which is the steepest beyond its interval, and which laws were refused.

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
        if (rest["exponent_all_high"] < first["exponent_all_low"]).all():
            sentences.append(
                f"The {what} error of {name} falls fastest with training size, beyond the intervals that hold together."
            )
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
    rising = [labels[str(a)] for a in laws.loc[laws["shape"].astype(str).str.contains("beyond noise"), "arm"]]
    if rising:
        sentences.append(
            f"The {what} curve of {listing(rising)} has not the shape of a learning curve: it rises, or falls faster "
            "and faster, beyond noise."
        )
    thin = good[good["df"] == 1]
    if len(thin) and (thin["n_seeds"] == 1).all():
        sentences.append(
            f"Three sizes and one seed say nothing about the form of the {what} curve of "
            f"{listing([labels[str(a)] for a in thin['arm']])}: the exponent is that of a line through three points, "
            "and neither a power law, a floor, a crossing nor a number of labels follows from it."
        )
    if refused:
        sentences.append(f"No {what} law is fitted to {listing(refused)}: see the reasons in the table of laws.")
    return sentences
