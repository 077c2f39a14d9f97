"""Text of extended XYZ as ASE can read it."""

from __future__ import annotations

import re

from uprung.sources.symbols import ISOTOPES
from uprung.sources.unusable import UnusableError

_COLUMNS = re.compile(r'Properties=("?)([^\s"]+)\1')
_ISOTOPE = re.compile(rf"(?:^|\s)(?:{'|'.join(ISOTOPES)})\s")


def as_ase_reads(text: str) -> str:
    """Return one structure with line feeds only, and isotopes under the symbol of their element.

    Args:
        text: the number of atoms, the keys, one line for each atom; U+FFFD stands for what is no UTF-8.

    Raises:
        UnusableError: it is no UTF-8.
    """
    if "\ufffd" in text:
        raise UnusableError("the text is not in UTF-8, and nothing in the file says in what else")
    text = text.replace("\r\n", "\n")
    if not _ISOTOPE.search(text):
        return text
    count, keys, *atoms = text.split("\n")
    match = _COLUMNS.search(keys)
    fields = match[2].split(":") if match else []
    at = 0
    for name, kind, width in zip(fields[0::3], fields[1::3], fields[2::3], strict=False):
        if name == "species" and kind == "S":
            return "\n".join([count, keys, *(_plain(line, at) for line in atoms)])
        at += int(width) if width.isdigit() else 0
    return text


def _plain(line: str, column: int) -> str:
    words = line.split()
    if len(words) > column:
        words[column] = ISOTOPES.get(words[column].upper(), words[column])
    return " ".join(words)
