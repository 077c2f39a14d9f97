"""Sides of a benchmark without processes of their own, for tests."""

from __future__ import annotations

import importlib
import json
from typing import Any


class InProcess:
    """What `sides.Child` does, in this process."""

    startup = 0.0

    def __init__(self, target: str, **settings: Any) -> None:
        module, name = target.split(":")
        self.side = getattr(importlib.import_module(module), name)(**settings)

    def ask(self, method: str) -> Any:
        return json.loads(json.dumps(getattr(self.side, method)()))

    def __enter__(self) -> InProcess:
        return self

    def __exit__(self, *_: object) -> None:
        pass
