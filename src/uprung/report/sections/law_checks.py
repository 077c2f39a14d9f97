"""What was done to find a law wrong: failed runs, regions, a back-test, many starts; and laws in two sizes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd

from uprung.laws import CONFIDENCE, LAWS, TITLES
from uprung.report.blocks import Block, Cell, Details, Heading, Row, Table, Text, by_arm, there
from uprung.report.curve_study import CurveStudy
from uprung.report.format import NONE, TARGETS, error, fixed, minus, plural, unit
from uprung.report.results import is_true, where
from uprung.scaling import hit_rate

PERCENT = f"{100 * CONFIDENCE:.0f} %"
REGIONS = ("all", "without the smallest", "without the largest")


def section(curves: CurveStudy, budget: str) -> Iterator[Block]:
    """Yield the checks of the laws of one budget."""
    results, labels = curves.following, curves.labels
    yield Heading("Checks of the laws")
    yield from there([failed_table(where(results.failed, budget=budget), labels)])
    yield from there([sensitivity_table(where(results.sensitivity, budget=budget), labels)])
    yield from there([back_test_table(where(results.back_test, budget=budget), labels)])
    if len(tested := where(results.back_test, budget=budget)):
        yield Text(hit_rate_words(tested))
    yield from there([new_run_table(where(results.bands, budget=budget), labels)])
    yield from there([joint_table(where(results.joint, budget=budget), labels)])
    parameters, comparison = (where(table, budget=budget) for table in (results.parameters, results.comparison))
    if exact := precise_tables(parameters, comparison, labels):
        yield Details("Fits in full precision, and from how many starts", exact)


def failed_table(failed: pd.DataFrame, labels: Mapping[str, str]) -> Table | None:
    """Return the share of failed runs of every arm and target, with its interval; None where it is unknown."""
    known = failed[failed["arm"].isin(list(labels))]
    bad = known["failed"] > 0
    rows = [
        (TARGETS[str(row["target"])][0], labels[str(row["arm"])], *_share_cells(row))
        for _, row in known[bad].iterrows()
    ]
    for _, rest in known[~bad].groupby("runs"):
        other = "other " if bad.any() else ""
        rows.append((f"each of {plural(len(rest), f'{other}curve')}", "", *_share_cells(rest.iloc[0])))
    if not rows:
        return None
    return Table(
        "Failed runs: those whose validation error at the end of the budget is not below that of learning nothing, "
        f"with the exact {PERCENT} interval of their share. Runs do not leave laws one by one for it: a size is in or "
        "out as a whole.",
        ["target", "arm", "failed", "share"],
        rows,
        text=2,
    )


def _share_cells(row: pd.Series) -> tuple[str, str]:
    share = f"{100 * row['share']:.0f} % ({100 * row['low']:.0f} to {100 * row['high']:.0f})"
    return f"{row['failed']:.0f} of {row['runs']:.0f}", share


def sensitivity_table(found: pd.DataFrame, labels: Mapping[str, str]) -> Table | None:
    """Return the exponent of each law with and without the sizes at its ends; None without a law."""
    if found.empty:
        return None
    rows: list[Row] = []
    for target in dict.fromkeys(found["target"]):
        here = where(found, target=target)
        cells = {(str(row["arm"]), str(row["region"])): _exponent_cell(row) for _, row in here.iterrows()}
        each = by_arm(labels, here["arm"], REGIONS, lambda arm, region, c=cells: c.get((arm, region), Cell(NONE)))  # type: ignore[misc]
        rows += [[TARGETS[str(target)][0], *row] for row in each]
    return Table(
        f"Sensitivity of the exponent to the region, with {PERCENT} intervals. Bold: outside the interval of the law "
        "through all sizes.",
        ["target", "arm", *REGIONS],
        rows,
        text=2,
    )


def _exponent_cell(row: pd.Series) -> Cell:
    if pd.isna(row["exponent"]):
        return Cell(NONE, "too few sizes")
    style = "best" if is_true(row["outside"]) else ""
    return Cell(fixed(row["exponent"], 3), f"{fixed(row['low'], 2)} to {fixed(row['high'], 2)}", style)


def back_test_table(tests: pd.DataFrame, labels: Mapping[str, str]) -> Table | None:
    """Return how the largest size of every curve is predicted from the others; None where no law was fitted."""
    made = tests[tests["predicted"].notna() & tests["arm"].isin(list(labels))]
    if made.empty:
        return None
    rows = []
    for _, row in made.iterrows():
        target = str(row["target"])
        values = {k: error(row[k], target, units=False) for k in ("predicted", "low", "high", "measured")}
        interval = f"{values['low']} to {values['high']}"
        ends = (values["measured"], f"×{fixed(row['factor'], 2)}", "yes" if is_true(row["hit"]) else "no")
        names = (f"{TARGETS[target][0]} ({unit(target)})", labels[str(row["arm"])], str(row["law"]), f"{row['n']:,.0f}")
        rows.append((*names, values["predicted"], interval, *ends))
    return Table(
        "Back-test: the mean error at the largest size, predicted by the law that the other sizes support, with the "
        f"{PERCENT} prediction interval of that mean, and as measured.",
        ["target", "arm", "law", "n", "predicted", "interval", "measured", "measured / predicted", "inside"],
        rows,
        text=3,
    )


def hit_rate_words(tests: pd.DataFrame) -> str:
    """State how often the back-test holds, with the interval of the rate."""
    hits, made, low, high = hit_rate(tests)
    if not made:
        return "No back-test is possible: no curve has a law without its largest size."
    verb = "curve lies" if made == 1 else "curves lie"
    return (
        f"Back-test: {hits} of {made} {verb} inside the prediction interval, a rate of {100 * hits / made:.0f} % "
        f"({100 * low:.0f} to {100 * high:.0f} % by the exact interval) where {PERCENT} is claimed."
    )


def new_run_table(bands: pd.DataFrame, labels: Mapping[str, str]) -> Table | None:
    """Return the interval of one new run at the ends of the sizes of each chosen law; None without a law."""
    bands = bands[bands["chosen"].map(is_true)]
    if bands.empty:
        return None
    rows: list[Row] = []
    for target in dict.fromkeys(map(str, bands["target"])):
        for arm, label in labels.items():
            mine = where(bands, target=target, arm=arm)
            if len(mine):
                ends = (mine.iloc[i] for i in (0, -1))
                rows.append(
                    (f"{TARGETS[target][0]} ({unit(target)})", label, *(_run_cell(row, target) for row in ends))
                )
    return Table(
        f"Prediction intervals ({PERCENT}) for the error of one new run, of another seed on the same test, by the law "
        "of each arm at its smallest and its largest size.",
        ["target", "arm", "smallest", "largest"],
        rows,
        text=2,
    )


def _run_cell(row: pd.Series, target: str) -> Cell:
    low, high = (error(row[k], target, units=False) for k in ("run_low", "run_high"))
    return Cell(f"{low} to {high}", f"n = {row['n']:,.0f}")


def joint_table(joint: pd.DataFrame, labels: Mapping[str, str]) -> Table | None:
    """Return the laws in target and source size; None where no network is pretrained by the study."""
    if joint.empty:
        return None
    rows: list[Row] = []
    for _, row in joint.iterrows():
        arms = ", ".join(labels.get(arm, arm) for arm in str(row["arms"]).split(", "))
        if not is_true(row["fitted"]):
            rows.append((TARGETS[str(row["target"])][0], arms, NONE, NONE, NONE, minus(f"refused: {row['reason']}")))
            continue
        shown = [
            f"{fixed(row[f'exponent_{k}'], 3)} ({fixed(row[f'{k}_low'], 2)} to {fixed(row[f'{k}_high'], 2)})"
            for k in ("target", "source")
        ]
        cells = f"{plural(int(row['n_cells']), 'cell')} of {row['n_target']:.0f} × {row['n_source']:.0f} sizes"
        rows.append((TARGETS[str(row["target"])][0], arms, *shown, fixed(row["p_interaction"], 3), cells))
    return Table(
        "Joint law MAE = C·N⁻ᵃ·S⁻ᵇ in target labels N and source labels S, by arms that differ in the network that "
        f"they start from alone, with {PERCENT} intervals; p: probability of as large an interaction by scatter alone.",
        ["target", "arms", "a", "b", "p", "remark"],
        rows,
        text=2,
        last_text=True,
    )


def precise_tables(parameters: pd.DataFrame, comparison: pd.DataFrame, labels: Mapping[str, str]) -> list[Table]:
    """Return all parameters in full precision with the starts that reach the same sum of squares."""
    if parameters.empty:
        return []
    rows = []
    for key, part in parameters.groupby(["arm", "target", "law"], sort=False):
        arm, target, law = map(str, np.atleast_1d(np.array(key, dtype=object)))
        if arm not in labels:
            continue
        row = where(comparison, arm=arm, target=target, law=law).iloc[0]
        agree = "closed form" if pd.isna(row["starts"]) else f"{row['agreeing']:.0f} of {row['starts']:.0f}"
        values = "; ".join(f"{name} = {value!r}" for name, value in zip(part["parameter"], part["value"], strict=True))
        rows.append((TARGETS[target][0], labels[arm], law, values, agree))
    return [
        Table(
            "Fits in double precision (errors in eV/atom, eV/Å, GPa, μB), and how many random starts of another search "
            f"reach the same sum of squares: {'; '.join(f'{name} {TITLES[name]}' for name in LAWS)}.",
            ["target", "arm", "law", "parameters", "starts"],
            rows,
            text=4,
        )
    ]
