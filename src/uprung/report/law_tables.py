"""Tables of the page about laws: what was fitted, which law the points support, and what follows from it."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pandas as pd

from uprung.laws import LAWS, TITLES
from uprung.laws.selection import EVIDENCE
from uprung.report.curve_tables import minus
from uprung.report.findings import is_true
from uprung.report.format import MINUS, NONE, TARGETS, amount, error, fixed, two_digits, unit
from uprung.report.tables import Cell, Table

FORMULAE = "; ".join(f"{name} {TITLES[name]}" for name in LAWS)


def laws_table(laws: pd.DataFrame, labels: Mapping[str, str]) -> Table:
    """Return the fitted exponents with their intervals, and the reasons of refusals, for one budget."""
    rows = []
    for target in dict.fromkeys(laws["target"]):
        for arm, label in labels.items():
            for _, row in laws[(laws["target"] == target) & (laws["arm"] == arm)].iterrows():
                rows.append((TARGETS[target][0], label, *_law_cells(row)))
    return Table(
        "Scaling laws through the converged points of each curve, least squares in log–log over all sizes and seeds: "
        "power law MAE = C·N⁻ᵃ, where no other law is named. Intervals are 95 %; the remark says what they are made "
        "from. Excluded: points that are not converged or not wanted. A power law needs three sizes, else it is "
        "refused.",
        ["target", "arm", "law", "exponent a", "95 % interval", "R²", "sizes", "points", "excluded", "remark"],
        rows,
        text=3,
        last_text=True,
    )


def _law_cells(row: pd.Series) -> tuple[str, ...]:
    counts = (str(int(row["n_sizes"])), str(int(row["n_points"])), str(int(row["n_excluded"])))
    if not is_true(row["fitted"]):
        return (str(row["law"]), NONE, NONE, NONE, *counts, "refused: " + minus("; ".join(_first_reasons(row))))
    interval = interval_words(row["exponent_low"], row["exponent_high"], 2)
    law = str(row["law"])
    return (law, fixed(row["exponent"], 3), interval, fixed(row["r2"], 3), *counts, str(row["interval"]))


def _first_reasons(row: pd.Series) -> list[str]:
    return str(row["reason"]).split("; ")[:2]


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
    rows: list[list[str | Cell]] = []
    for arm, label in labels.items():
        mine = {str(row["law"]): _score_cell(row) for _, row in here[here["arm"] == arm].iterrows()}
        if mine:
            rows.append([label, *(mine.get(law, Cell(NONE)) for law in LAWS)])
    return Table(
        f"Laws compared, {TARGETS[target][0]}: {FORMULAE}. Error in predicting a size left out, as a factor; below "
        "AICc above the power law's, where the sizes suffice for it (lower is better), and the probability that seed "
        "scatter alone would improve on the power law as much. Bold: the law taken, which is the power law unless "
        f"another one has an AICc at all, such a probability below {EVIDENCE:g}, and predicts left-out sizes better.",
        ["arm", *LAWS],
        rows,
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


PARAMETERS = {
    "exponent": "a",
    "prefactor": "C",
    "floor": "E∞",
    "shift": "N₀",
    "exponent_before": "b",
    "break": "N at the break",
}


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
                rows.append((label, law + (" (taken)" if is_true(part["chosen"].iloc[0]) else ""), words))
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
    return f"{PARAMETERS[name]} = {shown[0]} ({shown[1]} to {shown[2]})"


def labels_table(needed: pd.DataFrame, labels: Mapping[str, str], *, target: str) -> Table | None:
    """Return how many labels each arm needs for some errors, for one budget and target; None without a law."""
    if needed.empty:
        return None
    arms = {arm: label for arm, label in labels.items() if arm in set(needed["arm"])}
    rows: list[list[str | Cell]] = []
    for wanted in sorted(set(needed["error"]), reverse=True):
        mine = {str(row["arm"]): _labels_cell(row) for _, row in needed[needed["error"] == wanted].iterrows()}
        rows.append([error(wanted, target), *(mine[arm] for arm in arms)])
    return Table(
        f"Labels that the law of each arm needs for an error of the {TARGETS[target][0]}, with 95 % interval; below, "
        "how many more than its largest size, and by how many powers of ten that is an extrapolation. It holds as far "
        "as the law does.",
        ["error", *arms.values()],
        rows,
    )


def _labels_cell(row: pd.Series) -> Cell:
    low, high = span_of_sizes(row["low"], row["high"])
    if not math.isfinite(row["n"]):
        return Cell("not reached", f"{low} or more" if math.isfinite(row["low"]) else "")
    text = f"{two_digits(row['n'])} ({low} to {high})"
    if row["more"] <= 0:
        return Cell(text)
    return Cell(text, f"{two_digits(row['more'])} more; {fixed(row['decades'], 1)} decades")


def span_of_sizes(low: float, high: float) -> tuple[str, str]:
    """Return both ends of an interval of sizes in words."""
    return two_digits(low), "any larger size" if math.isinf(high) else two_digits(high)


def extrapolation_table(far: pd.DataFrame, labels: Mapping[str, str], *, target: str) -> Table | None:
    """Return the error at the sizes asked for, of one budget and target; None where none was asked for."""
    if far.empty:
        return None
    sizes = sorted(set(far["n"]))
    rows: list[list[str | Cell]] = []
    for arm, label in labels.items():
        mine = far[far["arm"] == arm]
        if len(mine):
            rows.append([label, *(_far_cell(mine[mine["n"] == n], target) for n in sizes)])
    return Table(
        f"Error of the {TARGETS[target][0]} in {unit(target)} by the law of each arm at sizes asked for, with its 95 % "
        "interval; below, the span of the intervals of all laws that could be fitted, and by how many powers of ten "
        "the size lies outside the measured ones.",
        ["arm", *(f"n = {n:,.0f}" for n in sizes)],
        rows,
    )


def _far_cell(rows: pd.DataFrame, target: str) -> Cell:
    taken = rows[rows["chosen"].map(is_true)]
    if taken.empty:
        return Cell(NONE)
    row = taken.iloc[0]
    text = f"{error(row['mae'], target, units=False)} ({_span(row['low'], row['high'], target)})"
    note = f"any law {_span(rows['low'].min(), rows['high'].max(), target)}; {fixed(row['decades'], 1)} decades"
    return Cell(text, note)


def _span(low: float, high: float, target: str) -> str:
    ends = [error(v, target, units=False) if math.isfinite(v) else "∞" for v in (low, high)]
    return f"{ends[0]} to {ends[1]}"


def ratio_table(ratios: pd.DataFrame, labels: Mapping[str, str], *, target: str) -> Table | None:
    """Return data multipliers by the laws at the smallest, a middle and the largest size; None without two laws."""
    ratios = ratios[ratios["multiplier"].map(math.isfinite)]
    if ratios.empty:
        return None
    rows: list[list[str | Cell]] = []
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
