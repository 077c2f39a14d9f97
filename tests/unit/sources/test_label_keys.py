"""Which key is the label: files as people have them, with the right numbers after reading back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.db import connect
from ase.units import Bohr, GPa, Hartree, Rydberg
from factories import make_frame, table_of
from layouts import crystal, json_record, json_text
from pydantic import ValidationError

from uprung.config.data import Source
from uprung.config.formats import FORMATS
from uprung.frames.intake import write_frames
from uprung.frames.schema import FramesError
from uprung.frames.table import read_frames
from uprung.sources import OpenSource
from uprung.sources.label_keys import candidates

CASES = Path(__file__).parent / "cases"
MACE = {"energy": "REF_energy", "forces": "REF_forces"}


def fidelity(path: Path, *, format: str = "ase", keys: Any = None, functional: str = "r2SCAN", **options: Any) -> Any:
    """Return the manifest and the rows that a file becomes."""
    scale = "a scale" if FORMATS[format].label_scale == "needed" else None
    source = Source(format=format, file=str(path), label_scale=scale, keys=keys)
    opened, folder = OpenSource(source, path, functional), path.parent / "out"
    if CASES in path.parents:
        folder = options.pop("out")
    manifest = write_frames([(opened.records(), frozenset())], folder, functional=functional, **options)
    return manifest, read_frames(folder / "manifest.json").table.to_pylist()


@pytest.fixture
def truth() -> list[Atoms]:
    """The crystals of the cases, with their labels, as ASE reads them."""
    return ase.io.read(CASES / "nan-energy-extxyz.extxyz", ":")


def assert_labels(row: dict[str, Any], atoms: Atoms, *, stress: bool = True, column: str = "energy") -> None:
    assert row[column] == pytest.approx(atoms.calc.results["energy"], abs=1e-12)
    np.testing.assert_allclose(np.reshape(row["forces"], (-1, 3)), atoms.get_forces(), atol=1e-6)
    if stress:
        wanted = atoms.get_stress(voigt=False) / GPa
        np.testing.assert_allclose(np.reshape(row["stress_gpa"], (3, 3)), wanted, atol=1e-4)
        assert np.abs(wanted).max() > 1
    else:
        assert row["stress_gpa"] is None


# ------------------------------------------------------------------------------------------------------- the cases


def test_names_of_mace_are_told_and_read_when_named(tmp_path: Path, truth: list[Atoms]) -> None:
    path = CASES / "ref-keys.extxyz"
    with pytest.raises(
        FramesError, match=r"no energy \(keys here: REF_forces, REF_energy\); .* under the source's `keys`"
    ):
        fidelity(path, out=tmp_path)
    _, rows = fidelity(path, keys=MACE, out=tmp_path)
    assert len(rows) == 4
    for row, atoms in zip(rows, truth, strict=False):
        assert_labels(row, atoms, stress=False)


def test_a_prediction_beside_the_reference_is_no_label(tmp_path: Path, truth: list[Atoms]) -> None:
    path = CASES / "prediction-beside-ref.extxyz"
    with pytest.raises(FramesError, match=r"high|prediction.*'energy' and 'REF_energy' .*keys: \{energy: REF_energy\}"):
        fidelity(path, out=tmp_path)
    manifest, rows = fidelity(path, keys=MACE, out=tmp_path)
    assert_labels(rows[0], truth[0], stress=False)  # the stress beside the model's energy is the model's
    (emptied,) = manifest["emptied"]
    assert (emptied["label"], len(emptied["frame_ids"])) == ("stress_gpa", 4)
    assert emptied["reason"].startswith("'stress' stands beside 'energy', for which `keys` names 'REF_energy'")
    _, rows = fidelity(path, keys={**MACE, "stress": "stress"}, out=tmp_path)
    assert rows[0]["stress_gpa"] is not None  # the study says so


def test_free_energies_alone_are_a_fidelity_of_free_energies(tmp_path: Path, truth: list[Atoms]) -> None:
    path = CASES / "free-energy-only.extxyz"
    manifest, rows = fidelity(path, energy="energy_free", needed=["energy", "force"], out=tmp_path)
    assert manifest["written"] == 4
    assert_labels(rows[0], truth[0], stress=False, column="energy_free")
    assert {row["energy"] for row in rows} == {None}
    with pytest.raises(FramesError, match="most often: no energy, which `energy: energy` of this fidelity asks for"):
        fidelity(path, energy="energy", out=tmp_path)
    with pytest.raises(FramesError, match=r"no energy, which `energy: energy\+correction`|no correction, which"):
        fidelity(CASES / "nan-energy-extxyz.extxyz", energy="energy+correction", out=tmp_path)


def test_a_virial_is_minus_stress_times_volume(tmp_path: Path, truth: list[Atoms]) -> None:
    path = CASES / "virial-key.extxyz"
    with pytest.raises(FramesError, match=r"no 'stress', but 'virial'; name the label's key under `keys`"):
        fidelity(path, needed=["stress"], out=tmp_path)
    manifest, _ = fidelity(path, out=tmp_path)  # nothing is lost where stress is not trained on
    assert manifest["written"] == 4
    _, rows = fidelity(path, keys={"virial": "virial"}, needed=["stress"], out=tmp_path)
    for row, atoms in zip(rows, truth, strict=False):
        assert_labels(row, atoms)


def test_six_numbers_are_a_stress(tmp_path: Path, truth: list[Atoms]) -> None:
    _, rows = fidelity(CASES / "voigt-stress-extxyz.extxyz", needed=["stress"], out=tmp_path)
    for row, atoms in zip(rows, truth, strict=False):
        assert_labels(row, atoms)


def test_an_energy_that_is_nan_is_one_rejected_frame(tmp_path: Path) -> None:
    manifest, rows = fidelity(CASES / "nan-energy-extxyz.extxyz", energy="energy", out=tmp_path)
    assert len(rows) == 15
    (entry,) = manifest["rejected"]
    assert entry["frame_id"] == "nan-energy-extxyz-5"
    assert entry["reason"].startswith("energy per atom nan")


def test_stresses_that_no_crystal_has_are_refused(tmp_path: Path, truth: list[Atoms]) -> None:
    path = CASES / "gpa-stress-vasp-sign.extxyz"
    with pytest.raises(
        FramesError, match=r"the largest stress of a frame is \d+ GPa .* is it in GPa or kbar in the file"
    ):
        fidelity(path, out=tmp_path)
    _, rows = fidelity(path, keys={"stress": {"key": "stress", "unit": "GPa", "sign": -1}}, out=tmp_path)
    assert_labels(rows[0], truth[0])


def test_a_moment_that_is_null_costs_the_moments_only(tmp_path: Path) -> None:
    path = CASES / "magmom-with-null.json"
    manifest, rows = fidelity(path, format="mptrj", functional="PBE", needed=["energy", "force"], out=tmp_path)
    assert [row["magmom"] is None for row in rows] == [False, True, False]
    records = json.loads(path.read_text())["mp-1"]
    np.testing.assert_allclose(rows[1]["forces"], np.ravel(records["f-1"]["force"]), rtol=1e-6)
    np.testing.assert_allclose(rows[1]["stress_gpa"], -0.1 * np.ravel(records["f-1"]["stress"]), rtol=1e-6)
    assert manifest["emptied"] == [
        {
            "label": "magmom",
            "reason": "magmom is no list of numbers: it holds NoneType",
            "frame_ids": ["f-1"],
        }
    ]
    trained, _ = fidelity(path, format="mptrj", functional="PBE", needed=["magmom"], out=tmp_path)
    assert [entry["frame_id"] for entry in trained["rejected"]] == ["f-1"]


# ------------------------------------------------------------------------------------------------------- their kind


def write_xyz(path: Path, truth: list[Atoms], info: Any = None, columns: Any = None) -> Path:
    """Write crystals with keys of one's own: `info` and `columns` make them of one."""
    plain = []
    for atoms in truth[:4]:
        one = Atoms(atoms.symbols, positions=atoms.positions, cell=atoms.cell, pbc=True)
        one.info.update(info(atoms) if info else {"energy_": atoms.calc.results["energy"]})
        for name, values in (columns(atoms) if columns else {}).items():
            one.new_array(name, values)
        plain.append(one)
    ase.io.write(path, plain, format="extxyz")
    return path


