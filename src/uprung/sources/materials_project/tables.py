"""Delta tables of the Materials Project's open data, pinned to a version: which files they have, and their rows.

Reading is anonymous. `AWS_ENDPOINT_URL` and `AWS_ALLOW_HTTP` lead deltalake, the Materials Project's own client and
this module to another S3 alike.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from urllib.parse import unquote

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pyarrow import fs

from uprung.job.extras import extra
from uprung.sources.materials_project.parts import DownloadError

with extra("pull"):
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError, TableNotFoundError

TABLES = {
    "materials": "s3a://materialsproject-build/collections/materials/",
    "tasks": "s3a://materialsproject-parsed/core/tasks/",
    "trajectories": "s3a://materialsproject-parsed/core/trajectories/",
}
REGION = "us-east-1"
TIMEOUT = 60  # seconds for one answer of the store
STORAGE = {
    "AWS_SKIP_SIGNATURE": "true",
    "AWS_REGION": REGION,
    "timeout": f"{TIMEOUT}s",
    "connect_timeout": f"{TIMEOUT}s",
    "max_retries": "5",
}
#: Features of a table under which the columns of a data file have other names than those of the table.
UNREADABLE = {"columnMapping"}
#: Names that Parquet puts between a list or map and its content.
WRAPPERS = {"list", "element", "item", "key_value", "array", "bag"}
ROWS_PER_BATCH = 256


@dataclass(frozen=True)
class Pin:
    """One version of one table."""

    name: str
    uri: str
    version: int
    table_id: str


@dataclass(frozen=True)
class DataFile:
    """One data file of a pinned table: its unit of work."""

    path: str
    stored: int  # rows in the file, whether or not the table still has them
    size: int
    partition: dict[str, str]
    kept: NDArray[np.bool_] | None = field(default=None, compare=False, repr=False)  # None: all rows of the file

    @property
    def rows(self) -> int:
        """Rows of the table in this file: those that no deletion vector takes out."""
        return self.stored if self.kept is None else int(self.kept.sum())


def pin(name: str) -> Pin:
    """Return the newest version of a table.

    Raises:
        DownloadError: the store has no such table.
    """
    table = _open(name, TABLES[name], None)
    return Pin(name, TABLES[name], int(table.version()), str(table.metadata().id))


def newest(name: str) -> int:
    """Return the number of the newest version of a table."""
    return int(_open(name, TABLES[name], None).version())


def data_files(table: Pin) -> list[DataFile]:
    """Return the data files of a pinned table, sorted by path.

    Raises:
        DownloadError: the version is gone, the table was replaced, its columns have other names in the files, or a
            deletion vector does not fit its file.
    """
    delta = _open(table.name, table.uri, table.version)
    if str(delta.metadata().id) != table.table_id:
        raise DownloadError(
            f"table {table.name}: it was replaced since this download began (another table id); begin anew in an empty "
            "state folder"
        )
    hidden = UNREADABLE & set(delta.protocol().reader_features or [])
    if hidden:
        raise DownloadError(f"table {table.name}: it uses {', '.join(sorted(hidden))}, which this download cannot read")
    vectors = _deletion_vectors(delta) if "deletionVectors" in (delta.protocol().reader_features or []) else {}
    found = []
    for action in pa.table(delta.get_add_actions(flatten=True)).to_pylist():
        partition = {k.split(".", 1)[1]: str(v) for k, v in action.items() if k.startswith("partition.")}
        if action["num_records"] is None:
            raise DownloadError(f"table {table.name}: {action['path']} does not say how many rows it has")
        path, stored = str(action["path"]), int(action["num_records"])
        kept = next((vectors.pop(uri) for uri in list(vectors) if uri.endswith(f"/{unquote(path)}")), None)
        if kept is not None and len(kept) != stored:
            raise DownloadError(f"table {table.name}: {path} has {stored} rows, its deletion vector {len(kept)}")
        found.append(DataFile(path, stored, int(action["size_bytes"]), partition, kept))
    if vectors:
        raise DownloadError(f"table {table.name}: a deletion vector is of no data file: {min(vectors)}")
    return sorted(found, key=lambda file: file.path)


def _deletion_vectors(delta: DeltaTable) -> dict[str, NDArray[np.bool_]]:
    """Return address of a data file -> which of its rows are still the table's, for files with a deletion vector.

    deltalake's own readers do not agree on such tables: SQL applies the vectors, `count()` does not, pyarrow refuses.
    """
    rows = pa.table(delta.deletion_vectors().read_all()).to_pylist()
    return {unquote(row["filepath"]): np.array(row["selection_vector"], dtype=np.bool_) for row in rows}


def _open(name: str, uri: str, version: int | None) -> DeltaTable:
    try:
        return DeltaTable(uri, version=version, storage_options=STORAGE)
    except TableNotFoundError:
        raise DownloadError(f"table {name}: no Delta table at {uri}") from None
    except DeltaError as error:
        if version is not None and "version" in str(error).lower():
            raise DownloadError(
                f"table {name}: version {version}, which this download began with, is gone ({error}); begin anew in an "
                "empty state folder"
            ) from None
        raise


def store() -> fs.FileSystem:
    """Return the object store, read anonymously."""
    endpoint = os.environ.get("AWS_ENDPOINT_URL")
    return fs.S3FileSystem(
        anonymous=True,
        region=REGION,
        endpoint_override=endpoint,
        connect_timeout=TIMEOUT,
        request_timeout=TIMEOUT,
        retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=3),
    )


def open_file(table: Pin, file: DataFile) -> pq.ParquetFile:
    """Open a data file.

    Raises:
        DownloadError: its rows are not as many as the table says.
        OSError: the store does not give it.
    """
    key = f"{table.uri.split('://', 1)[1]}{unquote(file.path)}"
    parquet = pq.ParquetFile(store().open_input_file(key), pre_buffer=True)
    if parquet.metadata.num_rows != file.stored:
        raise DownloadError(f"{key}: {parquet.metadata.num_rows} rows, but the table says {file.stored}")
    return parquet


def leaves(parquet: pq.ParquetFile, wanted: Sequence[str]) -> list[str]:
    """Return the leaf columns of a file below some dotted names, whatever its writer calls list items."""
    paths = [parquet.schema.column(k).path for k in range(len(parquet.schema))]
    plain = {path: ".".join(key for key in path.split(".") if key not in WRAPPERS) for path in paths}
    return [path for path, name in plain.items() if any(name == w or name.startswith(f"{w}.") for w in wanted)]


def batches(
    parquet: pq.ParquetFile, file: DataFile, wanted: Sequence[str], *, needed: Sequence[str]
) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    """Return the wanted columns of a data file's rows, batch by batch, without deleted ones, and their schema.

    Args:
        parquet: what `open_file` returned.
        file: its entry in the table; partition values become columns.
        wanted: dotted names of columns; those that the file does not have are left out.
        needed: columns without which nothing can be done.

    Raises:
        DownloadError: a needed column is missing.
    """
    columns = leaves(parquet, wanted)
    partition = {key: value for key, value in file.partition.items() if key in wanted}
    present = {*columns_of(columns), *partition}
    missing = [name for name in needed if name.split(".")[0] not in present]
    if missing:
        raise DownloadError(
            f"{file.path}: no column {missing[0]!r}; the table's layout is not the one this download knows"
        )
    empty = pa.Table.from_batches([], parquet.schema_arrow).select(columns_of(columns))
    first = next(parquet.iter_batches(1, columns=columns), None)
    schema = first.schema if first is not None else empty.schema
    for key in partition:
        schema = schema.append(pa.field(key, pa.string()))

    def rows() -> Iterator[pa.RecordBatch]:
        passed = 0
        for stored in parquet.iter_batches(ROWS_PER_BATCH, columns=columns):
            own = slice(passed, passed := passed + stored.num_rows)
            batch = stored if file.kept is None else stored.filter(pa.array(file.kept[own]))
            constant = [pa.array([value] * batch.num_rows, pa.string()) for value in partition.values()]
            yield pa.RecordBatch.from_arrays([*batch.columns, *constant], schema=schema)

    return schema, rows()


def columns_of(paths: Sequence[str]) -> list[str]:
    """Return the top-level columns of some leaf columns."""
    return list(dict.fromkeys(path.split(".")[0] for path in paths))
