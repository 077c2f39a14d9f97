"""Labels of one structure, from the keys of its file: which key it is, its shape, unit, sign and order.

No key is guessed. A label is read under the name that the study gives, else under the format's own; where another key
of the file looks like the same label and has other numbers (a model's prediction beside `REF_energy`), nothing is read
and the message names both keys. A malformed label (a null moment, five numbers of a stress) loses only itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np

from uprung.config.keys import UNITS, Keys, LabelKey
from uprung.frames.schema import EV_PER_A3, Floats
from uprung.sources.common import UnusableError, flat, number, rows, stress

#: Label -> column of the frames table.
COLUMNS = {
    "energy": "energy",
    "free_energy": "energy_free",
    "forces": "forces",
    "stress": "stress_gpa",
    "virial": "stress_gpa",
    "magmoms": "magmom",
}
#: Words by which a key is known to mean a label, and words that make it another quantity.
_WORDS = {
    "energy": {"energy", "toten", "etot"},
    "forces": {"force", "forces", "gradient", "gradients"},
    "stress": {"stress"},
    "virial": {"virial", "virials"},
    "magmoms": {"magmom", "magmoms"},
}
_OTHER = set(
    "per above hull formation cohesive binding adsorption kinetic cutoff cut correction corrected uncorrected fermi "
    "band bandgap zero shift weight sigma std var variance uncertainty error err mask unit units key label hash type "
    "isolated interaction dispersion vdw initial constraint max rms".split()
)
SHAPES: dict[str, Callable[[int], tuple[int, ...]]] = {
    "energy": lambda n: (),
    "free_energy": lambda n: (),
    "forces": lambda n: (n, 3),
    "stress": lambda n: (3, 3),
    "virial": lambda n: (3, 3),
    "magmoms": lambda n: (n,),
}
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
#: Numbers of two keys that differ by less are the same, relative to the largest.
SAME = 1e-6


class AmbiguousError(UnusableError):
    """Two keys may be the label, and have other numbers."""


@dataclass
class RecordLabels:
    """Labels of a structure in the units of the frames table, by column; `bad`: column -> why it is empty."""

    values: dict[str, Any] = field(default_factory=dict)
    bad: dict[str, str] = field(default_factory=dict)


def named_keys(keys: Keys | None) -> dict[str, LabelKey]:
    """Return the labels that a study names, with their keys."""
    return {name: value for name, value in dict(keys or ()).items() if value is not None}


def with_units(keys: Keys | None) -> frozenset[str]:
    """Return the labels whose unit a study states; a virial is a stress."""
    named = named_keys(keys).items()
    return frozenset("stress" if label == "virial" else label for label, key in named if key.unit)


def keys_over(keys: Keys | None, own: Keys) -> dict[str, LabelKey]:
    """Return label -> key of all labels: those of the study, with unit and sign of the format's own, else these."""
    stated, found = named_keys(keys), named_keys(own)
    if "virial" in stated:
        found.pop("stress", None)
    for name, key in stated.items():
        before = found.get(name)
        unit, sign = key.unit or (before and before.unit), key.sign or (before and before.sign)
        found[name] = key.model_copy(update={"unit": unit, "sign": sign})
    return found


def read_labels(
    fields: Mapping[str, Any], keys: Mapping[str, LabelKey], stated: Mapping[str, LabelKey], lattice: Floats, n: int
) -> RecordLabels:
    """Return the labels of a structure.

    Args:
        fields: what the file has, by key: numbers and (nested) lists of them.
        keys: label -> its key, the study's or the format's own, with the unit of the numbers.
        stated: those that the study names.
        lattice: cell vectors (3, 3), Å.
        n: number of atoms.

    Raises:
        AmbiguousError: a label that the study does not name is under two keys, with other numbers.
        UnusableError: there is no energy.
    """
    found, volume = RecordLabels(), volume_of(lattice)
    for label, spec in keys.items():
        column, value = COLUMNS[label], fields.get(spec.key)
        if value is None:
            if others := [name for name, _ in _others(label, spec, fields, volume, n)]:
                found.bad[column] = f"no {spec.key!r}, but {_quoted(others)}; name the label's key under `keys`"
            elif label in stated:
                found.bad[column] = f"no {spec.key!r}"
            continue
        if label not in stated:
            replaced = _replaced(fields, keys, stated)
            if replaced:
                found.bad[column] = f"{spec.key!r} stands beside {replaced}; name the label's key under `keys`"
                continue
            _require_one(label, spec, fields, volume, n)
        try:
            found.values[column] = converted(label, value, spec, volume, n)
        except UnusableError as error:
            found.bad[column] = str(error)
    if found.values.get("energy") is None and found.values.get("energy_free") is None:
        raise UnusableError(_no_energy(fields, keys["energy"].key))
    return found


