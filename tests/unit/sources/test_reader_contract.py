"""Contract of readers: energy, forces and stress of every format against an independent reading by ASE or pymatgen."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import ase.io
import numpy as np
import pyarrow.parquet as pq
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.db import connect
from ase.stress import voigt_6_to_full_3x3_stress
from ase.units import GPa
from factories import DATA, make_frame, table_of
from layouts import JSON_SETS, SCALE, ase_row, crystal, json_record, json_text, vasprun_text, write_aselmdb
from pymatgen.core import Element, Lattice
from pymatgen.io.vasp import Vasprun

from uprung.config.formats import FORMATS
from uprung.frames.intake import write_frames
from uprung.frames.table import read_frames
from uprung.sources import READERS, open_source

VOIGT = [0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]


class Read(NamedTuple):
    """A structure as somebody else reads it: eV, eV/Å, GPa with tension positive; None where the file has none."""

    numbers: list[int]
    cell: Any
    energy: float
    forces: Any
    stress: Any


def of_atoms(atoms: Atoms) -> Read:
    found = atoms.calc.results
    stress = atoms.get_stress(voigt=False) / GPa if "stress" in found else None
    return Read(atoms.numbers.tolist(), atoms.cell.array, found["energy"], found.get("forces"), stress)


def of_dict(record: dict[str, Any], energy: str, forces: str | None, stress: Any) -> Read:
    """Return a record with a structure in pymatgen's layout, by its lattice and elements."""
    structure = record["structure"]
    numbers = [Element(site["species"][0]["element"]).Z for site in structure["sites"]]
    cell = Lattice(structure["lattice"]["matrix"]).matrix
    return Read(numbers, cell, record[energy], record[forces] if forces else None, stress)


def content(file: Path) -> Any:
    with gzip.open(file) as stream:
        return json.load(stream)


def calculated(c: dict[str, Any]) -> Atoms:
    atoms = Atoms(c["symbols"], cell=c["lattice"], scaled_positions=c["frac"], pbc=True)
    stress = (-0.1 * GPa * np.array(c["kbar"]))[VOIGT]
    atoms.calc = SinglePointCalculator(atoms, energy=c["energy"], forces=c["forces"], stress=stress)
    return atoms


def extended_xyz(folder: Path) -> tuple[Path, str, list[Read]]:
    ase.io.write(folder / "x.extxyz", [calculated(crystal(k)) for k in range(3)])
    return folder / "x.extxyz", "PBE", [of_atoms(atoms) for atoms in ase.io.read(folder / "x.extxyz", ":")]


def database(folder: Path) -> tuple[Path, str, list[Read]]:
    with connect(folder / "x.db") as rows:
        for k in range(3):
            rows.write(calculated(crystal(k)))
    with connect(folder / "x.db") as rows:
        return folder / "x.db", "PBE", [of_atoms(row.toatoms()) for row in rows.select()]


def omat(folder: Path) -> tuple[Path, str, list[Read]]:
    crystals = [crystal(k) for k in range(3)]
    write_aselmdb(folder / "x.aselmdb", [ase_row(c, str(k)) for k, c in enumerate(crystals)])
    return folder / "x.aselmdb", "PBE", [of_atoms(calculated(c)) for c in crystals]


def json_set(name: str) -> Callable[[Path], tuple[Path, str, list[Read]]]:
    def made(folder: Path) -> tuple[Path, str, list[Read]]:
        crystals = {f"f{k}": crystal(k) for k in range(3)}
        text = json_text(name, {key: json_record(name, key, c) for key, c in crystals.items()})
        (folder / "x.json").write_text(text)
        return folder / "x.json", JSON_SETS[name], [of_atoms(calculated(c)) for c in crystals.values()]

    return made


def vasprun(folder: Path) -> tuple[Path, str, list[Read]]:
    (folder / "vasprun.xml").write_text(vasprun_text([crystal(k) for k in range(3)]))
    other = Vasprun(folder / "vasprun.xml", parse_dos=False, parse_eigen=False, parse_potcar_file=False)
    return folder / "vasprun.xml", "PBE", [of_step(step) for step in other.ionic_steps]


def of_step(step: dict[str, Any]) -> Read:
    numbers = [site.specie.Z for site in step["structure"]]
    stress = -0.1 * np.array(step["stress"])
    return Read(numbers, step["structure"].lattice.matrix, step["e_0_energy"], step["forces"], stress)


def frames(folder: Path) -> tuple[Path, str, list[Read]]:
    kept = [make_frame(str(k), energy=-1.5 * k, stress_gpa=np.diag([1.0, 2, k + 0.5])) for k in range(3)]
    pq.write_table(table_of(kept).table, folder / "x.parquet")
    read = [Read([14, 14], f.lattice, f.energy, f.forces, f.stress_gpa) for f in kept]
    return folder / "x.parquet", "PBE", read


