"""What a record of a published set, an ASE file or a table states about its calculation, whatever the spelling is."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from ase.data import chemical_symbols

from uprung.frames.schema import Frame
from uprung.sources.common import NUMBERS, same_functional
from uprung.sources.settings import Settings, anion, is_of_elements, nothing
from uprung.sources.unusable import UnusableError
from uprung.sources.vasp_settings import Input, functional_of

#: Names of the charge of a cell, in elementary charges, and of the functional.
_CHARGES = (
    "charge total_charge charge_total tot_charge net_charge system_charge cell_charge initial_charge initial_charges "
    "molecular_charge formal_charge qtot q_total"
)
_FUNCTIONALS = "functional xc xc_functional dft_functional exchange_correlation"
#: What makes a label another one, whatever the other records say, and its names.
_FOREIGN = {
    "a dispersion correction": "ivdw lvdw vdw vdw_corr vdw_correction vdw_method dispersion dispersion_correction "
    "dispersion_method d3 d4 dftd2 dftd3 dftd4 mbd",
    "a van der Waals functional": "luse_vdw",
    "an implicit solvent": "lsol solvent solvation implicit_solvent solvation_model vaspsol cosmo pcm",
    "an electric field": "efield electric_field external_field",
    "a magnetic field": "bext magnetic_field",
    "an external pressure, which the energy contains": "pstress external_pressure",
    "spin-orbit coupling": "lsorbit spin_orbit spin_orbit_coupling soc",
    "constrained moments, whose penalty the energy contains": "i_constrained_m constrained_moments",
    "a hybrid functional": "lhfcalc hybrid hfscreen aexx exact_exchange",
}
#: Of these a fidelity has one value, as far as records state any; lists and tables are not settings.
_COMPARED = (
    "encut cutoff ecut ecutwfc ecutrho kspacing k_density ispin spin_polarized lasph prec lreal addgrid ismear sigma "
    "smearing smearing_width degauss ldau hubbard_u nupdown metagga gga potcar_functional pseudopotential "
    "pseudo_family basis basis_set level_of_theory code"
)
#: Tables in a record that hold settings, tables of U by element, and lists or tables of potentials.
_NESTED = "parameters incar input inputs settings properties calculator_parameters vasp dft"
_REPULSIONS = "hubbards hubbard_u ldauu"
_POTENTIALS = "potcar_symbols potcar_titles potcar_spec potcars potcar pseudopotentials pseudos"
#: What a functional has in its name where it is meant to have what records state.
_IN_THE_NAME = {"a dispersion correction": "+", "a van der Waals functional": "+", "spin-orbit coupling": "+SOC"}
_LIBXC = re.compile(r"(?:LDA|GGA|MGGA)_X_(\w+)\+(?:LDA|GGA|MGGA)_C_\1")
#: `PAW_PBE Zr_sv 04Jan2005`, `PBE Zr_sv`, `Zr_sv`
_TITLE = re.compile(r"^(?:[A-Z]{2,}\w*\s+)?([A-Z][a-z]?)(?:_\w+)?(?:\s|$)")
DEEPEST = 4  # tables within tables


@lru_cache(maxsize=4096)
def _bare(name: str) -> str:
    """Return a name without what spellings differ in: `vdw_corr`, `vdw-corr`, `VdwCorr`."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _spellings(names: str) -> dict[str, str]:
    return {_bare(name): name for name in names.split()}


_IS_CHARGE, _IS_FUNCTIONAL, _IS_NESTED, _IS_REPULSION, _IS_POTENTIAL = map(
    _spellings, (_CHARGES, _FUNCTIONALS, _NESTED, _REPULSIONS, _POTENTIALS)
)
_MAKES_FOREIGN = {bare: (name, what) for what, names in _FOREIGN.items() for bare, name in _spellings(names).items()}
_IS_COMPARED = {bare: name for bare, (name, _) in _MAKES_FOREIGN.items()} | _spellings(_COMPARED)


def is_known(name: str) -> bool:
    """Return whether records may state a setting of this name."""
    bare = _bare(name)
    return name == "charge" or bare in _IS_COMPARED or bare in _IS_FUNCTIONAL or is_of_elements(name)


def is_stated(column: str) -> bool:
    """Return whether a column of a table says something about the calculation."""
    return is_known(column) or _bare(column) in _IS_CHARGE


