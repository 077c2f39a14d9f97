"""Readers of published values: what the embedded files hold, and messages about files that hold something else."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from uprung.config.physics import PhysicsSet
from uprung.config.short import presets
from uprung.physics.cells import CRYSTALS
from uprung.physics.references import read_set
from uprung.physics.surfaces import face

ROOT = Path(__file__).parents[3]
EVERY = {name: PhysicsSet.model_validate(entry[name]) for name, entry in presets()["physics"].items()}
OWN = {name: entry for name, entry in EVERY.items() if name.startswith("own-")}
PRESETS = {name: entry for name, entry in EVERY.items() if name not in OWN}
COUNTS = {
    **{"surfaces": 4, "vacancies": 57, "vacancies-hcp": 57, "mixing": 1},
    **{"elasticity": 27, "heat-capacity": 21, "volumes": 40, "formation-energy": 40, "phonons": 1},
}


def read(name: str, **options: object):
    entry = PRESETS[name].model_copy(update=options)
    return read_set(entry, [ROOT / file for file in entry.files])


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_read(name: str) -> None:
    found = read(name)
    assert len(found) == COUNTS[name]
    unusable = [material.name for material in found if material.unusable]
    assert unusable == (["Ge"] if name == "surfaces" else [])
    assert PRESETS[name].functional == "PBE"
    assert PRESETS[name].caveat


@pytest.mark.parametrize("name", OWN)
def test_presets_of_own_labels_are_read(name: str) -> None:
    entry = OWN[name]
    found = read_set(entry, [ROOT / file for file in entry.files])
    assert entry.functional == ("r2SCAN" if name.endswith("-r2scan") else "PBE")
    assert entry.caveat
    assert {name for material in found for name in material.name.split("-")} <= set(CRYSTALS)
    parts = [part for material in found if material.unusable for part in material.unusable.split("; ")]
    assert {part.split(": ")[1] for part in parts} <= {"not labelled yet", "no label"}


def test_slabs_are_slabs_and_have_the_energies_of_their_files() -> None:
    for material in read("surfaces", materials=["Li", "Si", "Mo"]):
        bulk, *slabs = material.structures
        assert len(slabs) >= 11
        for energy, slab in zip(material.references["energies"][1:], slabs, strict=True):
            excess = energy - len(slab) * material.references["energies"][0] / len(bulk)
            assert 0.2 < excess / (2 * face(slab)) * 16.02 < 4  # J/m²
    assert "(1 1 0)" in read("surfaces", materials=["Mo"])[0].keys


def test_slabs_of_another_scale_than_their_crystal_are_unusable() -> None:
    (germanium,) = read("surfaces", materials=["Ge"])
    assert "extrapolate to a crystal -104 ± 26 meV/atom off" in germanium.unusable


def test_slabs_without_a_crystal_of_the_same_settings_are_unusable(tmp_path: Path) -> None:
    lattice = {"matrix": np.diag([3.0, 3.0, 20.0]).tolist(), "pbc": [True] * 3}
    structure = {"lattice": lattice, "sites": [{"species": [{"element": "Cu", "occu": 1}], "abc": [0, 0, 0]}]}
    record = {"tags": "Surface", "group": "Cu", "structure": structure, "outputs": {"energy": -3.0}}
    file = tmp_path / "Cu_Surface.json"
    file.write_text(json.dumps([record]))
    (found,) = read_set(PRESETS["surfaces"], [file])
    assert "no energy of the crystal" in found.unusable


def test_arrangements_are_cut_by_composition() -> None:
    (whole,), (few,) = read("mixing"), read("mixing", arrangements=2)
    assert whole.name == "Mo-Ta" == few.name.replace("Ta-Mo", "Mo-Ta")
    shares, counts = np.unique(few.references["x"], return_counts=True)
    assert len(shares) == 15
    assert counts.max() == 2
    assert set(few.keys) <= set(whole.keys)
    for atoms, x in zip(few.structures, few.references["x"], strict=True):
        assert (atoms.numbers == 73).mean() == x


def test_materials_are_chosen_by_name_or_number() -> None:
    assert [m.name for m in read("vacancies", materials=["Cu", "Al"])] == ["Al", "Cu"]
    assert [m.atoms for m in read("volumes", most=7)] == [2] * 7
    with pytest.raises(ValueError, match="no Unobtainium in the files"):
        read("vacancies", materials=["Unobtainium"])


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("surfaces", "[{}]"),
        ("surfaces", "{}"),
        ("mixing", '[{"structure": 3}]'),
        ("mixing", "[]"),
        ("vacancies", "symbol,K\nCu,3\n"),
        ("elasticity", '[{"mp_id": "mp-1", "structure": {}}]'),
        ("phonons", '{"unit_cell": {}}'),
        ("volumes", "[1]"),
    ],
)
def test_files_of_another_layout_are_one_line(name: str, content: str, tmp_path: Path) -> None:
    file = tmp_path / ("table.csv" if name == "vacancies" else "file.json")
    file.write_text(content)
    with pytest.raises(ValueError, match=r"layout|laid out|no material") as error:
        read_set(PRESETS[name], [file])
    assert "\n" not in str(error.value)
