"""Small tables that stages hand over as CSV."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

#: What tells runs apart, as text; the seed is a number.
RUN_TEXT = ("budget", "arm", "size")


def read_table(path: str | Path, text: Sequence[str] = RUN_TEXT) -> pd.DataFrame:
    """Read a CSV file.

    Args:
        path: of the file.
        text: columns of names and sentences. There an empty cell is an empty text, and an arm or size named 'nan' stays
            a name; in all others it is a missing number.
    """
    columns = pd.read_csv(path, nrows=0).columns
    missing = {name: ["", "nan"] for name in columns if name not in text}
    table = pd.read_csv(path, keep_default_na=False, dtype=dict.fromkeys(text, str), na_values=missing)
    return table.assign(**{name: table[name].fillna("") for name in text if name in table})


def own_csv(path: str | Path) -> pd.DataFrame:
    """Read a user's CSV file as text, without spaces around cells, and with the column `line`, where each row begins.

    Raises:
        ValueError: the file is no text, has a column without a name or with that of another, a row with more or fewer
            cells than the header, or a quotation that does not end; with file, line and what is allowed.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        what = f"{path}: byte {error.start:,} is no text in UTF-8; save the table as CSV in UTF-8"
        raise ValueError(what) from None
    if "\0" in text:
        raise ValueError(f"{path}: byte 0 in the file, which is no text; save the table as CSV in UTF-8")
    reader, rows, start = csv.reader(text.splitlines(keepends=True), skipinitialspace=True, strict=True), [], 1
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                rows.append([*(cell.strip() for cell in cells), start])
            start = reader.line_num + 1
    except csv.Error as error:
        raise ValueError(f"{path}: line {start}: no row of a CSV file: {error}") from None
    header = [*map(str, rows[0][:-1] if rows else []), "line"]
    for name in header:
        if not name or header.count(name) > 1:
            raise ValueError(f"{path}: the header has the column {name!r} {header.count(name)} times; name each once")
    for row in rows[1:]:
        if len(row) != len(header):
            raise ValueError(
                f"{path}: line {row[-1]} has {len(row) - 1} cells, but the header has {len(header) - 1}: "
                f"{', '.join(header[:-1])}"
            )
    return pd.DataFrame(rows[1:], columns=header)
