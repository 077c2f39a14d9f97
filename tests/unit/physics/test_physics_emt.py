"""Surfaces, vacancies, mixtures, elastic constants and barriers of EMT, computed by ASE alone, are reproduced."""

from __future__ import annotations

import ase
import numpy as np
import pytest
from ase.build import add_adsorbate, bulk, fcc100, fcc111
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.emt import EMT
from ase.constraints import FixAtoms, FixedLine
from ase.filters import FrechetCellFilter
from ase.optimize import BFGS
from ase.units import GPa

from uprung.config.physics import PhysicsSet
from uprung.physics.barriers import along, nudged
from uprung.physics.compute import outcome
from uprung.physics.elasticity import elasticity, hill
from uprung.physics.mixing import mixing_energies
from uprung.physics.references import Material
from uprung.physics.relaxation import relax
from uprung.physics.results import Accuracy
from uprung.physics.surfaces import JOULE, face
from uprung.physics.vacancies import element, migration, vacancy

TIGHT = Accuracy(force=0.002, stress=0.01, steps=500)


def energy(atoms: ase.Atoms) -> float:
    atoms = atoms.copy()
    atoms.calc = EMT()
    return float(atoms.get_potential_energy())


def asked(test: str, **options: object) -> PhysicsSet:
    return PhysicsSet.model_validate({"test": test, "functional": "EMT", "files": ["none"], **options})


def test_surface_energies() -> None:
    crystal, slabs = (
        bulk("Cu", "fcc", a=3.6, cubic=True),
        [f("Cu", (2, 2, 7), a=3.6, vacuum=8) for f in (fcc111, fcc100)],
    )
    for slab in slabs:
        slab.pbc = True
    per_atom, lower = energy(crystal) / 4, [0.0, -0.3, -0.5]  # so that published energies are others
    given = {"energies": [energy(s) + shift for s, shift in zip([crystal, *slabs], lower, strict=True)]}
    material = Material("Cu", [crystal, *slabs], given, ["", "(1 1 1)", "(1 0 0)"])
    values = outcome(material, asked("surfaces"), EMT(), TIGHT).values
    areas = [3.6**2 * 4 / np.sqrt(2) * np.sqrt(3) / 2 / np.sqrt(2), 3.6**2 / 2 * 4]
    for value, slab, area, shift in zip(values, slabs, areas, lower[1:], strict=True):
        assert face(slab) == pytest.approx(area)
        own = (energy(slab) - len(slab) * per_atom) / (2 * area) * JOULE
        assert value.predicted == pytest.approx(own)
        assert value.reference == pytest.approx(own + shift / (2 * area) * JOULE)
    assert values[0].predicted < values[1].predicted  # close-packed surfaces are lowest
    assert [value.key for value in values] == ["(1 1 1)", "(1 0 0)"]


def test_vacancies_and_their_migration() -> None:
    crystal = bulk("Cu", "fcc", a=3.6, cubic=True)
    crystal.calc = EMT()
    BFGS(FrechetCellFilter(crystal), logfile=None).run(fmax=1e-3)
    whole = crystal * (2, 2, 2)
    vacant = whole.copy()
    del vacant[0]
    vacant.calc = EMT()
    BFGS(vacant, logfile=None).run(fmax=1e-3)
    expected = vacant.get_potential_energy() - 31 / 32 * 8 * crystal.get_potential_energy()
    found = vacancy(element("Cu", "fcc", 3.6**3 / 4), EMT(), TIGHT, repeats=2)
    assert found.formation == pytest.approx(expected, abs=1e-3)
    assert (found.sites, found.converged) == (32, True)

    jump = migration(found, EMT(), Accuracy(0.01, 0.1, 300), images=3)
    assert jump.converged
    assert jump.energy[0] == pytest.approx(jump.energy[-1], abs=1e-3)  # a jump between equals
    # the saddle lies half way, by symmetry: the jumper is held in the middle, all others relax
    middle = found.vacant.copy()
    near = int(np.linalg.norm(found.crystal.get_distances(0, range(1, 32), mic=True, vector=True), axis=1).argmin())
    step = found.crystal.get_distance(near + 1, 0, mic=True, vector=True)
    middle.positions[near] = found.crystal.positions[near + 1] + step / 2
    middle.set_constraint(FixAtoms([near]))
    middle.calc = EMT()
    BFGS(middle, logfile=None).run(fmax=1e-3)
    saddle = middle.get_potential_energy() - vacant.get_potential_energy()
    assert jump.height == pytest.approx(saddle, abs=5e-3)


