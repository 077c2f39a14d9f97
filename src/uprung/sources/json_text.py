"""JSON in which every key of an object stands once; a decoder would take the last one without a word."""

from __future__ import annotations

import json
import re
from typing import Any

import orjson

from uprung.sources.unusable import UnusableError

#: After a key, and what may stand there instead, so that keys cannot be counted.
_KEY, _APART = b'":', (b'" :', b'"\t:', b'"\n:', b'"\r:')
#: Not in the standard, but what Python writes: the number that is none costs its label, not the record.
_NO_NUMBER = re.compile(rb"\bNaN\b|\bInfinity\b")


def decoded(text: bytes) -> Any:
    """Return what a JSON text says.

    Keys are counted in the text and in what was decoded; only where these differ is the text read key by key.

    Raises:
        orjson.JSONDecodeError: it is no JSON.
        UnusableError: an object has a key twice.
    """
    try:
        content = orjson.loads(text)
    except orjson.JSONDecodeError:
        if not _NO_NUMBER.search(text):
            raise
        try:
            return json.loads(text, object_pairs_hook=once)
        except (json.JSONDecodeError, UnicodeDecodeError, RecursionError):
            pass
        raise
    if any(apart in text for apart in _APART) or text.count(_KEY) != orjson.dumps(content).count(_KEY):
        json.loads(text, object_pairs_hook=once)
    return content


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object from its keys and values.

    Raises:
        UnusableError: a key occurs twice.
    """
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise UnusableError(f"key {next(name for name in found if names.count(name) > 1)!r} is given twice")
    return found