UNITS = {
    "eV": ({"unit": "eV"}, 1.0),
    "Ha": ({"unit": "Ha"}, Hartree),
    "Ry": ({"unit": "Ry"}, Rydberg),
    "kcal/mol": ({"unit": "kcal/mol"}, 0.0433641),
    "per atom": ({"per": "atom"}, 8.0),
}


@pytest.mark.parametrize("name", UNITS)
def test_energies_in_other_units(name: str, tmp_path: Path, truth: list[Atoms]) -> None:
    option, size = UNITS[name]
    path = write_xyz(tmp_path / "x.xyz", truth, lambda a: {"dft_energy": a.calc.results["energy"] / size})
    _, rows = fidelity(path, keys={"energy": {"key": "dft_energy", **option}})
    assert [row["energy"] for row in rows] == pytest.approx([a.calc.results["energy"] for a in truth[:4]], rel=2e-6)


@pytest.mark.parametrize(
    ("option", "size"),
    [
        ({"unit": "Ha/bohr"}, Hartree / Bohr),
        ({"unit": "Ry/bohr"}, Rydberg / Bohr),
        ({"unit": "meV/A"}, 1e-3),
        ({"sign": -1}, -1.0),
        ({"unit": "Ha/bohr", "sign": -1}, -Hartree / Bohr),
    ],
)
def test_forces_in_other_units_and_gradients(option: Any, size: float, tmp_path: Path, truth: list[Atoms]) -> None:
    energy = lambda a: {"energy": a.calc.results["energy"]}  # noqa: E731
    path = write_xyz(tmp_path / "x.xyz", truth, energy, lambda a: {"force": a.get_forces() / size})
    _, rows = fidelity(path, keys={"forces": {"key": "force", **option}})
    np.testing.assert_allclose(np.reshape(rows[2]["forces"], (-1, 3)), truth[2].get_forces(), atol=2e-6)


