from __future__ import annotations

import json
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase.build import bulk
from hypothesis import given
from hypothesis import strategies as st

from uprung.dft.structures import (
    Structure,
    StructuresError,
    chunk,
    count_structures,
    grid,
    number_of_chunks,
    read_structures,
)
from uprung.frames.intake import write_frames
from uprung.frames.schema import Frame


def written(folder: Path, *atoms: ase.Atoms, name: str = "some.extxyz") -> Path:
    ase.io.write(folder / name, list(atoms))
    return folder / name


def silicon(scale: float = 1.0, **info: object) -> ase.Atoms:
    atoms = bulk("Si", a=5.43 * scale)
    atoms.info.update(info)
    return atoms


# ------------------------------------------------------------------------------------------------------- k grids


def test_the_grid_of_a_cubic_cell_follows_from_its_edge() -> None:
    # 2π/4 Å⁻¹ · 1.5 Å = 2.36, rounded up; an edge four times as long needs a quarter
    assert grid(bulk("NaCl", "cesiumchloride", a=4.0), 1.5) == (3, 3, 3)
    assert grid(bulk("NaCl", "cesiumchloride", a=16.0), 1.5) == (1, 1, 1)
    assert grid(bulk("NaCl", "cesiumchloride", a=4.0).repeat((2, 1, 1)), 1.5) == (2, 3, 3)


@given(edge=st.floats(1.0, 30.0), density=st.floats(0.5, 10.0))
def test_a_grid_is_the_smallest_that_is_dense_enough(edge: float, density: float) -> None:
    n = grid(bulk("NaCl", "cesiumchloride", a=edge), density)[0]
    needed = density * 2 * np.pi / edge
    assert n >= needed - 1e-9
    assert n == 1 or n - 1 < needed + 1e-9


def test_a_material_has_one_grid_the_largest_that_is_needed(tmp_path: Path) -> None:
    atoms = [silicon(scale) for scale in (0.6, 1.0, 1.4)]
    alone = [grid(a, 1.5) for a in atoms]
    assert len(set(alone)) == 3  # else this test says nothing
    found = read_structures(written(tmp_path, *atoms), 1.5)
    assert {s.kpts for s in found} == {max(alone)}


def test_the_largest_is_taken_along_each_vector(tmp_path: Path) -> None:
    cells = [ase.Atoms("He", cell=edges, pbc=True) for edges in ((3.0, 6.0, 9.0), (9.0, 6.0, 3.0))]
    first, second = (grid(a, 1.5) for a in cells)
    assert first[0] > second[0]
    assert first[2] < second[2]
    found = read_structures(written(tmp_path, *cells), 1.5)
    assert {s.kpts for s in found} == {(first[0], first[1], second[2])}


def test_a_supercell_has_a_grid_of_its_own(tmp_path: Path) -> None:
    atoms = [silicon(material_id="Si"), silicon(material_id="Si").repeat((2, 2, 2))]
    small, large = read_structures(written(tmp_path, *atoms), 1.5)
    assert small.material == large.material
    assert max(large.kpts) < min(small.kpts)


def test_a_stated_grid_holds_for_the_whole_material(tmp_path: Path) -> None:
    found = read_structures(written(tmp_path, silicon(kpts=[7, 6, 5]), silicon(1.1), bulk("Ge")), 1.5)
    assert [s.kpts for s in found[:2]] == [(7, 6, 5)] * 2
    assert found[2].kpts == grid(bulk("Ge"), 1.5)


@pytest.mark.parametrize("kpts", [[4, 4], [4, 4, 0], [1.5, 2.5, 3.5], "dense"])
def test_a_senseless_grid_is_refused(tmp_path: Path, kpts: object) -> None:
    with pytest.raises(StructuresError, match=r"some\.extxyz: structure 1: kpts .* are not three numbers of k points"):
        read_structures(written(tmp_path, silicon(frame_id="a"), silicon(kpts=kpts)), 1.5)


