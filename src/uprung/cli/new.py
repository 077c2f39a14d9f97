"""Write the study file of two files of labelled structures, and say what was seen and what it will cost."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from uprung.api.reading import NOT_STATED, Reading, read
from uprung.cli.examine import Examined, examine
from uprung.config.formats import FORMATS
from uprung.config.load import load_study
from uprung.config.short import FUNCTIONALS, format_of
from uprung.config.study import Study
from uprung.models.registry import contradictions

CHECKPOINT = "chgnet-0.3.0"
STEPS, SEEDS, BATCH = 1000, 2, 16
#: Fewer materials than these are not kept apart: no side of the split would be left.
FEW_MATERIALS = 20
#: The smallest size of a first study: a share of the training split, and frames.
SHARE, FEWEST = 0.1, 10
#: Names of files by which a functional is guessed, in this order.
GUESSES = {"r2scan": "r2SCAN", "rscan": "rSCAN", "scan": "SCAN", "pbesol": "PBEsol", "pbe": "PBE"}


@dataclass(frozen=True)
class New:
    """A study file and the lines that go with it."""

    text: str
    lines: list[str]


def new_study(low: Path, high: Path, *, name: str, command: str, timed: bool = True) -> New:
    """Return a study of two files.

    Args:
        low: structures with the cheap labels.
        high: structures with the better labels.
        name: of the study.
        command: that asked for it, for the first line of the file.
        timed: whether the time of a training step is measured.

    Raises:
        FramesError, PairsError, IdenticalLabelsError, UnlikeLabelsError, SplitError: what would stop the study.
    """
    paths = {"low": low, "high": high}
    sides = {side: read(path) for side, path in paths.items()}
    functionals = {side: _functional(sides[side], path, side) for side, path in paths.items()}
    data = {side: _side(sides[side], path, functionals[side][0]) for side, path in paths.items()}
    targets = ["energy", *(["force"] if sides["high"].labels["forces"] else [])]
    few = len(set(sides["high"].frames.strings("material_id"))) < FEW_MATERIALS
    study: dict[str, Any] = {
        "study": name,
        "data": data,
        "architecture": CHECKPOINT,
        "arms": {"scratch": {"init": "random"}, "transfer": {"references": "residual"}},
        "sizes": ["all"],
        "seeds": SEEDS,
        "steps": STEPS,
        "training": {"batch_size": BATCH},
        **({"transfer": {"targets": targets}} if targets == ["energy"] else {}),
        **({"split": {"group": "frame", "draw": "frame"}} if few else {}),
    }
    loaded = _loaded(study)
    found = examine(loaded)
    assert found is not None
    train = found.on("high", "train")
    study["sizes"] = _sizes(train)
    loaded = _loaded(study)
    lines = [line for side in sides for line in _titled(side, _told(sides[side], functionals[side]))]
    lines += [*_of_pair(found, few), *_titled("cost", _cost(loaded, found, targets, timed))]
    return New(_written(study, command), lines)


def _loaded(study: dict[str, Any]) -> Study:
    loaded = load_study(study, contradictions=contradictions)
    assert isinstance(loaded, Study)
    return loaded


def _functional(reading: Reading, path: Path, side: str) -> tuple[str, str]:
    """Return the functional of a file, and how it is known."""
    if reading.functional != NOT_STATED:
        return reading.functional, "stated in the file"
    name = re.sub(r"[^a-z0-9]", "", path.name.lower())
    guess = next((functional for part, functional in GUESSES.items() if part in name), None)
    if guess is not None:
        return guess, "by the name of the file"
    return FUNCTIONALS[side], "assumed: change it in the study file if it is another"


def _side(reading: Reading, path: Path, functional: str) -> dict[str, Any]:
    side: dict[str, Any] = {"file": str(path), "functional": functional}
    if format_of(str(path)) != reading.format:
        side["format"] = reading.format
    if FORMATS[reading.format].label_scale == "needed":
        side["label_scale"] = f"not stated ({path.name})"
    if reading.energy != "energy":
        side["energy"] = reading.energy
    if reading.keys:
        side["keys"] = dict(reading.keys)
    return side


def _sizes(train: int) -> list[int | str]:
    """Return the sizes for a training split: evenly spaced on a logarithmic axis, in numbers of two digits."""
    smallest = max(FEWEST, SHARE * train)
    numbers = {int(float(f"{size:.1e}")) for size in (smallest, math.sqrt(smallest * train))}
    return [*sorted(number for number in numbers if number < 0.8 * train), "all"]


def _titled(title: str, lines: Iterator[str]) -> Iterator[str]:
    for number, line in enumerate(lines):
        yield f"{title if number == 0 else '':7s}{line}"


def _told(reading: Reading, functional: tuple[str, str]) -> Iterator[str]:
    labels = [
        f"{name} {count:,}{f' (key {reading.keys[name]})' if name in reading.keys else ''}"
        for name, count in reading.labels.items()
        if count
    ]
    yield f"{reading.name}: {len(reading):,} structures of {len(reading.elements)} elements; {', '.join(labels)}"
    yield f"functional {functional[0]}, {functional[1]}"
    for table, what in ((reading.rejected, "structures"), (reading.emptied, "kinds of labels")):
        if len(table):
            yield f"left out: {len(table):,} {what}, first: {table['reason'].iloc[0]}"


def _of_pair(found: Examined, few: bool) -> Iterator[str]:
    facts, table = found.pairing.facts, found.split.table
    counts = f"{facts['pairs']:,} (of {facts['frames_low']:,} low and {facts['frames_high']:,} high structures)"
    yield from _titled("pairs", iter([counts, *(f"warning: {warning}" for warning in found.pairing.warnings)]))
    train, val, test = (found.on("high", side) for side in ("train", "val", "test"))
    split = f"{train:,} structures for training, {val:,} for validation, {test:,} for the test"
    if few:
        split += f"; under {FEW_MATERIALS} materials, so frames are split and the test is one of interpolation"
    out = table[(table["fidelity"] == "high") & (table["split"] == "excluded")]
    left = [f"left out: {len(out):,}, first: {out['reason'].iloc[0]}"] if len(out) else []
    yield from _titled("split", iter([split, *left]))


def _cost(study: Study, found: Examined, targets: list[str], timed: bool) -> Iterator[str]:
    runs = len(study.runs)
    what = f"{len(study.arms)} arms × {len(study.sizes)} sizes × {len(study.seeds)} seeds"
    line = f"{runs} runs ({what}) of {STEPS:,} steps"
    if timed:
        seconds = _seconds(study, found, targets)
        line += f"; {seconds:.2g} s a step here, so about {_hours(1.2 * runs * STEPS * seconds)} on one core"
    yield line


def _seconds(study: Study, found: Examined, targets: list[str]) -> float:
    """Return the seconds that a step of the study takes on this machine."""
    from uprung.training.step_time import seconds_per_step  # imports torch

    train = found.split.table.query("fidelity == 'high' and split == 'train'")["row"].to_numpy()
    rows = np.random.default_rng(0).permutation(train)[: min(BATCH, len(train))]
    frames = found.high.take(rows)
    share = study.training.batch_size / len(rows)
    return share * seconds_per_step(frames, checkpoint=study.architecture, targets=targets)


def _hours(seconds: float) -> str:
    if seconds < 5400:
        return f"{max(1, round(seconds / 60))} minutes"
    return f"{seconds / 3600:.2g} hours"


def _written(study: dict[str, Any], command: str) -> str:
    """Return a study file that a person reads: one line per section, data and arms below each other."""
    lines = [f"# {command}"]
    for key, value in study.items():
        if key in ("data", "arms"):
            lines += [f"{key}:", *(f"  {name}: {_inline(entry)}" for name, entry in value.items())]
        else:
            lines.append(f"{key}: {_inline(value)}")
    return "\n".join(lines) + "\n"


def _inline(value: Any) -> str:
    text = yaml.safe_dump(value, default_flow_style=True, width=10_000, allow_unicode=True, sort_keys=False)
    return text.removesuffix("\n").removesuffix("\n...")