SHAPES = {
    "voigt": (lambda s: s[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]], {}),
    "vasp": (lambda s: s[[0, 1, 2, 0, 1, 2], [0, 1, 2, 1, 2, 0]], {"order": "vasp"}),
    "rows": (lambda s: s.ravel(), {}),
    "columns": (lambda s: s.T.ravel(), {}),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("unit", "size"), [("GPa", GPa), ("kbar", GPa / 10), ("eV/A3", 1.0), ("Ha/bohr3", Hartree / Bohr**3)]
)
@pytest.mark.parametrize("sign", [1, -1])
def test_stresses_of_every_shape_unit_and_sign(
    shape: str, unit: str, size: float, sign: int, tmp_path: Path, truth: list[Atoms]
) -> None:
    flat, option = SHAPES[shape]

    def info(atoms: Atoms) -> dict[str, Any]:
        tensor = atoms.get_stress(voigt=False) / size * sign
        return {"energy": atoms.calc.results["energy"], "REF_stress": flat(tensor)}

    path = write_xyz(tmp_path / "x.xyz", truth, info)
    _, rows = fidelity(path, keys={"stress": {"key": "REF_stress", "unit": unit, "sign": sign, **option}})
    wanted = truth[1].get_stress(voigt=False) / GPa
    np.testing.assert_allclose(np.reshape(rows[1]["stress_gpa"], (3, 3)), wanted, atol=1e-4)


@pytest.mark.parametrize("key", ["virial", "REF_virials"])
def test_virials_of_every_name(key: str, tmp_path: Path, truth: list[Atoms]) -> None:
    def info(atoms: Atoms) -> dict[str, Any]:
        virial = -atoms.get_stress(voigt=False) * atoms.get_volume()
        return {"energy": atoms.calc.results["energy"], key: virial.ravel()}

    path = write_xyz(tmp_path / "x.xyz", truth, info)
    _, rows = fidelity(path, keys={"virial": key})
    wanted = truth[3].get_stress(voigt=False) / GPa
    np.testing.assert_allclose(np.reshape(rows[3]["stress_gpa"], (3, 3)), wanted, atol=1e-4)


def test_a_left_handed_cell_has_the_stress_of_its_virial(tmp_path: Path, truth: list[Atoms]) -> None:
    atoms = truth[0]
    left = Atoms(atoms.symbols, positions=atoms.positions, cell=atoms.cell.array[[1, 0, 2]], pbc=True)
    assert np.linalg.det(left.cell.array) < 0
    virial = -atoms.get_stress(voigt=False) * atoms.get_volume()
    left.info = {"energy": atoms.calc.results["energy"], "virial": virial.ravel()}
    ase.io.write(tmp_path / "x.xyz", left, format="extxyz")
    _, rows = fidelity(tmp_path / "x.xyz", keys={"virial": "virial"})
    wanted = atoms.get_stress(voigt=False) / GPa
    np.testing.assert_allclose(np.reshape(rows[0]["stress_gpa"], (3, 3)), wanted, atol=1e-4)


