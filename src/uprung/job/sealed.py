"""JSON with its own checksum, for what jobs keep between attempts: nothing else vouches for it."""

from __future__ import annotations

import hashlib
import json
from typing import Any


def seal(content: object) -> str:
    """Return a line of JSON that holds a content and its checksum."""
    return json.dumps({"sha256": _digest(content), "content": content})


def unseal(text: str | bytes) -> Any:
    """Return the content of a line of `seal`.

    Raises:
        ValueError: it was cut off, is damaged, or is no such line.
    """
    found = json.loads(text)
    if not isinstance(found, dict) or found.keys() != {"sha256", "content"}:
        raise ValueError("it has no checksum")
    if _digest(found["content"]) != found["sha256"]:
        raise ValueError("it is not what it was when it was written")
    return found["content"]


def _digest(content: object) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()
