"""Tables of the page about how a study was made: recipe, software, machine, hashes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from uprung.report.format import count, duration, listing, plural
from uprung.report.tables import Table

Card = Mapping[str, Any]


def flat(options: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield dotted keys and printed values of nested options; one that is off is printed as such."""
    for key, value in options.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", "off" if value is None else str(value)


def distinct(cards: Sequence[Card], key: str) -> dict[str, str]:
    """Return dotted key -> value for a part of all cards; different values are joined."""
    found: dict[str, dict[str, None]] = {}
    for card in cards:
        for name, value in flat(card[key]):
            found.setdefault(name, {})[value] = None
    return {name: ", ".join(values) for name, values in found.items()}


def recipe_table(cards: Sequence[Card], targets: Sequence[str]) -> Table:
    """Return the options that all runs share, from the cards of the runs."""
    recipe = distinct([card["options"] for card in cards], "recipe")
    hidden = [f"weights.{t}" for t in ("energy", "force", "stress", "magmom") if t not in targets]
    return Table(
        "Recipe of every run: Adam with a cosine from the first to the final learning rate in optimiser steps, Huber "
        f"loss (weights per target in eV/atom, eV/Å, GPa, μB). Trained on {listing(list(targets))}.",
        ["option", "value"],
        [(name.replace("_", " "), value) for name, value in recipe.items() if name not in hidden],
    )


def versions_table(cards: Sequence[Card]) -> Table:
    """Return software and machines of the training runs, from their cards."""
    rows = [*distinct(cards, "versions").items(), *distinct(cards, "hardware").items()]
    return Table("Software and machines of the training runs, from their cards.", ["what", "version or type"], rows)


def effort(cards: Sequence[Card]) -> str:
    """Return how many runs there are, and their wall time together."""
    total = sum(float(card["wall_seconds"]) for card in cards)
    resumed = sum(int(card["resumed"]) > 0 for card in cards)
    steps = sum(int(card["steps"]) for card in cards)
    text = (
        f"{plural(len(cards), 'training run')} with {count(steps)} optimiser steps took {duration(total)} of wall time "
        "added up; runs may have shared the machine"
    )
    again = f", and {plural(resumed, 'run')} resumed from a checkpoint" if resumed else ""
    return f"{text}{again}."


def hashes_table(frames: Mapping[str, Mapping[str, Any]]) -> Table:
    """Return the SHA-256 of the source files and of the frames tables."""
    rows: dict[tuple[str, str], list[str]] = {}
    for name, facts in frames.items():
        for file, digest in facts.get("sources", {}).items():
            rows.setdefault((file, digest), []).append(name)
        for part in facts["parts"]:
            rows.setdefault((f"frames/{name}/{part['file']}", part["sha256"]), []).append(name)
    return Table(
        "SHA-256 of the source files and of the tables made from them.",
        ["file", "fidelity", "SHA-256"],
        [(file, ", ".join(names), digest) for (file, digest), names in sorted(rows.items())],
        text=3,
    )


#: Tables of laws, for studies that train and studies of given points.
LAW_FILES = (
    ("scaling/laws.csv", "scaling laws, fitted and refused"),
    ("scaling/parameters.csv", "all parameters of all laws"),
    ("scaling/comparison.csv", "laws compared"),
    ("scaling/bands.csv", "lines and bands"),
    ("scaling/crossover.csv", "crossovers"),
    ("scaling/multiplier.csv", "data multipliers by interpolation"),
    ("scaling/multiplier_curve.csv", "data multipliers by the laws, with intervals"),
    ("scaling/labels.csv", "labels for some errors"),
    ("scaling/extrapolation.csv", "errors at sizes asked for"),
)


def data_files(pairs: Sequence[str]) -> list[tuple[str, str]]:
    """Return path relative to the page and content of the tables with the raw numbers."""
    files = [
        ("split/manifest.json", "split: counts, and every excluded frame with its reason"),
        ("split/sizes.csv", "what every training-set size holds"),
    ]
    for pair in pairs:
        files += [
            (f"analysis/{pair}/correlation.csv", f"label agreement, {pair}"),
            (f"analysis/{pair}/by_element.csv", f"label agreement by element, {pair}"),
            (f"analysis/{pair}/shift.csv", f"energy shift by element, {pair}"),
            (f"analysis/{pair}/importance.csv", f"elements that decide the difference of formation energies, {pair}"),
        ]
    return [
        *files,
        ("references/references.csv", "reference energies of the first seed"),
        ("atomref/comparison.csv", "errors and diagnostics of every reference fit, size and seed"),
        ("atomref/summary.csv", "the same over the seeds, with intervals"),
        ("scaling/curves.csv", "test error of every run"),
        ("scaling/summary.csv", "mean and spread over seeds"),
        *LAW_FILES,
        ("scaling/history.csv", "validation errors along every run"),
        ("figures/", "all figures as SVG and PNG"),
        ("runs/", "every run: model, metrics, predictions, card"),
    ]
