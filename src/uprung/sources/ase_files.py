"""Files of ASE: extended XYZ, its SQLite databases, and LMDB databases (`.aselmdb`, as OMat24 and sAlex have them).

ASE's units are eV, eV/Å and eV/Å³ with tension positive; `energy` is E0 (σ→0), `free_energy` what the forces are
gradients of, `magmoms` the site moments. A frame is named by `frame_id` or `sid` of its info (key-value pairs, data)
where there is one, else by the file and its number; its material by `material_id` or `mp_id`, else by its formula.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from uprung.config.keys import Keys
from uprung.frames.schema import Frame, FramesError, Rejected
from uprung.sources.ase_databases import lmdb_rows, sqlite_rows
from uprung.sources.common import Row, UnusableError, flat, formula_of, rows, same_functional
from uprung.sources.extended_xyz import xyz_rows
from uprung.sources.files import Advance, files_in, kind_of, unheard
from uprung.sources.label_keys import AmbiguousError, keys_over, named_keys, read_labels
from uprung.sources.settings import Settings
from uprung.sources.stated import require_stated

OMAT_SCALE = "VASP PBE_54 PAW of OMat24, {functional}, U by the Materials Project's rule, uncorrected"
#: Labels under ASE's names and in its units.
OWN = Keys.model_validate(
    {
        "energy": "energy",
        "free_energy": "free_energy",
        "forces": "forces",
        "stress": {"key": "stress", "unit": "eV/A3"},
        "magmoms": "magmoms",
    }
)


def files(path: Path) -> list[Path]:
    """Return the files of a source, in the order in which they are read."""
    return files_in(path, "*", "the folder is empty")


def read(
    path: Path,
    functional: str,
    label_scale: str,
    *,
    source: str = "ase",
    keys: Keys | None = None,
    settings: Settings | None = None,
    advance: Advance = unheard,
) -> Iterator[Frame | Rejected]:
    """Yield the structures of a file, or of all files in a folder in the order of their names.

    Args:
        path: extended XYZ (plain or compressed), an ASE database (SQLite or LMDB), or a folder of such files.
        functional: a structure whose info names another functional is rejected.
        label_scale: what the labels have in common; such files do not say.
        source: name of the data set.
        keys: of labels that are not under ASE's names.
        settings: those of the fidelity's structures so far, as far as files state any.
        advance: is told how many bytes of the files have been read.

    Raises:
        FramesError: the file is of another kind, cut off or damaged, the folder is empty, or two keys may be a label.
    """
    settings = settings or Settings()
    for file in files(path):
        kind = kind_of(file)
        if kind in READERS:
            for name, row in READERS[kind](file, advance):
                try:
                    yield record_of(name, row, functional, label_scale, source, keys or Keys(), settings)
                except AmbiguousError as error:
                    raise FramesError(f"{file}: frame {name}: {error}") from None
        elif path.is_dir():
            yield Rejected(file.name, f"neither {' nor '.join(READERS)}, but {kind}")
        else:
            raise FramesError(f"{path}: expected {' or '.join(READERS)}, but the file is {kind}")


def read_omat(
    path: Path,
    functional: str,
    label_scale: str | None = None,
    *,
    keys: Keys | None = None,
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
    yield from read(path, functional, scale, source="omat", keys=keys, settings=settings, advance=advance)


def record_of(
    name: str, row: Any, functional: str, label_scale: str, source: str, keys: Keys, settings: Settings
) -> Frame | Rejected:
    """Return a structure as a frame, or why it cannot be one.

    Args:
        name: of a structure that has none of its own.
        row: geometry, `info` and `fields` as from `extended_xyz.row_of`, or why there is none.
        functional: a structure whose info names another functional is rejected.
        label_scale: what the labels have in common.
        source: name of the data set.
        keys: of labels that are not under ASE's names.
        settings: those of the fidelity's structures so far.

    Raises:
        AmbiguousError: two keys may be a label.
    """
    try:
        if isinstance(row, UnusableError):
            raise row
        frame = _frame(name, row, functional, label_scale, source, keys)
        places = [row[part] for part in ("info", "data") if isinstance(row.get(part), dict)]  # SQLite may hold anything
        require_stated(settings, frame, row["fields"], *places)
        return frame
    except AmbiguousError:
        raise
    except UnusableError as error:
        own = _info(row, "frame_id", "sid") if isinstance(row, dict) else None
        return Rejected(own or name, str(error))


def _frame(name: str, row: dict[str, Any], functional: str, label_scale: str, source: str, keys: Keys) -> Frame:
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
    if (_info(row, "config_type") or "").lower() == "isolatedatom":
        raise UnusableError("an isolated atom (config_type), which is a reference and no crystal")
    labels = read_labels(row["fields"], keys_over(keys, OWN), named_keys(keys), lattice, len(Z))
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
        **labels.values,
        bad=labels.bad,
        provenance=name,
        trajectory=_info(row, "trajectory"),
    )


def _periodic(pbc: Any) -> bool:
    return isinstance(pbc, list) and len(pbc) == 3 and all(value is True or value == 1 for value in pbc)


def _info(row: dict[str, Any], *keys: str) -> str | None:
    """Return the first of some entries that is a name: text, or a whole number."""
    info = row.get("info")
    values = (info.get(key) for key in keys) if isinstance(info, dict) else ()
    return next((str(value) for value in values if type(value) in (str, int) and value != ""), None)


def _alexandria(name: str | None) -> str | None:
    """Return the entry of Alexandria that a structure of OMat24 or sAlex comes from: `agm002153972` of its name."""
    match = re.match(r"agm\d+", name or "")
    return match[0] if match else None


READERS: dict[str, Callable[[Path, Advance], Iterator[Row]]] = {
    "extended XYZ": xyz_rows,
    "an SQLite database": sqlite_rows,
    "an LMDB database": lmdb_rows,
}
