"""Read labelled structures from anywhere, and say what was found."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from uprung.config.base import SYMBOLS
from uprung.config.data import LabelledSet, Source
from uprung.config.formats import FORMATS
from uprung.config.keys import Keys
from uprung.config.short import presets
from uprung.frames.intake import Records, frames_in_memory
from uprung.frames.schema import FramesError
from uprung.frames.table import Frames
from uprung.job.workflow import workflow_folder
from uprung.sources import in_memory
from uprung.sources.label_keys import with_units
from uprung.sources.magnitudes import Magnitudes, plausible
from uprung.sources.opened import OpenSource
from uprung.sources.settings import Settings
from uprung.sources.told import Told, as_keys, told_by, told_by_rows
from uprung.sources.work_consistency import WorkTest, checked
from uprung.structures.duplicates import without_copies

NOT_STATED = "not stated"
#: Columns of labels, as they are told.
LABELS = {
    "energy": "energy",
    "energy_free": "free energy",
    "forces": "forces",
    "stress_gpa": "stress",
    "magmom": "magmoms",
}


@dataclass(frozen=True)
class Reading:
    """Labelled structures, and what was found when they were read.

    Attributes:
        name: of the file, or what the structures are.
        frames: the structures that can be used, in eV, eV/Å and GPa (tension positive).
        format: name of the reader.
        functional: that the file states, or that was given; `not stated` otherwise.
        energy: label that serves as the energy: `energy` (E0, σ→0), `energy_free` or `energy+correction`.
        keys: label -> key of the file, where it is not the one that the reader knows.
        there: all keys of the first structures.
    """

    name: str
    frames: Frames
    format: str
    functional: str
    energy: str = "energy"
    keys: Mapping[str, str] = field(default_factory=dict)
    there: tuple[str, ...] = ()

    def __len__(self) -> int:
        """Return the number of structures."""
        return len(self.frames)

    @property
    def table(self) -> pd.DataFrame:
        """The structures and their labels, one row each; columns as in `uprung.frames.schema`."""
        found: pd.DataFrame = self.frames.table.to_pandas()
        return found

    @property
    def labels(self) -> dict[str, int]:
        """How many structures have each label."""
        return {name: self.frames.manifest["labels"][column] for column, name in LABELS.items()}

    @property
    def elements(self) -> dict[str, int]:
        """How many structures have each element."""
        return {SYMBOLS[int(z) - 1]: count for z, count in self.frames.manifest["elements"].items()}

    @property
    def rejected(self) -> pd.DataFrame:
        """Structures that cannot be used, each with its reason; labels alone that cannot are under `emptied`."""
        return pd.DataFrame(self.frames.manifest["rejected"], columns=["frame_id", "reason"])

    @property
    def emptied(self) -> pd.DataFrame:
        """Labels that cannot be used, each with its reason and the number of structures."""
        rows = [(entry["label"], entry["reason"], len(entry["frame_ids"])) for entry in self.frames.manifest["emptied"]]
        return pd.DataFrame(rows, columns=["label", "reason", "structures"])

    def __repr__(self) -> str:
        """Return what was found, a line each."""
        return "\n".join(f"{head:13s}{text}" if head else text for head, text in self._lines())

    def _lines(self) -> Iterator[tuple[str, str]]:
        sites, materials = self.frames.nsites, len(set(self.frames.strings("material_id")))
        yield "", f"{self.name}: {len(self):,} structures, read as {FORMATS[self.format].what}"
        yield "functional", self.functional
        found = {name: count for name, count in self.labels.items() if count}
        keys = {"free energy" if label == "free_energy" else label: key for label, key in self.keys.items()}
        keys |= {"stress": keys["virial"]} if "virial" in keys else {}
        yield (
            "labels",
            ", ".join(f"{name} {n:,}{f' (key {keys[name]})' if name in keys else ''}" for name, n in found.items()),
        )
        yield "elements", f"{len(self.elements)}: {' '.join(self.elements)}"
        size = f"{sites.min()} to {sites.max()}" if sites.min() < sites.max() else f"{sites.min()}"
        yield "size", f"{size} atoms, {materials:,} materials"
        yield "label scale", str(self.frames.manifest["label_scale"])
        for table, what in ((self.rejected, "structures"), (self.emptied, "labels")):
            if len(table):
                reason = Counter(table["reason"]).most_common(1)[0][0]
                yield "left out", f"{len(table):,} {what}, most often: {reason}"


def read(
    given: Any,
    *,
    functional: str | None = None,
    format: str | None = None,
    keys: Keys | Mapping[str, Any] | None = None,
    label_scale: str | None = None,
    energy: str | None = None,
) -> Reading:
    """Read labelled structures with the readers and the checks of the workflow.

    Args:
        given: a file or folder that one of the readers knows; an embedded set (`dimers`, `solids`, `mlearn`); a
            structure of ASE or pymatgen with its labels, or a sequence of them; a pandas table with one structure in
            each row (column `structure` or `atoms`) beside its labels, or with the columns of the frames table.
        functional: of the labels; None for the one that the file states. Those that state another one are left out.
        format: name of the reader, None to find out from the content (`uprung.config.formats.FORMATS`).
        keys: label -> key, where a file has labels under names of its own, as in a study file: `{"energy":
            "REF_energy", "stress": {"key": "s", "unit": "GPa"}}`. Without it, a label that is not under its usual name
            is taken from the one key that looks like it, and said.
        label_scale: code, pseudopotentials, U rule and corrections of the labels, in words.
        energy: which energy serves as label; None for `energy`, or `energy_free` where there is no other.

    Raises:
        FramesError: the file cannot be read or none of its structures can be used; two keys may be a label; sizes or
            changes of the labels that only another unit or sign explains.
        TypeError: something that holds no structures.
        ValueError: `keys` says what no study file may say.
    """
    wanted = as_keys(dict(keys) if isinstance(keys, Mapping) else keys)
    if isinstance(given, Reading):
        return given
    if isinstance(given, Frames):
        return _reading("frames", given, Told("frames"), functional or given.manifest.get("functional"), energy)
    if isinstance(given, str | os.PathLike):
        path = Path(given)
        if format is None and not path.exists() and str(given) in _embedded():
            return _read_embedded(str(given), functional, energy)
        return _read_file(path, functional, format, wanted, label_scale, energy)
    return _read_memory(given, functional, wanted, label_scale or NOT_STATED, energy)


def _read_file(
    path: Path, functional: str | None, format: str | None, keys: Keys | None, scale: str | None, energy: str | None
) -> Reading:
    told = told_by(path, format) if keys is None else Told(format or told_by(path, format).format)
    rule = FORMATS[told.format].label_scale
    if rule == "needed":
        scale = scale or f"{NOT_STATED} ({path.name})"
    named = functional or told.functional or NOT_STATED
    source = Source(format=told.format, file=str(path), label_scale=scale, keys=keys or as_keys(told.keys or None))
    opened = OpenSource(source, path, named)
    found = _table([(opened.records(), frozenset())], str(path), named)
    frames = Frames(found.table, {**found.manifest, "settings": opened.settings.facts()})
    return _reading(path.name, frames, told, named, energy)


def _read_memory(given: Any, functional: str | None, keys: Keys | None, scale: str, energy: str | None) -> Reading:
    told, rows = Told("ase"), None
    if isinstance(given, pd.DataFrame):
        name = f"table of {len(given):,} rows"
        if in_memory.structures_in(given) is None:
            told = Told("frames", there=tuple(map(str, given)))
        else:
            rows = list(in_memory.table_rows(given))
    else:
        structures = list(given) if in_memory.is_sequence(given) or isinstance(given, Iterator) else [given]
        kinds = " and ".join(dict.fromkeys(type(one).__name__ for one in structures))
        name = f"{len(structures):,} of {kinds or 'nothing'}"
        rows = list(in_memory.structure_rows(structures))
    if rows is None:
        stated = given["functional"].dropna().tolist() if "functional" in given else []
        named = functional or next(map(str, stated), NOT_STATED)
        records: Any = in_memory.rows_of_frames(given, keys=keys)
    else:
        told = told_by_rows(rows, name) if keys is None else told
        named = functional or told.functional or NOT_STATED
        keys = keys or as_keys(told.keys or None)
        records = in_memory.records(rows, named, scale, keys=keys, settings=Settings())
    return _reading(name, _table([(_examined(records, keys, name), frozenset())], name, named), told, named, energy)


def _table(streams: Sequence[tuple[Records, frozenset[int]]], name: str, functional: str) -> Frames:
    return without_copies(frames_in_memory(streams, name, functional=functional))


def _examined(records: Any, keys: Keys | None, name: str) -> Records:
    """Pass records on while their sizes and their changes are held against their units and signs, as of files."""
    where = Path(name)
    return checked(plausible(records, Magnitudes(with_units(keys)), where), WorkTest(), where)


def _embedded() -> dict[str, list[LabelledSet]]:
    """Return the labelled sets of every preset, by its name."""
    known = presets()
    found = {name: list(sections["fidelities"].values()) for name, sections in known["data"].items()}
    for name, sections in known["sets"].items():
        found.setdefault(name, list(sections.values()))
    return {name: [LabelledSet.model_validate(one) for one in sets] for name, sets in found.items()}


def _read_embedded(name: str, functional: str | None, energy: str | None) -> Reading:
    sets = _embedded()[name]
    allowed = list(dict.fromkeys(one.functional for one in sets))
    functional = functional or (allowed[0] if len(allowed) == 1 else None)
    chosen = next((one for one in sets if one.functional == functional), None)
    if chosen is None:
        raise FramesError(f"{name}: functional={functional!r} (allowed: {', '.join(map(repr, allowed))})")
    opened = [OpenSource(one, workflow_folder() / one.file, chosen.functional) for one in chosen.sources]
    streams: Sequence[tuple[Records, frozenset[int]]] = [(one.records(), one.unwanted) for one in opened]
    frames = _table(streams, name, chosen.functional)
    told = Told(chosen.sources[0].format, chosen.functional)
    return _reading(name, frames, told, chosen.functional, energy or chosen.energy)


def _reading(name: str, frames: Frames, told: Told, functional: str | None, energy: str | None) -> Reading:
    if "labels" not in frames.manifest:
        frames = Frames(frames.table, {**_counted(frames), **frames.manifest})
    if energy is None:
        energy = "energy" if frames.manifest["labels"]["energy"] else "energy_free"
    return Reading(name, frames, told.format, functional or NOT_STATED, energy, told.keys, told.there)


def _counted(frames: Frames) -> dict[str, Any]:
    """Return what a manifest says of a table that has none."""
    labels = {column: int(frames.table[column].is_valid().to_numpy().sum()) for column in LABELS}
    present = (frames.composition() > 0).sum(axis=0)
    elements = {str(z + 1): int(count) for z, count in enumerate(present) if count}
    return {"labels": labels, "elements": elements, "rejected": [], "emptied": [], "label_scale": NOT_STATED}
