"""Frames tables: a Parquet file, or a folder of Parquet parts, with the columns of `uprung.frames.schema`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from uprung.frames.schema import OPTIONAL, SCHEMA, Frame, FramesError
from uprung.sources.files import Advance, files_in, in_shares, unheard


def files(path: Path) -> list[Path]:
    """Return the files of a source, in the order in which they are read."""
    return files_in(path, "*.parquet", "no .parquet file in this folder")


def read(path: Path, functional: str, *, advance: Advance = unheard) -> Iterator[Frame]:
    """Yield the rows of a table, whatever their functional; `write_frames` refuses a mixture.

    Raises:
        FramesError: a column of the frames table is missing, or there is no Parquet file.
    """
    for file in files(path):
        stored = pq.ParquetFile(file)
        columns = [name for name in SCHEMA.names if name in stored.schema_arrow.names]
        needed = [name for name in SCHEMA.names if name not in OPTIONAL]
        missing = [name for name in needed if name not in columns]
        if missing:
            raise FramesError(f"{file}: no column {missing[0]!r} (needed: {', '.join(needed)})")
        rows = (row for batch in stored.iter_batches(batch_size=1000, columns=columns) for row in batch.to_pylist())
        for row in in_shares(rows, stored.metadata.num_rows, file.stat().st_size, advance):
            yield _frame(row)


def _frame(row: dict[str, Any]) -> Frame:
    n = row.pop("nsites")
    shapes = {"Z": (n,), "lattice": (3, 3), "frac": (n, 3), "forces": (n, 3), "stress_gpa": (3, 3), "magmom": (n,)}
    for name, shape in shapes.items():
        if row[name] is not None:
            values = np.asarray(row[name], dtype=np.uint8 if name == "Z" else np.float64)
            row[name] = values.reshape(shape) if values.size == np.prod(shape) else values
    row["provenance"] = row["provenance"] or ""
    row["flags"] = None if row.get("flags") is None else tuple(row["flags"])
    return Frame(**row)
