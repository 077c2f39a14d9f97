"""Structures that are in memory: ASE atoms, pymatgen structures, rows of pandas tables.

They are read as those of files are: the labels have to be there under the names that the readers know, or `keys` says
where they are. Structures of ASE carry them in `info`, `arrays` and a calculator's results, those of pymatgen in
`properties` and `site_properties`, computed entries in `energy` and `data`; a table in its columns.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import ase
import numpy as np
import pandas as pd
import pyarrow as pa

from uprung.config.keys import Keys
from uprung.frames.schema import SCHEMA, Frame, FramesError, Rejected
from uprung.sources.ase_files import record_of
from uprung.sources.common import Row, UnusableError
from uprung.sources.extended_xyz import row_of
from uprung.sources.label_keys import AmbiguousError, named_keys
from uprung.sources.settings import Settings
from uprung.sources.table import records_of

#: Columns of a table that may hold structures.
STRUCTURES = ("structure", "atoms")
NAMES = ("frame_id", "material_id")


def structure_rows(given: Iterable[Any]) -> Iterator[Row]:
    """Yield the structures of a sequence as those of files are, or why one cannot be used.

    Raises:
        TypeError: something that is no structure.
    """
    for number, one in enumerate(given):
        try:
            yield f"structure-{number}", _row(one)
        except UnusableError as error:
            yield f"structure-{number}", error


def table_rows(table: pd.DataFrame) -> Iterator[Row]:
    """Yield the structures of a table with one in the column `structure` or `atoms`; other columns are its labels.

    Raises:
        TypeError: something that is no structure.
    """
    column = structures_in(table)
    others = [name for name in table if name != column]
    for number, (one, *values) in enumerate(table[[column, *others]].itertuples(index=False, name=None)):
        beside = {str(name): _plain(value) for name, value in zip(others, values, strict=True)}
        beside = {name: value for name, value in beside.items() if not _missing(value)}
        try:
            row = _row(one)
        except UnusableError as error:
            yield f"row-{number}", error
            continue
        yield f"row-{number}", {**row, "info": {**row["info"], **beside}, "fields": {**row["fields"], **beside}}


def structures_in(table: pd.DataFrame) -> str | None:
    """Return the column of a table that holds structures, None where there is none."""
    return next((name for name in STRUCTURES if name in table), None)


def records(
    rows: Iterable[Row], functional: str, label_scale: str, *, keys: Keys | None = None, settings: Settings
) -> Iterator[Frame | Rejected]:
    """Yield structures as frames or as rejected records.

    Raises:
        FramesError: two keys may be a label.
    """
    for name, row in rows:
        try:
            yield record_of(name, row, functional, label_scale, "memory", keys or Keys(), settings)
        except AmbiguousError as error:
            raise FramesError(f"{name}: {error}") from None


def rows_of_frames(table: pd.DataFrame, *, keys: Keys | None = None) -> Iterator[Frame | Rejected]:
    """Yield the rows of a table with the columns of the frames table.

    Raises:
        FramesError: a column is missing or of another type.
    """
    plain = table[[name for name in table if name in SCHEMA.names or name in _named(keys)]]
    try:
        found = pa.Table.from_pandas(plain, preserve_index=False)
    except pa.ArrowException as error:
        raise FramesError(f"the table: {str(error).splitlines()[0]}") from None
    return records_of(found, "the table", keys=keys)


def _named(keys: Keys | None) -> set[str]:
    return {key.key for key in named_keys(keys).values()}


def _row(one: Any) -> dict[str, Any]:
    """Return a structure with its labels.

    Raises:
        TypeError: it is none.
        UnusableError: its sites are disordered.
    """
    if isinstance(one, ase.Atoms):
        return row_of(one)
    if hasattr(one, "structure") and hasattr(one, "energy"):  # a computed entry of pymatgen
        row = _row(one.structure)
        own = {"energy": float(one.energy), **{str(k): _plain(v) for k, v in dict(getattr(one, "data", {})).items()}}
        name = {"frame_id": str(one.entry_id)} if getattr(one, "entry_id", None) else {}
        return {**row, "info": {**row["info"], **name}, "fields": {**row["fields"], **own}}
    if not all(hasattr(one, name) for name in ("lattice", "frac_coords", "site_properties")):
        raise TypeError(
            f"{type(one).__name__} is no structure (allowed: ase.Atoms, pymatgen's Structure or ComputedStructureEntry)"
        )
    if not one.is_ordered:
        raise UnusableError("structure is disordered: a site is not filled by one species")
    properties = {str(name): _plain(value) for name, value in dict(getattr(one, "properties", {}) or {}).items()}
    sites = {str(name): _plain(np.asarray(values)) for name, values in one.site_properties.items()}
    return {
        "numbers": [int(z) for z in one.atomic_numbers],
        "positions": one.cart_coords.tolist(),
        "cell": one.lattice.matrix.tolist(),
        "pbc": [bool(periodic) for periodic in one.lattice.pbc],
        "info": properties,
        "fields": {**sites, **properties},
    }


def _plain(value: Any) -> Any:
    """Return a value as numbers, text and lists; a stress in a tuple of six, say, as a list."""
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    return [_plain(item) for item in value] if isinstance(value, tuple | list) else value


def _missing(value: Any) -> bool:
    return value is None or value is pd.NaT or (isinstance(value, float) and bool(np.isnan(value)))


def is_sequence(given: object) -> bool:
    """Return whether something is a sequence of structures, and not one of them."""
    return isinstance(given, Sequence) and not isinstance(given, str | bytes) and not hasattr(given, "frac_coords")
