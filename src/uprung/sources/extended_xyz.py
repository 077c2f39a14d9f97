"""Structures of extended XYZ, with all keys and columns as they stand in the file."""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ase
import ase.io
import numpy as np
from ase.io.extxyz import key_val_str_to_dict

from uprung.frames.schema import FramesError
from uprung.sources.common import Row, UnusableError
from uprung.sources.files import Advance, open_bytes, take_lines
from uprung.sources.xyz_text import as_ase_reads

MOST_ATOMS = 1_000_000
#: Keys that ASE takes for 3×3 matrices, and refuses to read otherwise.
_TENSORS = re.compile(r"(^|\s)(stress|virial)(?=\s*=)")
_ASIDE = "uprung:"
#: A key with its value, which may have blanks within quotes or brackets.
_ENTRY = re.compile(r"""([^\s="'{[(]+)\s*=\s*(?:"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|\{[^}]*\}|\[[^\]]*\]|\S*)""")


def xyz_rows(path: Path, advance: Advance) -> Iterator[Row]:
    """Yield the structures of a file, or why one cannot be read."""
    stem = path.name.split(".")[0]
    with open_bytes(path, advance) as stream:
        for k, (line, text) in enumerate(_xyz_pieces(path, stream)):
            if "Properties=" not in text.partition("\n")[2].partition("\n")[0]:  # ASE would drop columns without a word
                yield f"{stem}-{k}", UnusableError(f"line {line}: no key Properties, which says what the columns are")
                continue
            try:
                atoms = ase.io.read(io.StringIO(as_ase_reads(text)), format="extxyz", properties_parser=_keys)  # noqa: TID251
            except UnusableError as error:
                yield f"{stem}-{k}", UnusableError(f"line {line}: {error}")
                continue
            except Exception as error:  # ASE raises whatever its parser stumbles over
                yield f"{stem}-{k}", UnusableError(f"line {line}: ASE cannot read it: {type(error).__name__}: {error}")
                continue
            yield f"{stem}-{k}", row_of(atoms)


def row_of(atoms: ase.Atoms) -> dict[str, Any]:
    """Return a structure with all that it carries: info, arrays, and the results of its calculator."""
    info = {str(key).removeprefix(_ASIDE): _plain(value) for key, value in atoms.info.items()}
    columns = {key: _plain(v) for key, v in atoms.arrays.items() if key not in ("numbers", "positions")}
    results = atoms.calc.results if atoms.calc is not None else {}
    return {
        "numbers": atoms.numbers.tolist(),
        "positions": atoms.positions.tolist(),
        "cell": atoms.cell.array.tolist(),
        "pbc": atoms.pbc.tolist(),
        "info": info,
        "fields": {**columns, **info, **{key: _plain(value) for key, value in results.items()}},
    }


def _keys(line: str) -> dict[str, Any]:
    """Return the keys of a structure; a stress or virial as it stands there, of any length.

    Raises:
        UnusableError: a key is given twice.
    """
    twice = [name for name, n in Counter(_ENTRY.findall(line)).items() if n > 1]
    if twice:  # ASE would take the last one
        raise UnusableError(f"key {twice[0]!r} is given twice")
    return dict(key_val_str_to_dict(_TENSORS.sub(rf"\1{_ASIDE}\2", line)))


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
