"""Identifiers of the Materials Project: one entity is spelled `mp-149`, `mp-ft`, `mp-aaaaaaft` or `aaaaaaft`.

Letters are digits of base 26 (a = 0). Identifiers are compared as integers; for materials the prefix counts as well,
since mvc-123 and mp-123 are two materials.
"""

from __future__ import annotations

import re

_SPELLING = re.compile(r"(?:([A-Za-z]+)-)?(?:(\d+)|([a-z]+))")
#: Up to here identifiers are written with digits, above with letters.
LAST_LEGACY = 3_347_529


def parse(identifier: str) -> tuple[str, int]:
    """Return prefix ('' for none) and number of an identifier.

    Raises:
        ValueError: it has none of the known spellings.
    """
    found = _SPELLING.fullmatch(identifier.strip())
    if found is None:
        raise ValueError(f"{identifier!r} is no identifier of the Materials Project (mp-149, mp-aaaaaaft, aaaaaaft)")
    prefix, digits, letters = found.groups()
    if digits is not None:
        return prefix or "", int(digits)
    number = 0
    for letter in letters:
        number = 26 * number + ord(letter) - ord("a")
    return prefix or "", number


def spell(number: int, prefix: str = "mp") -> str:
    """Return the one spelling that uprung uses: digits for legacy numbers, letters without padding above them."""
    if number <= LAST_LEGACY:
        return f"{prefix}-{number}"
    letters = ""
    while number:
        number, rest = divmod(number, 26)
        letters = chr(ord("a") + rest) + letters
    return f"{prefix}-{letters}"
