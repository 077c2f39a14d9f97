"""Potentials from Python: other references, slopes of forces, committees."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ase
import numpy as np
import pytest
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones
from structures import atoms

import uprung
from uprung.atomref.fit import Labelled, fit_reference
from uprung.frames.table import Frames
from uprung.models.calculator import calculator
from uprung.models.data import open_dataset, write_dataset
from uprung.models.predict import predict
from uprung.models.registry import load
from uprung.softening.slopes import forces_of, softening_table

CHGNET = "chgnet-0.3.0"


@pytest.fixture(scope="module")
def high() -> Any:
    return uprung.read(atoms("r2SCAN"))


def stored(frames: Frames, folder: Path) -> Any:
    """Return the data set of a graph store, as jobs of the workflow have it."""
    write_dataset(frames, frames.label("energy"), folder, name="chgnet")
    return open_dataset(folder / "manifest.json")


def test_new_references_are_those_of_a_residual_fit(high: Any, tmp_path: Path) -> None:
    found = uprung.rereference(CHGNET, high)
    network = load(CHGNET)
    dataset = stored(high.frames, tmp_path)
    predicted = predict(network, dataset, np.arange(len(high)), targets=["energy"])["network"]
    own = Labelled.of(high.frames, "energy")
    needed = (own.X > 0).any(axis=0)
    residual = (predicted, network.references)
    expected, _ = fit_reference("residual", target=own, source=own, needed=needed, residual=residual)
    np.testing.assert_allclose(found.references.values[needed], expected.values[needed], atol=1e-6)
    assert found.errors["after"] < 0.1 < 1 < found.errors["before"]
    assert found.errors["after"] < found.errors["left_out"]
    assert "before" in repr(found)


def test_a_moved_potential_is_saved_and_used(high: Any, tmp_path: Path) -> None:
    from chgnet.model import CHGNet

    found = uprung.rereference(CHGNET, high)
    found.save(tmp_path / "moved.pth.tar")
    one = atoms("r2SCAN")[0]
    energies = []
    for calc in (found.calculator(), calculator(tmp_path / "moved.pth.tar")):
        one.calc = calc
        energies.append(one.get_potential_energy())
    assert energies[0] == pytest.approx(energies[1], abs=1e-5)
    from pymatgen.io.ase import AseAtomsAdaptor

    stock = CHGNet.from_file(str(tmp_path / "moved.pth.tar"))
    per_atom = stock.predict_structure(AseAtomsAdaptor.get_structure(ase.Atoms(one)))["e"]
    assert per_atom * len(one) == pytest.approx(energies[0], abs=1e-4)
    one.calc = calculator(CHGNET)
    forces = one.get_forces()
    one.calc = found.calculator()
    np.testing.assert_allclose(one.get_forces(), forces, atol=1e-6)


def test_elements_that_no_structure_has_are_moved_left_or_refused(high: Any) -> None:
    checkpoint = load(CHGNET).references
    gold = 78
    moved = uprung.rereference(CHGNET, high).model.references[gold]
    left = uprung.rereference(CHGNET, high, unseen="source").model.references[gold]
    assert left == pytest.approx(checkpoint[gold], abs=1e-5)
    assert abs(moved - checkpoint[gold]) > 0.1


class Metal(EMT):
    """A calculator of another package, without references of its own."""

    implemented_properties = ("energy", "forces")


def metals() -> list[ase.Atoms]:
    """Return metals labelled by EMT with other energies per element and stiffer forces."""
    from ase.build import bulk
    from ase.calculators.singlepoint import SinglePointCalculator

    rng, found = np.random.default_rng(0), []
    for k in range(12):
        one = bulk("Cu", "fcc", a=3.6 + 0.02 * k, cubic=True)
        one.numbers[: k % 4] = 47
        one.rattle(0.05, rng=rng)
        one.calc = EMT()
        energy = one.get_potential_energy() - 3.0 * (one.numbers == 29).sum() - 1.5 * (one.numbers == 47).sum()
        one.calc = SinglePointCalculator(one, energy=energy, forces=1.25 * one.get_forces())
        one.info = {"frame_id": f"m{k}", "material_id": f"m{k % 4}"}
        found.append(one)
    return found


def test_any_calculator_gets_references() -> None:
    found = uprung.rereference(Metal(), metals())
    assert found.references.values[28] == pytest.approx(-3.0)
    assert found.references.values[46] == pytest.approx(-1.5)
    assert found.errors["after"] == pytest.approx(0, abs=1e-8)
    one = metals()[5]
    label = one.get_potential_energy()
    one.calc = found.calculator()
    assert one.get_potential_energy() == pytest.approx(label)
    with pytest.raises(TypeError, match="not written to a file"):
        found.save("x")
    one.numbers[:] = 79
    with pytest.raises(ValueError, match="no reference energy of Au"):
        one.get_potential_energy()


def test_any_calculator_is_tested_for_softness() -> None:
    found = uprung.softening(Metal(), metals(), resamples=50)
    assert found.all["slope"] == pytest.approx(1 / 1.25, abs=1e-5)
    assert found.all["multiplier"] == pytest.approx(1.25, abs=1e-5)
    assert "too soft" in repr(found)


def test_slopes_of_a_checkpoint_are_those_of_the_workflow(high: Any, tmp_path: Path) -> None:
    dataset = stored(high.frames, tmp_path)
    rows = np.arange(len(high))
    predicted = predict(load(CHGNET), dataset, rows, targets=["force"])["force"]
    names = [np.array(high.frames.strings(name), dtype=object) for name in ("material_id", "run_type", "trajectory")]
    forces, _ = forces_of(dataset.labels(rows).forces, predicted, np.diff(dataset.offsets), *names)
    expected = softening_table(forces, resamples=100, seed=0)
    found = uprung.softening(CHGNET, high, resamples=100).table
    assert found["slope"].tolist() == pytest.approx(expected["slope"].tolist(), rel=1e-5, nan_ok=True)
    assert found["slope_low"].tolist() == pytest.approx(expected["slope_low"].tolist(), rel=1e-5, nan_ok=True)
    through_ase = uprung.softening(calculator(CHGNET), high, resamples=10).table
    assert through_ase["slope"].tolist() == pytest.approx(expected["slope"].tolist(), abs=1e-4, nan_ok=True)


def test_structures_that_cannot_be_used_are_listed() -> None:
    structures = metals()
    far = ase.Atoms("Cu", cell=[20, 20, 20], pbc=True)
    far.calc = structures[0].calc.__class__(far, energy=-1.0, forces=np.zeros((1, 3)))
    found = uprung.softening(CHGNET, [*structures, far], resamples=10)
    assert found.left_out["reason"].tolist() == ["an atom without neighbour within 6 Å"]
    assert "left out: 1 structures" in repr(found)
    with pytest.raises(ValueError, match="none of 1 structures can be used: an atom without neighbour"):
        uprung.softening(CHGNET, far)


def test_a_committee_is_the_mean_and_the_spread_of_its_members(tmp_path: Path) -> None:
    one = metals()[0]
    values = []
    for sigma in (2.2, 2.3, 2.5):
        one.calc = LennardJones(sigma=sigma, epsilon=0.1, rc=8)
        values.append((one.get_potential_energy(), one.get_forces()))
    together = uprung.committee([LennardJones(sigma=sigma, epsilon=0.1, rc=8) for sigma in (2.2, 2.3, 2.5)])
    one.calc = together
    assert one.get_potential_energy() == pytest.approx(np.mean([value[0] for value in values]))
    np.testing.assert_allclose(one.get_forces(), np.mean([value[1] for value in values], axis=0))
    assert together.results["energy_std"] == pytest.approx(np.std([value[0] for value in values], ddof=1))
    np.testing.assert_allclose(together.results["forces_std"], np.std([value[1] for value in values], axis=0, ddof=1))
    with pytest.raises(ValueError, match="two members or more, not 1"):
        uprung.committee([LennardJones()])
    with pytest.raises(ValueError, match="no run below this folder"):
        uprung.committee(tmp_path)


def test_a_committee_of_runs_is_found_below_a_folder(tmp_path: Path) -> None:
    network = load(CHGNET)
    for seed in range(2):
        folder = tmp_path / f"nall/seed{seed}"
        folder.mkdir(parents=True)
        network.set_references(network.references + seed, trainable=False)
        network.save(folder / "model.pth.tar", target="", source="", corrects=None)
    one = metals()[0]
    one.calc = uprung.committee(tmp_path)
    energy = one.get_potential_energy()
    assert one.calc.results["energy_std"] == pytest.approx(len(one) / np.sqrt(2), rel=1e-4)
    one.calc = uprung.committee([tmp_path / "nall/seed0", tmp_path / "nall/seed1/model.pth.tar"])
    assert one.get_potential_energy() == pytest.approx(energy)
    assert repr(one.calc).startswith("committee of 2: energy, forces, stress, magmoms")
