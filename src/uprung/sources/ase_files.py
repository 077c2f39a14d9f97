"""Files of ASE: extended XYZ, its SQLite databases, and LMDB databases (`.aselmdb`, as OMat24 and sAlex have them).

ASE's units are eV, eV/Å and eV/Å³ with tension positive; `energy` is E0 (σ→0), `free_energy` what the forces are
gradients of, `magmoms` the site moments. A frame is named by `frame_id` or `sid` of its info (key-value pairs, data)
where there is one, else by the file and its number; its material by `material_id` or `mp_id`, else by its formula.
"""

from __future__ import annotations

import io
import re
import sqlite3
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import ase.io
import lmdb
import numpy as np
import orjson
from ase.units import GPa

from uprung.frames.limits import RECORD
from uprung.frames.schema import Floats, Frame, FramesError, Rejected
from uprung.sources.common import UnusableError, flat, formula_of, number, rows, same_functional, stress
from uprung.sources.files import (
    Advance,
    EndlessError,
    files_in,
    in_shares,
    inflated,
    kind_of,
    open_bytes,
    take_lines,
    unheard,
)
from uprung.sources.settings import Settings, require_stated
from uprung.sources.xyz_text import as_ase_reads

OMAT_SCALE = "VASP PBE_54 PAW of OMat24, {functional}, U by the Materials Project's rule, uncorrected"
MOST_ATOMS = 1_000_000
_SQL_COLUMNS = "id numbers positions cell pbc energy free_energy forces stress magmoms charge key_value_pairs".split()

#: A structure as its file has it: name, and arrays, numbers and info under ASE's names; or why it cannot be read.
Row = tuple[str, dict[str, Any] | UnusableError]


def files(path: Path) -> list[Path]:
    """Return the files of a source, in the order in which they are read."""
    return files_in(path, "*", "the folder is empty")


def read(
    path: Path,
    functional: str,
    label_scale: str,
    *,
    source: str = "ase",
    settings: Settings | None = None,
    advance: Advance = unheard,
) -> Iterator[Frame | Rejected]:
    """Yield the structures of a file, or of all files in a folder in the order of their names.

    Args:
        path: extended XYZ (plain or compressed), an ASE database (SQLite or LMDB), or a folder of such files.
        functional: a structure whose info names another functional is rejected.
        label_scale: what the labels have in common; such files do not say.
        source: name of the data set.
        settings: those of the fidelity's structures so far, as far as files state any.
        advance: is told how many bytes of the files have been read.

    Raises:
        FramesError: the file is of another kind, cut off or damaged, or the folder is empty.
    """
    settings = settings or Settings()
    for file in files(path):
        kind = kind_of(file)
        if kind in _READERS:
            for name, row in _READERS[kind](file, advance):
                yield _checked(name, row, functional, label_scale, source, settings)
        elif path.is_dir():
            yield Rejected(file.name, f"neither {' nor '.join(_READERS)}, but {kind}")
        else:
            raise FramesError(f"{path}: expected {' or '.join(_READERS)}, but the file is {kind}")


def read_omat(
    path: Path,
    functional: str,
    label_scale: str | None = None,
    *,
    settings: Settings | None = None,
    advance: Advance = unheard,
) -> Iterator[Frame | Rejected]:
    """Yield the structures of OMat24 or sAlex: an `.aselmdb` file or a folder of them. PBE and PBE+U.

    Raises:
        FramesError: as `read`, or another functional is asked for.
    """
    if not same_functional("PBE", functional):
        raise FramesError(f"{path}: OMat24 and sAlex hold labels of PBE, but this fidelity is {functional!r}")
    scale = label_scale or OMAT_SCALE.format(functional=functional)
    yield from read(path, functional, scale, source="omat", settings=settings, advance=advance)


def _checked(
    name: str, row: Any, functional: str, label_scale: str, source: str, settings: Settings
) -> Frame | Rejected:
    try:
        if isinstance(row, UnusableError):
            raise row
        frame = _frame(name, row, functional, label_scale, source)
        require_stated(settings, row, _mapping(row.get("info")))
        return frame
    except UnusableError as error:
        own = _info(row, "frame_id", "sid") if isinstance(row, dict) else None
        return Rejected(own or name, str(error))


