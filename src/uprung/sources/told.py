"""What files and structures say of themselves before they are read: format, functional, keys of the labels.

A study states these things; somebody who looks at a file for the first time asks. No label is taken from a key that
merely looks like it where there are two such keys, and what is found is said.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from uprung.config.keys import Keys
from uprung.frames.schema import FramesError, Rejected
from uprung.sources import ase_files, mp_json, table, vasprun
from uprung.sources.common import Row
from uprung.sources.files import kind_of
from uprung.sources.json_records import read_records
from uprung.sources.label_keys import other_keys, volume_of

#: Structures that are looked at.
FIRST = 20
#: Kind of a file's content -> its format.
KINDS = {
    **dict.fromkeys(ase_files.READERS, "ase"),
    table.KIND: "frames",
    "a vasprun.xml": "vasprun",
}
#: Key that the records of a published set have -> the set; the first one counts.
MARKS = {
    "matpes_id": "matpes",
    "mp_aloe_id": "mp-aloe",
    "vasp_e": "wbm-high-energy",
    "corrected_total_energy": "mptrj",
    "uncorrected_total_energy": "mp-r2scan",
}


@dataclass(frozen=True)
class Told:
    """What a source says of itself.

    Attributes:
        format: name of its reader (`uprung.config.formats.FORMATS`).
        functional: that its first structure names, None where it names none.
        keys: label -> key, where the labels are not under the names that the reader knows.
        there: keys and columns of the first structures.
    """

    format: str
    functional: str | None = None
    keys: dict[str, str] = field(default_factory=dict)
    there: tuple[str, ...] = ()


def told_by(path: Path, format: str | None = None) -> Told:
    """Return what a file or folder says of itself.

    Args:
        path: where it is.
        format: of the file, None to find out from its content.

    Raises:
        FramesError: no such file, a format that cannot be told, or a label that may be one of two keys.
    """
    if not path.exists():
        raise FramesError(f"{path}: there is no such file or folder")
    format = format or _format(path)
    if format in ("ase", "omat"):
        found = told_by_rows(_rows(path), str(path))
        return Told(format, found.functional, found.keys, found.there)
    if format == "frames":
        return _of_table(table.files(path)[0])
    if format == "vasprun":
        return Told(format, vasprun.functional_told(path))
    if format in mp_json.DATA_SETS:
        first = _first_record(path)
        own = mp_json.DATA_SETS[format].functional or first.get("functional")
        return Told(format, own, there=tuple(map(str, first)))
    return Told(format)


def told_by_rows(rows: Iterable[Row], where: str) -> Told:
    """Return what the first structures say.

    Args:
        rows: structures with their fields, or why one cannot be read.
        where: what they are called in messages.

    Raises:
        FramesError: a label may be one of two keys.
    """
    readable = [row for _, row in islice(rows, FIRST) if isinstance(row, dict)]
    names = ((row["info"] if isinstance(row["info"], dict) else {}).get("functional") for row in readable)
    functional = next((name for name in names if isinstance(name, str) and name), None)
    there = dict.fromkeys(key for row in readable for key, value in row["fields"].items() if value is not None)
    return Told("ase", functional, _other_names(readable, where), tuple(there))


def _other_names(rows: list[dict[str, Any]], where: str) -> dict[str, str]:
    """Return label -> the one key that looks like it, of labels that no structure has under ASE's name."""
    found: dict[str, str] = {}
    for label, spec in ase_files.OWN:
        if spec is None or any(row["fields"].get(spec.key) is not None for row in rows):
            continue
        seen: dict[str, None] = {}
        for row in rows:
            volume = volume_of(np.asarray(row["cell"], dtype=np.float64))
            seen |= dict.fromkeys(other_keys(label, spec, row["fields"], volume, len(row["numbers"])))
        if len(seen) > 1:
            allowed = " or ".join(f"keys={{{label!r}: {key!r}}}" for key in seen)
            raise FramesError(f"{where}: {label} may be any of {', '.join(map(repr, seen))}; say which: {allowed}")
        for key in seen:
            found["virial" if label == "stress" and "virial" in key.lower() else label] = key
    return found


def _format(path: Path) -> str:
    if path.is_dir():
        if any(path.glob("*.parquet")):
            return "frames"
        return "vasprun" if any(path.glob("**/vasprun*.xml*")) else "ase"
    kind = kind_of(path)
    if kind == "JSON":
        first = _first_record(path)
        known = next((name for key, name in MARKS.items() if key in first), None)
        if known is not None:
            return known
        kind = "JSON of no published set that is known here"
    if kind not in KINDS:
        allowed = "extended XYZ, an ASE database, Parquet, vasprun.xml, JSON of a published set"
        raise FramesError(f"{path}: the file is {kind} (allowed: {allowed}; or name its format: format=...)")
    return KINDS[kind]


def _rows(path: Path) -> Iterator[Row]:
    for file in ase_files.files(path):
        reader = ase_files.READERS.get(kind_of(file))
        if reader is not None:
            yield from reader(file, lambda n: None)


def _of_table(file: Path) -> Told:
    stored = pq.ParquetFile(file)
    names = tuple(stored.schema_arrow.names)
    functional = None
    if "functional" in names and stored.metadata.num_rows:
        functional = next(stored.iter_batches(1, columns=["functional"])).column(0)[0].as_py()
    return Told("frames", functional, there=names)


def _first_record(path: Path) -> dict[str, Any]:
    records = (one for one in read_records(path, "structure") if not isinstance(one, Rejected))
    first = next(records, None)
    return {} if first is None else first.content


def as_keys(given: Keys | dict[str, Any] | None) -> Keys | None:
    """Return the keys of labels as a study file has them; raises ValueError for what no study file may say."""
    return given if given is None or isinstance(given, Keys) else Keys.model_validate(given)
