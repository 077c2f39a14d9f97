"""How the study was made: command, recipe, software, machine, hashes, files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from uprung.config.study import Study
from uprung.report.arms import trained_words
from uprung.report.blocks import Block, Command, Details, Links, Row, Table, Text
from uprung.report.catalogue import FILES, FOLDERS, wildcards
from uprung.report.format import count, duration, listing, plural
from uprung.report.results import StudyResults

Card = Mapping[str, Any]


def section(command: str, about: Sequence[Block], files: Sequence[tuple[str, str]]) -> Iterator[Block]:
    """Yield the section of any study."""
    yield from (Text("To reproduce this page, in the folder of the repository:"), Command(command))
    yield from about
    yield Details("Data files", [Text("Paths are relative to this page."), Links(files)])


def study_blocks(study: Study, results: StudyResults) -> list[Block]:
    """Return how the runs of a study were trained."""
    return [
        Text(effort(results.cards)),
        Details("Recipe of the runs", [recipe_table(results.cards, study.transfer.targets, trained_words(study))]),
        Details("Software and machines", [versions_table(results.cards)]),
        Details("Hashes of the data", [hashes_table(results.frames)]),
    ]


def study_files(study: Study) -> list[tuple[str, str]]:
    """Return path relative to the page and content of the files that the page links to."""
    found = [
        (entry.file.format(**names), entry.about.format(**names))
        for entry in FILES.values()
        if entry.linked
        for names in wildcards(entry.file, study)
    ]
    return [*found, *FOLDERS.items()]


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


def recipe_table(cards: Sequence[Card], targets: Sequence[str], trained: str = "") -> Table:
    """Return the options that all runs share, from the cards of the runs; `trained` names arms with fewer labels."""
    recipe = distinct([card["options"] for card in cards], "recipe")
    hidden = [f"weights.{t}" for t in ("energy", "force", "stress", "magmom") if t not in targets]
    return Table(
        "Recipe of every run: Adam with a cosine from the first to the final learning rate in optimiser steps, Huber "
        f"loss (weights per target in eV/atom, eV/Å, GPa, μB). Trained on {listing(list(targets))}.{trained}",
        ["option", "value"],
        [(name.replace("_", " "), value) for name, value in recipe.items() if name not in hidden],
    )


def versions_table(cards: Sequence[Card]) -> Table:
    """Return software and machines of the training runs, from their cards."""
    rows: list[Row] = [*distinct(cards, "versions").items(), *distinct(cards, "hardware").items()]
    return Table("Software and machines of the training runs, from their cards.", ["what", "version or type"], rows)


def effort(cards: Sequence[Card]) -> str:
    """Return how many runs there are, and their wall time together."""
    total = sum(float(card["wall_seconds"]) for card in cards)
    resumed = sum(int(card["resumed"]) > 0 for card in cards)
    steps = sum(int(card["steps"]) for card in cards)
    text = (
        f"{plural(len(cards), 'training run')} with {count(steps)} optimiser steps took {duration(total)} of wall time "
        "in total; runs may have shared the machine"
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
