"""What decides the labels of a fidelity beside its functional: one value of each setting, or what the study states."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from uprung.sources.unusable import UnusableError

UNSET = "not set"
#: In the study: whatever value a run has.
ANY = "any"
#: Keys under which files state the charge of a cell, in elementary charges.
CHARGES = ("charge", "total_charge", "tot_charge", "net_charge", "system_charge", "cell_charge", "initial_charges")
#: Keys under which files other than those of VASP state settings; lists and tables are not settings.
STATED = (
    "encut", "cutoff", "ecut", "kspacing", "k_density", "ispin", "spin_polarized", "lasph", "prec", "ismear", "sigma",
    "smearing", "ldau", "hubbard_u", "lsorbit", "spin_orbit", "soc", "ivdw", "dispersion", "vdw", "luse_vdw",
    "lsol", "solvent", "solvation", "efield", "electric_field", "pstress", "external_pressure", "nupdown",
    "i_constrained_m", "metagga", "gga", "lhfcalc", "potcar_functional", "pseudopotential", "pseudo_family", "code",
)  # fmt: skip
#: Those of them that make a label another one, whatever the other records say.
FOREIGN = {
    "ivdw": "a dispersion correction",
    "dispersion": "a dispersion correction",
    "vdw": "a dispersion correction",
    "luse_vdw": "a van der Waals functional",
    "lsol": "an implicit solvent",
    "solvent": "an implicit solvent",
    "solvation": "an implicit solvent",
    "efield": "an electric field",
    "electric_field": "an electric field",
    "pstress": "an external pressure, which the energy contains",
    "external_pressure": "an external pressure, which the energy contains",
    "lsorbit": "spin-orbit coupling",
    "spin_orbit": "spin-orbit coupling",
    "soc": "spin-orbit coupling",
    "i_constrained_m": "constrained moments, whose penalty the energy contains",
    "lhfcalc": "a hybrid functional",
}
#: Tables in a record that hold settings.
_NESTED = ("parameters", "incar", "INCAR", "input", "settings", "properties", "calculator_parameters")
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eEdD][-+]?\d+)?")
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
    """

    stated: Mapping[str, Sequence[str]] = field(default_factory=dict)
    counts: dict[str, Counter[str]] = field(default_factory=dict)
    first: dict[str, str] = field(default_factory=dict)

    def of(self, stated: Mapping[str, Sequence[str]]) -> Settings:
        """Return the settings of a further source of the fidelity, on the same counts."""
        return Settings(stated, self.counts, self.first)

    def allows(self, name: str, value: str) -> bool:
        """Return whether the study states this value.

        Raises:
            UnusableError: it states others.
        """
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

    def facts(self) -> dict[str, dict[str, int]]:
        """Return the distinct values of every setting, and how many runs or records have each."""
        return {name: dict(values) for name, values in sorted(self.counts.items())}


def require_stated(settings: Settings, *places: Mapping[str, Any]) -> None:
    """Check what a record of a published set or an ASE file states about its calculation.

    Args:
        settings: of the fidelity; they count the record.
        places: mappings in which the record states settings, in order of precedence.

    Raises:
        UnusableError: the cell is charged, the label is another one than the functional's, or another record has
            another value.
    """
    nested = (place[key] for place in places for key in _NESTED if isinstance(place.get(key), Mapping))
    said, charges = dict[str, Any](), list[float]()
    for place in (*places, *nested):
        for key, value in place.items():
            if value is not None and isinstance(key, str):
                said.setdefault(key.lower(), value)
                charges += [_charge(value)] if key.lower() in CHARGES else []
    found = {}
    if charges:
        found["charge"] = f"{next(filter(None, charges), 0.0):g}"
        if found["charge"] != "0":
            settings.refuse("charge", found["charge"], f"charge is {found['charge']}: the cell is charged")
    for name in STATED:
        value = said.get(name)
        if isinstance(value, str | int | float):
            found[name] = str(value)
            if name in FOREIGN and not nothing(found[name]):
                settings.refuse(name, found[name], f"{name} is {found[name]!r}: the label has {FOREIGN[name]}")
    settings.require_one(found)


def _charge(value: Any) -> float:
    """Return the charge of the cell; charges of atoms are summed, and a sum within rounding of zero is neutral."""
    try:
        charge = sum(map(float, value)) if isinstance(value, list) else float(value)
    except (TypeError, ValueError):
        raise UnusableError(f"charge is no number, but {str(value)[:40]!r}") from None
    if not abs(charge) < 1e6:
        raise UnusableError(f"charge is {charge}")
    return 0.0 if abs(charge) < (0.05 if isinstance(value, list) else 1e-3) else charge
