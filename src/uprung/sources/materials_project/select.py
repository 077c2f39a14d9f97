"""Downloaded tables to frames: calculations grouped by material, in bounded memory, with an account of all of them.

Tables come in any order, filters look at a whole material, so rows are first distributed over buckets on disk by the
number of their material, and then read bucket by bucket.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from uprung.frames.schema import Frame, FramesError, Rejected
from uprung.job.files import DamagedError, checksum, sha256
from uprung.job.logs import LINES, progress
from uprung.sources.materials_project import entries
from uprung.sources.materials_project.buckets import BucketRows, Buckets
from uprung.sources.materials_project.chunks import cut, reader
from uprung.sources.materials_project.findings import Counts
from uprung.sources.materials_project.ids import parse, spell
from uprung.sources.materials_project.listings import FINDINGS, NOT_USED, Append, listing
from uprung.sources.materials_project.materials import (
    FAULTS,
    FUNCTIONALS,
    STAGES,
    Dropped,
    MaterialData,
    Options,
    Result,
)

ROWS_PER_BUCKET = 4_000
MOST_BUCKETS = 256
ROWS_PER_WRITE = 200


@dataclass
class Account:
    """What happened to everything that was downloaded."""

    tasks: int = 0
    frames: Counter[str] = field(default_factory=Counter)  # run type -> ionic steps that were downloaded
    written: Counter[str] = field(default_factory=Counter)
    dropped: Counter[tuple[str, str]] = field(default_factory=Counter)  # (stage, run type) -> frames
    dropped_tasks: Counter[str] = field(default_factory=Counter)  # stage -> whole tasks
    validated: Counts = field(default_factory=Counts)
    repaired: int = 0
    no_scf_count: int = 0

    def add(self, result: Result) -> None:
        """Count a material."""
        self.written.update(frame.run_type for frame in result.frames)
        for item in result.dropped:
            self.drop(item)
        for calculation in result.validated:
            self.validated.add(calculation)
        self.repaired += result.repaired
        self.no_scf_count += result.no_scf_count

    def drop(self, item: Dropped) -> None:
        """Count what is not used."""
        self.dropped[item.stage, item.run_type] += item.frames
        self.dropped_tasks[item.stage] += item.step is None

    def stages(self) -> list[dict[str, Any]]:
        """Return frames before and after every stage, by run type, in the order of the stages."""
        left, table = Counter(self.frames), []
        for stage in STAGES:
            before = dict(sorted(left.items()))
            left = Counter({kind: n - self.dropped[stage, kind] for kind, n in left.items()})
            after = dict(sorted(left.items()))
            table.append({"stage": stage, "tasks": self.dropped_tasks[stage], "before": before, "after": after})
        return table

    def check(self) -> None:
        """Raise FramesError unless every ionic step is a frame or listed with a reason."""
        for kind, total in self.frames.items():
            lost = total - self.written[kind] - sum(n for (_, k), n in self.dropped.items() if k == kind)
            if lost:
                raise FramesError(f"{lost} of {total} ionic steps of {kind} are neither frames nor listed: a bug")


class Selection:
    """The frames of one functional in what was downloaded."""

    def __init__(self, manifest: Path, options: Options, *, scratch: Path, listings: Path, processes: int = 1) -> None:
        """Prepare, without reading anything.

        Args:
            manifest: of a finished download.
            options: functional, filters, what is excluded.
            scratch: folder for the buckets, emptied afterwards.
            listings: folder of `not_used.parquet`, everything that is not used, and of `validation.parquet`, what the
                options' validator found (nothing without one).
            processes: how many read materials at the same time; the result is the same.
        """
        self.manifest, self.downloaded = manifest, json.loads(manifest.read_text())
        self._checked = set[Path]()
        self.state = manifest.parent / self.downloaded["state"]
        self.options, self.scratch, self.processes = options, scratch, processes
        self.not_used, self.findings = listings / "not_used.parquet", listings / "validation.parquet"
        self.run_types = FUNCTIONALS[options.functional][0]
        self.account, self.notes = Account(), dict[str, Any]()

    def records(self) -> Iterator[Frame | Rejected]:
        """Yield the frames, and the records with faults; list what else is not used.

        Raises:
            FramesError: parts of the download are missing, or a step would be lost.
        """
        materials = self._materials()
        owner = self._owners(materials)
        n_buckets = min(MOST_BUCKETS, 1 + sum(p["rows"] for p in self._parts("trajectories")) // ROWS_PER_BUCKET)
        with listing(self.not_used, NOT_USED) as drop, listing(self.findings, FINDINGS) as remark:
            for name, key in (("tasks", "task_id"), ("trajectories", "identifier")):
                orphans = self._distribute(name, key, owner, n_buckets)
                yield from _list(drop, orphans)
            for result in self._results(list(materials.values()), n_buckets):
                self.account.add(result)
                yield from result.frames
                yield from _list(drop, result.dropped)
                remark([row for calculation in result.validated for row in calculation.rows()])
        self.account.check()

    def facts(self) -> dict[str, Any]:
        """Return what the manifest says about the source, once it has been read."""
        return {
            "format": "materials-project",
            "release": self.downloaded["db_version"],
            "tables": {name: table["version"] for name, table in self.downloaded["tables"].items()},
            "excluded_batches": sorted(self.options.exclude_batches),
            "filters": self.options.filters.model_dump(),
            "stages": self.account.stages(),
            "energies_repaired": self.account.repaired,
            "frames_without_scf_count": self.account.no_scf_count,
            "not_used": {"file": self.not_used.name, **checksum(self.not_used)},
            "validation": None if self.options.validate is None else self._validation(),
            **self.notes,
        }

    def _validation(self) -> dict[str, Any]:
        """Return who validated, what was found how often, and where all of it is listed."""
        listed = {"file": self.findings.name, **checksum(self.findings)}
        return {"by": self.options.validator, **self.account.validated.facts(), "listed": listed}

    def _parts(self, name: str) -> list[dict[str, Any]]:
        section = self.downloaded["entries"] if name == "entries" else self.downloaded["tables"][name]
        return list(section["parts"])

    def _open(self, part: dict[str, Any]) -> pq.ParquetFile:
        path = self.state / part["file"]
        if not path.exists():
            raise FramesError(f"{path}: this part of the download is missing; rerun the download")
        if path not in self._checked and sha256(path) != part["sha256"]:
            remedy = f"Delete {self.manifest} and start the same command again: this part is downloaded anew"
            raise DamagedError(path, "is damaged", remedy)
        self._checked.add(path)
        stored = pq.ParquetFile(path)
        if stored.metadata.num_rows != part["rows"]:
            raise FramesError(f"{path}: {stored.metadata.num_rows} rows, the download's manifest says {part['rows']}")
        return stored

    def _materials(self) -> dict[tuple[str, int], MaterialData]:
        """Return the materials of the release with their main entries, without their calculations."""
        asked = entries.from_parts(self._open(part).read() for part in self._parts("entries"))
        found: dict[tuple[str, int], MaterialData] = {}
        unreadable, double = list[str](), list[str]()
        for row in entries.rows(self._open(part).read() for part in self._parts("materials")):
            try:
                prefix, number = parse(str(row["material_id"]))
            except ValueError:
                unreadable.append(str(row["material_id"]))
                continue
            if (prefix, number) in found:
                double.append(spell(number, prefix))
                continue
            own = {kind: entry for kind in entries.KEYS if (entry := asked.get((number, kind))) is not None}
            found[prefix, number] = MaterialData(
                number=number,
                prefix=prefix or "mp",
                deprecated=bool(row.get("deprecated")),
                deprecated_tasks=frozenset(_numbers(row.get("deprecated_tasks"))),
                listed={n: kind for key, kind in entries.items(row["run_types"]) if (n := entries.number_of(key))},
                entries={**own, **entries.in_document(row)},
            )
            for n in _numbers(row.get("task_ids")):
                found[prefix, number].listed.setdefault(n, "")
        self.notes = {"unreadable_materials": unreadable, "materials_given_twice": double}
        return found

    def _owners(self, materials: dict[tuple[str, int], MaterialData]) -> dict[int, tuple[str, int] | str]:
        """Return task number -> the material that it belongs to, or why it belongs to none.

        A task that a deprecated and a living material claim belongs to the living one.
        """
        claims: dict[int, list[tuple[str, int]]] = defaultdict(list)
        for key, material in materials.items():
            for number in material.listed:
                claims[number].append(key)
        owner: dict[int, tuple[str, int] | str] = {}
        for number, keys in claims.items():
            living = sorted([key for key in keys if not materials[key].deprecated] or keys)
            names = " and ".join(spell(n, prefix) for prefix, n in living)
            owner[number] = living[0] if len(living) == 1 else f"{names} both claim it"
        for key, material in materials.items():
            material.listed = {n: kind for n, kind in material.listed.items() if owner[n] == key}
        return owner

    def _distribute(
        self, name: str, key: str, owner: dict[int, tuple[str, int] | str], n_buckets: int
    ) -> list[Dropped]:
        """Write the rows of a table to the bucket of their material; return those that have none."""
        orphans = list[Dropped]()
        writers = Buckets(self.scratch, name, [self._open(part).schema_arrow for part in self._parts(name)])
        for part in self._parts(name):
            for batch in self._open(part).iter_batches(ROWS_PER_WRITE):
                table = pa.Table.from_batches([batch])
                table = table.filter(pc.is_in(table["run_type"], pa.array(self.run_types)))
                bucket = np.full(table.num_rows, -1)
                steps = pc.fill_null(pc.list_value_length(table["cart_coords"]), 0) if name == "trajectories" else None
                for row, identifier in enumerate(table[key].to_pylist()):
                    number = entries.number_of(identifier)
                    own = owner.get(number, "no material has this task") if number is not None else "unreadable id"
                    run_type = table["run_type"][row].as_py()
                    if steps is not None:
                        self.account.tasks += 1
                        self.account.frames[run_type] += steps[row].as_py()
                    if not isinstance(own, str):
                        bucket[row] = own[1] % n_buckets
                    elif steps is not None:
                        task_id = str(identifier) if number is None else spell(number)
                        orphans.append(Dropped("no material", task_id, run_type, None, steps[row].as_py(), own))
                for k in np.unique(bucket[bucket >= 0]):
                    writers.add(int(k), table.filter(pa.array(bucket == k)))
        writers.close()
        for item in orphans:
            self.account.drop(item)
        return orphans

    def _results(self, materials: Sequence[MaterialData], n_buckets: int) -> Iterator[Result]:
        """Yield the results of all materials, bucket by bucket."""
        what = f"reading {self.options.functional}"
        with reader(self.processes) as read, progress(len(materials), what, "material", every=LINES) as bar:
            for bucket in range(n_buckets):
                own = [material for material in materials if material.number % n_buckets == bucket]
                rows = [BucketRows.read(self.scratch, name, bucket, key) for name, key in _IDS.items()]
                for results in read(cut(own, *rows), self.options):
                    yield from results
                    bar.update(len(results))


def _list(drop: Append, dropped: Sequence[Dropped]) -> Iterator[Rejected]:
    """List what is not used; yield the records with faults."""
    drop([asdict(item) for item in dropped])
    for item in dropped:
        if item.stage in FAULTS:
            name = item.task_id if item.step is None else f"{item.task_id}, step {item.step}"
            yield Rejected(name, item.reason)


_IDS = {"tasks": "task_id", "trajectories": "identifier"}


def _numbers(identifiers: Sequence[str] | None) -> Iterator[int]:
    for identifier in identifiers or []:
        number = entries.number_of(identifier)
        if number is not None:
            yield number
