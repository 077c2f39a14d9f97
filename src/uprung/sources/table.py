"""Frames tables: a Parquet file, or a folder of Parquet parts, with the columns of `uprung.frames.schema`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from uprung.config.keys import Keys, LabelKey
from uprung.frames.schema import OPTIONAL, SCHEMA, Frame, FramesError
from uprung.sources.common import UnusableError
from uprung.sources.files import Advance, files_in, in_shares, unheard
from uprung.sources.label_keys import COLUMNS, converted, volume_of


def files(path: Path) -> list[Path]:
    """Return the files of a source, in the order in which they are read."""
    return files_in(path, "*.parquet", "no .parquet file in this folder")


def read(path: Path, functional: str, *, keys: Keys | None = None, advance: Advance = unheard) -> Iterator[Frame]:
    """Yield the rows of a table, whatever their functional; `write_frames` refuses a mixture.

    Args:
        path: a Parquet file, or a folder of them.
        functional: not looked at.
        keys: columns of labels that are not in those of the frames table.
        advance: is told how many bytes of the files have been read.

    Raises:
        FramesError: a column of the frames table is missing, or there is no Parquet file.
    """
    named = keys.named() if keys else {}
    replaced = {COLUMNS[label] for label in named}
    for file in files(path):
        stored = pq.ParquetFile(file)
        there = stored.schema_arrow.names
        needed = [name for name in SCHEMA.names if name not in OPTIONAL | replaced]
        needed += [spec.key for spec in named.values()]
        missing = [name for name in needed if name not in there]
        if missing:
            raise FramesError(
                f"{file}: no column {missing[0]!r} (needed: {', '.join(needed)}; columns here: {', '.join(there)})"
            )
        columns = [name for name in there if name in {*SCHEMA.names, *needed} - (replaced - set(needed))]
        rows = (row for batch in stored.iter_batches(batch_size=1000, columns=columns) for row in batch.to_pylist())
        for row in in_shares(rows, stored.metadata.num_rows, file.stat().st_size, advance):
            yield _frame(row, named)


def _frame(row: dict[str, Any], named: Mapping[str, LabelKey]) -> Frame:
    n = row.pop("nsites")
    given = {label: row.get(spec.key) for label, spec in named.items()}
    row = {name: row.get(name) for name in SCHEMA.names if name != "nsites" and (name in row or name not in OPTIONAL)}
    row.update(dict.fromkeys((COLUMNS[label] for label in named), None))
    shapes = {"Z": (n,), "lattice": (3, 3), "frac": (n, 3), "forces": (n, 3), "stress_gpa": (3, 3), "magmom": (n,)}
    for name, shape in shapes.items():
        if row[name] is not None:
            values = np.asarray(row[name], dtype=np.uint8 if name == "Z" else np.float64)
            row[name] = values.reshape(shape) if values.size == np.prod(shape) else values
    row["provenance"] = row["provenance"] or ""
    row["flags"] = None if row.get("flags") is None else tuple(row["flags"])
    bad = _named_labels(row, given, named)
    return Frame(**row, bad=bad)


def _named_labels(row: dict[str, Any], given: Mapping[str, Any], named: Mapping[str, LabelKey]) -> dict[str, str]:
    """Put the labels of the columns that the study names into a row; return column -> why it stays empty."""
    bad = dict[str, str]()
    for label, spec in named.items():
        values, column = given[label], COLUMNS[label]
        if values is None:
            continue
        try:
            if label == "forces" and values and not isinstance(values[0], list):
                values = np.reshape(values, (-1, 3)).tolist()
            row[column] = converted(label, values, spec, volume_of(row["lattice"]), len(row["Z"]))
        except (UnusableError, ValueError) as error:
            bad[column] = str(error)
    return bad
