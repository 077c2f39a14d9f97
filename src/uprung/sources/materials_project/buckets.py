"""Rows of a table distributed over files on disk, so that rows of a material are read together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from uprung.sources.materials_project.entries import number_of


class Buckets:
    """Parquet files that rows are distributed to, all with the same columns."""

    def __init__(self, folder: Path, name: str, schemas: Iterable[pa.Schema]) -> None:
        """Begin with an empty set of files in a folder; what an interrupted job left of them is removed.

        Args:
            folder: where they are.
            name: begin of their names.
            schemas: of the tables to come; files of a Delta table lack columns that were added to it later.
        """
        self.schema = pa.unify_schemas([pa.schema([]), *schemas], promote_options="permissive")
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob(f"{name}-*.parquet"):
            old.unlink()
        self.folder, self.name = folder, name
        self.writers: dict[int, pq.ParquetWriter] = {}

    def add(self, bucket: int, table: pa.Table) -> None:
        """Append rows to a bucket."""
        if bucket not in self.writers:
            path = self.folder / f"{self.name}-{bucket:03d}.parquet"
            self.writers[bucket] = pq.ParquetWriter(path, self.schema, compression="zstd", write_page_checksum=True)
        for column in self.schema:
            if column.name not in table.column_names:
                table = table.append_column(column, pa.nulls(table.num_rows, column.type))
        self.writers[bucket].write_table(table.select(self.schema.names).cast(self.schema))

    def close(self) -> None:
        """Finish all files."""
        for writer in self.writers.values():
            writer.close()


@dataclass
class BucketRows:
    """Rows of a table, by task number."""

    table: pa.Table | None
    places: dict[int, list[int]]

    @classmethod
    def read(cls, folder: Path, name: str, bucket: int, key: str) -> BucketRows:
        """Return the rows of a bucket, none where nothing was distributed to it; its file is removed."""
        path = folder / f"{name}-{bucket:03d}.parquet"
        if not path.exists():
            return cls(None, {})
        table = pq.read_table(path, memory_map=False, page_checksum_verification=True)
        path.unlink()
        places: dict[int, list[int]] = defaultdict(list)
        for place, identifier in enumerate(table[key].to_pylist()):
            places[number_of(identifier) or 0].append(place)
        return cls(table, dict(places))

    def part(self, numbers: Iterable[int]) -> BucketRows:
        """Return a copy of the rows of some tasks only, small enough to be sent to another process."""
        places, taken = dict[int, list[int]](), list[int]()
        for number in numbers:
            own = self.places.get(number, [])
            if own:
                places[number] = list(range(len(taken), len(taken) + len(own)))
                taken += own
        return BucketRows(self.table.take(taken) if self.table is not None and taken else None, places)

    def rows(self, number: int) -> list[dict[str, Any]]:
        """Return the rows of a task as dictionaries."""
        if self.table is None or number not in self.places:
            return []
        return list(self.table.take(self.places[number]).to_pylist())
