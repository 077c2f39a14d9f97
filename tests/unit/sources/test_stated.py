"""What records state about their calculation: charge, functional, corrections and settings, in every spelling."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import ase.db
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from factories import make_frame, table_of
from layouts import SCALE, ase_row, crystal, json_record, json_text, write_aselmdb, xyz_text
from test_vasp_settings import opened, read, text

from uprung.frames.schema import FramesError

Found = tuple[list[str], dict[str, str]]


def of_xyz(folder: Path, stated: str, functional: str = "PBE", **allowed: Any) -> Found:
    (folder / "x.xyz").write_text(xyz_text(ase_row(crystal(), "a")).replace("pbc=", f"{stated} pbc="))
    frames, rejected, _ = opened("ase", folder / "x.xyz", functional, SCALE, **allowed)
    return list(frames), rejected


def of_json(folder: Path, stated: dict[str, Any]) -> Found:
    record = {**json_record("mptrj", "a", crystal()), **stated}
    (folder / "x.json").write_text(json_text("mptrj", {"a": record}))
    frames, rejected, _ = opened("mptrj", folder / "x.json")
    return list(frames), rejected


def of_parquet(folder: Path, stated: dict[str, Any]) -> Found:
    table = table_of([make_frame("a")]).table
    for name, value in stated.items():
        table = table.append_column(name, pa.array([value]))
    pq.write_table(table, folder / "x.parquet")
    frames, rejected, _ = opened("frames", folder / "x.parquet")
    return list(frames), rejected


@pytest.mark.parametrize(
    "key", ["charge", "totalcharge", "net-charge", "netCharge", "qtot", "Total_Charge", "molecular_charge"]
)
def test_a_charge_in_every_spelling_and_format(key: str, tmp_path: Path) -> None:
    wanted = ([], {"a": "charge is 1: the cell is charged"})
    assert of_xyz(tmp_path, f"{key}=1") == wanted
    assert of_json(tmp_path, {key: 1}) == wanted
    assert of_json(tmp_path, {"input": {"parameters": {key: 1.0}}}) == wanted
    assert of_parquet(tmp_path, {key: 1}) == wanted
    assert of_xyz(tmp_path, f"{key}=0")[0] == ["a"]


def test_charges_beside_the_columns_of_a_database(tmp_path: Path) -> None:
    atoms = Atoms("LiH", [[0, 0, 0], [1, 1, 1]], cell=[3, 3, 3], pbc=True)
    atoms.calc = SinglePointCalculator(atoms, energy=-6.0)
    with ase.db.connect(tmp_path / "x.db") as database:  # whose own column `charge` is zero
        database.write(atoms, data={"charge": 1})
        database.write(atoms, data={"parameters": {"charge": -1}})
        database.write(atoms, data={"energy": -7.0})
        database.write(atoms, data={"energy": -6.0})
    with pytest.raises(FramesError, match="'energy' and 'data energy' have other numbers"):
        opened("ase", tmp_path / "x.db", "PBE", SCALE)
    with ase.db.connect(tmp_path / "x.db") as database:
        database.delete([3])
    frames, rejected, _ = opened("ase", tmp_path / "x.db", "PBE", SCALE)
    assert (list(frames), list(rejected.values())) == (
        ["x-4"],
        ["charge is 1: the cell is charged", "charge is -1: the cell is charged"],
    )
    rows = [{**ase_row(crystal(), "a"), "data": {"total_charge": 1}}]
    write_aselmdb(tmp_path / "x.aselmdb", rows)
    assert opened("ase", tmp_path / "x.aselmdb", "PBE", SCALE)[1] == {"a": "charge is 1: the cell is charged"}


@pytest.mark.parametrize(
    ("stated", "reason"),
    [
        ("vdw_corr=DFT-D3", "vdw_corr is 'DFT-D3': the label has a dispersion correction"),
        ("VdwCorr=DFT-D3", "vdw_corr is 'DFT-D3': the label has a dispersion correction"),
        ("dispersion-correction=D3BJ", "dispersion_correction is 'D3BJ': the label has a dispersion correction"),
        ("d3=T", "d3 is 'True': the label has a dispersion correction"),
        ("LUSE_VDW=.TRUE.", "luse_vdw is '.TRUE.': the label has a van der Waals functional"),
        ("implicit_solvent=T", "implicit_solvent is 'True': the label has an implicit solvent"),
        ("magnetic_field=0.1", "magnetic_field is '0.1': the label has a magnetic field"),
        ("xc=PBE-D3", "xc is 'PBE-D3', but this fidelity is 'PBE'"),
        ("xc_functional=SCAN", "xc_functional is 'SCAN', but this fidelity is 'PBE'"),
        ("xc=MGGA_X_R2SCAN+MGGA_C_R2SCAN", "xc is 'MGGA_X_R2SCAN+MGGA_C_R2SCAN', but this fidelity is 'PBE'"),
        ("GGA=PS", "gga is 'PBEsol', but this fidelity is 'PBE'"),
        ("metagga=R2SCAN GGA=PE", "metagga is 'r2SCAN', but this fidelity is 'PBE'"),
    ],
)
def test_another_label_than_the_functionals(stated: str, reason: str, tmp_path: Path) -> None:
    assert of_xyz(tmp_path, stated) == ([], {"a": reason})


@pytest.mark.parametrize(
    ("stated", "functional"),
    [
        ("xc=pbe", "PBE"),
        ("xc=PBE+U", "PBE"),
        ("xc=GGA_X_PBE+GGA_C_PBE", "PBE"),
        ("gga=PE metagga=--", "PBE"),
        ("gga=PE metagga=R2SCAN", "r2SCAN"),
        ("xc=PBE vdw_corr=D3BJ", "PBE+D3(BJ)"),
        ("xc=PBE lsorbit=T", "PBE+SOC"),
        ("vdw=none solvent=vacuum d3=F ivdw=0 efield=0.0", "PBE"),
    ],
)
def test_what_says_the_same_passes(stated: str, functional: str, tmp_path: Path) -> None:
    assert of_xyz(tmp_path, stated, functional) == (["a"], {})


def test_the_study_states_what_is_meant(tmp_path: Path) -> None:
    assert of_xyz(tmp_path, "xc=SCAN-L d3=T", xc="SCAN-L", d3="any") == (["a"], {})
    assert of_parquet(tmp_path, {"IVDW": 12})[1] == {"a": "ivdw is '12': the label has a dispersion correction"}


@pytest.mark.parametrize(
    ("first", "second", "reason"),
    [
        ({"hubbards": {"Fe": 5.3}}, {"hubbards": {"Fe": 4.0}}, "U of Fe with O is '4.0' here, '5.3' in"),
        ({"hubbards": {"Fe": 5.3}}, {"input": {"hubbards": {}}}, "U of Fe with O is '0' here, '5.3' in"),
        (
            {"potcar_symbols": ["PBE Fe_pv", "PBE Li_sv", "PBE O"]},
            {"potcar_symbols": ["PBE Fe", "PBE Li_sv", "PBE O"]},
            "potential of Fe is 'PBE Fe' here, 'PBE Fe_pv' in",
        ),
        (
            {"potcar_spec": [{"titel": "PAW_PBE Li 17Jan2003"}]},
            {"potcar_spec": [{"titel": "PAW_PBE Li_sv 10Sep2004"}]},
            "potential of Li is 'PAW_PBE Li_sv 10Sep2004' here, 'PAW_PBE Li 17Jan2003' in",
        ),
        ({"pseudopotentials": {"O": "O.upf"}}, {"pseudopotentials": {"O": "O_h.upf"}}, "potential of O is 'O_h.upf'"),
        ({"k_density": 4}, {"kDensity": 5}, "k_density is '5' here, '4' in"),
    ],
)
def test_records_have_one_value_of_each(first: Any, second: Any, reason: str, tmp_path: Path) -> None:
    records = {name: {**json_record("mptrj", name, crystal()), **said} for name, said in (("a", first), ("b", second))}
    (tmp_path / "x.json").write_text(json.dumps({"mp-1": records}))
    frames, rejected, _ = opened("mptrj", tmp_path / "x.json")
    assert list(frames) == ["a"]
    assert rejected["b"].startswith(f"mixed label scales: {reason}")


def test_a_name_under_settings_that_nobody_has_is_refused(tmp_path: Path) -> None:
    runs = {"a": text("ENCUT=520"), "b": text("ENCUT=680", seed=1)}
    with pytest.raises(FramesError, match=r"settings: no run or record has a setting 'ENCTU'; did you mean 'ENCUT'\?"):
        read(tmp_path, runs, ENCTU=[520, 680])
    for name, meant in (
        ("encut", "ENCUT"),
        ("U of Fe with o", "U of Fe with O"),
        ("Potential of Li", "potential of Li"),
    ):
        with pytest.raises(FramesError, match=f"has a setting '{name}'; did you mean '{meant}'"):
            opened("vasprun", tmp_path, "PBE", SCALE, **{name: "any"})
    # those that runs may have are no mistake where none of these has them
    assert len(opened("vasprun", tmp_path, "PBE", SCALE, ENCUT=[520, 680], NUPDOWN="any", charge="any")[0]) == 2
    with pytest.raises(FramesError, match=r"has a setting 'ecnut'; did you mean 'encut'"):
        of_xyz(tmp_path, "encut=520", ecnut=520)
    with pytest.raises(FramesError, match=r"has a setting 'ecnut' \(here: none\)"):
        of_xyz(tmp_path, "note=1", ecnut=520)


def test_a_key_of_extended_xyz_given_twice_costs_the_frame(tmp_path: Path) -> None:
    for twice in ("energy=-99.0", 'Lattice="1 0 0 0 1 0 0 0 1"', "a='x = 1' a=[1, 2]", 'a={"b": 1} a="c d=2"'):
        frames, rejected = of_xyz(tmp_path, twice)
        assert (frames, rejected["x-0"][-14:]) == ([], "is given twice"), twice
    assert of_xyz(tmp_path, """a="energy=1" b='energy = 2' c=[energy=3] d={energy=4} e""")[0] == ["a"]