def test_a_vacancy_that_does_not_converge_is_shown_as_such() -> None:
    given = {"volume": 11.8, "bulk": 140.0, "formation": 1.0, "migration": 0.7}
    few = Accuracy(force=1e-4, steps=1)
    values = outcome(Material("Cu", references=given), asked("vacancies", supercell=2), EMT(), few).values
    assert [(v.quantity, v.converged) for v in values] == [
        ("vacancy formation energy", False),
        ("volume per atom", True),
        ("bulk modulus", True),
    ]


@pytest.mark.parametrize("reason", ["", "the files have no energy"])
def test_a_material_without_result_has_a_row_for_every_quantity(reason: str) -> None:
    given = {"volume": 11.8, "bulk": 140.0, "formation": 1.0, "migration": 0.7}
    material = Material("Xe", references=given, unusable=reason)  # EMT knows no xenon
    entry = asked("vacancies", migration=True)
    if not reason:
        with pytest.raises(NotImplementedError):  # no fault of the material: the job stops
            outcome(material, entry, EMT(), TIGHT)
        return
    values = outcome(material, entry, EMT(), TIGHT).values
    assert {value.reason for value in values} == {reason}
    assert len(values) == 4
    assert all(np.isnan(value.predicted) and not value.converged for value in values)


def test_mixing_energies_of_arrangements() -> None:
    rng, cells = np.random.default_rng(0), []
    for gold in (0, 2, 4, 4, 6, 8):
        cell = bulk("Cu", "fcc", a=3.85, cubic=True) * (2, 1, 1)
        cell.numbers[rng.permutation(8)[:gold]] = 79
        cells.append(cell)
    x, own = np.array([0, 2, 4, 4, 6, 8]) / 8, np.array([energy(cell) for cell in cells])
    published = own + np.array([0, 0.1, 0.2, 0.3, 0.1, 0])
    material = Material("Cu-Au", cells, {"energies": published, "x": x}, [str(k) for k in range(6)])
    values = outcome(material, asked("mixing"), EMT(), TIGHT).values
    pure = own[0] / 8, own[-1] / 8
    for value, k in zip(values, range(1, 5), strict=True):
        expected = 1e3 * (own[k] / 8 - (1 - x[k]) * pure[0] - x[k] * pure[1])
        assert value.predicted == pytest.approx(expected)
        assert value.reference == pytest.approx(expected + 1e3 * (published - own)[k] / 8)
    assert [value.x for value in values] == [0.25, 0.5, 0.5, 0.75]


def test_reference_energies_drop_out_of_mixing_energies() -> None:
    x, energies = np.array([0.0, 0.25, 0.5, 1.0]), np.array([-1.0, -1.3, -1.4, -2.0])
    moved = mixing_energies(x, energies + 3 * (1 - x) - 7 * x)
    assert moved.energy == pytest.approx(mixing_energies(x, energies).energy)
    with pytest.raises(ValueError, match="two compositions"):
        mixing_energies(np.ones(3), energies[:3])


def test_elastic_constants_are_curvatures_of_the_energy() -> None:
    crystal = relax(bulk("Cu", "fcc", a=3.6, cubic=True), EMT(), Accuracy(1e-4, 1e-3, 500), cell=True).atoms
    tensor = elasticity(crystal, EMT(), shear=(-0.002, 0.002)).tensor
    assert tensor[0, 0] == pytest.approx(tensor[1, 1], rel=1e-6)
    assert abs(tensor[0, 3]) < 1e-3 * tensor[0, 0]

    def strained(strain: np.ndarray) -> float:
        cell = crystal.copy()
        cell.set_cell(crystal.cell.array @ (np.eye(3) + strain), scale_atoms=True)
        return energy(cell)

    e, volume = 2e-3, crystal.get_volume()
    for strain, constant in [
        (np.diag([e, 0, 0]), tensor[0, 0]),
        (np.array([[0, e / 2, 0], [e / 2, 0, 0], [0, 0, 0]]), tensor[5, 5]),
    ]:
        curvature = (strained(strain) + strained(-strain) - 2 * energy(crystal)) / e**2 / volume / GPa
        assert constant == pytest.approx(curvature, rel=0.02)


