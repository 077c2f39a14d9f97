"""Frames as Parquet parts: written aside, hashed, renamed."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from uprung.frames.schema import SCHEMA, Frame
from uprung.job.files import checksum

ROWS_PER_PART = 100_000
ROWS_PER_GROUP = 2_000


def write_parts(frames: Iterator[Frame], folder: Path) -> Iterator[dict[str, Any]]:
    """Write frames into numbered parts below a folder; yield file, rows, sha256 and bytes of each."""
    part, rows, buffer = 0, 0, list[Frame]()
    writer: pq.ParquetWriter | None = None
    target = folder / f"part-{part:05d}.parquet"
    for frame in frames:
        buffer.append(frame)
        if len(buffer) == ROWS_PER_GROUP:
            writer = writer or _open(target)
            rows += _flush(writer, buffer)
            if rows >= ROWS_PER_PART:
                yield _close(writer, target, rows)
                part, rows, writer = part + 1, 0, None
                target = folder / f"part-{part:05d}.parquet"
    if buffer:
        writer = writer or _open(target)
        rows += _flush(writer, buffer)
    if writer is not None:
        yield _close(writer, target, rows)


def without_rows(folder: Path, parts: list[dict[str, Any]], dropped: Collection[int]) -> Iterator[dict[str, Any]]:
    """Write parts anew without some rows, counted through all parts; yield file, rows and sha256 of what is left."""
    start = 0
    for part in parts:
        keep = np.array([row not in dropped for row in range(start, start + part["rows"])])
        start += part["rows"]
        if keep.all():
            yield part
            continue
        target, at = folder / part["file"], 0
        stored, writer = pq.ParquetFile(target), _open(target)
        for batch in stored.iter_batches(ROWS_PER_GROUP):
            writer.write_table(pa.Table.from_batches([batch]).filter(pa.array(keep[at : at + len(batch)])))
            at += len(batch)
        stored.close()
        yield _close(writer, target, int(keep.sum()))


def _open(target: Path) -> pq.ParquetWriter:
    lists = {f"{f.name}.list.element": f.type.value_type for f in SCHEMA if pa.types.is_list(f.type)}
    floats = [name for name, kind in lists.items() if pa.types.is_floating(kind)]
    plain = [f.name for f in SCHEMA if not pa.types.is_list(f.type)] + [name for name in lists if name not in floats]
    return pq.ParquetWriter(
        target.with_suffix(".tmp"), SCHEMA, compression="zstd", use_dictionary=plain, use_byte_stream_split=floats
    )


def rows_of(frames: list[Frame]) -> pa.Table:
    """Return some frames as rows of the table."""
    return pa.Table.from_arrays([_column(frames, column) for column in SCHEMA], schema=SCHEMA)


def _flush(writer: pq.ParquetWriter, buffer: list[Frame]) -> int:
    writer.write_table(rows_of(buffer))
    rows = len(buffer)
    buffer.clear()
    return rows


def _column(frames: list[Frame], column: pa.Field) -> pa.Array:
    """Return one column of some frames; building lists from flat arrays is four times as fast as from rows."""
    if column.name == "nsites":
        return pa.array([len(frame.Z) for frame in frames], type=column.type)
    values = [getattr(frame, column.name) for frame in frames]
    if not pa.types.is_list(column.type) or pa.types.is_string(column.type.value_type):
        return pa.array(values, type=column.type)
    missing = np.array([value is None for value in values])
    lengths = [0 if value is None else value.size for value in values]
    flat = [value.ravel() for value in values if value is not None]
    numbers = np.concatenate(flat) if flat else np.zeros(0)
    return pa.ListArray.from_arrays(
        pa.array(np.concatenate([[0], np.cumsum(lengths)]), type=pa.int32()),
        pa.array(numbers.astype(column.type.value_type.to_pandas_dtype()), type=column.type.value_type),
        mask=pa.array(missing) if missing.any() else None,
    ).cast(column.type)


def _close(writer: pq.ParquetWriter, target: Path, rows: int) -> dict[str, Any]:
    writer.close()
    aside = target.with_suffix(".tmp")
    aside.rename(target)
    return {"file": target.name, "rows": rows, **checksum(target)}
