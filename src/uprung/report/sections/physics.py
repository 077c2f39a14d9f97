"""Physics: properties of crystals by every network, against published values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pandas as pd

from uprung.config.physics import Physics, PhysicsSet
from uprung.config.study import Study
from uprung.report.arms import arm_labels
from uprung.report.blocks import Block, Cell, Definitions, Details, Row, Sentences, Table, Text, picture
from uprung.report.format import amount, fixed, functional, listing, plural
from uprung.report.results import StudyResults, where
from uprung.report.sections.transfer import after_transfer

#: Test -> how it is done.
METHODS = {
    "surfaces": "slabs and crystal as published, no relaxation: γ = (E(slab) − N·E(crystal)/n)/2A.",
    "vacancies": "the lattice by an equation of state, the cell relaxed, one atom taken out of a supercell, its atoms "
    "relaxed in the kept cell.",
    "mixing": "arrangements of atoms as published, no relaxation.",
    "elasticity": "cell and atoms relaxed, then stresses of 24 strained cells with relaxed atoms; averages of Hill.",
    "phonons": "forces of displaced atoms in the published cell and supercell (phonopy).",
    "heat-capacity": "cell and atoms relaxed, harmonic phonons, 300 K, constant volume.",
    "volumes": "cell and atoms relaxed from the published cell.",
    "formation-energy": "cells and atoms of crystal and elements relaxed; decomposition against the other compounds.",
    "equation-of-state": "scaled cells as they are, energies fitted by Birch and Murnaghan.",
    "elastic-constants": "stresses of cells with one strain of both signs, atoms follow the cell.",
    "frozen-phonons": "forces of one displaced atom; frequencies at the waves that the supercell repeats.",
    "vacancy-cells": "one atom, of compounds a pair, taken out, the rest as it was: E(vacant) − n/N·E(crystal).",
    "paths": "an atom on the straight line into a vacancy, the rest as it was.",
}
LONGEST = 40  # rows of a list of what has no value
NAMED = 6  # properties in a sentence, beyond which the others are counted
MANY = 8  # sets, beyond which what each one is, and the table of all values, are folded away


def section(study: Study, results: StudyResults) -> Iterator[Block]:
    """Yield the section; nothing where the test is off."""
    options = study.tests.physics
    if options is None:
        return
    summary, values = results.physics["summary"], results.physics["values"]
    labels, budget = arm_labels(study), next(iter(study.budgets))
    yield Text(
        "What forces that are too small do to properties: energies of surfaces, defects and mixtures, elastic "
        "constants, vibrations. Reference energies of the elements drop out of all of them, so that the untouched "
        "network stands beside the networks that it became. A ratio is Σxy/Σx² of predicted y on published x; for "
        "energies, moduli and frequencies one below 1 means that the network is too soft."
    )
    yield Sentences([*findings(summary, labels, budget), *unsettled(summary, options)])
    sets, table = Definitions(about_sets(options.sets)), summary_table(summary, labels, budget=budget)
    many = len(options.sets) > MANY
    if many:
        yield Details(f"The {len(options.sets)} sets: how each is tested, and what is not verified about it", [sets])
    else:
        yield sets
    yield picture(results.figures, "physics-ratios")
    yield Details("Ratios and errors of every network in every set", [table]) if many else table
    yield picture(results.figures, "physics")
    for name in ("physics-mixing", "physics-phonons"):
        if name in results.figures:
            yield picture(results.figures, name)
    if "transfer" in results.physics:
        yield from after_transfer(results.physics["transfer"], results.softening, labels, budget)
    missing = left_out(values)
    if missing is not None:
        yield Details("Values that a network does not give, with the reason", [missing])


def about_sets(sets: Mapping[str, PhysicsSet]) -> dict[str, list[str]]:
    """Return how each set is tested, and what is not verified about it."""
    return {
        name: [
            f"{functional(entry.functional)}; {METHODS[entry.test]}".rstrip("."),
            *([entry.caveat.rstrip(".")] if entry.caveat else []),
        ]
        for name, entry in sets.items()
    }


def findings(summary: pd.DataFrame, labels: Mapping[str, str], budget: str) -> Iterator[str]:
    """Yield a sentence per network: which properties lie below or above the published ones by their intervals."""
    for name, own in networks(summary, labels, budget).items():
        judged = own.dropna(subset=["ratio_low"])
        if judged.empty:
            continue
        low, high = judged[judged["ratio_high"] < 1], judged[judged["ratio_low"] > 1]
        words = [
            f"{listing(_quantities(part))} {'lies' if len(part) == 1 else 'lie'} {place} 1"
            for place, part in (("below", low), ("above", high))
            if len(part)
        ]
        said = "; ".join(words) or "none differs from 1 by its interval"
        yield f"{name}: of {plural(len(judged), 'ratio')} with an interval, {said}."


def _quantities(part: pd.DataFrame) -> list[str]:
    """Name the quantities whose ratios are, if there are many, the farthest from 1, and count the others."""
    if len(part) > NAMED:
        part = part.sort_values("ratio", key=lambda ratio: -(ratio - 1).abs())
    named = [
        f"{quantity} ({name}, {fixed(ratio, 2)})"
        for name, quantity, ratio in zip(part["set"], part["quantity"], part["ratio"], strict=True)
    ][:NAMED]
    return [*named, *([f"{len(part) - NAMED} more"] if len(part) > NAMED else [])]


def unsettled(summary: pd.DataFrame, options: Physics) -> Iterator[str]:
    """Yield how many values are missing, and behind how many a relaxation has not converged."""
    failed, open_ended = int(summary["failed"].sum()), int(summary["unconverged"].sum())
    if failed:
        yield f"{plural(failed, 'value is', 'values are')} missing; the reasons are at the end of the section."
    if open_ended:
        yield (
            f"Behind {plural(open_ended, 'value')} a relaxation had not reached {options.force:g} eV/Å "
            f"(cells: {options.stress:g} GPa) after {options.steps} steps; they count, and are hollow in the figure."
        )


def networks(table: pd.DataFrame, labels: Mapping[str, str], budget: str) -> dict[str, pd.DataFrame]:
    """Return the rows of every checkpoint, and of every arm, size and seed of a budget, by printed name."""
    found = {}
    for (model, arm, size, seed), own in table.groupby(["model", "arm", "size", "seed"], sort=False):
        if model != "run":
            found[str(model)] = own
        elif (own["budget"] == budget).all():
            found[f"{labels.get(str(arm), arm)}, n = {size}, seed {seed}"] = own
    return found


def summary_table(summary: pd.DataFrame, labels: Mapping[str, str], *, budget: str) -> Table:
    """Return a row per set, quantity and network."""
    rows: list[Row] = []
    every = networks(summary, labels, budget)
    for name, quantity in dict.fromkeys(zip(summary["set"], summary["quantity"], strict=True)):
        for network, own in every.items():
            for _, row in where(own, set=name, quantity=quantity).iterrows():
                rows.append(
                    [
                        f"{quantity} ({row['unit']})",
                        name,
                        network,
                        f"{int(row['materials'])} / {int(row['values'])}",
                        Cell(fixed(row["ratio"], 2), _span(row, "ratio", 2)),
                        Cell(amount(row["mae"]), _span(row, "mae")),
                        amount(row["bias"]),
                        f"{int(row['failed'])} / {int(row['unconverged'])}",
                        str(row["reading"]),
                    ]
                )
    columns = ["property", "set", "network", "materials / values", "ratio", "MAE", "mean error"]
    return Table(
        "Predicted against published properties, with 95 % bootstrap intervals over materials below (none with fewer "
        "than three), how many values are missing and unconverged, and what the ratio says.",
        [*columns, "missing / unconverged", "reading"],
        rows,
        text=3,
        last_text=True,
    )


def _span(row: pd.Series, name: str, digits: int | None = None) -> str:
    low, high = float(row[f"{name}_low"]), float(row[f"{name}_high"])
    if low != low:
        return ""
    return " to ".join(amount(end) if digits is None else fixed(end, digits) for end in (low, high))


def left_out(values: pd.DataFrame) -> Table | None:
    """Return what has no value, with the reason, the first of many; None where all have one."""
    own = values[values["predicted"].isna()].drop_duplicates(
        ["model", "arm", "size", "seed", "set", "material", "reason"]
    )
    if own.empty:
        return None
    rows = [
        [
            row["set"],
            row["material"],
            row["model"] if row["model"] != "run" else f"{row['arm']}, n = {row['size']}",
            row["reason"],
        ]
        for _, row in own.head(LONGEST).iterrows()
    ]
    more = f" The first {LONGEST} of {len(own)}; all are in physics/values.csv." if len(own) > LONGEST else ""
    return Table(f"Materials without a value.{more}", ["set", "material", "network", "reason"], rows, text=4)