def test_a_stress_and_a_virial_that_disagree_are_not_guessed(tmp_path: Path, truth: list[Atoms]) -> None:
    def info(factor: float) -> Any:
        def made(atoms: Atoms) -> dict[str, Any]:
            tensor = atoms.get_stress(voigt=False)
            virial = -factor * tensor * atoms.get_volume()
            return {"energy": atoms.calc.results["energy"], "stress": tensor, "virial": virial.ravel()}

        return made

    _, rows = fidelity(write_xyz(tmp_path / "x.xyz", truth, info(1.0)))
    assert rows[0]["stress_gpa"] is not None
    with pytest.raises(FramesError, match="'stress' and 'virial' have other numbers"):
        fidelity(write_xyz(tmp_path / "x.xyz", truth, info(-1.0)))


@pytest.mark.parametrize("name", ["dft_energy", "MACE_energy", "energy_dft", "total_energy", "DFTEnergy"])
def test_any_second_energy_is_told(name: str, tmp_path: Path, truth: list[Atoms]) -> None:
    def info(change: float) -> Any:
        return lambda a: {"energy": a.calc.results["energy"] + change, name: a.calc.results["energy"]}

    with pytest.raises(FramesError, match=rf"'energy' and '{name}' have other numbers"):
        fidelity(write_xyz(tmp_path / "x.xyz", truth, info(0.5)))
    _, rows = fidelity(write_xyz(tmp_path / "x.xyz", truth, info(0.5)), keys={"energy": name})
    assert rows[0]["energy"] == pytest.approx(truth[0].calc.results["energy"])
    _, rows = fidelity(write_xyz(tmp_path / "x.xyz", truth, info(0.0)))  # twice the same
    assert len(rows) == 4


def test_other_quantities_are_no_second_label() -> None:
    names = "energy energies energy_per_atom formation_energy e_above_hull energy_weight kinetic_energy forces".split()
    found = candidates((*names, "free_energy", "forces_mask", "energy_correction", "vdw_energy"))
    assert found == {"energy": ["energy"], "free_energy": ["free_energy"], "forces": ["forces"]}


def test_isolated_atoms_of_a_training_set_are_listed(tmp_path: Path, truth: list[Atoms]) -> None:
    path = write_xyz(
        tmp_path / "x.xyz",
        truth,
        lambda a: {"REF_energy": 1.0, "config_type": "IsolatedAtom" if a is truth[0] else "Default"},
    )
    manifest, rows = fidelity(path, keys={"energy": "REF_energy"})
    assert len(rows) == 3
    assert manifest["rejected"][0]["reason"].startswith("an isolated atom (config_type)")


@pytest.mark.parametrize("stress", ["1 2 3 4 5", "a b c", "1 2 3 4 5 6 7 8 9", "_JSON [[1, 2], [3, 4]]"])
def test_a_stress_that_is_none_costs_the_stress_only(stress: str, tmp_path: Path, truth: list[Atoms]) -> None:
    lines = (CASES / "voigt-stress-extxyz.extxyz").read_text().splitlines(keepends=True)
    head, _, rest = lines[1].partition('stress="')
    lines[1] = f'{head}stress="{stress}"{rest[rest.index(chr(34)) + 1 :]}'
    (tmp_path / "x.xyz").write_text("".join(lines))
    manifest, rows = fidelity(tmp_path / "x.xyz", needed=["force"])
    assert_labels(rows[0], truth[0], stress=False)
    assert_labels(rows[1], truth[1])
    (emptied,) = manifest["emptied"]
    assert (emptied["label"], emptied["frame_ids"]) == ("stress_gpa", ["x-0"])
    trained, _ = fidelity(tmp_path / "x.xyz", needed=["stress"])
    assert [entry["frame_id"] for entry in trained["rejected"]] == ["x-0"]


# ------------------------------------------------------------------------------------------------ the other readers


