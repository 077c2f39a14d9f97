"""Structures to be labelled: names, materials, one k grid per material, chunks.

A file in one of `FORMATS` (extended XYZ, CIF, POSCAR, an ASE database ...), a Parquet file with the columns of the
frames table, or a folder of either. Labels and magnetic moments in it are not used.
"""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ase
import ase.io
import numpy as np
import pyarrow.parquet as pq
from ase.calculators.calculator import kpts2sizeandoffsets

from uprung.frames.crowding import crowding
from uprung.sources.files import open_bytes
from uprung.sources.symbols import ISOTOPES

Grid = tuple[int, int, int]
#: ASE's formats that are read. Others are for programs' own files, and some of ASE's readers were not written for files
#: of strangers (old ones hold pickles).
FORMATS = (
    *("extxyz", "xyz", "cif", "vasp", "vasp-xdatcar", "vasp-out", "vasp-xml", "xsf", "res", "aims"),
    *("espresso-in", "espresso-out", "json", "db", "traj"),
)

_TEXTS = ("extxyz", "xyz", "cif", "vasp")
_ISOTOPE = rf"\b(?:{'|'.join(ISOTOPES)})(?=\s|$)"


class StructuresError(ValueError):
    """Structures cannot be labelled as they are; the message names file, structure and what is needed."""


@dataclass(frozen=True, slots=True)
class Structure:
    """A periodic structure, its name, the material that it is a state of, and the Monkhorst-Pack size for it.

    `trajectory` names the simulation that it shares with others; None for one that stands alone.
    """

    name: str
    material: str
    atoms: ase.Atoms
    kpts: Grid
    trajectory: str | None = None


def grid(atoms: ase.Atoms, density: float) -> Grid:
    """Return the Monkhorst-Pack size that a k density asks for along each reciprocal vector.

    Args:
        atoms: a periodic structure.
        density: k points per Å⁻¹ along a reciprocal vector (with its 2π), Å; ASE's `density`.
    """
    size, _ = kpts2sizeandoffsets(density=density, gamma=True, atoms=atoms)
    return (int(size[0]), int(size[1]), int(size[2]))


def read_structures(path: Path, density: float) -> list[Structure]:
    """Read the structures of a file, or of all files in a folder in the order of their names.

    A structure is named by `frame_id` or `sid` of its info, else by file and number; its material by `material_id` or
    `mp_id`, else by its formula; the simulation that it is from by `trajectory`. All structures of a material with the
    same number of atoms share one k grid, so that energies along a distortion do not jump with its size: `kpts` of the
    info where it is given, else along each vector the largest that the density asks for in any of them.

    Args:
        path: file or folder.
        density: k density, Å (see `grid`).

    Raises:
        StructuresError: nothing to read, a file that cannot be read, a structure that is not periodic, a name given
            twice, or k grids that contradict each other.
    """
    found = [
        (*_named(atoms, f"{file.name.split('.')[0]}-{n}"), atoms, f"{file}: structure {n}")
        for file in _files(path)
        for n, atoms in enumerate(_atoms(file))
    ]
    if not found:
        raise StructuresError(f"{path}: no structure in it")
    twice = [name for name, count in Counter(name for name, *_ in found).items() if count > 1]
    if twice:
        raise StructuresError(
            f"{path}: the name {twice[0]!r} occurs twice ({len(twice)} such names); give every structure a frame_id of "
            "its own"
        )
    for _, _, atoms, where in found:
        _check(atoms, where)
    grids = _grids([(material, atoms, where) for _, material, atoms, where in found], density)
    return [
        Structure(
            name,
            material,
            # numbers, cell, positions and nothing else: moments would make the calculation spin-polarised
            ase.Atoms(atoms.numbers, cell=atoms.cell, positions=atoms.positions, pbc=True),
            grids[material, len(atoms)],
            str(atoms.info["trajectory"]) if "trajectory" in atoms.info else None,
        )
        for name, material, atoms, _ in found
    ]


def count_structures(path: Path) -> int:
    """Return how many structures `read_structures` finds, without parsing extended XYZ or Parquet.

    Raises:
        StructuresError: as `read_structures`.
    """
    return sum(_count(file) for file in _files(path))


