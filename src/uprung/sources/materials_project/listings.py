"""Parquet listings written while frames are made: records that are not used, findings of the validator."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

NOT_USED = pa.schema(
    [
        ("stage", pa.string()),
        ("task_id", pa.string()),
        ("run_type", pa.string()),
        ("step", pa.int32()),  # null: the whole task
        ("frames", pa.int32()),
        ("reason", pa.string()),
    ]
)
FINDINGS = pa.schema(
    [
        ("task_id", pa.string()),
        ("calculation", pa.int32()),
        ("run_type", pa.string()),
        ("kind", pa.string()),
        ("what", pa.string()),
        ("text", pa.string()),
    ]
)
Append = Callable[[Sequence[dict[str, Any]]], None]


@contextmanager
def listing(path: Path, schema: pa.Schema) -> Iterator[Append]:
    """Write a listing aside and rename it, so that a file of this name is complete; yield what appends rows."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    aside = path.with_suffix(".tmp")
    with pq.ParquetWriter(aside, schema, compression="zstd") as writer:

        def append(rows: Sequence[dict[str, Any]]) -> None:
            if rows:
                writer.write_table(pa.Table.from_pylist(rows, schema=schema))

        yield append
    aside.replace(path)
