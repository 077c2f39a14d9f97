"""Properties after each transfer arm, against the checkpoint that it started from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pandas as pd

from uprung.physics.tables import RUN
from uprung.report.blocks import Block, Cell, Details, Heading, Row, Sentences, Table
from uprung.report.format import amount, fixed, interval, listing, plural
from uprung.report.results import where
from uprung.softening.slopes import POOLED


def after_transfer(
    table: pd.DataFrame, softening: Mapping[str, pd.DataFrame], labels: Mapping[str, str], budget: str
) -> Iterator[Block]:
    """Yield what every arm did to the properties; nothing where no arm starts from a checkpoint.

    Args:
        table: of `uprung.physics.transfer.transfer_table`.
        softening: evaluation set -> slopes of the forces, of `uprung.softening.slopes.softening_table`.
        labels: arm -> name as printed.
        budget: whose runs are shown.
    """
    own = table[table["budget"] == budget]
    if own.empty:
        return
    yield Heading("After transfer, against the checkpoint before", "physics-transfer")
    yield Sentences([*changes(own, labels), *forces(own, softening, labels, budget)])
    yield Details("Ratios and errors before and after every arm", [transfer_numbers(own, labels)])


def changes(table: pd.DataFrame, labels: Mapping[str, str]) -> Iterator[str]:
    """Yield a sentence per arm and size: which ratios and errors have changed by their paired intervals."""
    for (arm, size, model), own in table.groupby(["arm", "size", "model"], sort=False):
        judged = own.dropna(subset=["mae_change_low"])
        name = f"{labels.get(str(arm), arm)}, n = {size}, against {model}"
        if judged.empty:
            yield f"{name}: no property has the three materials that an interval needs."
            continue
        words = []
        for column, low, high in (("ratio", "ratios fall", "ratios rise"), ("mae", "errors fall", "errors rise")):
            for said, part in (
                (low, judged[judged[f"{column}_change_high"] < 0]),
                (high, judged[judged[f"{column}_change_low"] > 0]),
            ):
                if len(part):
                    words.append(f"{said} for {listing(_properties(part, column))}")
        words = words or ["no change is settled by its interval"]
        yield f"{name}, of {plural(len(judged), 'property', 'properties')} with an interval: {'; '.join(words)}."


def forces(
    table: pd.DataFrame, softening: Mapping[str, pd.DataFrame], labels: Mapping[str, str], budget: str
) -> Iterator[str]:
    """Yield how the slope of the forces changed beside the properties, where an evaluation set tests both networks."""
    for name, slopes in softening.items():
        whole = slopes[(slopes["subset"] == "all") & (slopes["material"] != POOLED)]
        words = []
        for arm, size, model in table[["arm", "size", "model"]].drop_duplicates().itertuples(index=False, name=None):
            before = where(whole, model=model)["slope"]
            after = where(whole, model=RUN, budget=budget, arm=arm, size=size).groupby("material")["slope"].mean()
            if len(before) and len(after):
                old, new = fixed(float(before.median()), 2), fixed(float(after.median()), 2)
                words.append(f"{labels.get(str(arm), arm)}, n = {size}, {old} to {new}")
        if words:
            yield f"Median slope of the forces on {name} before and after: {'; '.join(words)}."


def _properties(part: pd.DataFrame, column: str) -> list[str]:
    rows = zip(part["quantity"], part["set"], part[f"{column}_before"], part[column], strict=True)
    words = (lambda value: fixed(value, 2)) if column == "ratio" else amount
    return [f"{quantity} ({name}, {words(old)} to {words(new)})" for quantity, name, old, new in rows]


def transfer_numbers(table: pd.DataFrame, labels: Mapping[str, str]) -> Table:
    """Return a row per arm, size, set and quantity."""
    rows: list[Row] = [
        [
            f"{row['quantity']} ({row['unit']})",
            row["set"],
            f"{labels.get(row['arm'], row['arm'])}, n = {row['size']}",
            f"{int(row['materials'])} / {int(row['draws'])}",
            f"{fixed(row['ratio_before'], 2)} → {fixed(row['ratio'], 2)}",
            Cell(fixed(row["ratio_change"], 2), interval(row, "ratio_change")),
            f"{amount(row['mae_before'])} → {amount(row['mae'])}",
            Cell(amount(row["mae_change"]), interval(row, "mae_change")),
            row["reading"],
        ]
        for _, row in table.sort_values(["set", "quantity"], kind="stable").iterrows()
    ]
    columns = ["property", "set", "arm", "materials / seeds", "ratio", "change of ratio", "MAE", "change of MAE"]
    return Table(
        "Properties before and after each arm, on the same values, with 95 % intervals of the changes over materials "
        "(and seeds, from three on) below; none with fewer than three materials.",
        [*columns, "reading"],
        rows,
        text=3,
        last_text=True,
    )
