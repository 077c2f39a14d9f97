"""Rows of ASE's databases: SQLite, and LMDB as fairchem writes it."""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lmdb
import numpy as np
import orjson

from uprung.frames.limits import RECORD
from uprung.frames.schema import FramesError
from uprung.sources.common import Row, UnusableError
from uprung.sources.files import Advance, EndlessError, in_shares, inflated
from uprung.sources.json_text import decoded

FIELDS = ("energy", "free_energy", "forces", "stress", "magmoms", "charge", "initial_charges")
_SQL_COLUMNS = (
    "id numbers positions cell pbc energy free_energy forces stress magmoms charge key_value_pairs data".split()
)


def sqlite_rows(path: Path, advance: Advance) -> Iterator[Row]:
    """Yield the rows of an ASE database in SQLite, in the order of their ids."""
    try:
        connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
        try:
            ((n,),) = connection.execute("SELECT COUNT(*) FROM systems")
            rows = connection.execute(f"SELECT {', '.join(_SQL_COLUMNS)} FROM systems ORDER BY id")  # noqa: S608
            for values in in_shares(rows, n, path.stat().st_size, advance):
                row = dict(zip(_SQL_COLUMNS, values, strict=True))
                yield f"{path.stem}-{row['id']}", _sqlite_row(row)
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise FramesError(f"{path}: expected an ASE database in SQLite, but: {error}") from None


def _sqlite_row(row: dict[str, Any]) -> dict[str, Any] | UnusableError:
    """Return a row with its blobs as lists; ASE stores int32 and float64, little-endian."""
    if max(len(value) for value in row.values() if isinstance(value, bytes | str)) > RECORD:
        return UnusableError(f"row holds more than {RECORD >> 20} MiB in one column")
    try:
        labels: dict[str, Any] = {key: row[key] for key in ("energy", "free_energy", "charge")}
        result: dict[str, Any] = {}
        result["numbers"] = np.frombuffer(row["numbers"], dtype="<i4").tolist()
        for key in ("positions", "cell"):
            result[key] = None if row[key] is None else np.frombuffer(row[key], dtype="<f8").reshape(-1, 3).tolist()
        for key in ("forces", "stress", "magmoms"):
            labels[key] = None if row[key] is None else _numbers(row[key], 3 if key == "forces" else 1)
        pbc = int(row["pbc"])
        result["pbc"] = [bool(pbc & 1), bool(pbc & 2), bool(pbc & 4)]
        result["info"] = _mapping(orjson.loads(row["key_value_pairs"] or "{}"))
        result["data"] = _stored(row["data"])
        beside = {f"data {key}": value for key, value in result["data"].items() if labels.get(key) is not None}
        result["fields"] = {**beside, **result["data"], **result["info"], **labels}
    except (TypeError, ValueError, OverflowError) as error:
        return UnusableError(f"row is not as ASE stores it: {error}")
    return result


def _numbers(blob: Any, width: int) -> Any:
    """Return a blob as numbers, or as rows of numbers; what it holds instead where it is no such blob."""
    try:
        values = np.frombuffer(blob, dtype="<f8")
        return (values.reshape(-1, width) if width > 1 else values).tolist()
    except (TypeError, ValueError):
        return str(blob)[:40]


def _stored(data: Any) -> dict[str, Any]:
    """Return what a row keeps beside ASE's columns; ASE writes JSON, with arrays in front of it where it is binary."""
    if not data:
        return {}
    try:
        start = int.from_bytes(data[:8], "little") if isinstance(data, bytes) else 0
        return {key: _array(value, data) for key, value in _mapping(orjson.loads(data[start:])).items()}
    except (KeyError, TypeError, ValueError):
        return {}  # it holds labels only where the study names them, and then they are missing


def _array(value: Any, data: Any) -> Any:
    if isinstance(data, bytes) and isinstance(value, dict) and "__ndarray__" in value:
        shape, kind, offset = value["__ndarray__"]
        return np.frombuffer(data, kind, int(np.prod(shape)), offset).reshape(shape).tolist()
    return _or_text(value)


def lmdb_rows(path: Path, advance: Advance) -> Iterator[Row]:
    """Yield the rows of an ASE database in LMDB: numbered from 1, each zlib-compressed JSON."""
    try:
        with lmdb.open(str(path), subdir=False, readonly=True, lock=False, readahead=False) as database:
            needed = (database.info()["last_pgno"] + 1) * database.stat()["psize"]
            if path.stat().st_size < needed:  # reading a missing page would end the process
                raise FramesError(f"{path}: the file is cut off: {path.stat().st_size:,} of {needed:,} bytes are there")
            with database.begin() as transaction:
                following = _lmdb_value(transaction, "nextid")
                deleted = _lmdb_value(transaction, "deleted_ids") or []
                if type(following) is not int or not isinstance(deleted, list):
                    raise UnusableError("it has no usable 'nextid' or 'deleted_ids'")
                gone = {k for k in deleted if type(k) is int}
                if following - 1 - len(gone) > database.stat()["entries"]:
                    raise UnusableError(f"nextid is {following}, but there are {database.stat()['entries']} entries")
                there = (k for k in range(1, following) if k not in gone)
                for k in in_shares(there, following - 1 - len(gone), path.stat().st_size, advance):
                    yield f"{path.stem}-{k}", _lmdb_row(transaction, k)
    except (lmdb.Error, UnusableError) as error:
        raise FramesError(f"{path}: expected an ASE database in LMDB, but: {error}") from None


def _lmdb_value(transaction: Any, key: str) -> Any:
    value = transaction.get(key.encode())
    try:
        return None if value is None else decoded(inflated(value, f"entry {key!r}"))
    except (zlib.error, EndlessError, UnusableError, orjson.JSONDecodeError) as error:
        raise UnusableError(f"entry {key!r} is damaged: {error}") from None


def _lmdb_row(transaction: Any, k: int) -> dict[str, Any] | UnusableError:
    try:
        row = _lmdb_value(transaction, str(k))
    except UnusableError as error:
        return error
    if not isinstance(row, dict):
        return UnusableError("the row is missing" if row is None else "the row is no JSON object")
    info = {**_mapping(row.get("key_value_pairs")), **_mapping(row.get("data"))}
    try:
        geometry = {key: _decoded(row.get(key)) for key in ("numbers", "positions", "cell", "pbc")}
    except (KeyError, TypeError, ValueError) as error:
        return UnusableError(f"row is not as ASE stores it: {error}")
    return {
        "info": info,
        "fields": {key: _or_text({**info, **row}.get(key)) for key in {**info, **dict.fromkeys(FIELDS)}},
        **geometry,
    }


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _or_text(value: Any) -> Any:
    """Return a value as lists; one that cannot be decoded as text, which is no label."""
    try:
        return _decoded(value)
    except (KeyError, TypeError, ValueError):
        return str(value)[:40]


def _decoded(value: Any) -> Any:
    """Return a value as lists; ASE's own JSON writes an array as shape, type and flat values."""
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, dict) and "__ndarray__" in value:
        shape, _, values = value["__ndarray__"]
        return np.array(values, dtype=object).reshape(shape).tolist()
    return value
