"""Repair of properties with few labels: whether one label is enough, property by property, at each functional."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from uprung.config.physics import Repair
from uprung.config.study import Study
from uprung.physics.repair import NUMBER, TRAINING, UNTOUCHED
from uprung.physics.repair_tables import BETTER, SOUND, UNSETTLED, WORSE
from uprung.report.blocks import Block, Cell, Details, Row, Sentences, Table, Text, picture
from uprung.report.format import NONE, amount, fixed, functional, listing, plural
from uprung.report.results import StudyResults, where

#: Way of repair -> its name in a sentence.
WAYS = {NUMBER: "one number", TRAINING: "fine-tuning"}
#: How a reading begins -> what is said of the properties that have it, in this order.
SAID = {
    "enough": "{labels} {are} enough for {properties}",
    BETTER: "the error falls, but not by enough to say so, for {properties}",
    WORSE: "the error rises for {properties}",
}


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
    yield readings(table, repair)
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
    before = table[(table["way"] == UNTOUCHED)].set_index(["model", "set", "quantity"])["reading"]
    for (model, name, way), own in known.groupby(["model", "functional", "way"], sort=False):
        kinds = {"enough": own["reading"].str.endswith("enough") & own["reading"].str.startswith(_labels(k))}
        kinds[BETTER] = own["reading"].str.startswith(BETTER)
        kinds[WORSE] = own["reading"] == WORSE
        said = [
            words.format(labels=_labels(k), are=_are(k), properties=listing(_properties(own[kinds[kind]])))
            for kind, words in SAID.items()
            if kinds[kind].any()
        ]
        open_ = own[own["reading"] == UNSETTLED]
        if len(open_):
            said.append(f"not settled for {plural(len(open_), 'property', 'properties')} of {len(own)}")
        sound = sum(before.get(tuple(row), "") == SOUND for row in own[["model", "set", "quantity"]].to_numpy())
        if sound:
            said.append(f"{plural(sum([sound]), 'ratio')} lay so near to 1 before")
        yield f"{model}, {functional(str(name))}, {_labels(k)}, {WAYS[str(way)]}: {'; '.join(said)}."


def _labels(k: int) -> str:
    return "one label" if k == 1 else f"{k} labels"


def _are(k: int) -> str:
    return "is" if k == 1 else "are"


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


def readings(table: pd.DataFrame, repair: Repair) -> Table:
    """Return what the intervals say, a row per property, network and way, a column per k."""
    shots = sorted(repair.shots)
    rows: list[Row] = []
    known = table[table["way"] != UNTOUCHED]
    for (name, quantity, model, way), own in known.groupby(["set", "quantity", "model", "way"], sort=False):
        first = where(table, way=UNTOUCHED, model=model, set=name, quantity=quantity).iloc[0]
        cells = {int(row["shots"]): _reading(row) for _, row in own.iterrows()}
        rows.append(
            [
                str(quantity),
                str(name),
                str(model),
                WAYS[str(way)],
                Cell(fixed(first["ratio"], 2), str(first["reading"])),
                *(cells.get(k, NONE) for k in shots),
            ]
        )
    return Table(
        "What few labels do to each property: ratio of predicted to reference values before, and with k labels, with "
        "what the intervals say below.",
        ["property", "set", "network", "way", "before", *(f"k = {k}" for k in shots)],
        rows,
        text=4,
    )


def _reading(row: pd.Series) -> Cell:
    return Cell(fixed(row["ratio"], 2), str(row["reason"] or row["reading"]))


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
            Cell(fixed(row["ratio"], 2), _span(row, "ratio")),
            Cell(amount(row["mae"]), _span(row, "mae")),
            amount(row["mae_before"]),
            Cell(amount(row["mae_change"]), _span(row, "mae_change")),
        ]
        for _, row in table[table["way"] != UNTOUCHED].iterrows()
    ]
    columns = ["property", "set", "network", "way", "k", "materials / draws", "ratio", "MAE", "MAE before", "change"]
    return Table(
        "Properties after a repair, with 95 % intervals over materials and draws below. The change of the error is "
        "paired: on the same values of the untouched network.",
        columns,
        rows,
        text=4,
    )


def _span(row: pd.Series, name: str) -> str:
    low, high = float(row[f"{name}_low"]), float(row[f"{name}_high"])
    return "" if low != low else f"{amount(low)} to {amount(high)}"
