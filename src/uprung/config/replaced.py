"""Keys of earlier study files: each is an error that names the key that replaces it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

#: Old key (`*`: any name) -> the key that replaces it.
REPLACED = {
    "arms.*.atomref": "references",
    "evalsets": "tests.softening.sets",
    "fidelities.*.pulled": "download",
    "forgetting": "tests.forgetting",
    "own_dft.memory_mb": "resources.dft_memory_mb",
    "own_dft.minutes": "resources.dft_minutes",
    "softening": "tests.softening",
    "states": "tests.softening.snapshots",
    "tests.softening.correction.training.minutes": "resources.correction_minutes",
    "tests.softening.sets.*.states": "snapshots",
    "tests.softening.snapshots.*.minutes": "resources.snapshot_minutes",
    "training.memory_mb": "resources.memory_mb",
    "training.minutes": "resources.minutes",
    "transfer.pretrained": "architecture",
}


def replaced_keys(data: Mapping[str, Any]) -> Iterator[str]:
    """Yield a message for every old key of a study file: `training.minutes: replaced by `resources.minutes``."""
    for old, new in REPLACED.items():
        for key, value in _find(data, old.split(".")):
            yield f"{key}: replaced by `{_references(value) if old == 'arms.*.atomref' else new}`"


def _find(data: Any, parts: list[str], at: str = "") -> Iterator[tuple[str, Any]]:
    if not parts:
        yield at.removeprefix("."), data
    elif isinstance(data, Mapping):
        for name in data if parts[0] == "*" else [parts[0]]:
            if name in data:
                yield from _find(data[name], parts[1:], f"{at}.{name}")


def _references(old: Any) -> str:
    """Return what an arm says now in place of `atomref: {fit: target}` or `{from: checkpoint, trainable: true}`."""
    options = old if isinstance(old, Mapping) else {}
    trainable = ", references_trainable: true" if options.get("trainable") else ""
    return f"references: {options.get('fit') or options.get('from') or 'target'}{trainable}"
