"""Readers of published reference values: the crystals of a set, by material."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import ase
import numpy as np
import yaml
from ase.data import chemical_symbols

from uprung.config.physics import PhysicsSet
from uprung.frames.csv import own_csv
from uprung.physics import own_labels
from uprung.physics.surfaces import extrapolated, face
from uprung.sources.common import UnusableError, pymatgen_structure
from uprung.sources.files import load_json

#: Slabs for a test of the scale of their energies, and how far off it may be whatever their scatter, eV/atom.
FEWEST_SLABS, OFF = 6, 0.03


@dataclass(frozen=True)
class Material:
    """What a set says of one material.

    `structures` are as published, `references` the published values, `numbers` and `keys` what else a test needs; which
    they are is said where each set is read. `unusable` is why a material cannot be tested.
    """

    name: str
    structures: Sequence[ase.Atoms] = ()
    references: dict[str, Any] = field(default_factory=dict)
    keys: Sequence[str] = ()
    unusable: str = ""

    @property
    def atoms(self) -> int:
        """Return the number of atoms of the first structure, 1 without structures."""
        return len(self.structures[0]) if self.structures else 1


def read_set(entry: PhysicsSet, files: Sequence[str | Path]) -> list[Material]:
    """Return the materials of a set that the study asks for.

    Args:
        entry: the set.
        files: where its files are.

    Raises:
        ValueError: a file of another layout, or a material that is not in the files.
    """
    try:
        found = list(_reader(entry, files)(entry, [Path(file) for file in files]))
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        listed = ", ".join(Path(file).name for file in files)
        raise ValueError(
            f"{listed}: not laid out as files of `test: {entry.test}` are (docs/physics.md): "
            f"{type(error).__name__}: {error}"
        ) from None
    names = [material.name for material in found]
    missing = [name for name in entry.materials if name not in names]
    if missing:
        raise ValueError(f"no {', '.join(missing)} in the files (there are: {', '.join(sorted(set(names))[:20])} …)")
    if entry.materials:
        found = [material for material in found if material.name in entry.materials]
    if entry.most is not None:
        found = sorted(found, key=lambda material: (material.atoms, material.name))[: entry.most]
    if not found:
        raise ValueError("the files have no material for this test")
    return found


def _reader(
    entry: PhysicsSet, files: Sequence[str | Path]
) -> Callable[[PhysicsSet, Sequence[Path]], Iterator[Material]]:
    """Return the reader of published values, or of own labels, which are JSON lines.

    Raises:
        ValueError: a test is asked of files that it cannot be asked of.
    """
    own = [".jsonl" in Path(file).suffixes for file in files]
    known: Iterable[str] = own_labels.NEEDED if any(own) else READERS
    if any(own) != all(own) or entry.test not in known:
        raise ValueError(
            f"`test: {entry.test}` does not read {Path(files[0]).name}: {', '.join(own_labels.NEEDED)} read own labels "
            f"(.jsonl), {', '.join(READERS)} published values"
        )
    return _own if any(own) else READERS[entry.test]


def _own(entry: PhysicsSet, files: Sequence[Path]) -> Iterator[Material]:
    """Yield crystals with their own labels at the functional of the set (`uprung.physics.own_labels`)."""
    for each in own_labels.of_property(entry.test, files, entry.functional):
        reason, given = each.unusable, dict[str, Any]()
        if not reason:
            try:
                given = own_labels.values(entry.test, each)
            except ValueError as error:
                reason = str(error)
        yield Material(each.name, [label.atoms for label in each.labels], given, each.keys, reason)


def _atoms(structure: Any) -> ase.Atoms:
    Z, lattice, frac = pymatgen_structure(structure)
    return ase.Atoms(numbers=Z, cell=lattice, scaled_positions=frac, pbc=True)


def _energy(entry: dict[str, Any]) -> float:
    """Return eV per cell of a record of mlearn or snap, some of which are per atom."""
    if "outputs" in entry:
        return float(entry["outputs"]["energy"])
    return float(entry["data"]["energy_per_atom"]) * len(entry["structure"]["sites"])


def surfaces(entry: PhysicsSet, files: Sequence[Path]) -> Iterator[Material]:
    """Yield elements with their slabs: the first structure is the bulk, `references` has all energies (eV), in order.

    The bulk is the record of lowest energy per atom among those of elastic strains, of the same settings as the slabs.
    An element is unusable without one, since no surface has an energy then, and where slabs and bulk do not share a
    scale.
    """
    slabs, crystals = dict[str, list[dict[str, Any]]](), dict[str, list[dict[str, Any]]]()
    for record in (record for file in files for record in load_json(file)):
        name = chemical_symbols[pymatgen_structure(record["structure"])[0][0]]
        kind = str(record.get("tags") or "") + str(record.get("group", ""))
        if "surface" in kind.lower():
            slabs.setdefault(name, []).append(record)
        elif "elastic" in kind.lower():
            crystals.setdefault(name, []).append(record)
    for name, records in slabs.items():
        if name not in crystals:
            yield Material(name, unusable="the files have no energy of the crystal with the settings of the slabs")
            continue
        bulk = min(crystals[name], key=lambda record: _energy(record) / len(record["structure"]["sites"]))
        every = [bulk, *sorted(records, key=_surface)]
        energies, cells = [_energy(record) for record in every], [_atoms(record["structure"]) for record in every]
        yield Material(name, cells, {"energies": energies}, [*map(_surface, every)], _other_scale(energies, cells))


def _other_scale(energies: Sequence[float], cells: Sequence[ase.Atoms]) -> str:
    """Return why slabs and crystal, the first one, cannot share a scale of energies; an empty text if they can.

    The energies of slabs extrapolate to that of the crystal. Where they miss it by much more than their own scatter,
    they were computed with other settings, which the files do not say.
    """
    if len(cells) < FEWEST_SLABS + 1:
        return ""
    sizes = np.array([len(cell) for cell in cells[1:]])
    found, error = extrapolated(np.array(energies[1:]), sizes, np.array([face(cell) for cell in cells[1:]]))
    off = found - energies[0] / len(cells[0])
    if abs(off) < max(OFF, 3 * error):
        return ""
    return (
        f"the slabs extrapolate to a crystal {1e3 * off:+.0f} ± {1e3 * error:.0f} meV/atom off the one in the files, "
        "so that they were computed with other settings"
    )


def _surface(record: dict[str, Any]) -> str:
    """Return what a record calls its surface: `(1_1_0)`, `(1_1_0)_reconstructed`, `210`, or its id."""
    described = str(record.get("description", ""))
    if "(" in described:
        return described[described.index("(") :].replace("_", " ", 2).replace("_", " ")
    notes = record.get("notes") or {}
    return str(notes.get("Sur") or record.get("_id") or described)


def mixing(entry: PhysicsSet, files: Sequence[Path]) -> Iterator[Material]:
    """Yield systems with their relaxed arrangements: `references` has energies (eV per cell) and shares x.

    Records without relaxation are left to the relaxed ones of the same arrangement. x is the share of the heavier
    element.
    """
    systems = dict[str, list[tuple[float, str, dict[str, Any]]]]()
    for record in (record for file in files for record in load_json(file)):
        numbers = pymatgen_structure(record["structure"])[0]
        elements = sorted(set(numbers.tolist()))
        if "relax" not in (record.get("notes") or {}) or len(elements) != 2:
            continue
        name = "-".join(chemical_symbols[z] for z in elements)
        x = float((numbers == elements[1]).mean())
        systems.setdefault(name, []).append((x, f"arrangement {record['notes']['relax']}", record))
    for name, found in systems.items():
        found.sort(key=lambda each: (each[0], int(each[1].split()[-1])))
        if entry.arrangements is not None:
            first = {x: 0 for x, _, _ in found}
            kept = []
            for each in found:
                first[each[0]] += 1
                if first[each[0]] <= entry.arrangements:
                    kept.append(each)
            found = kept
        values = {"energies": [_energy(record) for _, _, record in found], "x": [x for x, _, _ in found]}
        structures = [_atoms(record["structure"]) for _, _, record in found]
        yield Material(name, structures, values, [key for _, key, _ in found])


def vacancies(entry: PhysicsSet, files: Sequence[Path]) -> Iterator[Material]:
    """Yield elements with volume (Å³ per atom), bulk modulus (GPa), formation and migration energy (eV)."""
    columns = {"volume": "volume_per_atom", "bulk": "K", "formation": "e_vacform", "migration": "e_vacmig"}
    for file in files:
        for row in own_csv(file).to_dict("records"):
            values = {name: _number(row[column]) for name, column in columns.items()}
            known = np.isfinite(values["volume"])
            yield Material(str(row["symbol"]), references=values, unusable="" if known else "no volume in the table")


def _number(text: Any) -> float:
    return float(text) if str(text).strip() else float("nan")


def benchmark(entry: PhysicsSet, files: Sequence[Path]) -> Iterator[Material]:
    """Yield the crystals of a benchmark file of matcalc, with all numbers that it has of them."""
    for record in (record for file in files for record in load_json(file)):
        name = str(record.get("mp_id") or record["material_id"])
        values = {key: float(value) for key, value in record.items() if type(value) in (float, int)}
        needed = NEEDED[entry.test]
        if any(key not in values for key in needed):
            raise KeyError(f"{name} has no {', '.join(key for key in needed if key not in values)}")
        try:
            yield Material(name, [_atoms(record["structure"])], values, [str(record["formula"])])
        except UnusableError as error:
            yield Material(name, references=values, keys=[str(record["formula"])], unusable=str(error))


def formation_energy(entry: PhysicsSet, files: Sequence[Path]) -> Iterator[Material]:
    """Yield the crystals of benchmark files of matcalc, each followed by the crystals of its elements.

    A file that maps symbols to records (`MatPES-PBE-Element-Refs.json.gz`) has the elements. A crystal is unusable
    where one of its elements is missing.
    """
    contents = [load_json(file) for file in files]
    given = {name: record["structure"] for each in contents if isinstance(each, dict) for name, record in each.items()}
    if not given:
        raise KeyError("none of the files maps elements to their crystals")
    crystals = [file for file, each in zip(files, contents, strict=True) if not isinstance(each, dict)]
    pure = {name: _atoms(structure) for name, structure in given.items()}
    for material in benchmark(entry, crystals):
        elements = sorted({chemical_symbols[z] for atoms in material.structures for z in atoms.numbers})
        missing = [name for name in elements if name not in pure]
        if missing:
            yield replace(material, structures=(), unusable=f"the files have no crystal of {', '.join(missing)}")
        else:
            yield replace(material, structures=[*material.structures, *(pure[name] for name in elements)])


#: Keys that a benchmark file has to have.
NEEDED = {
    "elasticity": ("bulk_modulus_vrh", "shear_modulus_vrh"),
    "heat-capacity": ("heat_capacity",),
    "volumes": ("formation_energy_per_atom",),
    "formation-energy": ("formation_energy_per_atom",),
}


def phonons(entry: PhysicsSet, files: Sequence[Path]) -> Iterator[Material]:
    """Yield crystals with `supercell` and `force_constants` (eV/Å²), from phonopy's YAML or JSON with its keys."""
    for file in files:
        is_json = file.name.removesuffix(".gz").endswith(".json")
        content = load_json(file) if is_json else yaml.safe_load(file.read_text(encoding="utf-8"))
        cell, constants = content["unit_cell"], content["force_constants"]
        points = cell["points"]
        atoms = ase.Atoms(
            [point["symbol"] for point in points],
            cell=cell["lattice"],
            scaled_positions=[point["coordinates"] for point in points],
            masses=[point["mass"] for point in points],
            pbc=True,
        )
        shape = [*constants["shape"], 3, 3]
        values = np.array(constants["elements"], dtype=np.float64).reshape(shape)
        given = {"supercell": content["supercell_matrix"], "force_constants": values}
        yield Material(atoms.symbols.formula.format("metal"), [atoms], given)


READERS: dict[str, Callable[[PhysicsSet, Sequence[Path]], Iterator[Material]]] = {
    "surfaces": surfaces,
    "mixing": mixing,
    "vacancies": vacancies,
    "phonons": phonons,
    "elasticity": benchmark,
    "heat-capacity": benchmark,
    "volumes": benchmark,
    "formation-energy": formation_energy,
}
