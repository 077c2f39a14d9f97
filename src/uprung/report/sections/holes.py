"""Holes in the energy surfaces of networks, beside what they forgot."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from uprung.config.study import Study
from uprung.report.arms import arm_labels
from uprung.report.blocks import Block, Cell, Heading, Table, Text, picture
from uprung.report.format import amount, minus, plural
from uprung.report.results import StudyResults, where


def blocks(study: Study, results: StudyResults) -> Iterator[Block]:
    """Yield what the page says of holes: the first budget; nothing where the test is off."""
    options = study.tests.holes
    if options is None:
        return
    yield Heading("Holes in the energy surface", "holes")
    yield Text(
        "Atoms and cells of test frames with random places were relaxed and rattled in turns "
        f"({plural(options.rounds, 'relaxation')} of at most {options.steps} steps, rattled by {options.rattle:g} Å). "
        f"A structure falls into a hole where the network finds it more than {options.depth:g} eV/atom below the "
        "lowest labelled frame of its composition, where two atoms come nearer than half the sum of their covalent "
        "radii, or where the energy is no number. That label is moved by the network's median error on frames of this "
        "composition, so that reference energies drop out."
    )
    yield picture(results.figures, "holes")
    budget = next(iter(study.budgets))
    yield holes_table(
        *(results.holes[name][results.holes[name]["budget"].isin([budget, ""])] for name in ("arms", "networks")),
        labels=arm_labels(study),
    )


def holes_table(arms: pd.DataFrame, networks: pd.DataFrame, *, labels: dict[str, str]) -> Table:
    """Return one row per arm and size: the share with its interval, the kinds of holes, the deepest state."""
    rows = list[list[str | Cell]]()
    for _, arm in arms.iterrows():
        own = where(networks, budget=arm["budget"], arm=arm["arm"], size=arm["size"])
        kinds = [str(int(own[f"holes_{kind}"].sum())) for kind in ("energy", "collapse", "number")]
        name = labels.get(arm["arm"], f"{arm['arm']}, untouched")
        span = f"{100 * arm['low']:.1f} to {100 * arm['high']:.1f}"
        rows.append(
            [
                name,
                str(arm["size"]) or "–",
                Cell(f"{100 * arm['share']:.1f}", span),
                *kinds,
                str(int(own["lost"].sum())),
                minus(amount(float(own["deepest"].min()))),
            ]
        )
    starts, seeds = int(arms["starts"].max()), int(arms["seeds"].max())
    return Table(
        f"Holes that {plural(starts, 'random structure')} fall into, in % (mean over {plural(seeds, 'seed')}, 95 % "
        "interval below), how many by kind in all networks of the row, structures that flew apart, and the deepest "
        "state in eV/atom, relative to the lowest labelled frame of its composition.",
        ["arm", "n", "holes", "by energy", "by distance", "no number", "apart", "deepest"],
        rows,
        text=1,
    )