def lines(file: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(file, "rt") as stream:
        yield from map(json.loads, stream)


def computed(folder: Path) -> list[tuple[dict[str, Any], Read]]:
    records = [r for r in lines(DATA / "solids" / "solids.jsonl.gz") if r["xc"] == "PBE"]
    return [
        (r, Read(r["numbers"], np.array(r["cell"]), r["energy"], r["forces"], np.array(r["stress"]) / GPa))
        for r in records
    ]


def solids(folder: Path) -> tuple[Path, str, list[Read]]:
    return DATA / "solids" / "solids.jsonl.gz", "PBE", [read for _, read in computed(folder)]


def gpaw(folder: Path) -> tuple[Path, str, list[Read]]:
    setting = {"code": "GPAW", "setups": "s", "cutoff": 450, "k_density": 30, "smearing": 0.1}
    balanced = [(r, read) for r, read in computed(folder) if np.abs(np.sum(r["forces"], axis=0)).max() < 0.02][:5]
    text = "".join(json.dumps({**record, "settings": setting}) + "\n" for record, _ in balanced)
    (folder / "x.jsonl").write_text(text)
    return folder, "PBE", [read for _, read in balanced]


def elements(folder: Path) -> tuple[Path, str, list[Read]]:
    file = DATA / "elements" / "MatPES-r2SCAN-Element-Refs.json.gz"
    records = content(file).values()
    return (
        file,
        "r2SCAN",
        [of_dict(r, "energy", "forces", -0.1 * voigt_6_to_full_3x3_stress(r["stress"])) for r in records],
    )


def atoms(folder: Path) -> tuple[Path, str, list[Read]]:
    file = DATA / "elements" / "MatPES-r2SCAN-Element-Refs.json.gz"
    records = content(file)
    read = [Read([Element(k).Z], 20 * np.eye(3), r["energy_atomic"], None, None) for k, r in records.items()]
    return file, "r2SCAN", read


def mlearn(folder: Path) -> tuple[Path, str, list[Read]]:
    file = DATA / "mlearn" / "Si_test.json.gz"
    entries = content(file)
    read = [of_dict({**e, **e["outputs"]}, "energy", "forces", None) for e in entries]
    return file, "PBE", read


def diatomics(folder: Path) -> tuple[Path, str, list[Read]]:
    file = DATA / "diatomics" / "diatomics-dft.json.gz"
    read = []
    for formula, curve in content(file)["r2SCAN"].items():
        Z = Element(formula.split("-")[0]).Z
        for energy, forces in zip(curve["energies"], curve["forces"], strict=True):
            read.append(Read([Z, Z], 15 * np.eye(3), energy, forces, None))
    return file, "r2SCAN", read


CONTRACT = {
    "ase": extended_xyz,
    "omat": omat,
    **{name: json_set(name) for name in JSON_SETS},
    "vasprun": vasprun,
    "frames": frames,
    "solids": solids,
    "gpaw": gpaw,
    "elements": elements,
    "atoms": atoms,
    "mlearn": mlearn,
    "diatomics": diatomics,
}


def test_every_reader_has_its_contract() -> None:
    assert CONTRACT.keys() == READERS.keys() == FORMATS.keys()


@pytest.mark.parametrize(("format", "make"), [*CONTRACT.items(), ("ase", database)], ids=[*CONTRACT, "ase database"])
def test_labels_are_those_that_others_read(format: str, make: Any, tmp_path: Path) -> None:
    path, functional, others = make(tmp_path)
    source = open_source(format, path, functional, SCALE if FORMATS[format].label_scale == "needed" else None)
    manifest = write_frames([(source.records(), frozenset())], tmp_path / "out", functional=functional)
    assert manifest["rejected"] == []
    empty = {(entry["label"], name) for entry in manifest["emptied"] for name in entry["frame_ids"]}
    rows = read_frames(tmp_path / "out" / "manifest.json").table.to_pylist()
    assert len(rows) == len(others) > 2
    for row, other in zip(rows, others, strict=True):
        assert row["Z"] == other.numbers
        assert row["energy"] == pytest.approx(other.energy, abs=1e-7)
        np.testing.assert_allclose(np.reshape(row["lattice"], (3, 3)), other.cell, atol=1e-7)
        for name, wanted in (("forces", other.forces), ("stress_gpa", other.stress)):
            if wanted is None or (name, row["frame_id"]) in empty:
                assert row[name] is None
            else:
                np.testing.assert_allclose(row[name], np.ravel(wanted), rtol=2e-6, atol=1e-6)
    assert len(empty) < len(rows)