def require_stated(settings: Settings, frame: Frame, *places: Mapping[str, Any]) -> None:
    """Check what a record states about its calculation.

    Args:
        settings: of the fidelity; they count the record.
        frame: the frame that the record becomes, with the functional of the fidelity.
        places: mappings in which the record states settings, in order of precedence.

    Raises:
        UnusableError: the cell is charged, the label is another one than the functional's, or another record has
            another value.
    """
    said, charges = dict[str, Any](), list[float]()
    for key, value in (entry for place in places for entry in _entries(place)):
        said.setdefault(_bare(key), value)
        charges += [_charge(value)] if _bare(key) in _IS_CHARGE else []
    found = {}
    if charges:
        found["charge"] = f"{next(filter(None, charges), 0.0):g}"
        if found["charge"] != "0":
            settings.refuse("charge", found["charge"], f"charge is {found['charge']}: the cell is charged")
    _require_functional(settings, frame.functional, said)
    for bare, name in _IS_COMPARED.items():
        value = said.get(bare)
        if isinstance(value, str | int | float):
            found[name] = str(value)
            what = _MAKES_FOREIGN.get(bare, ("", ""))[1]
            if what and not nothing(found[name]) and _IN_THE_NAME.get(what, "no name") not in frame.functional:
                settings.refuse(name, found[name], f"{name} is {found[name]!r}: the label has {what}")
    settings.require_one({**found, **dict(_of_elements(said, {chemical_symbols[z] for z in frame.Z.tolist()}))})


def _entries(place: Mapping[str, Any], depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Yield what a table and the tables of settings in it say."""
    for key, value in place.items():
        if isinstance(key, str) and value is not None:
            yield key, value
            if isinstance(value, Mapping) and _bare(key) in _IS_NESTED and depth < DEEPEST:
                yield from _entries(value, depth + 1)


def _require_functional(settings: Settings, functional: str, said: Mapping[str, Any]) -> None:
    """Refuse a functional that is not the fidelity's, by its name or by VASP's METAGGA and GGA."""
    tags = Input({key.upper(): str(said[key]) for key in ("metagga", "gga") if said.get(key) is not None})
    names = {name: said[bare] for bare, name in _IS_FUNCTIONAL.items() if isinstance(said.get(bare), str)}
    for name in ("gga", "metagga"):  # the latter decides where it is on
        if (tag := tags.get(name.upper())) and (named := functional_of(Input({name.upper(): tag}))) != "unknown":
            names = {**{key: value for key, value in names.items() if key != "gga"}, name: named}
    for name, value in names.items():
        match = _LIBXC.fullmatch(value.strip())
        own = re.sub(r"\s*\+\s*u$", "", match[1] if match else value, flags=re.IGNORECASE)
        if not any(same_functional(own, wanted) for wanted in (functional, functional.partition("+")[0])):
            settings.refuse(name, value, f"{name} is {value!r}, but this fidelity is {functional!r}")


def _of_elements(said: Mapping[str, Any], elements: set[str]) -> Iterator[tuple[str, str]]:
    """Yield U and potential of every element, where a record says them by element."""
    for bare in _IS_REPULSION:
        values = said.get(bare)
        if isinstance(values, Mapping) and set(values) <= set(NUMBERS):
            yield from ((f"U of {e}{anion(elements)}", str(values.get(e) or 0)) for e in sorted(elements))
    titles: dict[str, set[str]] = {}
    for bare in _IS_POTENTIAL:
        for element, title in _titles(said.get(bare)):
            titles.setdefault(element, set()).add(title)
    yield from ((f"potential of {e}", " and ".join(sorted(titles[e]))) for e in sorted(titles.keys() & elements))


def _titles(given: Any) -> Iterator[tuple[str, str]]:
    """Yield element and title of potentials: a text for every element, or a list of titles or of tables with one."""
    if isinstance(given, Mapping):
        yield from ((str(element), title) for element, title in given.items() if isinstance(title, str))
    for entry in given if isinstance(given, list) else ():
        title = entry.get("titel", entry.get("title")) if isinstance(entry, Mapping) else entry
        if isinstance(title, str) and (match := _TITLE.search(title)):
            yield match[1], title


def _charge(value: Any) -> float:
    """Return the charge of the cell; charges of atoms are summed, and a sum within rounding of zero is neutral."""
    try:
        charge = sum(map(float, value)) if isinstance(value, list) else float(value)
    except (TypeError, ValueError):
        raise UnusableError(f"charge is no number, but {str(value)[:40]!r}") from None
    if not abs(charge) < 1e6:
        raise UnusableError(f"charge is {charge}")
    return 0.0 if abs(charge) < (0.05 if isinstance(value, list) else 1e-3) else charge
