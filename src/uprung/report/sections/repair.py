"""Repair of properties with few labels: whether one label is enough, property by property, at each functional."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from uprung.config.physics import Repair
from uprung.config.study import Study
from uprung.physics.repair import NUMBER, TRAINING, UNTOUCHED
from uprung.physics.repair_tables import BETTER, UNSETTLED
from uprung.report.blocks import Block, Cell, Details, Row, Sentences, Table, Text, picture
from uprung.report.format import NONE, amount, fixed, functional, interval, listing, plural
from uprung.report.results import StudyResults, where

#: Way of repair -> its name in a sentence.
WAYS = {NUMBER: "one number", TRAINING: "fine-tuning"}


def section(study: Study, results: StudyResults) -> Iterator[Block]:
    """Yield the section; nothing where it is off."""
    physics = study.tests.physics
    if physics is None or physics.repair is None:
        return
    repair, table = physics.repair, results.physics["repair"]
    yield Text(
        "Is one label enough? k labelled structures repair a checkpoint in two ways: one number c, fitted to their "
        "forces, multiplies its energy, and the checkpoint is trained on them. At fixed atoms the number multiplies "
        "energies, elastic constants and force constants by exactly c, frequencies by its square root, and leaves "
        "volumes; where something is relaxed, it does so up to the limits of the relaxation."
    )
    yield Sentences([rule(repair, study), *answers(table, repair), *not_asked(study)])
    yield picture(results.figures, "physics-repair")
    said = readings(table, repair)
    if said is not None:
        yield said
    yield Details("Ratios and errors after every repair", [numbers(table)])


def rule(repair: Repair, study: Study) -> str:
    """Return what the labels are drawn from, and what is not judged with them."""
    pools = study.tests.softening.sets
    named = listing([f"{name} ({functional(pools[name].functional)})" for name in repair.pools])
    others = (
        "no value is judged with a structure of its own composition among the labels"
        if repair.labels == "others"
        else "all labels are of the composition that is judged, none of a structure that it is judged on"
    )
    ends = f"{fixed(1 - repair.tolerance, 2)} to {fixed(1 + repair.tolerance, 2)}"
    return (
        f"Labels are drawn from {named}, {plural(repair.draws, 'draw')} for each k, for the sets of the same "
        f"functional; {others}. k labels are called enough where the error falls and the ratio lies within {ends}, "
        "both by their whole 95 % intervals over materials and draws; below three materials or three draws there is no "
        "interval, and nothing is settled."
    )


def answers(table: pd.DataFrame, repair: Repair) -> Iterator[str]:
    """Yield what the fewest labels do, a sentence per network, functional and way."""
    k = min(repair.shots)
    known = table[(table["shots"] == k) & (table["reason"] == "")]
    for (model, name, way), own in known.groupby(["model", "functional", "way"], sort=False):
        said = [
            f"{words}: {listing(_properties(part))}"
            for words, part in own.groupby("reading", sort=False)
            if words != UNSETTLED
        ]
        unsettled = own[own["reading"] == UNSETTLED]
        few = int(unsettled["mae_change_low"].isna().sum())
        if few == len(own):
            said.append("no property has an interval")
        elif len(unsettled):
            why = f", {few} of them without an interval" if few else ""
            said.append(f"not settled: {len(unsettled)} of {plural(len(own), 'property', 'properties')}{why}")
        yield f"{model}, {functional(str(name))}, k = {k}, {WAYS[str(way)]}: {'; '.join(said)}."


def _properties(part: pd.DataFrame) -> list[str]:
    rows = zip(part["quantity"], part["set"], part["ratio_before"], part["ratio"], strict=True)
    return [f"{quantity} ({name}, {fixed(old, 2)} to {fixed(new, 2)})" for quantity, name, old, new in rows]


def not_asked(study: Study) -> Iterator[str]:
    """Yield which sets are not repaired, and which are not tested again after fine-tuning."""
    physics = study.tests.physics
    if physics is None or physics.repair is None:
        return
    functionals = [study.tests.softening.sets[name].functional for name in physics.repair.pools]
    repaired = [name for each in functionals for name in physics.repaired(each)]
    tuned = [name for each in functionals for name in physics.tuned(each)]
    without = [name for name in physics.sets if name not in repaired]
    if without:
        yield f"No pool has labels of the functional of {listing(without)}: not repaired."
    untested = [name for name in repaired if name not in tuned]
    if untested:
        yield f"Repaired by one number alone, since a fine-tuned network is not asked for them: {listing(untested)}."


def readings(table: pd.DataFrame, repair: Repair) -> Table | None:
    """Return what the intervals say, a row per property, network and way, a column per k; None without any interval."""
    shots = sorted(repair.shots)
    rows: list[Row] = []
    known = _by_property(table[table["way"] != UNTOUCHED])
    for (name, quantity, model, way), own in known.groupby(["set", "quantity", "model", "way"], sort=False):
        if own["mae_change_low"].isna().all():
            continue
        first = where(table, way=UNTOUCHED, model=model, set=name, quantity=quantity).iloc[0]
        cells = {int(row["shots"]): Cell(fixed(row["ratio"], 2), _short(row["reading"])) for _, row in own.iterrows()}
        before = Cell(fixed(first["ratio"], 2), str(first["reading"]))
        rows.append(
            [str(quantity), str(name), str(model), WAYS[str(way)], before, *(cells.get(k, NONE) for k in shots)]
        )
    if not rows:
        return None
    return Table(
        "What few labels do to each property that has an interval: ratio of predicted to reference values before, and "
        "with k labels, with what the intervals say: better or worse, of the error; enough, of the ratio as well, "
        "with a question mark where its interval does not settle it.",
        ["property", "set", "network", "way", "before", *(f"k = {k}" for k in shots)],
        rows,
        text=4,
    )


def _short(reading: str) -> str:
    """Return a reading as it stands in a column that says how many labels there are."""
    if reading.endswith("not enough"):
        return f"{BETTER}, not enough"
    if reading.startswith(BETTER):
        return f"{BETTER}, enough?"
    return "enough" if reading.endswith("enough") else reading


def _by_property(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows with those of a property together, properties and networks in the order of the table."""
    columns = ["set", "quantity", "model", "way"]
    return table.sort_values(columns, key=lambda column: pd.factorize(column)[0], kind="stable")


def numbers(table: pd.DataFrame) -> Table:
    """Return ratios, errors and their changes of every repair, with intervals."""
    rows: list[Row] = [
        [
            f"{row['quantity']} ({row['unit']})",
            row["set"],
            row["model"],
            WAYS[row["way"]],
            str(int(row["shots"])),
            f"{int(row['materials'])} / {int(row['draws'])}",
            Cell(fixed(row["ratio"], 2), interval(row, "ratio")),
            Cell(amount(row["mae"]), interval(row, "mae")),
            amount(row["mae_before"]),
            Cell(amount(row["mae_change"]), interval(row, "mae_change")),
            str(row["reason"] or row["reading"]),
        ]
        for _, row in _by_property(table[table["way"] != UNTOUCHED]).iterrows()
    ]
    columns = ["property", "set", "network", "way", "k", "materials / draws", "ratio", "MAE", "MAE before"]
    return Table(
        "Properties after a repair, with 95 % intervals over materials and draws below. The change of the error is "
        "paired: on the same values of the untouched network.",
        [*columns, "change of MAE", "reading"],
        rows,
        text=4,
        last_text=True,
    )