def test_averages_of_hill() -> None:
    tensor = np.zeros((6, 6))
    tensor[:3, :3] = 121.4
    tensor[range(6), range(6)] = [168.4] * 3 + [75.4] * 3  # copper
    bulk_modulus, shear = hill(tensor)
    assert bulk_modulus == pytest.approx((168.4 + 2 * 121.4) / 3)
    voigt, reuss = (47 + 3 * 75.4) / 5, 5 * 47 * 75.4 / (4 * 75.4 + 3 * 47)
    assert shear == pytest.approx((voigt + reuss) / 2)


class DoubleWell(Calculator):
    """V = h·((x/d)² − 1)² + k·(y² + z²)/2 for an atom at (x, y, z) from the middle of its cell."""

    implemented_properties = ["energy", "forces"]  # noqa: RUF012 - as in ASE
    HEIGHT, WIDTH, K = 0.4, 1.2, 2.0

    def calculate(self, atoms=None, properties=("energy",), system_changes=tuple(all_changes)) -> None:
        super().calculate(atoms, properties, system_changes)
        x, y, z = self.atoms.positions[0] - self.atoms.cell.diagonal() / 2
        u = x / self.WIDTH
        value = self.HEIGHT * (u**2 - 1) ** 2 + self.K * (y**2 + z**2) / 2
        forces = np.array([[-4 * self.HEIGHT * u * (u**2 - 1) / self.WIDTH, -self.K * y, -self.K * z]])
        self.results = {"energy": value, "forces": forces}


def well(x: float, y: float = 0.0) -> ase.Atoms:
    return ase.Atoms("H", positions=[[5 + x, 5 + y, 5]], cell=[10, 10, 10], pbc=True)


def test_barrier_and_curvature_of_a_double_well() -> None:
    near_top = along([well(x) for x in (-1.2, -0.05, 0.0, 0.05, 1.2)], DoubleWell())
    assert near_top.height == pytest.approx(0.4, rel=1e-6)
    assert near_top.curvature == pytest.approx(-4 * 0.4 / 1.2**2, rel=2e-3)
    assert near_top.path == pytest.approx([0, 1.15, 1.2, 1.25, 2.4])
    found = nudged(well(-1.2), well(1.2), DoubleWell(), Accuracy(0.005, steps=300), images=3)
    assert found.converged
    assert found.height == pytest.approx(0.4, abs=2e-3)
    even = nudged(well(-1.2), well(1.2), DoubleWell(), Accuracy(0.005, steps=500), images=4)
    assert even.converged
    assert even.energy.max() == pytest.approx(0.4, abs=1e-3)  # no image starts on the top: one climbs there
    short = nudged(well(-1.2, 0.1), well(1.2, 0.3), DoubleWell(), Accuracy(1e-4, steps=1), images=4)
    assert not short.converged
    assert short.force > 1e-4


def test_a_path_without_barrier_and_one_that_is_none() -> None:
    downhill = along([well(x) for x in (-0.2, -0.6, -1.2)], DoubleWell())
    assert downhill.height == 0
    assert np.isnan(downhill.curvature)
    with pytest.raises(ValueError, match="three images"):
        along([well(0), well(1)], DoubleWell())
    with pytest.raises(ValueError, match="same atoms"):
        along([well(0), bulk("Cu"), well(1)], DoubleWell())


def test_hop_of_an_adatom() -> None:
    slab = fcc100("Cu", (2, 2, 3), a=3.6, vacuum=6)
    add_adsorbate(slab, "Cu", 1.7, "hollow")
    slab.set_constraint(FixAtoms(range(4)))
    ends = []
    for hop in (0.0, 3.6 / np.sqrt(2)):
        end = slab.copy()
        end.positions[-1, 0] += hop
        ends.append(relax(end, EMT(), TIGHT, cell=False).atoms)
    found = nudged(*ends, EMT(), Accuracy(0.01, steps=300), images=3)
    bridge = slab.copy()
    bridge.positions[-1, 0] += 3.6 / np.sqrt(2) / 2
    bridge.set_constraint([FixAtoms(range(4)), FixedLine([12], [0, 0, 1])])
    bridge.calc = EMT()
    BFGS(bridge, logfile=None).run(fmax=2e-3)
    saddle = bridge.get_potential_energy() - energy(ends[0])
    assert found.converged
    assert found.height == pytest.approx(saddle, abs=0.01)