def test_two_stated_grids_of_a_material_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path, silicon(kpts=[4, 4, 4]), silicon(kpts=[5, 5, 5]))
    with pytest.raises(StructuresError, match=r"structure 1: kpts \(5, 5, 5\), but .* 'Si' has \(4, 4, 4\)"):
        read_structures(path, 1.5)


# --------------------------------------------------------------------------------------------------------- names


def test_names_and_materials_come_from_the_info_or_else_from_file_and_formula(tmp_path: Path) -> None:
    named = silicon(frame_id="mine", material_id="mp-149", trajectory="hot-1")
    found = read_structures(written(tmp_path, named, bulk("MgO", "rocksalt", a=4.2).repeat((2, 1, 1))), 1.5)
    told = [(s.name, s.material, s.trajectory) for s in found]
    assert told == [("mine", "mp-149", "hot-1"), ("some-1", "MgO", None)]


def test_a_name_that_occurs_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StructuresError, match="the name 'same' occurs twice"):
        read_structures(written(tmp_path, silicon(frame_id="same"), silicon(1.1, frame_id="same")), 1.5)


# --------------------------------------------------------------------------------------------------------- files


def test_geometry_is_that_of_the_file_and_moments_are_left_behind(tmp_path: Path) -> None:
    iron = bulk("Fe")
    iron.set_initial_magnetic_moments([2.2])
    (found,) = read_structures(written(tmp_path, iron), 1.5)
    assert not found.atoms.get_initial_magnetic_moments().any()
    np.testing.assert_allclose(found.atoms.positions, iron.positions, atol=1e-7)
    np.testing.assert_allclose(found.atoms.cell.array, iron.cell.array, atol=1e-7)
    assert found.atoms.pbc.all()


@pytest.mark.parametrize("name", ["a.cif", "POSCAR", "a.json", "a.traj", "a.xyz", "a.extxyz"])
def test_whatever_ase_reads_is_read_and_counted(tmp_path: Path, name: str) -> None:
    path = written(tmp_path, bulk("MgO", "rocksalt", a=4.2), name=name)
    assert count_structures(path) == len(read_structures(path, 1.5)) == 1


def test_a_folder_is_read_in_the_order_of_names(tmp_path: Path) -> None:
    for name, element in (("b.cif", "Ge"), ("a.cif", "Si")):
        written(tmp_path, bulk(element), name=name)
    assert [s.material for s in read_structures(tmp_path, 1.5)] == ["Si", "Ge"]
    assert count_structures(tmp_path) == 2


def test_a_frames_table_is_read(tmp_path: Path) -> None:
    atoms = [silicon(scale) for scale in (1.0, 1.1)]
    frames = [
        Frame(
            frame_id=f"f{n}",
            material_id="mp-149",
            source="x",
            functional="PBE",
            run_type="x",
            label_scale="x",
            Z=a.numbers.astype(np.uint8),
            lattice=a.cell.array,
            frac=a.get_scaled_positions(),
            energy=-1.0,
            trajectory="hot-1" if n else None,
        )
        for n, a in enumerate(atoms)
    ]
    write_frames([(frames, frozenset())], tmp_path / "pbe", functional="PBE")
    for path in (tmp_path / "pbe", tmp_path / "pbe" / "part-00000.parquet"):
        found = read_structures(path, 1.5)
        told = [(s.name, s.material, s.trajectory) for s in found]
        assert told == [("f0", "mp-149", None), ("f1", "mp-149", "hot-1")]
        np.testing.assert_allclose(found[1].atoms.positions, atoms[1].positions, atol=1e-12)
        assert count_structures(path) == 2


