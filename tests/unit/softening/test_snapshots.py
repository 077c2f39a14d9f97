"""States of high energy: how many, how hot, how strained, and when a run is given up."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import ase
import numpy as np
import pytest
from ase.build import bulk, molecule
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones
from pymatgen.io.vasp import Incar, Poscar

from uprung.dft.structures import Structure
from uprung.softening.snapshots import (
    Protocol,
    UnstableError,
    sample_all,
    sample_states,
    strain_of_frames,
    write_vasp_inputs,
)


def copper() -> ase.Atoms:
    return bulk("Cu", cubic=True) * (2, 2, 2)


def test_frames_come_at_equal_times_with_their_strain() -> None:
    protocol = Protocol(temperature=800, length=0.1, timestep=2, frames=5, strained=2, strain=0.03)
    start = copper()
    frames = list(sample_states(start, EMT(), protocol, seed=0))
    assert [frame.info["step"] for frame in frames] == [10, 20, 30, 40, 50]
    assert [frame.info["time_ps"] for frame in frames] == pytest.approx([0.02, 0.04, 0.06, 0.08, 0.1])
    strains = [frame.info["strain"] for frame in frames]
    assert sorted(strains) == [-0.03, 0, 0, 0, 0.03]
    for frame, strain in zip(frames, strains, strict=True):
        np.testing.assert_allclose(frame.cell.array, start.cell.array * (1 + strain))
        assert frame.calc is None
    np.testing.assert_array_equal(start.positions, copper().positions)


def test_atoms_move_with_the_strained_cell() -> None:
    plain, strained = (
        list(sample_states(copper(), EMT(), Protocol(length=0.02, frames=2, strained=count), seed=0))
        for count in (0, 2)
    )
    for one, other in zip(plain, strained, strict=True):
        assert other.info["strain"] != 0
        np.testing.assert_allclose(one.get_scaled_positions(), other.get_scaled_positions(), atol=1e-9)


def test_the_seed_decides() -> None:
    protocol = Protocol(length=0.02, frames=2, strained=0)
    first, again, other = (list(sample_states(copper(), EMT(), protocol, seed=seed))[-1] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.positions, again.positions)
    assert np.abs(first.positions - other.positions).max() > 0.01


@pytest.mark.parametrize(
    ("atoms", "length", "tolerance"), [(copper(), 1.0, 0.25), (bulk("Cu", cubic=True), 20.0, 0.12)]
)
def test_the_run_is_as_hot_as_asked(atoms: ase.Atoms, length: float, tolerance: float) -> None:
    # half of the initial kinetic energy becomes potential; equipartition gives 1/2 kT to each degree of freedom in a
    # crystal, and its centre of mass has none: in four atoms that is a quarter
    protocol = Protocol(temperature=600, length=length, timestep=5, frames=round(20 * length), strained=0)
    at_rest = atoms.copy()
    at_rest.calc = EMT()
    rest = at_rest.get_potential_energy()
    energies = []
    for frame in list(sample_states(atoms, EMT(), protocol, seed=3))[5:]:
        frame.calc = EMT()
        energies.append(frame.get_potential_energy() - rest)
    assert np.mean(energies) == pytest.approx(1.5 * (len(atoms) - 1) * 8.617e-5 * 600, rel=tolerance)


def test_strains_are_half_up_half_down() -> None:
    strains = strain_of_frames(Protocol(frames=10, strained=4), seed=7)
    assert sorted(strains) == [-0.03, -0.03, *[0.0] * 6, 0.03, 0.03]


def test_a_run_that_explodes_is_given_up_with_the_time() -> None:
    crushed = bulk("Cu", a=1.6, cubic=True)
    with pytest.raises(UnstableError, match=r"a force of .* eV/Å after 0\.002 ps"):
        list(sample_states(crushed, LennardJones(sigma=2.2, epsilon=1.0), Protocol(length=0.1), seed=0))


def test_molecules_are_refused() -> None:
    with pytest.raises(ValueError, match="periodic in 3 directions"):
        next(sample_states(molecule("H2O"), EMT(), Protocol(), seed=0))


def crystals() -> list[Structure]:
    return [Structure(f"s{k}", "Cu", copper() if k else crushed(), (1, 1, 1)) for k in range(3)]


def crushed() -> ase.Atoms:
    atoms = bulk("Cu", a=1.2, cubic=True)
    atoms.rattle(0.1, seed=0)
    return atoms


class Counting(EMT):
    """EMT that counts how often it is asked."""

    calls = 0

    def calculate(self, *arguments: Any, **options: Any) -> None:
        Counting.calls += 1
        super().calculate(*arguments, **options)


def test_finished_runs_are_kept_and_those_given_up_say_when(tmp_path: Path) -> None:
    protocol = Protocol(temperature=600, length=0.02, frames=2, strained=1)
    first = list(sample_all(crystals(), Counting(), protocol, seed=0, state=tmp_path))
    assert [len(frames) for _, frames, _ in first] == [0, 2, 2]
    assert first[0][2].startswith("given up: a force of")
    names = [frame.info["frame_id"] for _, frames, _ in first for frame in frames]
    assert names == ["s1-00", "s1-01", "s2-00", "s2-01"]
    assert {frame.info["trajectory"] for _, frames, _ in first for frame in frames} == {"s1", "s2"}
    assert np.abs(first[1][1][1].positions - first[2][1][1].positions).max() > 1e-3  # seeds of their own
    before = Counting.calls
    again = list(sample_all(crystals(), Counting(), protocol, seed=0, state=tmp_path))
    assert Counting.calls == before
    for (_, one, reason), (_, other, reason_again) in zip(first, again, strict=True):
        assert reason == reason_again
        for a, b in zip(one, other, strict=True):
            np.testing.assert_array_equal(a.positions, b.positions)
            assert a.info == b.info
    list(sample_all(crystals(), Counting(), replace(protocol, temperature=601), seed=0, state=tmp_path))
    assert Counting.calls > before


def test_vasp_inputs_are_static_calculations_of_the_frames(tmp_path: Path) -> None:
    frame = copper()
    frame.info |= {"frame_id": "Cu-00", "material_id": "copper", "trajectory": "Cu"}
    for functional in ("PBE", "r2SCAN"):
        write_vasp_inputs([frame], tmp_path / functional, functional)
        folder = tmp_path / functional / "Cu-00"
        incar = Incar.from_file(folder / "INCAR")
        assert incar["NSW"] == 0
        assert (incar.get("METAGGA", "").lower() == "r2scan") is (functional == "r2SCAN")
        np.testing.assert_allclose(Poscar.from_file(folder / "POSCAR").structure.lattice.abc, frame.cell.lengths())
        assert (folder / "POTCAR.spec").read_text().startswith("Cu")
        assert json.loads((folder / "uprung-state.json").read_text()) == {"material_id": "copper", "trajectory": "Cu"}


@pytest.mark.parametrize(
    ("values", "message"),
    [({"strained": 11}, "11 of 10 frames"), ({"length": 0.01}, "10 frames need as many steps, there are 5")],
)
def test_a_protocol_that_contradicts_itself_is_refused(values: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Protocol(**values)  # type: ignore[arg-type]
