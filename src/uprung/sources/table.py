"""Frames tables: a Parquet file, or a folder of Parquet parts, with the columns of `uprung.frames.schema`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from uprung.config.keys import Keys, LabelKey
from uprung.frames.limits import NAME, TEXT
from uprung.frames.schema import NEEDED_TEXTS, OPTIONAL, SCHEMA, Frame, FramesError, Rejected, shortened
from uprung.sources.common import UnusableError, atomic_numbers, flat
from uprung.sources.files import Advance, expect, files_in, in_shares, unheard
from uprung.sources.label_keys import COLUMNS, converted, named_keys, volume_of
from uprung.sources.settings import Settings
from uprung.sources.stated import is_stated, require_stated

KIND = "a Parquet file"
ROWS = 1_000
#: Values of one column in a batch of rows: a column that has more in as many rows is read in smaller batches.
VALUES = 5_000_000
#: Values of one column and row on average, 3 for each of the atoms that a structure may have; beyond, nothing is read.
MOST_VALUES = 100_000


def files(path: Path) -> list[Path]:
    """Return the files of a source, in the order in which they are read."""
    return files_in(path, "*.parquet", "no .parquet file in this folder")


def read(
    path: Path,
    functional: str,
    *,
    keys: Keys | None = None,
    settings: Settings | None = None,
    advance: Advance = unheard,
) -> Iterator[Frame | Rejected]:
    """Yield the rows of a table, whatever their functional; `write_frames` refuses a mixture.

    Args:
        path: a Parquet file, or a folder of them.
        functional: not looked at.
        keys: columns of labels that are not in those of the frames table.
        settings: those of the fidelity's rows so far, as far as columns state any.
        advance: is told how many bytes of the files have been read.

    Raises:
        FramesError: no Parquet file, one that is cut off or damaged, a column that is missing, there twice or of
            another type.
    """
    named, settings = named_keys(keys), settings or Settings()
    for file in files(path):
        expect(file, KIND, "a Parquet file with the columns of the frames table")
        try:
            stored = pq.ParquetFile(file)
            columns, batch = _columns(file, stored.schema_arrow, named), _batch(file, stored.metadata)
            batches = stored.iter_batches(batch_size=batch, columns=columns)
            rows = (row for batch in batches for row in batch.to_pylist())
            for n, row in enumerate(in_shares(rows, stored.metadata.num_rows, file.stat().st_size, advance)):
                yield _record(row, f"{file.stem}, row {n + 1}", named, settings)
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            what = shortened(str(error).splitlines()[0], TEXT)
            raise FramesError(
                f"{file}: the Parquet file is cut off or damaged ({what}); compare its size with the original and "
                "fetch it again"
            ) from None


def records_of(table: pa.Table, where: str, *, keys: Keys | None = None) -> Iterator[Frame | Rejected]:
    """Yield the rows of a table in memory.

    Args:
        table: with the columns of the frames table; `nsites` may be left out.
        where: what it is called in messages.
        keys: see `read`.

    Raises:
        FramesError: see `read`.
    """
    named, settings = named_keys(keys), Settings()
    if "nsites" not in table.column_names and "Z" in table.column_names:
        table = table.append_column("nsites", pc.list_value_length(table["Z"]))
    columns = _columns(where, table.schema, named)
    for n, row in enumerate(table.select(columns).to_pylist()):
        yield _record(row, f"row {n + 1}", named, settings)


def _columns(file: Path | str, schema: pa.Schema, named: Mapping[str, LabelKey]) -> list[str]:
    """Return the columns that are read.

    Raises:
        FramesError: one is missing, there twice, or of another type.
    """
    own = [name for name in SCHEMA.names if name not in {COLUMNS[label] for label in named}]
    needed = [*(name for name in own if name not in OPTIONAL), *(key.key for key in named.values())]
    for name in needed:
        if name not in schema.names:
            raise FramesError(
                f"{file}: no column {name!r} (needed: {', '.join(needed)}; columns here: {', '.join(schema.names)})"
            )
    for name in own:
        found = schema.get_all_field_indices(name)
        if len(found) > 1:
            raise FramesError(f"{file}: {len(found)} columns are named {name!r}; give one of them")
        for k in found:
            allowed, fits = _kind(SCHEMA.field(name).type)
            if not fits(schema.field(k).type):
                raise FramesError(f"{file}: column {name!r} is of type {schema.field(k).type}, not {allowed}")
    stated = [name for name in schema.names if schema.names.count(name) == 1 and is_stated(name)]
    return [name for name in dict.fromkeys([*own, *needed, *stated]) if name in schema.names]


def _kind(kind: pa.DataType) -> tuple[str, Callable[[pa.DataType], bool]]:
    """Return what a column has to be, in words and as a test of its type; an empty column may be of no type."""
    if pa.types.is_list(kind):
        what, fits = _kind(kind.value_type)
        return f"lists of {what}", lambda found: pa.types.is_null(found) or (_is_list(found) and fits(found.value_type))
    if pa.types.is_string(kind):
        return "text", lambda found: pa.types.is_null(found) or _is_text(found)
    return "numbers", lambda found: pa.types.is_null(found) or pa.types.is_integer(found) or pa.types.is_floating(found)


def _is_list(found: pa.DataType) -> bool:
    return bool(pa.types.is_list(found) or pa.types.is_large_list(found) or pa.types.is_fixed_size_list(found))


def _is_text(found: pa.DataType) -> bool:
    found = found.value_type if pa.types.is_dictionary(found) else found
    return bool(pa.types.is_string(found) or pa.types.is_large_string(found))


def _batch(file: Path, metadata: pq.FileMetaData) -> int:
    """Return how many rows are read at once.

    Raises:
        FramesError: the rows of a group have more values than structures can have.
    """
    groups = [metadata.row_group(k) for k in range(metadata.num_row_groups)]
    most = 1.0
    for group in groups:
        values = max(group.column(k).num_values for k in range(group.num_columns))
        most = max(most, values / max(group.num_rows, 1))
    if most > MOST_VALUES:
        raise FramesError(f"{file}: its rows have {most:,.0f} values each in one column, more than {MOST_VALUES:,}")
    return max(1, min(ROWS, int(VALUES / most)))


def _record(row: dict[str, Any], name: str, named: Mapping[str, LabelKey], settings: Settings) -> Frame | Rejected:
    name = row["frame_id"] or name
    stated = {key: value for key, value in row.items() if key not in SCHEMA.names}
    try:
        frame = _frame(row, named)
        require_stated(settings, frame, stated)
        return frame
    except UnusableError as error:
        return Rejected(shortened(name, NAME), str(error))


def _frame(row: dict[str, Any], named: Mapping[str, LabelKey]) -> Frame:
    """Return a row as a frame.

    Raises:
        UnusableError: a value that is needed is null, or numbers are not what the column promises.
    """
    for name in (*NEEDED_TEXTS, "source", "functional", "run_type", "nsites", "Z", "lattice", "frac"):
        if row[name] is None:
            raise UnusableError(f"{name} is null")
    Z, sites = atomic_numbers(flat(row["Z"], "Z")), row.pop("nsites")
    n = len(Z)
    if sites != n:
        raise UnusableError(f"nsites is {sites}, but Z has {n} values")
    given = {label: row[key.key] for label, key in named.items()}
    row = {name: row.get(name) for name in SCHEMA.names if name != "nsites"}
    row |= dict.fromkeys(COLUMNS[label] for label in named)
    bad = dict[str, str]()
    for name, shape in {
        "lattice": (3, 3),
        "frac": (n, 3),
        "forces": (n, 3),
        "stress_gpa": (3, 3),
        "magmom": (n,),
    }.items():
        if row[name] is not None:
            try:
                values = flat(row[name], name)
            except UnusableError as error:
                if name in ("lattice", "frac"):
                    raise
                bad[name], row[name] = str(error), None
                continue
            row[name] = values.reshape(shape) if values.size == np.prod(shape) else values
    flags = row.get("flags")
    if flags is not None and None in flags:
        raise UnusableError("flags hold null")
    bad |= _named_labels(row, given, named, n)
    return Frame(**{**row, "bad": bad, "Z": Z, "provenance": row["provenance"] or "", "flags": flags and tuple(flags)})


def _named_labels(
    row: dict[str, Any], given: Mapping[str, Any], named: Mapping[str, LabelKey], n: int
) -> dict[str, str]:
    """Put the labels of the columns that the study names into a row; return column -> why it stays empty."""
    bad = dict[str, str]()
    for label, spec in named.items():
        values, column = given[label], COLUMNS[label]
        if values is None:
            continue
        try:
            if label == "forces" and values and not isinstance(values[0], list):
                values = np.reshape(values, (-1, 3)).tolist()
            row[column] = converted(label, values, spec, volume_of(row["lattice"]), n)
        except (UnusableError, ValueError) as error:
            bad[column] = str(error)
    return bad