def test_unusable_files_are_told(tmp_path: Path) -> None:
    (tmp_path / "x.cif").write_text("no structure")
    with pytest.raises(StructuresError, match=r"x\.cif: (cannot be read|no structure)"):
        read_structures(tmp_path / "x.cif", 1.5)
    (tmp_path / "x.extxyz").write_text("no structure\n")
    with pytest.raises(StructuresError, match=r"expected a number of atoms, but found 'no structure'"):
        count_structures(tmp_path / "x.extxyz")
    (tmp_path / "empty").mkdir()
    for read in (lambda p: read_structures(p, 1.5), lambda p: number_of_chunks(p, 10)):
        with pytest.raises(StructuresError, match="empty: no structure in it"):
            read(tmp_path / "empty")


def test_a_molecule_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StructuresError, match="structure 0 is not periodic in all directions"):
        read_structures(written(tmp_path, ase.Atoms("H2", [[0, 0, 0], [0, 0, 0.7]]), name="a.traj"), 1.5)


# -------------------------------------------------------------------------------------------------------- chunks


@given(count=st.integers(1, 60), size=st.integers(1, 25))
def test_chunks_hold_every_structure_once_in_order(count: int, size: int) -> None:
    everything = [Structure(str(n), "Si", bulk("Si"), (1, 1, 1)) for n in range(count)]
    parts = [chunk(everything, size, number) for number in range(-(-count // size))]
    assert [s.name for part in parts for s in part] == [s.name for s in everything]
    assert all(0 < len(part) <= size for part in parts)


def test_the_number_of_chunks_is_counted_without_parsing(tmp_path: Path) -> None:
    path = written(tmp_path, *(silicon(frame_id=str(n)) for n in range(7)))
    assert [number_of_chunks(path, size) for size in (1, 3, 7, 100)] == [7, 3, 1, 1]


def test_appended_structures_leave_full_chunks_alone(tmp_path: Path) -> None:
    few = read_structures(written(tmp_path, *(silicon(frame_id=str(n)) for n in range(5))), 1.5)
    more = read_structures(written(tmp_path, *(silicon(frame_id=str(n)) for n in range(9))), 1.5)
    for number in (0, 1):
        old, new = chunk(few, 2, number), chunk(more, 2, number)
        assert [s.name for s in old] == [s.name for s in new]
    assert json.dumps([s.kpts for s in few[:4]]) == json.dumps([s.kpts for s in more[:4]])


POSCAR = """title
1.0
4.2 0 0
0 4.2 0
0 0 4.2
Mg D
1 2
Direct
0 0 0
.3 .3 .3
.7 .7 .7
"""
XYZ = """3
Lattice="4.2 0 0 0 4.2 0 0 0 4.2" Properties=species:S:1:pos:R:3 pbc="T T T"
Mg 0 0 0
T 1 1 1
D 3 3 3
"""


@pytest.mark.parametrize(("name", "text"), [("POSCAR", POSCAR), ("a.xyz", XYZ)])
def test_isotopes_a_mark_and_line_ends_of_windows(name: str, text: str, tmp_path: Path) -> None:
    for k, content in enumerate((text, "\ufeff" + text, text.replace("\n", "\r\n"))):
        (tmp_path / str(k)).mkdir()
        path = tmp_path / str(k) / name
        path.write_bytes(content.encode())
        assert count_structures(path) == 1
        (found,) = read_structures(path, 4.0)
        assert found.atoms.numbers.tolist() == [12, 1, 1]


def test_another_encoding_matters_only_where_names_stand(tmp_path: Path) -> None:
    (tmp_path / "POSCAR").write_bytes(POSCAR.replace("title", "Ångström").encode("latin-1"))
    assert len(read_structures(tmp_path / "POSCAR", 4.0)) == 1
    (tmp_path / "a.xyz").write_bytes(XYZ.replace("pbc=", "frame_id=Ångström pbc=").encode("latin-1"))
    with pytest.raises(StructuresError, match=r"a\.xyz: cannot be read: UnicodeDecodeError"):
        read_structures(tmp_path / "a.xyz", 4.0)