def _frame(name: str, row: dict[str, Any], functional: str, label_scale: str, source: str) -> Frame:
    Z, lattice = flat(row.get("numbers"), "numbers"), rows(row.get("cell"), "cell")
    positions = rows(row.get("positions"), "positions")
    if not ((Z >= 1) & (Z <= 94) & (np.round(Z) == Z)).all():
        raise UnusableError("atomic numbers outside 1..94")
    if not _periodic(row.get("pbc")):
        raise UnusableError("structure is not periodic in all directions")
    for what, values in (("cell", lattice), ("positions", positions)):
        if not np.isfinite(values).all():
            raise UnusableError(f"{what} is not finite")
    if lattice.shape != (3, 3) or not abs(np.linalg.det(lattice)) > 1e-3:
        raise UnusableError("cell without volume")
    if positions.shape != (len(Z), 3):
        raise UnusableError(f"positions has shape {positions.shape}, not {(len(Z), 3)}")
    stated = _info(row, "functional")
    if stated is not None and not same_functional(stated, functional):
        raise UnusableError(f"functional is {stated!r}, but this fidelity is {functional!r}")
    if row.get("energy") is None:
        raise UnusableError("no energy")
    numbers = Z.astype(np.uint8)
    own = _info(row, "frame_id", "sid")
    return Frame(
        frame_id=own or name,
        material_id=_info(row, "material_id", "mp_id") or _alexandria(own) or formula_of(numbers),
        source=source,
        functional=functional,
        run_type=_info(row, "run_type") or functional,
        label_scale=label_scale,
        Z=numbers,
        lattice=lattice,
        frac=positions @ np.linalg.inv(lattice),
        energy=number(row["energy"], "energy"),
        energy_free=None if row.get("free_energy") is None else number(row["free_energy"], "free_energy"),
        forces=_optional(row, "forces", rows),
        stress_gpa=_optional(row, "stress", _stress_gpa),
        magmom=_optional(row, "magmoms", flat),
        provenance=name,
        trajectory=_info(row, "trajectory"),
    )


def _periodic(pbc: Any) -> bool:
    return isinstance(pbc, list) and len(pbc) == 3 and all(value is True or value == 1 for value in pbc)


def _optional(row: dict[str, Any], key: str, convert: Callable[[Any, str], Floats]) -> Floats | None:
    return None if row.get(key) is None else convert(row[key], key)


def _stress_gpa(values: Any, name: str) -> Floats:
    return stress(values, name) / float(GPa)


def _info(row: dict[str, Any], *keys: str) -> str | None:
    """Return the first of some entries that is a name: text, or a whole number."""
    info = row.get("info")
    values = (info.get(key) for key in keys) if isinstance(info, dict) else ()
    return next((str(value) for value in values if type(value) in (str, int) and value != ""), None)


def _alexandria(name: str | None) -> str | None:
    """Return the entry of Alexandria that a structure of OMat24 or sAlex comes from: `agm002153972` of its name."""
    match = re.match(r"agm\d+", name or "")
    return match[0] if match else None


# ------------------------------------------------------------------------------------------------- extended XYZ


def _xyz_rows(path: Path, advance: Advance) -> Iterator[Row]:
    stem = path.name.split(".")[0]
    with open_bytes(path, advance) as stream:
        for k, (line, text) in enumerate(_xyz_pieces(path, stream)):
            if "Properties=" not in text.partition("\n")[2].partition("\n")[0]:  # ASE would drop columns without a word
                yield f"{stem}-{k}", UnusableError(f"line {line}: no key Properties, which says what the columns are")
                continue
            try:
                atoms = ase.io.read(io.StringIO(as_ase_reads(text)), format="extxyz")  # noqa: TID251
            except UnusableError as error:
                yield f"{stem}-{k}", UnusableError(f"line {line}: {error}")
                continue
            except Exception as error:  # ASE raises whatever its parser stumbles over
                yield f"{stem}-{k}", UnusableError(f"line {line}: ASE cannot read it: {type(error).__name__}: {error}")
                continue
            results = atoms.calc.results if atoms.calc is not None else {}
            labels = {key: _plain(results.get(key)) for key in ("energy", "free_energy", "forces", "stress", "magmoms")}
            geometry = {
                "numbers": atoms.numbers.tolist(),
                "positions": atoms.positions.tolist(),
                "cell": atoms.cell.array.tolist(),
                "pbc": atoms.pbc.tolist(),
            }
            if atoms.has("initial_charges"):
                geometry["initial_charges"] = atoms.get_initial_charges().tolist()
            yield f"{stem}-{k}", {**labels, **geometry, "info": {key: _plain(v) for key, v in atoms.info.items()}}


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


