"""Whatever holds labelled structures is read alike, and what was found is said."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import ase
import numpy as np
import pandas as pd
import pytest
from pymatgen.entries.computed_entries import ComputedStructureEntry
from pymatgen.io.ase import AseAtomsAdaptor
from structures import atoms, frames, write

import uprung
from uprung.frames.schema import FramesError


def pymatgen_structures() -> list:
    found = []
    for one in atoms():
        structure = AseAtomsAdaptor.get_structure(ase.Atoms(one))
        structure.add_site_property("forces", one.calc.results["forces"].tolist())
        structure.properties = {"energy": one.calc.results["energy"], **one.info}
        found.append(structure)
    return found


def entries() -> list:
    return [
        ComputedStructureEntry(structure, structure.properties["energy"], entry_id=structure.properties["frame_id"])
        for structure in pymatgen_structures()
    ]


def table_of_structures() -> pd.DataFrame:
    rows = atoms()
    return pd.DataFrame(
        {
            "atoms": [ase.Atoms(one) for one in rows],
            "energy": [one.calc.results["energy"] for one in rows],
            "forces": [one.calc.results["forces"] for one in rows],
            **{name: [one.info[name] for one in rows] for name in ("frame_id", "material_id")},
        }
    )


def parquet(folder: Path) -> Path:
    uprung.read(atoms()).table.to_parquet(folder / "frames.parquet")
    return folder / "frames.parquet"


WAYS = {
    "a file": lambda folder: write(folder / "pbe.extxyz"),
    "the name of a file": lambda folder: str(write(folder / "pbe.extxyz")),
    "a Parquet file": parquet,
    "ASE": lambda folder: atoms(),
    "a generator": lambda folder: iter(atoms()),
    "pymatgen": lambda folder: pymatgen_structures(),
    "computed entries": lambda folder: entries(),
    "a table of structures": lambda folder: table_of_structures(),
    "a table of frames": lambda folder: uprung.read(atoms()).table,
    "a reading": lambda folder: uprung.read(atoms()),
    "frames": lambda folder: uprung.read(atoms()).frames,
}


@pytest.mark.parametrize("way", WAYS)
def test_all_ways_give_the_same_structures_and_labels(way: str, tmp_path: Path) -> None:
    found = uprung.read(WAYS[way](tmp_path)).table.set_index("frame_id")
    expected = {frame.frame_id: frame for frame in frames("PBE")}
    assert list(found.index) == list(expected)
    for name, frame in expected.items():
        row = found.loc[name]
        assert row["energy"] == pytest.approx(frame.energy, abs=1e-7)
        np.testing.assert_allclose(row["forces"], frame.forces.ravel(), atol=1e-6)
        np.testing.assert_allclose(row["lattice"], frame.lattice.ravel(), atol=1e-7)
        assert row["material_id"] == frame.material_id


@pytest.mark.parametrize("file", [True, False])
def test_labels_under_other_names_are_found_and_said(tmp_path: Path, file: bool) -> None:
    names = {"energy": "REF_energy", "forces": "dft_forces"}
    found = uprung.read(write(tmp_path / "a.xyz", **names) if file else atoms(**names))
    assert found.keys == names
    assert found.labels["energy"] == found.labels["forces"] == len(frames("PBE"))
    assert "energy 60 (key REF_energy), forces 60 (key dft_forces)" in repr(found)


def test_two_keys_that_may_be_a_label_are_asked_about() -> None:
    structures = atoms(energy="REF_energy", forces="REF_forces")
    for one in structures:
        one.info["mace_energy"] = one.info["REF_energy"] + 1
    with pytest.raises(FramesError, match=r"energy may be any of 'REF_energy', 'mace_energy'; say which: keys="):
        uprung.read(structures)
    found = uprung.read(structures, keys={"energy": "REF_energy", "forces": "REF_forces"})
    assert found.frames.label("energy")[0] == frames("PBE")[0].energy


def test_what_is_left_out_is_said() -> None:
    structures = atoms()
    structures[3].pbc = False
    structures[5].calc.results["energy"] = np.nan
    found = uprung.read([*structures, structures[0]])
    assert len(found) == len(structures) - 2
    assert found.rejected["reason"].str.contains("not periodic|no energy|not finite|beyond|twice|same structure").all()
    assert len(found.rejected) == 3
    assert "left out" in repr(found)


def test_a_functional_is_taken_from_the_structures_or_given() -> None:
    structures = atoms()
    assert uprung.read(structures).functional == "not stated"
    assert uprung.read(structures, functional="PBE").functional == "PBE"
    for one in structures:
        one.info["functional"] = "r2SCAN"
    assert uprung.read(structures).functional == "r2SCAN"
    with pytest.raises(FramesError, match="functional is 'r2SCAN', but this fidelity is 'PBE'"):
        uprung.read(structures, functional="PBE")


def test_the_unit_of_labels_is_held_against_their_sizes() -> None:
    structures = atoms()
    for one in structures:
        one.calc.results["forces"] = one.calc.results["forces"] * 1e3
    with pytest.raises(FramesError, match="meV/Å"):
        uprung.read(structures)


def test_embedded_sets_have_names() -> None:
    dimers = uprung.read("dimers", functional="r2SCAN")
    assert (dimers.functional, "Ce" in dimers.elements, "H" in dimers.elements) == ("r2SCAN", False, True)
    with pytest.raises(FramesError, match="dimers: functional=None \\(allowed: 'PBE', 'r2SCAN'\\)"):
        uprung.read("dimers")


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ("gone.xyz", FramesError, "gone.xyz: there is no such file or folder"),
        ([1, 2], TypeError, "int is no structure (allowed: ase.Atoms"),
        ([], FramesError, "no usable frame"),
        (pd.DataFrame({"energy": [1.0]}), FramesError, "no column 'frame_id'"),
        (None, TypeError, "NoneType is no structure"),
    ],
)
def test_what_is_no_structure_is_refused(given: object, error: type[Exception], words: str) -> None:
    with pytest.raises(error) as caught:
        uprung.read(given)
    assert words in str(caught.value)


def test_a_file_of_another_kind_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('[{"structure": {}, "mine": 1}]')
    with pytest.raises(FramesError, match=r"JSON of no published set.*format="):
        uprung.read(tmp_path / "a.json")


def test_the_package_alone_is_light() -> None:
    code = "import sys, uprung; assert not {'numpy', 'pandas', 'torch'} & {*sys.modules}; print(uprung.read.__name__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "read\n"), done.stderr


def test_the_function_stands_before_the_room_of_its_name() -> None:
    code = """
from uprung.softening.slopes import slope
import uprung
assert callable(uprung.softening) and uprung.softening.__name__ == "softening"
from uprung import softening
assert softening is uprung.softening
from uprung.softening.forces import forces_of
assert "softening" in dir(uprung) and not hasattr(uprung, "gone")
"""
    done = subprocess.run([sys.executable, "-W", "error::ImportWarning", "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
