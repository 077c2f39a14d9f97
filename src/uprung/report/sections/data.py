"""Data: structures of every fidelity, pairs, split and subsets."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from uprung.config.data import Pair
from uprung.config.study import Study
from uprung.report.arms import functional_of, mix_words, trained_words
from uprung.report.blocks import Block, Cell, Definitions, Heading, Table, Text
from uprung.report.format import NONE, TARGETS, count, listing, plural
from uprung.report.results import StudyResults

LABELS = {"energy": "energy", "forces": "force", "stress_gpa": "stress", "magmom": "moment"}


def section(study: Study, results: StudyResults) -> Iterator[Block]:
    """Yield the section."""
    targets = listing([TARGETS[t][0] for t in study.transfer.targets])
    yield Text(
        f"The low fidelity is {study.low}, the target {study.high}; networks are trained and tested on the {targets} "
        f"labels of {study.high}.{trained_words(study)}{mix_words(study)}"
    )
    yield frames_table(results.frames, {name: functional_of(study, name) for name in study.fidelities})
    if left_out := {name: words for name, facts in results.frames.items() if (words := left_out_words(facts))}:
        yield from (Text("Left out or rejected:"), Definitions(left_out))
    if emptied := {name: words for name, facts in results.frames.items() if (words := emptied_words(facts))}:
        yield from (Text("Labels that were left empty; the structures are used without them:"), Definitions(emptied))
    if tested := {name: words for name, facts in results.frames.items() if (words := work_words(facts))}:
        yield Text("Units and signs, by the change of the energy between successive structures and the work on them:")
        yield Definitions(tested)
    if validated := {name: words for name, facts in results.frames.items() if (words := validation_words(facts))}:
        yield Text("Findings of a validator; nothing was left out because of them:")
        yield Definitions(validated)
    yield pairs_table(study.pairs, results.pairs, study.transfer.pair)
    yield Heading("Split and subsets")
    split = study.split
    yield Text(split_words(split.group, split.draw, f"{split.train:g}:{split.val:g}:{split.test:g}"))
    yield split_table(results.split, split.group)
    yield exclusion_table(results.split) or Text("No frame was excluded from the split.")
    yield sizes_table(results.sizes)


def frames_table(frames: Mapping[str, Mapping[str, Any]], functionals: Mapping[str, str]) -> Table:
    """Return what was read for every fidelity, and what became of it.

    Args:
        frames: fidelity -> manifest of its frames.
        functionals: fidelity -> functional as printed.
    """
    rows = [
        (
            Cell(name, functionals[name]),
            Cell(str(facts["label_scale"]), f"energy label: {facts.get('energy_label', 'energy')}"),
            count(facts["read"]),
            count(sum(facts["left_out"].values())),
            count(len(facts["rejected"])),
            count(facts["written"]),
            count(len(facts["elements"])),
            ", ".join(
                f"{word} {count(facts['labels'][key])}" for key, word in LABELS.items() if facts["labels"].get(key)
            ),
        )
        for name, facts in frames.items()
    ]
    return Table(
        "Structures per fidelity. Read = left out by the study file + rejected for their labels + written. Each "
        "fidelity has one functional and one label scale. The last column counts structures with each kind of label.",
        ["fidelity", "label scale", "read", "left out", "rejected", "written", "elements", "labels"],
        rows,
        text=2,
        last_text=True,
    )


def left_out_words(facts: Mapping[str, Any]) -> list[str]:
    """Return why structures of a fidelity were left out or rejected, with counts; elements in one phrase."""
    elements = {k.removeprefix("element "): v for k, v in facts["left_out"].items() if k.startswith("element ")}
    words = [f"{count(v)}: {k}" for k, v in facts["left_out"].items() if not k.startswith("element ")]
    if elements:
        total = sum(elements.values())
        words.insert(0, f"{plural(total, 'structure')} of excluded elements ({', '.join(elements)})")
    return words + reason_words([record["reason"] for record in facts["rejected"]], "rejected")


def reason_words(reasons: Sequence[str], what: str) -> list[str]:
    """Return the most frequent reasons with counts; those that differ in numbers alone are one, with an example."""
    kinds: dict[str, list[str]] = {}
    for reason in reasons:
        kinds.setdefault(re.sub(r"\d+(\.\d+)?(e[-+]?\d+)?", "#", reason), []).append(reason)
    most = sorted(kinds.values(), key=len, reverse=True)
    words = [
        f"{plural(len(alike), 'structure')} {what}{', for example' if len(set(alike)) > 1 else ''}: {alike[0]}"
        for alike in most[:5]
    ]
    if len(most) > 5:
        words.append(f"{plural(len(most) - 5, 'further reason')} in the manifest")
    return words


def emptied_words(facts: Mapping[str, Any]) -> list[str]:
    """Return which labels of a fidelity were left empty, with counts and reasons."""
    kinds: dict[str, list[str]] = {}
    for entry in facts.get("emptied", []):
        kinds.setdefault(LABELS.get(entry["label"], entry["label"]), []).extend(
            [entry["reason"]] * len(entry["frame_ids"])
        )
    return [words for label, reasons in kinds.items() for words in reason_words(reasons, f"without {label}")]


def work_words(facts: Mapping[str, Any]) -> list[str]:
    """Return what the work test says about the labels of a fidelity, and what it could not check, by source."""
    words = []
    for reader in facts.get("readers", []):
        test = reader.get("work_test") or {}
        for quantity, label in (("forces", "forces"), ("stress", "stress_gpa")):
            found = test.get(quantity)
            if not found or not facts["labels"].get(label):
                continue
            if found["verdict"] == "unchecked":
                words.append(f"{reader['file']}: {quantity} not checked: {found['why']}")
            else:
                agreed = "checked" if found["verdict"] == "checked" else "in contradiction"
                slope = f"slope {found['slope']:.3g} ± {found['error']:.1g}, 1 is right"
                words.append(f"{reader['file']}: {quantity} {agreed} ({slope}{found['like']})")
    return words


def validation_words(facts: Mapping[str, Any]) -> list[str]:
    """Return what a validator said about the calculations of a fidelity, one phrase per validated source."""
    words = []
    for found in (reader.get("validation") or {} for reader in facts.get("readers", [])):
        if not found.get("calculations"):
            continue
        most = ", ".join(f"{what} in {count(n)}" for what, n in list(found["findings"].get("invalid", {}).items())[:5])
        words.append(
            f"{found['by']} calls {count(found['invalid'])} of {plural(found['calculations'], 'calculation')} invalid"
            f"{f' ({most})' if most else ''} and {count(found['valid'])} valid, and finds nothing wrong with "
            f"{count(found['partly checked'])} that could be checked in part"
        )
    return words


def pairs_table(pairs: Mapping[str, Pair], facts: Mapping[str, Mapping[str, Any]], transfer: str) -> Table:
    """Return which fidelities are compared, and how many structures they share."""
    rows = []
    for name, pair in pairs.items():
        found = facts[name]
        match = "same geometry" if found["match"] == "geometry" else "same material"
        rows.append(
            (
                Cell(name, "trained on" if name == transfer else "analysed only"),
                f"{pair.low} → {pair.high}",
                match,
                count(found["pairs"]),
                count(len(found["unpaired_low"])),
                count(len(found["unpaired_high"])),
                pair.note or NONE,
            )
        )
    return Table(
        "Pairs of fidelities: structures labelled by both, or by one of them only. Unpaired structures are left out "
        "of the comparison of labels.",
        ["pair", "low → high", "match", "pairs", "only low", "only high", "note"],
        rows,
        text=3,
        last_text=True,
    )


def split_words(group: str, draw: str, shares: str) -> str:
    """State how the split was made, and what kind of test that is."""
    keyed = f"Frames are assigned to training, validation and test ({shares}) by a keyed hash"
    kept = {"material": "of their material", "formula": "of their formula"}.get(
        group, "of their chemical system" if group == "chemical_system" else "of the frame itself"
    )
    drawn = "materials" if draw == "material" else "frames"
    text = f"{keyed} {kept}, identically in both fidelities. Subsets are nested: each seed orders the training "
    text += f"{drawn} at random, and every size is a prefix of that order."
    if group == "frame":
        text += (
            " Frames of one material are on both sides of this split: the test is an interpolation along known curves "
            "and materials, not a prediction for new materials."
        )
    return text


def split_table(split: Mapping[str, Any], group: str) -> Table:
    """Return frames and groups per fidelity and side of the split."""
    counts = {(c["fidelity"], c["split"]): c for c in split["counts"]}
    fidelities = list(dict.fromkeys(c["fidelity"] for c in split["counts"]))
    sides = ("train", "val", "test", "excluded")
    rows = []
    for name in fidelities:
        cells = [counts.get((name, side), {"frames": 0, "groups": 0}) for side in sides]
        same = all(c["frames"] == c["groups"] for c in cells)
        rows.append(
            (name, *(Cell(count(c["frames"]), "" if same else f"{c['groups']:,} groups") for c in cells)),
        )
    return Table(
        f"Frames per split (kept together: {group.replace('_', ' ')}). Both fidelities of the transfer share the "
        "assignment.",
        ["fidelity", "training", "validation", "test", "excluded"],
        rows,
    )


def exclusion_table(split: Mapping[str, Any]) -> Table | None:
    """Return why frames take no part in training and test; None where all do."""
    excluded = pd.DataFrame(split["excluded"], columns=["fidelity", "frame_id", "reason"])
    if excluded.empty:
        return None
    counts = excluded.pivot_table(index="reason", columns="fidelity", values="frame_id", aggfunc="count", fill_value=0)
    rows = [(str(reason), *(count(n) for n in row)) for reason, row in counts.iterrows()]
    return Table(
        "Frames excluded from training, validation and test, by reason.", ["reason", *map(str, counts.columns)], rows
    )


def sizes_table(sizes: pd.DataFrame) -> Table:
    """Return what every training-set size holds, as a range over seeds."""
    rows = []
    for size, part in sizes.groupby("size", sort=False):
        cells = []
        for column in ("n_frames", "n_materials", "n_elements"):
            low, high = int(part[column].min()), int(part[column].max())
            cells.append(count(low) if low == high else f"{low:,}–{high:,}")
        rows.append((str(size), *cells))
    return Table(
        f"Nested training subsets: content of each size (range over {plural(sizes['seed'].nunique(), 'seed')}).",
        ["size", "frames", "materials", "elements"],
        rows,
    )