def number_of_chunks(path: Path, size: int) -> int:
    """Return how many chunks of `size` structures a file or folder has.

    Raises:
        StructuresError: as `read_structures`, or there is no structure.
    """
    count = count_structures(path)
    if not count:
        raise StructuresError(f"{path}: no structure in it")
    return -(-count // size)


def chunk(structures: Sequence[Structure], size: int, number: int) -> Sequence[Structure]:
    """Return chunk `number` (from 0): structures appended to a file leave the full chunks before them as they are."""
    return structures[number * size : (number + 1) * size]


def _files(path: Path) -> list[Path]:
    files = sorted(file for file in path.iterdir() if file.is_file()) if path.is_dir() else [path]
    tables = [file for file in files if file.suffix == ".parquet"]
    return tables or files  # a folder of the frames table has its manifest beside the parts


def _atoms(file: Path) -> Iterator[ase.Atoms]:
    try:
        if file.suffix == ".parquet":
            yield from _rows(file)
        else:
            format = _format(file)
            where = _text(file, format) if format in _TEXTS else file
            yield from ase.io.iread(where, index=":", format=format)  # noqa: TID251
    except Exception as error:  # ASE raises whatever its parsers stumble over
        raise StructuresError(f"{file}: cannot be read: {type(error).__name__}: {error}") from None


def _format(file: Path) -> str:
    """Return the name that ASE has for a file's format; ValueError for one that is not read."""
    found = str(ase.io.formats.filetype(str(file)))
    if found not in FORMATS:
        raise ValueError(f"ASE's format {found!r} is not read (allowed: {', '.join(FORMATS)})")
    return found


def _text(file: Path, format: str) -> io.StringIO:
    """Return a text, plain or compressed, without the mark of UTF-8, and with isotopes by the symbol of their element.

    Raises:
        UnicodeDecodeError: XYZ that is no UTF-8; in the others, only titles and comments may be something else.
    """
    is_xyz = format in ("xyz", "extxyz")
    with open_bytes(file) as stream:
        lines = stream.read().decode(errors="strict" if is_xyz else "replace").splitlines()
    symbols = range(5, 6) if format == "vasp" else range(len(lines)) if is_xyz else ()
    for k in symbols:  # of a POSCAR the line of symbols, of XYZ the first word of each
        if k < len(lines):
            lines[k] = re.sub(_ISOTOPE if format == "vasp" else rf"^\s*{_ISOTOPE}", _element, lines[k])
    return io.StringIO("\n".join([*lines, ""]))


def _element(isotope: re.Match[str]) -> str:
    return ISOTOPES[isotope[0].strip()]


def _rows(file: Path) -> Iterator[ase.Atoms]:
    table = pq.ParquetFile(file)
    named = ["frame_id", "material_id", "trajectory"]
    columns = [name for name in (*named, "Z", "lattice", "frac") if name in table.schema_arrow.names]
    for batch in table.iter_batches(columns=columns):
        for row in batch.to_pylist():
            yield ase.Atoms(
                row["Z"],
                cell=np.reshape(row["lattice"], (3, 3)),
                scaled_positions=np.reshape(row["frac"], (-1, 3)),
                pbc=True,
                info={name: row[name] for name in named if row.get(name) is not None},
            )


def _count(file: Path) -> int:
    if file.suffix == ".parquet":
        return int(pq.ParquetFile(file).metadata.num_rows)
    if file.suffix in (".xyz", ".extxyz"):
        return _count_xyz(file)
    return sum(1 for _ in _atoms(file))


def _count_xyz(file: Path) -> int:
    count = 0
    with file.open(encoding="utf-8-sig") as stream:
        for line in stream:
            if line.strip():
                if not re.fullmatch(r"\s*\d+\s*", line):
                    raise StructuresError(f"{file}: expected a number of atoms, but found {line.strip()[:40]!r}")
                for _ in range(int(line) + 1):
                    stream.readline()
                count += 1
    return count


def _named(atoms: ase.Atoms, default: str) -> tuple[str, str]:
    def first(*keys: str) -> str | None:
        return next((str(atoms.info[key]) for key in keys if key in atoms.info), None)

    return (
        first("frame_id", "sid") or default,
        first("material_id", "mp_id") or atoms.get_chemical_formula(empirical=True),
    )


def _check(atoms: ase.Atoms, where: str) -> None:
    if not len(atoms):
        raise StructuresError(f"{where} has no atoms")
    if not atoms.pbc.all() or atoms.cell.rank < 3:
        raise StructuresError(f"{where} is not periodic in all directions, which labels by plane waves need")
    if not (np.isfinite(atoms.positions).all() and np.isfinite(atoms.cell.array).all()):
        raise StructuresError(f"{where} has positions or a cell that are not finite")
    reason = crowding(atoms.get_scaled_positions(wrap=False), atoms.cell.array)
    if reason is not None:
        raise StructuresError(f"{where}: {reason}")


def _grids(entries: Sequence[tuple[str, ase.Atoms, str]], density: float) -> dict[tuple[str, int], Grid]:
    """Return (material, number of atoms) -> Monkhorst-Pack size."""
    given, needed = dict[tuple[str, int], Grid](), dict[tuple[str, int], Grid]()
    for material, atoms, where in entries:
        key = (material, len(atoms))
        if "kpts" in atoms.info:
            stated = _stated(atoms.info["kpts"], where)
            if given.setdefault(key, stated) != stated:
                raise StructuresError(
                    f"{where}: kpts {stated}, but another structure of {material!r} has {given[key]}; a material has "
                    "one k grid"
                )
        sizes = zip(grid(atoms, density), needed.get(key, (1, 1, 1)), strict=True)
        first, second, third = (max(pair) for pair in sizes)
        needed[key] = (first, second, third)
    return needed | given


def _stated(value: Any, where: str) -> Grid:
    numbers = np.asarray(value)
    if numbers.shape != (3,) or not np.issubdtype(numbers.dtype, np.integer) or numbers.min() < 1:
        raise StructuresError(f'{where}: kpts {value!r} are not three numbers of k points, such as kpts="4 4 4"')
    first, second, third = numbers.tolist()
    return (first, second, third)
