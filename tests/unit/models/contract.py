"""What every architecture has to hold: one check per function, called with a fresh network in float64."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import ase
import numpy as np
import pytest
import torch
from ase.build import bulk, make_supercell
from ase.stress import full_3x3_to_voigt_6_stress
from ase.units import GPa
from factories import make_frame, table_of
from lightning.fabric import Fabric

from uprung.config.training import Budget, Training
from uprung.datasets.store import Rows
from uprung.job.files import DamagedError
from uprung.models.calculator import PotentialCalculator
from uprung.models.data import open_dataset, write_dataset
from uprung.models.interface import EMBEDDINGS, READOUT, REFERENCES, Geometry, Potential
from uprung.models.predict import predict, predict_by_element
from uprung.models.registry import architecture, load
from uprung.training.fisher import Elastic, ElasticPull, fisher_diagonal, network_parameters
from uprung.training.loop import L2SP, gradient_norms, train

Check = Callable[[Potential, Path], None]
CHECKS: list[Check] = []
STEP = 1e-4  # Å or strain, of central differences in float64


def check(function: Check) -> Check:
    CHECKS.append(function)
    return function


def rattled(atoms: ase.Atoms, seed: int) -> ase.Atoms:
    """Return a strained, rattled copy, so that nothing vanishes by symmetry."""
    rng = np.random.default_rng(seed)
    found = atoms.copy()
    found.set_cell(atoms.cell.array @ (np.eye(3) + 0.03 * rng.normal(size=(3, 3))), scale_atoms=True)
    found.positions += 0.08 * rng.normal(size=found.positions.shape)
    return found


@functools.cache
def crystals() -> tuple[ase.Atoms, ...]:
    """Return crystals of one to eight atoms, dense and open, metallic and ionic, and a pair without angles."""
    pair = ase.Atoms("N2", [[1, 1, 1], [1, 1, 2.3]], cell=[9, 10, 11], pbc=True)
    return (
        rattled(bulk("Si", cubic=True), 0),
        rattled(bulk("NaCl", "rocksalt", a=5.6), 1),
        rattled(bulk("Fe", cubic=True), 2),
        rattled(bulk("Cu"), 3),
        pair,
    )


def evaluate(potential: Potential, atoms: Sequence[ase.Atoms]) -> dict[str, np.ndarray]:
    """Return the predictions of some crystals in one batch, energies in eV/atom."""
    geometries = [Geometry(a.numbers, a.get_scaled_positions(wrap=False), a.cell.array) for a in atoms]
    inputs = architecture(potential.card.name).inputs_of(geometries)
    batch = potential.eval().batch(inputs, np.arange(len(atoms)))
    return {name: value.detach().numpy() for name, value in potential(batch, potential.card.targets).items()}


def energy(potential: Potential, atoms: ase.Atoms) -> float:
    """Return the energy of a cell, eV."""
    return float(evaluate(potential, [atoms])["energy"][0]) * len(atoms)


def same(found: dict[str, np.ndarray], wanted: dict[str, np.ndarray], tolerance: float = 1e-9) -> None:
    assert found.keys() == wanted.keys()
    for name, values in wanted.items():
        np.testing.assert_allclose(found[name], values, rtol=tolerance, atol=tolerance, err_msg=name)


# ------------------------------------------------------------------------------------------------------ predictions


@check
def shapes_and_signs(potential: Potential, _: Path) -> None:
    found, n = evaluate(potential, crystals()), sum(map(len, crystals()))
    assert set(found) == {"energy", "network", *potential.card.targets}
    assert found["energy"].shape == found["network"].shape == (len(crystals()),)
    assert found["force"].shape == (n, 3)
    if "stress" in found:
        assert found["stress"].shape == (len(crystals()), 3, 3)
    if "magmom" in found:
        assert found["magmom"].shape == (n,)
        assert (found["magmom"] >= 0).all()
    asked = potential(potential.batch(*_one(potential)), ["energy"])
    assert set(asked) == {"energy", "network"}


def _one(potential: Potential) -> tuple[Any, np.ndarray]:
    first = crystals()[0]
    geometry = Geometry(first.numbers, first.get_scaled_positions(), first.cell.array)
    return architecture(potential.card.name).inputs_of([geometry]), np.arange(1)


@check
def energy_per_atom_is_extensive(potential: Potential, _: Path) -> None:
    for atoms in crystals()[:4]:
        double = make_supercell(atoms, [[1, 1, 0], [0, 1, 0], [0, 0, 2]])
        one, two = evaluate(potential, [atoms]), evaluate(potential, [double])
        np.testing.assert_allclose(two["energy"], one["energy"], rtol=1e-9)
        if "stress" in one:
            np.testing.assert_allclose(two["stress"], one["stress"], rtol=1e-7, atol=1e-7)


@check
def forces_are_minus_the_gradient(potential: Potential, _: Path) -> None:
    for atoms in crystals():
        forces = evaluate(potential, [atoms])["force"]
        for atom, axis in ((0, 0), (0, 2), (len(atoms) - 1, 1)):
            ends = []
            for sign in (1, -1):
                moved = atoms.copy()
                moved.positions[atom, axis] += sign * STEP
                ends.append(energy(potential, moved))
            slope = (ends[0] - ends[1]) / (2 * STEP)
            assert forces[atom, axis] == pytest.approx(-slope, rel=2e-5, abs=2e-6)


@check
def stress_is_the_strain_derivative(potential: Potential, _: Path) -> None:
    if "stress" not in potential.card.targets:
        return
    for atoms in crystals():
        stress = evaluate(potential, [atoms])["stress"][0]
        np.testing.assert_allclose(stress, stress.T, atol=1e-9)
        for i, j in ((0, 0), (1, 2)):
            ends = []
            for sign in (1, -1):
                strain = np.zeros((3, 3))
                strain[i, j] += sign * STEP / 2
                strain[j, i] += sign * STEP / 2
                strained = atoms.copy()
                strained.set_cell(atoms.cell.array @ (np.eye(3) + strain), scale_atoms=True)
                ends.append(energy(potential, strained))
            slope = (ends[0] - ends[1]) / (2 * STEP) / atoms.get_volume() / GPa  # tension positive
            assert stress[i, j] == pytest.approx(slope, rel=2e-5, abs=2e-5)


@check
def translation_rotation_and_permutation(potential: Potential, _: Path) -> None:
    turn = np.linalg.qr(np.random.default_rng(5).normal(size=(3, 3)))[0]
    turn *= np.linalg.det(turn)  # a rotation
    for atoms in crystals():
        known = evaluate(potential, [atoms])
        moved = atoms.copy()
        moved.positions += [0.3, -0.7, 1.9]
        same(evaluate(potential, [moved]), known, 1e-7)
        turned = atoms.copy()
        turned.set_cell(atoms.cell.array @ turn.T)
        turned.positions = atoms.positions @ turn.T
        wanted = known | {"force": known["force"] @ turn.T}
        if "stress" in known:
            wanted["stress"] = turn @ known["stress"] @ turn.T
        same(evaluate(potential, [turned]), wanted, 1e-7)
        order = np.random.default_rng(6).permutation(len(atoms))
        wanted = known | {name: known[name][order] for name in ("force", "magmom") if name in known}
        same(evaluate(potential, [atoms[order]]), wanted, 1e-9)


@check
def one_crystal_however_it_is_written(potential: Potential, _: Path) -> None:
    """An atom one lattice vector further, another choice of cell, a left-handed cell."""
    for atoms in crystals():
        known = evaluate(potential, [atoms])
        shifted = atoms.copy()
        shifted.positions[0] += atoms.cell.array[0] - 2 * atoms.cell.array[2]
        same(evaluate(potential, [shifted]), known, 1e-9)
        skewed = ase.Atoms(
            atoms.numbers, atoms.positions, cell=[[1, 0, 0], [1, 1, 0], [0, 0, 1]] @ atoms.cell, pbc=True
        )
        same(evaluate(potential, [skewed]), known, 1e-7)
        left = ase.Atoms(atoms.numbers, atoms.positions, cell=atoms.cell.array[[1, 0, 2]], pbc=True)
        assert np.linalg.det(left.cell.array) * np.linalg.det(atoms.cell.array) < 0
        same(evaluate(potential, [left]), known, 1e-9)


@check
def a_batch_is_its_structures(potential: Potential, _: Path) -> None:
    together = evaluate(potential, crystals())
    singles = [evaluate(potential, [atoms]) for atoms in crystals()]
    same(together, {name: np.concatenate([single[name] for single in singles]) for name in together}, 1e-9)


@check
def forces_by_element_add_up(potential: Potential, _: Path) -> None:
    geometries = [Geometry(a.numbers, a.get_scaled_positions(), a.cell.array) for a in crystals()]
    inputs = architecture(potential.card.name).inputs_of(geometries)
    batch = potential.eval().batch(inputs, np.arange(len(geometries)))
    if "forces-by-element" not in potential.card.abilities:
        with pytest.raises(NotImplementedError, match=potential.card.title):
            potential.forces_by_element(batch)
        return
    parts = potential.forces_by_element(batch)
    total = np.sum([forces.numpy() for _, forces in parts], axis=0)
    np.testing.assert_allclose(total, evaluate(potential, crystals())["force"], atol=1e-9)


# ---------------------------------------------------------------------------------------------- references and parts


@check
def references_are_read_set_and_added(potential: Potential, _: Path) -> None:
    before, known = evaluate(potential, crystals()), potential.references
    assert known.shape == (94,)
    shift = np.random.default_rng(0).normal(size=94)
    potential.set_references(known + shift, trainable=False)
    np.testing.assert_allclose(potential.references, known + shift, rtol=1e-6)
    added = [shift[atoms.numbers - 1].mean() for atoms in crystals()]
    after = evaluate(potential, crystals())
    np.testing.assert_allclose(after["energy"], before["energy"] + added, atol=1e-5)
    for name in after.keys() - {"energy"}:
        np.testing.assert_array_equal(after[name], before[name])
    with pytest.raises(ValueError, match="shape"):
        potential.set_references(np.zeros(93), trainable=False)
    with pytest.raises(ValueError, match=r"finite.*Z = \[2\]"):
        potential.set_references(np.where(np.arange(94) == 1, np.nan, 0.0), trainable=False)


@check
def layers_hold_every_parameter_once(potential: Potential, _: Path) -> None:
    layers = potential.layers()
    blocks = [f"block{k + 1}" for k in range(potential.card.blocks)]
    assert set(layers) == {REFERENCES, EMBEDDINGS, READOUT, *blocks}
    listed = [id(p) for parameters in layers.values() for p in parameters]
    assert len(listed) == len(set(listed))
    assert set(listed) == {id(p) for p in potential.parameters()}


@check
def zero_output_leaves_the_references(potential: Potential, _: Path) -> None:
    potential.zero_output()
    found = evaluate(potential, crystals())
    np.testing.assert_allclose(found["network"], 0.0, atol=1e-12)
    np.testing.assert_allclose(found["force"], 0.0, atol=1e-12)
    np.testing.assert_allclose(
        found["energy"], [potential.references[atoms.numbers - 1].mean() for atoms in crystals()], rtol=1e-9
    )


@check
def a_second_fidelity(potential: Potential, _: Path) -> None:
    inputs, rows = _one(potential)
    target = potential(potential.batch(inputs, rows), ["energy", "force"])
    with pytest.raises(ValueError, match="target fidelity only"):
        potential(potential.batch(inputs, rows), ["energy"], "source")
    references = potential.references + 1.5
    if not {"replay", "joint"} & potential.card.abilities:
        with pytest.raises(NotImplementedError, match=potential.card.title):
            potential.add_source(references, embedding=False)
        return
    parameters = {id(p) for p in potential.parameters()}
    potential.add_source(references, embedding="joint" in potential.card.abilities)
    potential.double()
    source = potential(potential.batch(inputs, rows), ["energy", "force"], "source")
    np.testing.assert_allclose(source["energy"].detach(), target["energy"].detach() + 1.5, atol=1e-5)
    np.testing.assert_array_equal(source["force"].detach(), target["force"].detach())
    if "joint" in potential.card.abilities:
        (own,) = [p for p in potential.parameters() if id(p) not in parameters]
        with torch.no_grad():
            own += 0.1
        moved = potential(potential.batch(inputs, rows), ["energy", "force"], "source")
        assert (moved["force"] - source["force"]).abs().max() > 1e-6
        again = potential(potential.batch(inputs, rows), ["energy", "force"])
        np.testing.assert_array_equal(again["force"].detach(), target["force"].detach())


# ---------------------------------------------------------------------------------------------------- stored, trained


def dataset_of(potential: Potential, folder: Path) -> Any:
    """Return labelled crystals as a data set of the architecture."""
    rng = np.random.default_rng(1)
    frames = [
        make_frame(
            f"frame{k}",
            Z=atoms.numbers,
            lattice=atoms.cell.array,
            frac=atoms.get_scaled_positions(),
            energy=-3.0 * len(atoms),
            forces=rng.normal(size=(len(atoms), 3)),
            stress_gpa=rng.normal(size=(3, 3)),
            magmom=rng.normal(size=len(atoms)),
        )
        for k, atoms in enumerate(crystals())
    ]
    table = table_of(frames)
    write_dataset(table, table.label("energy"), folder, name=potential.card.name)
    return open_dataset(folder / "manifest.json")


@check
def stored_inputs_give_the_same_predictions(potential: Potential, folder: Path) -> None:
    dataset = dataset_of(potential, folder)
    assert (dataset.inputs.costs() > 0).all()
    rows = np.array([3, 0, 4])
    found = predict(potential, dataset, rows, targets=potential.card.targets)
    same(found, evaluate(potential, [crystals()[k] for k in rows]), 1e-9)
    if "forces-by-element" in potential.card.abilities:
        parts = predict_by_element(potential, dataset, rows)
        np.testing.assert_allclose(np.concatenate([sum(part.values()) for part in parts]), found["force"], atol=1e-9)


@check
def damaged_inputs_are_refused(potential: Potential, folder: Path) -> None:
    dataset_of(potential, folder)
    for file in (folder / "inputs").glob("*"):  # none where the manifest holds all of them
        if file.name == "manifest.json":  # a copy of what the data set's own manifest says
            continue
        content = bytearray(file.read_bytes())
        content[-1] ^= 1
        file.write_bytes(content)
        with pytest.raises(DamagedError, match=file.name):
            open_dataset(folder / "manifest.json").inputs.pack(np.arange(5))
        content[-1] ^= 1
        file.write_bytes(content)


@check
def a_structure_without_neighbours_is_named(potential: Potential, folder: Path) -> None:
    far = table_of([make_frame("far", bond=7.4)])
    with pytest.raises(ValueError, match=r"far .*neighbour"):
        write_dataset(far, far.label("energy"), folder, name=potential.card.name)


@check
def the_loss_of_forces_reaches_every_layer(potential: Potential, _: Path) -> None:
    potential.set_references(potential.references, trainable=True)
    potential.train()
    found = potential(potential.batch(*_one(potential)), potential.card.targets)
    sum(value.square().sum() for value in found.values()).backward()
    norms = gradient_norms(potential)
    assert set(norms) == {f"grad_{layer}" for layer in potential.layers()}
    assert all(value > 0 for value in norms.values())


@check
def frozen_references_stay_and_trainable_ones_move(potential: Potential, folder: Path) -> None:
    dataset = dataset_of(potential, folder / "data")
    potential.float()
    for trainable in (False, True):
        potential.set_references(potential.references, trainable=trainable)
        before = potential.references
        go(potential, dataset, folder / f"state{trainable}", steps=2)
        assert np.array_equal(potential.references, before) is not trainable
    pull = L2SP(potential, 1.0)
    references = {id(p) for p in potential.layers()[REFERENCES]}
    assert not references & {id(p) for p, _ in pull.pairs}
    assert len(pull.pairs) == sum(p.requires_grad and id(p) not in references for p in potential.parameters())


@check
def fisher_information_of_energies_is_their_squared_derivatives(potential: Potential, folder: Path) -> None:
    rows = Rows(dataset_of(potential, folder), np.arange(2))
    asked: dict[str, Any] = {"weights": {"energy": 2.0, "force": 1.0}, "seed": 0}
    found = fisher_diagonal(potential, rows, targets=["energy"], **asked)
    assert list(found) == [name for name, _ in network_parameters(potential)]
    wanted = {name: torch.zeros_like(values) for name, values in found.items()}
    for k in range(2):
        energy = potential(potential.batch(rows.dataset.inputs, np.array([k])), ["energy"])["energy"].sum()
        parameters = dict(network_parameters(potential))
        gradients = torch.autograd.grad(energy, [*parameters.values()], allow_unused=True)
        for name, gradient in zip(parameters, gradients, strict=True):
            wanted[name] += 0 if gradient is None else gradient.double().square()
    for name, values in wanted.items():
        torch.testing.assert_close(found[name], values)  # 2.0 for the weight, half for the mean
    held = fisher_diagonal(potential, rows, targets=["energy", "force"], **asked)
    by_layer = {layer: {id(p) for p in own} for layer, own in potential.layers().items() if layer != REFERENCES}
    for ids in by_layer.values():  # forces reach every layer
        assert sum(float(held[name].sum()) for name, p in network_parameters(potential) if id(p) in ids) > 0
    assert len(ElasticPull(potential, Elastic(1.0, held)).pairs) == sum(
        p.requires_grad for _, p in network_parameters(potential)
    )


def go(potential: Potential, dataset: Any, state: Path, *, steps: int, stop: int | None = None) -> None:
    """Train for some steps; `with `stop`, be interrupted when the state of that step is on the disk."""

    rows = Rows(dataset, np.arange(len(crystals())))
    train(
        Fabric(accelerator="cpu", devices=1),
        potential,
        rows,
        rows.take(np.arange(2)),
        targets=["energy", "force"],
        recipe=Training(batch_size=2, validations=steps, checkpoint_minutes=1e-9),
        budget=Budget(steps=steps),
        seed=0,
        state=state,
        watch=(lambda history: _interrupt(history, stop)) if stop else (lambda history: None),
    )


def _interrupt(history: Sequence[Any], stop: int) -> None:
    if history[-1]["step"] > stop:  # the state of step `stop` is on the disk
        raise KeyboardInterrupt


@check
def an_interrupted_run_ends_with_the_same_weights(potential: Potential, folder: Path) -> None:
    dataset = dataset_of(potential, folder / "data")
    arch = architecture(potential.card.name)
    whole, halted, resumed = (arch.new(3) for _ in range(3))
    go(whole, dataset, folder / "whole", steps=4)
    with pytest.raises(KeyboardInterrupt):
        go(halted, dataset, folder / "halted", steps=4, stop=2)
    go(resumed, dataset, folder / "halted", steps=4)
    for (name, a), b in zip(whole.state_dict().items(), resumed.state_dict().values(), strict=True):
        assert torch.equal(a, b), name


# -------------------------------------------------------------------------------------------------- files, calculator


@check
def saved_networks_predict_the_same(potential: Potential, folder: Path) -> None:
    potential.float()
    potential.save(folder / "model.pth.tar", target="high", source="low", corrects=None)
    again = load(folder / "model.pth.tar")
    assert again.card is potential.card
    same(evaluate(again, crystals()), evaluate(potential, crystals()), 0.0)
    np.testing.assert_array_equal(again.references, potential.references)
    assert architecture(potential.card.name).reads(folder / "model.pth.tar")
    with pytest.raises(ValueError, match="nonsense"):
        load(folder / "model.pth.tar", "nonsense")
    (folder / "text.pth.tar").write_text("no network")
    assert not architecture(potential.card.name).reads(folder / "text.pth.tar")
    with pytest.raises(ValueError, match=r"text\.pth\.tar"):
        load(folder / "text.pth.tar")


@check
def saved_networks_of_two_fidelities(potential: Potential, folder: Path) -> None:
    if "joint" not in potential.card.abilities:
        return
    potential.add_source(potential.references - 2.0, embedding=True)
    (own,) = [p for p in potential.parameters() if id(p) not in {id(q) for v in potential.layers().values() for q in v}]
    with torch.no_grad():
        own += 0.05
    potential.float()
    potential.save(folder / "model.pth.tar", target="high", source="low", corrects=None)
    with pytest.raises(ValueError, match="high, low"):
        load(folder / "model.pth.tar")
    inputs, rows = _one(potential)
    for name, side in (("high", "target"), ("low", "source")):
        found = load(folder / "model.pth.tar", name)
        wanted = potential(potential.batch(inputs, rows), ["energy", "force"], side)
        got = found(found.batch(inputs, rows), ["energy", "force"])
        for key, value in wanted.items():
            np.testing.assert_allclose(got[key].detach(), value.detach(), rtol=1e-5, atol=1e-5)


@check
def a_saved_correction_is_added(potential: Potential, folder: Path) -> None:
    if "delta" not in potential.card.abilities or not potential.card.checkpoints:
        return
    name = next(iter(potential.card.checkpoints))
    try:
        base = load(name)
    except ValueError as error:
        pytest.skip(str(error))
    correction = architecture(potential.card.name).new(1)
    correction.save(folder / "model.pth.tar", target="high", source="low", corrects=name)
    total = load(folder / "model.pth.tar")
    parts = [evaluate(network, crystals()) for network in (base, correction)]
    found = evaluate(total, crystals())
    for key in ("energy", "network", "force", "stress"):
        if key in found:
            np.testing.assert_allclose(found[key], parts[0][key] + parts[1][key], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(total.references, base.references + correction.references)


@check
def the_calculator_gives_the_same(potential: Potential, _: Path) -> None:
    calc = PotentialCalculator(potential)
    known = evaluate(potential, crystals())
    start = 0
    for k, atoms in enumerate(crystals()):
        held = atoms.copy()
        held.calc = calc
        assert held.get_potential_energy() == pytest.approx(known["energy"][k] * len(atoms), rel=1e-9)
        assert held.get_potential_energy(force_consistent=True) == held.get_potential_energy()
        np.testing.assert_allclose(held.get_forces(), known["force"][start : start + len(atoms)], atol=1e-8)
        if "stress" in known:
            wanted = full_3x3_to_voigt_6_stress(known["stress"][k] * GPa)
            np.testing.assert_allclose(held.get_stress(), wanted, atol=1e-9)
            left = ase.Atoms(
                atoms.numbers, atoms.positions, cell=atoms.cell.array[[1, 0, 2]], pbc=True, calculator=calc
            )
            np.testing.assert_allclose(left.get_stress(), wanted, atol=1e-9)
        start += len(atoms)
    several = calc.evaluate(crystals())
    assert [r["energy"] for r in several] == pytest.approx(
        [known["energy"][k] * len(a) for k, a in enumerate(crystals())]
    )
    with pytest.raises(ValueError, match="periodic"):
        calc.evaluate([ase.Atoms("N2", [[0, 0, 0], [0, 0, 1.1]])])
