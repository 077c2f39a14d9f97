"""Main entries of materials: the calculation by which the Materials Project knows a material at a run type."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa

from uprung.sources.materials_project.ids import parse

#: Run type of an entry -> its key in a material's document.
KEYS = {"GGA": "GGA", "GGA+U": "GGA_U", "r2SCAN": "R2SCAN"}
#: Run type of a task -> that of the entries it is compared with. An INCAR with an explicit `GGA = PE` is called PBE.
SAME = {"GGA": "GGA", "PBE": "GGA", "GGA+U": "GGA+U", "PBE+U": "GGA+U", "r2SCAN": "r2SCAN"}
RUN_TYPES = tuple(SAME)


def in_document(material: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return run type -> energy (eV per cell, uncorrected), n_atoms and hubbards of a material's own entries."""
    found = {}
    for run_type, key in KEYS.items():
        entry = (material.get("entries") or {}).get(key) or {}
        atoms = sum(n for _, n in items(entry.get("composition")))
        if entry.get("energy") is not None and atoms:
            hubbards = items((entry.get("parameters") or {}).get("hubbards"))
            found[run_type] = {
                "energy": float(entry["energy"]),
                "n_atoms": round(atoms),
                "hubbards": {name: float(value) for name, value in hubbards if value},
            }
    return found


def items(mapping: Any) -> list[tuple[str, Any]]:
    """Return the items of a map, which Arrow gives as a list of pairs; none for null."""
    pairs = mapping.items() if isinstance(mapping, dict) else (mapping or [])
    return [(key, value) for key, value in pairs if value is not None]


def number_of(identifier: object) -> int | None:
    """Return the number of an identifier, None if it is none."""
    try:
        return parse(str(identifier))[1]
    except ValueError:
        return None


def run_types_of(material: dict[str, Any]) -> set[str]:
    """Return the run types of entries that a material's tasks could be compared with."""
    return {SAME[kind] for _, kind in items(material.get("run_types")) if kind in SAME}


def wanted_entries(materials: Iterable[pa.Table]) -> dict[str, list[int]]:
    """Return run type -> numbers of materials that have such tasks, but no such entry in their document."""
    wanted: dict[str, set[int]] = {run_type: set() for run_type in KEYS}
    for document in rows(materials):
        number = number_of(document["material_id"])
        if number is not None and not document.get("deprecated"):
            for run_type in run_types_of(document) - in_document(document).keys():
                wanted[run_type].add(number)
    return {run_type: sorted(numbers) for run_type, numbers in wanted.items()}


def rows(parts: Iterable[pa.Table]) -> Iterator[dict[str, Any]]:
    """Yield the rows of some tables as dictionaries, in batches."""
    for part in parts:
        for batch in part.to_batches(max_chunksize=1000):
            yield from batch.to_pylist()


def from_parts(parts: Iterable[pa.Table]) -> dict[tuple[int, str], dict[str, Any]]:
    """Return (material, run type) -> entry for the parts that the service gave."""
    return {
        (row["material"], row["run_type"]): {
            "energy": row["energy"],
            "n_atoms": row["n_atoms"],
            "hubbards": json.loads(row["hubbards"]),
        }
        for row in rows(parts)
    }