def test_keys_of_a_database(tmp_path: Path, truth: list[Atoms]) -> None:
    """Numbers are key-value pairs, arrays lie in the data of a row."""
    with connect(tmp_path / "x.db") as database:
        for atoms in truth[:2]:
            energy, stress = atoms.calc.results["energy"], atoms.get_stress(voigt=False) / GPa * -10
            plain = Atoms(atoms.symbols, positions=atoms.positions, cell=atoms.cell, pbc=True)
            data = {"REF_forces": atoms.get_forces(), "REF_stress": stress}
            plain.calc = SinglePointCalculator(plain, energy=energy + 1)  # a model's
            database.write(plain, REF_energy=energy, data=data)
    with pytest.raises(FramesError, match="'energy' and 'REF_energy' have other numbers"):
        fidelity(tmp_path / "x.db")
    named = {**MACE, "stress": {"key": "REF_stress", "unit": "kbar", "sign": -1}}
    _, rows = fidelity(tmp_path / "x.db", keys=named)
    for row, atoms in zip(rows, truth, strict=False):
        assert_labels(row, atoms)


def test_keys_of_json(tmp_path: Path) -> None:
    c = crystal()
    record = json_record("matpes", "a", c)
    kbar = np.array(c["kbar"])
    record |= {"REF_energy": c["energy"] / Hartree, "REF_stress": (kbar * -0.1).tolist()}
    record["energy"] = 0.0
    (tmp_path / "x.json").write_text(json_text("matpes", {"a": record}))
    stress = {"key": "REF_stress", "unit": "GPa", "sign": 1}
    keys = {"energy": {"key": "REF_energy", "unit": "Ha"}, "stress": stress}
    _, rows = fidelity(tmp_path / "x.json", format="matpes", keys=keys)
    assert rows[0]["energy"] == pytest.approx(c["energy"], rel=1e-7)
    np.testing.assert_allclose(rows[0]["stress_gpa"], np.ravel(-0.1 * kbar), rtol=1e-5)
    _, rows = fidelity(tmp_path / "x.json", format="matpes", keys={"stress": "stress"})  # kbar, VASP's sign, as ever
    np.testing.assert_allclose(rows[0]["stress_gpa"], np.ravel(-0.1 * kbar), rtol=1e-5)
    with pytest.raises(FramesError, match=r"no 'dft' \(keys here: .*REF_energy"):
        fidelity(tmp_path / "x.json", format="matpes", keys={"energy": "dft"})


def test_columns_of_parquet(tmp_path: Path) -> None:
    stress = np.array([[1.0, 0.1, 0], [0.1, 2, 0], [0, 0, 3]])
    table = table_of([make_frame(functional="r2SCAN")]).table.drop_columns(["energy", "forces", "stress_gpa"])
    table = table.append_column("E", pa.array([-0.5])).append_column("F", pa.array([[1.0, 2, 3, 4, 5, 6]]))
    table = table.append_column("S", pa.array([(-10 * stress).ravel().tolist()]))
    pq.write_table(table, tmp_path / "x.parquet")
    with pytest.raises(FramesError, match=r"no column 'energy' .*columns here: .*E, F, S"):
        fidelity(tmp_path / "x.parquet", format="frames")
    keys = {
        "energy": {"key": "E", "unit": "Ha", "per": "atom"},
        "forces": {"key": "F", "sign": -1},
        "stress": {"key": "S", "unit": "kbar", "sign": -1},
    }
    _, rows = fidelity(tmp_path / "x.parquet", format="frames", keys=keys)
    assert rows[0]["energy"] == pytest.approx(-Hartree, rel=1e-6)
    assert rows[0]["forces"] == [-1.0, -2, -3, -4, -5, -6]
    np.testing.assert_allclose(rows[0]["stress_gpa"], stress.ravel(), rtol=1e-6)


@pytest.mark.parametrize(
    ("format", "keys", "message"),
    [
        ("vasprun", {"energy": "e"}, "format 'vasprun' has its own"),
        ("ase", {"energy": {"key": "e", "unit": "GPa"}}, "'GPa' is no unit of this label .*allowed: eV, meV"),
        ("ase", {"stress": "s", "virial": "v"}, "name `stress` or `virial`, not both"),
        ("ase", {"forces": {"key": "f", "order": "vasp"}}, "only a stress or a virial has one"),
        ("ase", {"forces": {"key": "f", "per": "atom"}}, "only an energy may be per atom"),
        ("ase", {"energi": "e"}, "energi"),
    ],
)
def test_keys_that_mean_nothing_are_refused(format: str, keys: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Source(format=format, file="x", label_scale="s", keys=keys)
