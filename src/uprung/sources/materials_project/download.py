"""Resumable download of the Materials Project: pinned tables file by file, main entries by verified requests.

What is downloaded are the columns and run types that a study can use, otherwise unchanged; `select` interprets them.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import logging
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from uprung.job.files import DamagedError, write_json, write_whole
from uprung.job.logs import LINES, progress
from uprung.job.sealed import seal, unseal
from uprung.sources.materials_project import tables
from uprung.sources.materials_project.entries import KEYS, RUN_TYPES, wanted_entries
from uprung.sources.materials_project.parts import DownloadError, Journal, only_one, part_name, write_part
from uprung.sources.materials_project.service import Patience, Service, api_key, persistently
from uprung.sources.materials_project.tables import DataFile, Pin

TASK_TYPES = ("Structure Optimization", "Static")
ENTRIES_PER_REQUEST = 100
PART = ("file", "rows", "sha256", "bytes")  # what the manifest says of a part
PACKAGES = ("mp-api", "emmet-core", "deltalake", "pyarrow")
_ENTRY = [f"entries.{key}.{name}" for key in KEYS.values() for name in ("energy", "composition", "parameters.hubbards")]
COLUMNS = {
    "materials": ["material_id", "deprecated", "task_ids", "deprecated_tasks", "run_types", "version", *_ENTRY],
    "tasks": [
        *("task_id", "batch_id", "run_type", "task_type", "vasp_version", "input.incar", "input.hubbards"),
        *("output.energy", "output.structure.lattice.matrix", "output.structure.sites.abc"),
        *("output.structure.sites.species", "output.structure.sites.properties.magmom"),
        "output.outcar.magnetization.tot",
        # for the validation alone
        *("input.kpoints", "input.potcar_spec.titel", "input.potcar_spec.summary_stats", "input.parameters"),
        *("input.structure.sites.properties.selective_dynamics", "output.structure.charge"),
        *("output.bandgap", "output.outcar.drift"),
    ],
    "trajectories": [
        *("identifier", "run_type", "task_type", "elements", "cart_coords", "lattice", "num_ionic_steps", "energy"),
        *("e_fr_energy", "e_wo_entrp", "forces", "stress", "num_electronic_steps"),
        *("electronic_steps.e_fr_energy", "electronic_steps.e_0_energy", "electronic_steps.eentropy"),
    ],
}
NEEDED = {
    "materials": ["material_id", "task_ids", "run_types"],
    "tasks": ["task_id", "run_type", "task_type", "input", "output"],
    "trajectories": ["identifier", "run_type", "elements", "cart_coords", "lattice", "e_fr_energy", "forces"],
}
ENTRY_SCHEMA = pa.schema(
    [
        ("material", pa.int64()),
        ("run_type", pa.string()),
        ("energy", pa.float64()),  # eV per cell of n_atoms atoms, without corrections
        ("n_atoms", pa.int64()),
        ("hubbards", pa.string()),  # JSON, eV
    ]
)


def download(state: Path, manifest: Path, *, db_version: str | None = None, patience: Patience | None = None) -> None:
    """Pull what is still missing, and write the manifest when all of it is there.

    Args:
        state: folder of the parts; kept between attempts.
        manifest: JSON file that names the parts, written last.
        db_version: release of the Materials Project; default the current one.
        patience: how requests are repeated.

    Raises:
        DownloadError: the download cannot go on; a later call continues it.
    """
    patience = patience or Patience()
    api_key()  # a missing key is reported now, not hours later when it is first needed
    service = Service(patience)
    with only_one(state):
        journal = Journal(state)
        source = state / "source.json"
        if not source.exists():
            write_whole(source, seal(_source(service, db_version, patience)).encode())
        start = _begun(source)
        if db_version not in (None, start["db_version"]):
            raise DownloadError(
                f"{state}: this download began with release {start['db_version']}, not {db_version}; use another state "
                "folder, or delete this one"
            )
        pins = {name: Pin(**start["tables"][name]) for name in tables.TABLES}
        counts = {name: _download_table(table, journal, start["db_version"], patience) for name, table in pins.items()}
        entries = _download_entries(service, journal, counts["materials"]["parts"])
        write_json(
            manifest,
            {
                "source": "Materials Project",
                "db_version": start["db_version"],
                "db_version_at_end": service.heartbeat()["db_version"],
                "access_controlled_batch_ids": start["access_controlled_batch_ids"],
                "state": os.path.relpath(state, manifest.parent),
                "versions": {name: importlib.metadata.version(name) for name in PACKAGES},
                "tables": {name: {**asdict(pins[name]), **counts[name]} for name in pins},
                "newest_at_end": {
                    name: persistently(partial(tables.newest, name), f"table {name}", patience) for name in pins
                },
                "entries": entries,
            },
        )


def _begun(source: Path) -> dict[str, Any]:
    """Return what an earlier attempt or this one began with; DamagedError if its file is not what it was."""
    try:
        return dict(unseal(source.read_bytes()))
    except ValueError as error:
        remedy = "Delete it and start the same command again: the current tables are pinned"
        raise DamagedError(source, f"cannot be used ({error})", remedy) from None


def _source(service: Service, db_version: str | None, patience: Patience) -> dict[str, Any]:
    """Return what a download begins with: release, restricted batches, versions of the tables."""
    heartbeat = service.heartbeat()
    pinned = {name: persistently(partial(tables.pin, name), f"table {name}", patience) for name in tables.TABLES}
    return {
        "db_version": db_version or heartbeat["db_version"],
        "access_controlled_batch_ids": heartbeat["access_controlled_batch_ids"],
        "tables": {name: asdict(table) for name, table in pinned.items()},
    }


def _download_table(table: Pin, journal: Journal, release: str, patience: Patience) -> dict[str, Any]:
    """Pull the data files of one table; return counts and parts.

    Raises:
        DownloadError: rows of parts and table do not agree.
    """
    files = persistently(lambda: tables.data_files(table), f"table {table.name}", patience)
    wanted = [file for file in files if _has_rows_for(table, file, release)]
    if not wanted:
        raise DownloadError(
            f"table {table.name}: no data of release {release} (there: {', '.join(_releases(files)) or 'nothing'}); "
            "name another in materials_project.db_version"
        )
    entries = list[dict[str, Any]]()
    with progress(sum(file.rows for file in wanted), f"downloading {table.name}", "row", every=LINES) as bar:
        for file in wanted:
            unit = _unit(table, file)
            entry = journal.finished(unit)
            if entry is None:
                what = f"table {table.name}: {file.path}"
                # requests have deadlines of their own, a large file may take as long as it takes
                entry = persistently(partial(_fetch, table, file, journal, release), what, patience, limited=False)
                journal.record(unit, entry)
                logging.info("%s: %d of %d rows kept", what, entry["rows"], entry["rows_in"])
            entries.append(entry)
            bar.update(file.rows)
    read, expected = sum(entry["rows_in"] for entry in entries), sum(file.rows for file in wanted)
    if read != expected:
        raise DownloadError(f"table {table.name}: {read} rows downloaded, but the table has {expected}")
    return {
        "rows": sum(file.rows for file in files),
        "rows_deleted": sum(file.stored - file.rows for file in files),  # by deletion vectors: in the files only
        "rows_of_other_releases": sum(file.rows for file in files) - expected,
        "rows_pulled": read,
        "rows_kept": sum(entry["rows"] for entry in entries),
        "kinds": dict(sum((Counter(entry["kinds"]) for entry in entries), Counter())),
        "parts": [{key: entry[key] for key in PART} for entry in entries],
    }


def _unit(table: Pin, file: DataFile) -> str:
    """Return the name of a unit: the data file of a version, and what is taken from it."""
    taken = json.dumps([COLUMNS[table.name], RUN_TYPES, TASK_TYPES])
    return f"{table.table_id}/{table.version}/{hashlib.sha256(taken.encode()).hexdigest()[:8]}/{file.path}"


def _has_rows_for(table: Pin, file: DataFile, release: str) -> bool:
    """Return whether a data file can hold rows that are wanted, by its partition."""
    if table.name == "materials" and "version" in file.partition:
        return file.partition["version"] == release
    return True


def _releases(files: Sequence[DataFile]) -> list[str]:
    return sorted({file.partition["version"] for file in files if "version" in file.partition})


def _fetch(table: Pin, file: DataFile, journal: Journal, release: str) -> dict[str, Any]:
    """Write the part of one data file: wanted columns of all rows of wanted kinds; the others are counted."""
    parquet = tables.open_file(table, file)
    schema, batches = tables.batches(parquet, file, COLUMNS[table.name], needed=NEEDED[table.name])
    kinds, rows_in = Counter[str](), 0

    def kept() -> Iterator[pa.RecordBatch]:
        nonlocal rows_in
        for batch in batches:
            rows_in += batch.num_rows
            if table.name != "materials":
                kinds.update(_kinds(batch))
                yield batch.filter(_wanted(batch))
            elif "version" in schema.names:  # a column where the table is not partitioned by it
                kinds.update(f"release {version}" for version in batch["version"].to_pylist())
                yield batch.filter(pc.equal(batch["version"], release))
            else:
                yield batch

    name = part_name(table.name, _unit(table, file))
    written = write_part(journal.folder / name, schema, kept())
    if rows_in != file.rows:
        raise OSError(f"{rows_in} rows arrived of {file.rows}")
    return {"file": name, **written, "rows_in": rows_in, "kinds": dict(kinds)}


def _kinds(batch: pa.RecordBatch) -> Iterator[str]:
    for run_type, task_type in zip(batch["run_type"].to_pylist(), batch["task_type"].to_pylist(), strict=True):
        yield f"{run_type or 'no run type'}, {task_type or 'no task type'}"


def _wanted(batch: pa.RecordBatch) -> pa.Array:
    run_type = pc.is_in(batch["run_type"], pa.array(RUN_TYPES))
    return pc.and_(run_type, pc.is_in(batch["task_type"], pa.array(TASK_TYPES)))


def _download_entries(service: Service, journal: Journal, parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Ask the service for main entries that the materials table lacks; return counts, parts, and who has none."""
    asked, found, missing = 0, list[dict[str, Any]](), list[dict[str, Any]]()
    materials = (pq.read_table(journal.folder / part["file"]) for part in parts)
    for run_type, numbers in wanted_entries(materials).items():
        asked += len(numbers)
        for start in range(0, len(numbers), ENTRIES_PER_REQUEST):
            batch = numbers[start : start + ENTRIES_PER_REQUEST]
            unit = f"entries/{run_type}/{','.join(map(str, batch))}"
            entry = journal.finished(unit)
            if entry is None:
                entry = journal.record(unit, _fetch_entries(service, journal, unit, run_type, batch))
                logging.info("main entries, %s: %d of %d", run_type, entry["rows"], len(batch))
            found.append({key: entry[key] for key in PART})
            missing += [{"run_type": run_type, "material": number} for number in entry["missing"]]
    return {"asked": asked, "parts": found, "missing": missing}


def _fetch_entries(
    service: Service, journal: Journal, unit: str, run_type: str, numbers: Sequence[int]
) -> dict[str, Any]:
    found, missing = service.entries(run_type, numbers)
    rows = [
        {"material": number, "run_type": run_type, **entry, "hubbards": json.dumps(entry["hubbards"], sort_keys=True)}
        for number, entry in sorted(found.items())
    ]
    name = part_name("entries", unit)
    batch = pa.RecordBatch.from_pylist(rows, schema=ENTRY_SCHEMA)
    return {"file": name, **write_part(journal.folder / name, ENTRY_SCHEMA, [batch]), "missing": missing}