def _xyz_pieces(path: Path, stream: Any) -> Iterator[tuple[int, str]]:
    """Yield (number of its first line, text) of every frame: a count, a line of keys, and so many atoms."""
    at = 0
    while (head := take_lines(stream, 1, f"line {at + 1}")[0]) != b"":
        at += 1
        if not head.strip():
            continue
        if not re.fullmatch(rb"\s*\d{1,7}\s*", head) or int(head) > MOST_ATOMS:
            raise FramesError(
                f"{path}: line {at}: expected the number of atoms of the next structure, but found {head[:40]!r}"
            )
        lines = take_lines(stream, int(head) + 1, f"the structure of line {at}")
        if not lines[-1]:
            raise FramesError(
                f"{path}: the file is cut off: the structure of line {at} has {int(head)} atoms, not all there"
            )
        yield at, b"".join([head, *lines]).decode(errors="replace")
        at += len(lines)


# -------------------------------------------------------------------------------------------------------- SQLite


def _sqlite_rows(path: Path, advance: Advance) -> Iterator[Row]:
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
        result = {key: row[key] for key in ("energy", "free_energy", "charge")}
        result["numbers"] = np.frombuffer(row["numbers"], dtype="<i4").tolist()
        for key in ("positions", "cell", "forces"):
            blob = row[key]
            result[key] = None if blob is None else np.frombuffer(blob, dtype="<f8").reshape(-1, 3).tolist()
        for key in ("stress", "magmoms"):
            result[key] = None if row[key] is None else np.frombuffer(row[key], dtype="<f8").tolist()
        pbc = int(row["pbc"])
        result["pbc"] = [bool(pbc & 1), bool(pbc & 2), bool(pbc & 4)]
        result["info"] = orjson.loads(row["key_value_pairs"] or "{}")
    except (TypeError, ValueError, OverflowError) as error:
        return UnusableError(f"row is not as ASE stores it: {error}")
    return result


# ---------------------------------------------------------------------------------------------------------- LMDB


def _lmdb_rows(path: Path, advance: Advance) -> Iterator[Row]:
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
        return None if value is None else orjson.loads(inflated(value, f"entry {key!r}"))
    except (zlib.error, EndlessError, orjson.JSONDecodeError) as error:
        raise UnusableError(f"entry {key!r} is damaged: {error}") from None


def _lmdb_row(transaction: Any, k: int) -> dict[str, Any] | UnusableError:
    try:
        row = _lmdb_value(transaction, str(k))
    except UnusableError as error:
        return error
    if not isinstance(row, dict):
        return UnusableError("the row is missing" if row is None else "the row is no JSON object")
    info = {**_mapping(row.get("key_value_pairs")), **_mapping(row.get("data"))}
    arrays = "numbers positions cell pbc energy free_energy forces stress magmoms charge initial_charges".split()
    try:
        return {"info": info, **{key: _decoded(row.get(key)) for key in arrays}}
    except (KeyError, TypeError, ValueError) as error:
        return UnusableError(f"row is not as ASE stores it: {error}")


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _decoded(value: Any) -> Any:
    """Return a value as lists; ASE's own JSON writes an array as shape, type and flat values."""
    if isinstance(value, dict):
        shape, _, values = value["__ndarray__"]
        return np.array(values, dtype=object).reshape(shape).tolist()
    return value


_READERS: dict[str, Callable[[Path, Advance], Iterator[Row]]] = {
    "extended XYZ": _xyz_rows,
    "an SQLite database": _sqlite_rows,
    "an LMDB database": _lmdb_rows,
}
