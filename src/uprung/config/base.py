"""Types that the sections of a study file share: names, sizes, seeds, elements.

A name that the user chooses (fidelity, pair, reference, arm, budget) becomes a folder name and a Snakemake
wildcard, so it is restricted to letters, digits and hyphens. Options never enter a path.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
)

NAME = re.compile(r"[A-Za-z0-9]+(-[A-Za-z0-9]+)*")
LONGEST_NAME = 64  # of a folder; file systems end at 255 bytes, and logs put several names into one path
MOST_SEEDS = 1000
SIZE = re.compile(r"all|[1-9][0-9]{0,14}|[0-9]{1,15}(\.[0-9]{1,15})?%")
# no library for these: the study file is checked before anything heavy is imported
SYMBOLS = (
    "H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Kr Rb Sr Y Zr "
    "Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu Hf Ta W Re Os Ir "
    "Pt Au Hg Tl Pb Bi Po At Rn Fr Ra Ac Th Pa U Np Pu"
).split()


def _name(value: str) -> str:
    if not NAME.fullmatch(value) or len(value) > LONGEST_NAME:
        shown = value if len(value) <= LONGEST_NAME else f"{value[:LONGEST_NAME]}..."
        raise ValueError(
            f"{shown!r} is not a usable name: letters and digits (a-z, A-Z, 0-9), parts joined by single hyphens, at "
            f"most {LONGEST_NAME} characters (it becomes a folder name)"
        )
    return value


def _size(value: object) -> str:
    token = str(value)
    share = float(token[:-1]) if SIZE.fullmatch(token) and token.endswith("%") else 100.0
    if not SIZE.fullmatch(token) or not 0 < share <= 100:
        raise ValueError(
            f"{value!r} is not a size: give a number of frames (400), a share of the training materials "
            "('0.1%', up to '100%'), or 'all'"
        )
    return token


def _seeds(value: object) -> object:
    """Return the first n seeds for a number n; anything else as it is."""
    if not isinstance(value, int):
        return value
    if not 1 <= value <= MOST_SEEDS:
        raise ValueError(f"{value} is not a number of seeds from 1 to {MOST_SEEDS}; single seeds are a list: [{value}]")
    return list(range(value))


def unique(values: list[Any]) -> list[Any]:
    """Return the values; raise ValueError if one occurs twice."""
    double = sorted({str(v) for v in values if values.count(v) > 1})
    if double:
        raise ValueError(f"{', '.join(double)} given more than once")
    return values


def parse_elements(items: Sequence[str]) -> frozenset[int]:
    """Return the atomic numbers that a list of symbols and ranges names: `['Yb', '58-71', '84-']`.

    Raises:
        ValueError: an item is neither a symbol nor a rising range of atomic numbers within 1 to 94.
    """
    found = set[int]()
    for item in items:
        numbers = re.fullmatch(r"(\d+)(-(\d*))?", item)
        if item in SYMBOLS:
            found.add(SYMBOLS.index(item) + 1)
        elif numbers:
            first, last = int(numbers[1]), int(numbers[3] or (94 if numbers[2] else numbers[1]))
            if not 1 <= first <= last <= len(SYMBOLS):
                raise ValueError(f"{item!r} is not a rising range of atomic numbers within 1-{len(SYMBOLS)}")
            found.update(range(first, last + 1))
        else:
            raise ValueError(f"{item!r} is neither an element symbol (Yb) nor a range of atomic numbers (58-71, 84-)")
    return frozenset(found)


def _elements(items: list[str]) -> list[str]:
    """Return the atomic numbers as text: a rule's params hold what was understood."""
    return [str(number) for number in sorted(parse_elements(items))]


_SHOWN = 40  # choices, of which a study may have thousands


def suggest(word: str, choices: list[str]) -> str:
    """Return the end of a message about a wrong word: the closest choice, and all choices."""
    close = difflib.get_close_matches(word, choices, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    shown = choices if len(choices) <= _SHOWN else [*choices[: _SHOWN - 1], f"and {len(choices) - _SHOWN + 1:,} more"]
    return f"{hint} (allowed: {', '.join(shown)})"


Name = Annotated[str, AfterValidator(_name)]
FileName = Annotated[str, Field(min_length=1)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Seeds = Annotated[
    list[Seed],
    BeforeValidator(_seeds, json_schema_input_type=Annotated[int, Field(ge=1, le=MOST_SEEDS)] | list[Seed]),
]
Elements = Annotated[list[str], AfterValidator(_elements)]
Size = Annotated[
    str,
    BeforeValidator(_size),
    WithJsonSchema(
        {"anyOf": [{"type": "integer", "minimum": 1}, {"type": "string", "pattern": f"^({SIZE.pattern})$"}]}
    ),
]
Target = Literal["energy", "force", "stress", "magmom"]
EnergyLabel = Literal["energy", "energy_free", "energy+correction"]


#: Name of a shipped checkpoint; `uprung.models.registry` knows which there are.
Checkpoint = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]


class Section(BaseModel):
    """A section of the study file: unknown keys are errors, and the values cannot be changed."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_value(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse `yes` and its like where they would be taken for the number 1 or 0."""
        field = cls.model_fields[info.field_name or ""]
        if _holds_truth_value(value) and not _takes_truth_values(field.annotation):
            raise ValueError(
                "yes, no, on, off, true and false are truth values, and this key takes none; give a number, or a text "
                "in quotes"
            )
        return value


def _holds_truth_value(value: Any) -> bool:
    values = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return isinstance(value, bool) or any(map(_holds_truth_value, values))


def _takes_truth_values(annotation: Any) -> bool:
    """Return whether truth values are allowed somewhere in a field: itself, or in a section that looks for itself."""
    if isinstance(annotation, type) and issubclass(annotation, bool | Section):
        return True
    return any(map(_takes_truth_values, get_args(annotation)))


def plain(section: Section) -> dict[str, Any]:
    """Return a section as plain values for the params of a rule; a model validates them to the same section.

    A key that is off (null, false, an empty text, list or mapping) and off by default is left out, so that a new
    option leaves the params of the runs that do not use it, and so their results, as they were.
    """
    dumped, found = section.model_dump(mode="json", by_alias=True), dict[str, Any]()
    for name, field in type(section).model_fields.items():
        key, value = field.alias or name, getattr(section, name)
        shown = _plain(value, dumped[key])
        if not (_off(shown) and value == field.get_default(call_default_factory=True)):
            found[key] = shown
    return found


def _plain(value: Any, dumped: Any) -> Any:
    if isinstance(value, Section):
        return plain(value)
    if isinstance(value, dict):
        return {key: _plain(value[name], dumped[key]) for name, key in zip(value, dumped, strict=True)}
    if isinstance(value, list | tuple):
        return [_plain(entry, there) for entry, there in zip(value, dumped, strict=True)]
    return dumped


def _off(value: Any) -> bool:
    return value is None or value is False or (isinstance(value, str | list | dict) and not value)
