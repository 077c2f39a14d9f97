"""Keys of earlier study files: each is an error that names the key that replaces it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

#: Old key (`*`: any name) -> the key that replaces it.
REPLACED = {
    "arms.*.atomref": "arms.*.references",
    "evalsets": "tests.softening.sets",
    "fidelities.*.pulled": "fidelities.*.download",
    "forgetting": "tests.forgetting",
    "own_dft.memory_mb": "resources.dft_memory_mb",
    "own_dft.minutes": "resources.dft_minutes",
    "softening": "tests.softening",
    "states": "tests.softening.snapshots",
    "tests.softening.correction.training.minutes": "resources.correction_minutes",
    "tests.softening.sets.*.states": "tests.softening.sets.*.snapshots",
    "tests.softening.snapshots.*.minutes": "resources.snapshot_minutes",
    "training.memory_mb": "resources.memory_mb",
    "training.minutes": "resources.minutes",
    "transfer.pretrained": "architecture",
}


def replaced_keys(data: Mapping[str, Any]) -> Iterator[str]:
    """Yield a message for every old key of a study file: `training.minutes: replaced by `resources.minutes``."""
    for old, new in REPLACED.items():
        for name, value in _find(data, old.split(".")):
            told = _references(value) if old == "arms.*.atomref" else new.replace("*", name)
            yield f"{old.replace('*', name)}: replaced by `{told}`"


def _find(data: Any, parts: list[str], name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the name that `*` stands for, and the value, wherever a key occurs."""
    if not parts:
        yield name, data
    elif parts[0] == "*" and isinstance(data, Mapping):
        for own in data:
            yield from _find(data[own], parts[1:], str(own))
    elif isinstance(data, Mapping) and parts[0] in data:
        yield from _find(data[parts[0]], parts[1:], name)


def _references(old: Any) -> str:
    """Return what an arm says now in place of `atomref: {fit: target}` or `{from: checkpoint, trainable: true}`."""
    options = old if isinstance(old, Mapping) else {}
    trainable = ", references_trainable: true" if options.get("trainable") else ""
    return f"references: {options.get('fit') or options.get('from') or 'target'}{trainable}"
