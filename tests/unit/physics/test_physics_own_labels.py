"""Own labels as references: labels by EMT in the place of GPAW, so that EMT as the network gives their values back."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.units import GPa

from uprung.config.physics import PhysicsSet
from uprung.dft.labels import Engine, compute
from uprung.physics import cells, own_labels
from uprung.physics.compute import outcome
from uprung.physics.equation_of_state import equation_of_state
from uprung.physics.references import Material, read_set
from uprung.physics.results import Accuracy, Outcome
from uprung.physics.surfaces import face

ENGINE = Engine(
    {"code": "EMT", "setups": "none", "libxc": "none"}, lambda scheme, kpts: EMT(), lambda error, scheme: None
)
ALL = cells.cells()
FILES = {test: test for test in own_labels.NEEDED} | {"frozen-phonons": "phonons", "vacancy-cells": "vacancies"}
Record = dict[str, Any]


@pytest.fixture(scope="module")
def aluminium() -> dict[str, list[Record]]:
    """Return the labels of all cells of aluminium, by property."""
    found = defaultdict[str, list[Record]](list)
    for cell in ALL:
        if cell.crystal == "Al":
            found[cell.name.split("/")[0]].append(compute(cell.structure, cell.scheme("PBE"), ENGINE))
    return found


def asked(test: str, records: list[Record], folder: Path, functional: str = "PBE") -> list[Material]:
    file = folder / "labels.jsonl"
    file.write_text("".join(json.dumps(record) + "\n" for record in records))
    return read_set(PhysicsSet(test=test, functional=functional, files=[str(file)]), [file])


def answers(test: str, records: list[Record], folder: Path) -> list[Outcome]:
    entry = PhysicsSet(test=test, functional="PBE", files=["none"])
    return [outcome(material, entry, EMT(), Accuracy()) for material in asked(test, records, folder)]


@pytest.mark.parametrize("test", [test for test in FILES if test != "mixing"])
def test_who_labelled_the_cells_gives_the_values_back(
    test: str, aluminium: dict[str, list[Record]], tmp_path: Path
) -> None:
    values = [value for each in answers(test, aluminium[FILES[test]], tmp_path) for value in each.values]
    assert values
    for value in values:
        assert not value.reason
        assert np.isfinite(value.reference)
        # labels have six decimals of forces and eight of stresses
        assert value.predicted == pytest.approx(value.reference, rel=1e-4), value


def test_a_mixture_has_energies_relative_to_its_ends(tmp_path: Path) -> None:
    ends = [record("mixing/CuNi-AuNi/" + key, bulk("CuNi", "rocksalt", a=5.2), -1.0 - k) for k, key in enumerate("CA")]
    ends[1]["numbers"][0] = 79
    middle = bulk("CuNi", "rocksalt", a=5.2).repeat((2, 1, 1))
    middle.numbers[2] = 79
    (found,) = asked("mixing", [*ends, record("mixing/CuNi-AuNi/1", middle, -2.6)], tmp_path)
    assert found.references["x"] == [0, 1, 0.5]
    entry = PhysicsSet(test="mixing", functional="PBE", files=["none"])
    (value,) = outcome(found, entry, EMT(), Accuracy()).values
    assert value.reference == pytest.approx(1e3 * (-2.6 / 4 - (-0.5 - 1.0) / 2))


def test_a_series_without_its_second_end_is_a_reason(tmp_path: Path) -> None:
    end = record("mixing/MgO-CaO/Mg", cells.rest("MgO"), -12.0)
    (found,) = asked("mixing", [end], tmp_path)
    assert "two elements of which some cells have one" in found.unusable


def record(name: str, atoms: Any, energy: float, **more: Any) -> Record:
    return {
        **{"id": name, "material": name.rpartition("/")[0], "xc": "PBE", "energy": energy, "free_energy": energy},
        **{"numbers": atoms.numbers.tolist(), "cell": atoms.cell.array.tolist(), "positions": atoms.positions.tolist()},
        **{"forces": np.zeros((len(atoms), 3)).tolist(), "stress": np.zeros((3, 3)).tolist(), "kpts": [1, 1, 1]},
        "settings": {**ENGINE.versions, "cutoff": 450.0, "k_density": 2.0, "smearing": 0.1},
        **more,
    }


def test_elastic_constants_are_those_of_small_strains(aluminium: dict[str, list[Record]], tmp_path: Path) -> None:
    values = {
        v.quantity: v.reference
        for v in answers("elastic-constants", aluminium["elastic-constants"], tmp_path)[0].values
    }
    crystal = cells.rest("Al")

    def stress(strain: np.ndarray) -> np.ndarray:
        atoms = crystal.copy()
        atoms.set_cell(crystal.cell.array @ (np.eye(3) + strain), scale_atoms=True)
        atoms.calc = EMT()
        return np.asarray(atoms.get_stress(voigt=False)) / GPa

    one, shear = 1e-4 * np.diag([1.0, 0, 0]), 1e-4 * np.array([[0, 1.0, 0], [1, 0, 0], [0, 0, 0]])
    slope = (stress(one) - stress(-one)) / 2e-4
    assert values["C11"] == pytest.approx(slope[0, 0], rel=0.03)
    assert values["C12"] == pytest.approx(slope[1, 1], rel=0.03)
    assert values["C44"] == pytest.approx((stress(shear) - stress(-shear))[0, 1] / 4e-4, rel=0.03)


def test_volume_and_bulk_modulus_are_those_of_the_equation_of_state(
    aluminium: dict[str, list[Record]], tmp_path: Path
) -> None:
    shuffled = [aluminium["equation-of-state"][k] for k in (2, 0, 6, 1, 5, 3, 4)]
    (found,) = answers("equation-of-state", shuffled, tmp_path)
    own = equation_of_state(cells.rest("Al"), EMT(), strain=0.03, points=7)
    assert [value.reference for value in found.values] == pytest.approx([own.volume, own.bulk])


def test_a_vacancy_is_relative_to_as_many_atoms_of_the_crystal(
    aluminium: dict[str, list[Record]], tmp_path: Path
) -> None:
    (found,) = answers("vacancy-cells", aluminium["vacancies"], tmp_path)
    whole = cells.rest("Al").repeat(2)
    vacant = whole.copy()
    del vacant[3]
    one, other = EMT(), EMT()
    energy = one.get_potential_energy(vacant) - 7 / 8 * other.get_potential_energy(whole)
    assert found.values[0].reference == pytest.approx(energy)


def test_frequencies_are_those_of_phonopy_with_smaller_displacements(
    aluminium: dict[str, list[Record]], tmp_path: Path
) -> None:
    from uprung.physics import phonons

    (found,) = answers("frozen-phonons", aluminium["phonons"], tmp_path)
    crystal = cells.rest("Al")
    phonon = phonons.computed(crystal, EMT(), [2, 2, 2])
    phonons.translated(phonon)
    own = {
        f"{point} {k}": f for point, all_ in phonons.at_corners(phonon, crystal).items() for k, f in enumerate(all_, 1)
    }
    assert {value.key: value.reference for value in found.values} == pytest.approx(own, rel=1e-3)
    assert set(own) == {f"{point} {k}" for point in "LX" for k in (1, 2, 3)}


def test_a_barrier_is_that_of_the_whole_path(aluminium: dict[str, list[Record]], tmp_path: Path) -> None:
    from uprung.physics.barriers import along

    (found,) = answers("paths", aluminium["paths"], tmp_path)
    first, quarter, middle = (
        cell.atoms for cell in sorted(ALL, key=lambda c: c.name) if cell.name.startswith("paths/Al/")
    )
    jumper = int(np.linalg.norm(middle.positions - first.positions, axis=1).argmax())
    others = []
    for place in (1.5, 2.0):  # the same jump, to its end
        image = first.copy()
        image.positions[jumper] += place * (middle.positions - first.positions)[jumper]
        others.append(image)
    whole = along([first, quarter, middle, *others], EMT())
    assert found.values[0].reference == pytest.approx(whole.height)
    assert found.values[1].reference == pytest.approx(whole.curvature)
    assert found.curves[0].x == pytest.approx(whole.path)


@pytest.mark.parametrize(
    ("test", "key", "reason"),
    [
        ("elastic-constants", "xx -0.01", "xx -0.01: not labelled yet"),
        ("frozen-phonons", "displacement 0", "displacement 0: not labelled yet"),
        ("frozen-phonons", "crystal", "crystal: not labelled yet"),
        ("surfaces", "(1 1 0) slab", "(1 1 0) slab: not labelled yet"),
        ("vacancy-cells", "vacancy", "vacancy: not labelled yet"),
        ("paths", "0.5", "0.5: not labelled yet"),
    ],
)
def test_what_is_not_labelled_yet_is_a_reason(
    test: str, key: str, reason: str, aluminium: dict[str, list[Record]], tmp_path: Path
) -> None:
    whole = aluminium[FILES[test]]
    left = [each for each in whole if not each["id"].endswith(f"/{key}")]
    found = asked(test, left, tmp_path)
    assert [each.unusable for each in found if each.unusable] == [reason]
    no_label = [each if each in left else {**each, "unusable": "SCF not converged in 80 steps"} for each in whole]
    found = asked(test, no_label, tmp_path)
    (why,) = [each.unusable for each in found if each.unusable]
    assert why == f"{key}: no label: SCF not converged in 80 steps"


def test_a_volume_without_label_is_a_row_and_the_others_are_fitted(
    aluminium: dict[str, list[Record]], tmp_path: Path
) -> None:
    first, *others = aluminium["equation-of-state"]
    fitted, without = answers("equation-of-state", [{**first, "unusable": "nothing"}, *others], tmp_path)
    assert fitted.values[0].reference > 0
    assert without.values[0].reason.endswith("no label: nothing")


@pytest.mark.parametrize("some", [(1, 2, 3), (1, 2, 3, 4)])
def test_too_few_volumes_are_a_reason(
    some: tuple[int, ...], aluminium: dict[str, list[Record]], tmp_path: Path
) -> None:
    (found,) = answers("equation-of-state", [aluminium["equation-of-state"][k] for k in some], tmp_path)
    assert {value.reason for value in found.values} == {
        f"equation of state: {len(some)} volumes, 5 at least are needed"
    }


def test_functionals_are_told_apart(aluminium: dict[str, list[Record]], tmp_path: Path) -> None:
    records = aluminium["vacancies"]
    other = [{**each, "xc": "r2SCAN", "free_energy": 2 * each["free_energy"]} for each in records]
    pbe, r2scan = (asked("vacancy-cells", [*records, *other], tmp_path, xc) for xc in ("PBE", "r2SCAN"))
    assert np.array(r2scan[0].references["energies"]) == pytest.approx(2 * np.array(pbe[0].references["energies"]))
    with pytest.raises(ValueError, match="no material"):
        asked("vacancy-cells", records, tmp_path, "r2SCAN")
    with pytest.raises(ValueError, match=r"'vacancies/Al/\w+' is there twice at PBE"):
        asked("vacancy-cells", [*records, records[0]], tmp_path)


@pytest.mark.parametrize(
    ("test", "line"),
    [
        ("paths", "{}"),
        ("paths", '{"xc": "PBE", "id": "one"}'),
        ("paths", '{"xc": "PBE", "id": "paths/Al/first"}'),
        ("elastic-constants", '{"xc": "PBE", "id": "elastic-constants/Al/sideways"}'),
        ("elastic-constants", '{"xc": "PBE", "id": "elastic-constants/Al/xx far"}'),
        ("surfaces", "[]"),
        ("volumes", "{}"),
    ],
)
def test_files_of_another_layout_are_one_line(test: str, line: str, tmp_path: Path) -> None:
    file = tmp_path / "labels.jsonl"
    file.write_text(line + "\n")
    with pytest.raises(ValueError, match=r"laid out|JSON object|does not read") as error:
        read_set(PhysicsSet(test=test, functional="PBE", files=[str(file)]), [file])
    assert "\n" not in str(error.value)


def test_published_files_do_not_serve_tests_of_own_labels() -> None:
    entry = PhysicsSet(test="paths", functional="PBE", files=["values.json"])
    with pytest.raises(ValueError, match=r"`test: paths` does not read values\.json"):
        read_set(entry, entry.files)


class Broken(EMT):
    def calculate(self, *args: Any, **options: Any) -> None:
        super().calculate(*args, **options)
        self.results["energy"] = np.nan


def test_a_network_that_fails_on_a_cell_is_a_reason(aluminium: dict[str, list[Record]], tmp_path: Path) -> None:
    (material,) = asked("vacancy-cells", aluminium["vacancies"], tmp_path)
    entry = PhysicsSet(test="vacancy-cells", functional="PBE", files=["none"])
    (value,) = outcome(material, entry, Broken(), Accuracy()).values
    assert np.isnan(value.predicted)
    assert "not finite" in value.reason


def test_cells_are_what_they_are_called() -> None:
    names = [cell.name for cell in ALL]
    assert len(set(names)) == len(names)
    assert {name.split("/")[0] for name in names} == set(FILES.values())
    for cell in ALL:
        distances = cell.atoms.get_all_distances(mic=True)[np.triu_indices(len(cell.atoms), 1)]
        assert len(cell.atoms) <= 8
        assert distances.min(initial=9) > 1.4
        if cell.name.endswith("slab"):
            crystal = next(other for other in ALL if other.name == cell.name.replace("slab", "crystal"))
            assert len(cell.atoms) % len(crystal.atoms) == 0
            area = np.linalg.norm(np.cross(*crystal.atoms.cell.array[:2]))
            assert face(cell.atoms) == pytest.approx(area)
            assert cell.structure.kpts[:2] == crystal.structure.kpts[:2]


@pytest.mark.parametrize("cell", [cell for cell in ALL if cell.name.endswith("slab")], ids=lambda cell: cell.name)
def test_the_middle_of_a_slab_is_where_the_grid_has_a_plane(cell: cells.FixedCell) -> None:
    """Off it the halves see different grids: their forces differed by 0.06 eV/Å in r2SCAN."""
    centred = np.sort((cell.atoms.get_scaled_positions()[:, 2] + 0.5) % 1)
    np.testing.assert_allclose(centred + centred[::-1], 1, atol=1e-9)


def test_arrangements_are_counted_as_in_the_literature() -> None:
    assert [len(cells.arrangements(sites)) for sites in (2, 3, 4)] == [2, 6, 19]


def test_vacancies_and_images_keep_the_k_grid_of_the_crystal() -> None:
    grids = {cell.name: cell.structure.kpts for cell in ALL}
    for name in cells.CRYSTALS:
        assert grids[f"vacancies/{name}/vacancy"] == grids[f"vacancies/{name}/crystal"]
        own = {
            grid
            for key, grid in grids.items()
            if key.startswith((f"equation-of-state/{name}/", f"elastic-constants/{name}/"))
        }
        assert len(own) == 1
