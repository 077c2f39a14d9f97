"""Phonons from given force constants are phonopy's own, and those of a computed crystal are right."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import phonopy
import pytest
import yaml
from ase.build import bulk
from ase.calculators.emt import EMT

from uprung.config.physics import PhysicsSet
from uprung.physics import phonons
from uprung.physics.compute import outcome
from uprung.physics.references import Material, read_set
from uprung.physics.results import Accuracy

DATA = Path(__file__).parents[3] / "data/physics"
SET = PhysicsSet.model_validate({"test": "phonons", "functional": "PBE", "files": ["BaZrO3.json.gz"]})
THZ = 15.633302  # of √(eV/Å²/amu)


@pytest.fixture(scope="module")
def barium() -> Material:
    (found,) = read_set(SET, [DATA / "BaZrO3.json.gz"])
    return found


def test_phonons_of_published_force_constants_are_those_of_phonopy(barium: Material, tmp_path: Path) -> None:
    import gzip

    content = json.loads(gzip.decompress((DATA / "BaZrO3.json.gz").read_bytes()))
    file = tmp_path / "phonopy_params.yaml"
    file.write_text(yaml.safe_dump(content, default_flow_style=None))
    theirs = phonopy.load(file, primitive_matrix="P", log_level=0)
    (cell,), given = barium.structures, barium.references
    ours = phonons.phonons(cell, given["supercell"], force_constants=given["force_constants"])
    points = np.random.default_rng(0).uniform(size=(5, 3))
    for q in [*points, np.zeros(3), [0.5, 0.5, 0.5]]:
        assert ours.get_frequencies(q) == pytest.approx(theirs.get_frequencies(q), abs=1e-8)
    theirs.run_mesh([phonons.MESH] * 3, is_gamma_center=True)
    mesh = theirs.get_mesh_dict()
    found = phonons.spectrum(ours)
    assert found.highest == pytest.approx(mesh["frequencies"].max())
    mean = np.average(mesh["frequencies"].mean(axis=1), weights=mesh["weights"])
    assert found.mean == pytest.approx(mean)
    low = np.average((mesh["frequencies"] < phonons.IMAGINARY).mean(axis=1), weights=mesh["weights"])
    assert found.imaginary == pytest.approx(low)
    (again,) = read_set(SET, [file])  # phonopy's own file is read, too
    assert np.array_equal(again.references["force_constants"], given["force_constants"])


def test_frequencies_at_the_centre_of_the_zone_follow_from_the_sums_of_force_constants(barium: Material) -> None:
    (cell,), constants = barium.structures, barium.references["force_constants"]
    supercell = phonons.phonons(cell, barium.references["supercell"]).supercell
    image = supercell.u2u_map
    of = np.array([image[k] for k in supercell.s2u_map])
    masses, n = np.repeat(cell.get_masses(), 3), len(cell)
    dynamical = np.zeros((3 * n, 3 * n))
    for i, site in enumerate(supercell.u2s_map):
        for k, j in enumerate(of):
            dynamical[3 * i : 3 * i + 3, 3 * j : 3 * j + 3] += constants[site, k]
    squares = np.linalg.eigvalsh((dynamical + dynamical.T) / 2 / np.sqrt(np.outer(masses, masses)))
    expected = np.sign(squares) * np.sqrt(np.abs(squares)) * THZ
    ours = phonons.phonons(cell, barium.references["supercell"], force_constants=constants)
    assert ours.get_frequencies(np.zeros(3)) == pytest.approx(expected, abs=1e-3)


def test_phonons_of_emt() -> None:
    crystal = bulk("Cu", "fcc", a=3.59)
    found = phonons.computed(crystal, EMT(), [4, 4, 4])
    spectrum = phonons.spectrum(found)
    assert spectrum.imaginary == 0
    assert 5 < spectrum.highest < 10  # 7.3 THz by experiment
    before = found.get_frequencies([0.3, 0.2, 0.1])
    assert phonons.translated(found) < 0.01
    assert np.abs(np.asarray(found.force_constants).sum(axis=1)).max() < 1e-10
    assert found.get_frequencies([0.3, 0.2, 0.1]) == pytest.approx(before, rel=1e-3)
    found.force_constants = np.asarray(found.force_constants) + 0.01
    assert phonons.translated(found) == pytest.approx(0.64, rel=1e-6)
    assert found.get_frequencies([0, 0, 0]) == pytest.approx(0, abs=1e-3)
    assert phonons.heat_capacity(found) == pytest.approx(3 * 8.314, rel=0.08)
    assert phonons.heat_capacity(found, 5.0) < 0.5
    points = np.linspace(-1, 10, 400)
    states = phonons.density_of_states(found, points)
    assert float(states.sum() * (points[1] - points[0])) == pytest.approx(3, rel=1e-3)


def test_a_calculator_is_held_against_published_force_constants() -> None:
    cell = bulk("Cu", "fcc", a=3.59)
    truth = phonons.computed(cell, EMT(), [2, 2, 2])
    softer = 0.81 * np.asarray(truth.force_constants)
    given = {"supercell": np.diag([2, 2, 2]), "force_constants": softer}
    found = outcome(Material("Cu", [cell], given), SET, EMT(), Accuracy())
    values = {value.quantity: value for value in found.values}
    highest = values["highest frequency"]
    assert highest.predicted / highest.reference == pytest.approx(1 / 0.9, rel=1e-6)
    assert values["imaginary modes"].predicted == 0
    bands = [curve for curve in found.curves if curve.name.startswith("bands G")]
    assert len(bands) == 3
    assert max(np.nanmax(curve.predicted) for curve in bands) <= 1.001 * highest.predicted
    assert any(curve.name == "density of states" for curve in found.curves)
