"""What decides the labels of a fidelity beside its functional: one value of each setting, or what the study states."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from uprung.sources.unusable import UnusableError

UNSET = "not set"
#: In the study: whatever value a run has.
ANY = "any"
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eEdD][-+]?\d+)?")
_OF_ELEMENTS = re.compile(r"(U|J|l of U|LDAUTYPE|potential) of [A-Z][a-z]?( with [OF])?")
_LOGICALS = {"T": "T", "TRUE": "T", "F": "F", "FALSE": "F"}
_NOTHING = {"", "0", "F", "NONE", "NO", "OFF", "VACUUM", "NULL", "-", "--"}


def canonical(value: str) -> str:
    """Return a value as it is compared: numbers and logicals in one spelling, other words in capitals."""
    return " ".join(map(_word, value.split()))


def _word(word: str) -> str:
    if _NUMBER.fullmatch(word):
        return f"{float(word.lower().replace('d', 'e')):.8g}"
    bare = word.strip(".").upper()
    return _LOGICALS.get(bare, bare)


def is_of_elements(name: str) -> bool:
    """Return whether a name is that of a setting that every element has for itself: `U of Fe with O`."""
    return _OF_ELEMENTS.fullmatch(name) is not None


def anion(elements: Collection[str]) -> str:
    """Return the end of the name of a U, which depends on the anion in the Materials Project's rule."""
    return next((f" with {a}" for a in ("F", "O") if a in elements), "")


def nothing(value: str) -> bool:
    """Return whether a value says that something is off: zeros, a false logical, none."""
    return all(word in _NOTHING for word in canonical(value).split())


@dataclass
class Settings:
    """Settings of a fidelity's runs so far, and what the study states about those of one source.

    Attributes:
        stated: setting -> values that the study allows; `any` allows all.
        counts: setting -> value -> runs or records that have it, the first value first.
        first: all that the first run says, by which later ones are judged where it did not set a key.
        met: names of which a run of this source had a value.
    """

    stated: Mapping[str, Sequence[str]] = field(default_factory=dict)
    counts: dict[str, Counter[str]] = field(default_factory=dict)
    first: dict[str, str] = field(default_factory=dict)
    met: set[str] = field(default_factory=set)

    def of(self, stated: Mapping[str, Sequence[str]]) -> Settings:
        """Return the settings of a further source of the fidelity, on the same counts."""
        return Settings(stated, self.counts, self.first)

    def allows(self, name: str, value: str) -> bool:
        """Return whether the study states this value.

        Raises:
            UnusableError: it states others.
        """
        self.met.add(name)
        stated = self.stated.get(name)
        if stated is None:
            return False
        if ANY not in stated and canonical(value) not in map(canonical, stated):
            raise UnusableError(f"{name} is {value!r}, but the study file states {', '.join(stated)} (`settings`)")
        return True

    def refuse(self, name: str, value: str, reason: str) -> None:
        """Refuse a value that makes the label another one, unless the study states it.

        Raises:
            UnusableError: it does not.
        """
        if not self.allows(name, value):
            raise UnusableError(reason)

    def require_one(self, found: Mapping[str, str]) -> None:
        """Count the settings of a run if they are those of the earlier runs.

        Raises:
            UnusableError: one of them has another value, and the study does not state it.
        """
        for name, value in found.items():
            if not self.allows(name, value) and name in self.counts:
                first = next(iter(self.counts[name]))
                if canonical(first) != canonical(value):
                    raise UnusableError(f"mixed label scales: {name} is {value!r} here, {first!r} in an earlier run")
        for name, value in found.items():
            counted = self.counts.setdefault(name, Counter())
            same = (known for known in counted if canonical(known) == canonical(value))
            counted[next(same, value)] += 1

    def strangers(self, known: Callable[[str], bool]) -> list[str]:
        """Return names that the study states, of which no run had a value and that a reader does not know."""
        return [name for name in self.stated if name not in self.met and not known(name)]

    def facts(self) -> dict[str, dict[str, int]]:
        """Return the distinct values of every setting, and how many runs or records have each."""
        return {name: dict(values) for name, values in sorted(self.counts.items())}