def volume_of(lattice: Floats) -> float:
    """Return the volume of a cell, Å³; NaN where it is no cell."""
    return float(abs(np.linalg.det(lattice))) if lattice.shape == (3, 3) else float("nan")


def converted(label: str, value: Any, spec: LabelKey, volume: float, n: int) -> Any:
    """Return a label in the unit of its column: a number, (n, 3), (3, 3) or (n,).

    Raises:
        UnusableError: it is no number, or has another shape.
    """
    size = (spec.sign or 1) * (UNITS[label][spec.unit] if spec.unit else 1.0)
    if label in ("energy", "free_energy"):
        return number(value, spec.key) * size * (n if spec.per == "atom" else 1)
    if label == "magmoms":
        return flat(value, spec.key) * size
    if label == "forces":
        return rows(value, spec.key) * size
    tensor = stress(value, spec.key, vasp=spec.order == "vasp") * size
    return tensor if label == "stress" else -tensor / volume * EV_PER_A3


@lru_cache(maxsize=256)
def candidates(names: tuple[str, ...]) -> dict[str, list[str]]:
    """Return label -> keys whose words say that they may be it: `REF_energy`, `dft_force`, `virials`."""
    found: dict[str, list[str]] = {}
    for name in names:
        words = set(re.split(r"[^a-z0-9]+", _HUMP.sub("_", str(name)).lower()))
        for label, known in _WORDS.items():
            if words & known and not words & _OTHER:
                found.setdefault("free_energy" if label == "energy" and "free" in words else label, []).append(name)
    tensors = found.get("stress", []) + found.get("virial", [])
    return {**found, "stress": tensors, "virial": tensors} if tensors else found


def _quoted(names: list[str]) -> str:
    return ", ".join(map(repr, names))


def _no_energy(fields: Mapping[str, Any], key: str) -> str:
    there = [str(name) for name, value in fields.items() if value is not None]
    return (
        f"no {'energy' if key == 'energy' else repr(key)} (keys here: {', '.join(there) or 'none'}); a label under "
        "another name is named under the source's `keys`"
    )


def _replaced(fields: Mapping[str, Any], keys: Mapping[str, LabelKey], stated: Mapping[str, LabelKey]) -> str | None:
    """Return, in words, a label under its usual name that the study does not take, since another key has it."""
    for label, spec in stated.items():
        if spec.key != label and fields.get(label) is not None and fields[label] != fields.get(spec.key):
            return f"{label!r}, for which `keys` names {spec.key!r}"
    return None


def other_keys(label: str, spec: LabelKey, fields: Mapping[str, Any], volume: float, n: int) -> list[str]:
    """Return the keys of a structure, beside its own one, that may be a label."""
    return [name for name, _ in _others(label, spec, fields, volume, n)]


def _others(label: str, spec: LabelKey, fields: Mapping[str, Any], volume: float, n: int) -> Iterator[tuple[str, Any]]:
    """Yield the other keys that may be a label, with its value by each."""
    for name in candidates(tuple(fields)).get(label, ()):
        kind = "virial" if label == "stress" and "virial" in name.lower() else label
        own = LabelKey(key=name, unit="eV") if kind == "virial" else spec.model_copy(update={"key": name})
        if name != spec.key and fields[name] is not None:
            try:
                value = converted(kind, fields[name], own, volume, n)
            except UnusableError:
                continue  # no such label at all
            if np.shape(value) == SHAPES[label](n):
                yield name, value


def _require_one(label: str, spec: LabelKey, fields: Mapping[str, Any], volume: float, n: int) -> None:
    """Raise AmbiguousError where another key may be the label, too, and has other numbers."""
    for name, other in _others(label, spec, fields, volume, n):
        ours, theirs = (
            np.asarray(value, dtype=np.float64) for value in (_or_nan(label, spec, fields, volume, n), other)
        )
        if np.array_equal(ours, theirs, equal_nan=True):
            continue
        if ours.shape != theirs.shape or not np.abs(ours - theirs).max() <= SAME * np.abs(ours).max():
            raise AmbiguousError(
                f"{spec.key!r} and {name!r} have other numbers, and both may be the label; say which is it under the "
                f"source's `keys` (keys: {{{label}: {name}}})"
            )


def _or_nan(label: str, spec: LabelKey, fields: Mapping[str, Any], volume: float, n: int) -> Any:
    try:
        return converted(label, fields[spec.key], spec, volume, n)
    except UnusableError:
        return np.full(SHAPES[label](n), np.nan)
