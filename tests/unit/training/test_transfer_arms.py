"""Arms beyond those of the published study: trainable parts, L2-SP, replay, joint fidelities, Δ-learning."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from factories import DATA, table_of
from lightning.fabric import Fabric

from uprung.config.arms import Arm
from uprung.config.training import Budget, Training
from uprung.datasets.store import Dataset, Rows
from uprung.evaluation.untouched import untouched_errors
from uprung.models.data import open_dataset, write_dataset
from uprung.models.interface import REFERENCES, Potential
from uprung.models.predict import predict
from uprung.models.registry import architecture, load
from uprung.models.total import SumPotential
from uprung.sources import READERS
from uprung.training.arms import ReplayedFrames, add_source, build_potential, freeze_all_but, residual_labels
from uprung.training.gradient import accumulate_gradient
from uprung.training.loop import L2SP, Batches, train
from uprung.training.losses import label_counts, loss_sums, pairs_of, total_loss

TARGETS = ("energy", "force", "stress", "magmom")
ONE = Fabric(accelerator="cpu", devices=1)
RECIPE = Training(batch_size=4, validations=2)
CHECKPOINT = load("chgnet-0.3.0").eval()


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def stored(functional: str, folder: Path) -> Dataset:
    rng = np.random.default_rng(0)
    solids = list(READERS["solids"].read(DATA / "solids" / "solids.jsonl.gz", functional))[::20]
    frames = table_of([replace(f, label_scale="one", magmom=rng.normal(size=len(f.Z))) for f in solids])
    write_dataset(frames, frames.label("energy"), folder, name="chgnet")
    return open_dataset(folder / "manifest.json")


@pytest.fixture(scope="module")
def high(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return stored("r2SCAN", tmp_path_factory.mktemp("high"))


@pytest.fixture(scope="module")
def low(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return stored("PBE", tmp_path_factory.mktemp("low"))


def everything(dataset: Dataset, side: Any = "target") -> Rows:
    return Rows(dataset, np.arange(len(dataset.energy)), side)


def go(potential: Potential, frames: Rows, state: Path, steps: int = 3, **options: Any) -> Any:
    return train(
        ONE,
        potential,
        frames,
        frames.take(np.arange(3)),
        targets=TARGETS,
        recipe=RECIPE,
        budget=Budget(steps=steps),
        seed=0,
        state=state,
        **options,
    )


def weights(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


# ---------------------------------------------------------------------------------------------- trainable parts


@pytest.mark.parametrize(
    ("part", "changed"),
    [
        ("all", {"embeddings", "block1", "block2", "block3", "block4", "readout"}),
        ("all-but-embeddings", {"block1", "block2", "block3", "block4", "readout"}),
        ("last-2-blocks", {"block3", "block4", "readout"}),
        ("last-1-block", {"block4", "readout"}),
        ("readout", {"readout"}),
    ],
)
def test_training_changes_the_named_part_only(part: str, changed: set[str], high: Dataset, tmp_path: Path) -> None:
    arm = Arm.model_validate({"init": "pretrained", "references": "checkpoint", "trainable": part})
    nothing = np.zeros(94, dtype=bool)
    model = build_potential(arm, name="chgnet", pretrained="chgnet-0.3.0", references=None, elements=nothing, seed=0)
    before = {layer: [p.detach().clone() for p in parameters] for layer, parameters in model.layers().items()}
    go(model, everything(high), tmp_path / "s", steps=1)
    moved = {
        layer for layer, parameters in model.layers().items() if not all(map(torch.equal, parameters, before[layer]))
    }
    assert moved == changed


def test_more_trainable_blocks_than_the_network_has_are_refused() -> None:
    with pytest.raises(ValueError, match="trainable: last-5-blocks, but the network has 4 blocks"):
        freeze_all_but(load("chgnet-0.3.0"), "last-5-blocks")  # type: ignore[arg-type]


# -------------------------------------------------------------------------------------------------------- L2-SP


def test_l2_sp_adds_the_gradient_of_its_penalty() -> None:
    model = load("chgnet-0.3.0").double()
    model.set_references(model.references, trainable=True)
    references = {id(p) for p in model.layers()[REFERENCES]}
    pull = L2SP(model, 0.3)
    start = {name: p.detach().clone() for name, p in model.named_parameters()}
    with torch.no_grad():
        for p in model.parameters():
            p += 0.01 * torch.randn(p.shape, dtype=p.dtype, generator=torch.Generator().manual_seed(p.numel()))
    terms = [(p - start[n]).square().sum() for n, p in model.named_parameters() if id(p) not in references]
    (0.15 * torch.stack(terms).sum()).backward()
    wanted = {name: p.grad for name, p in model.named_parameters()}
    model.zero_grad()
    pull.add_gradient()
    for name, p in model.named_parameters():
        if id(p) in references:
            assert p.grad is None  # reference energies have to move by many eV
        else:
            torch.testing.assert_close(p.grad, wanted[name])


def test_a_strong_pull_keeps_the_weights_near_their_start(high: Dataset, tmp_path: Path) -> None:
    distance = {}
    for strength in (None, 1e4):
        model = load("chgnet-0.3.0")
        before = weights(model)
        go(model, everything(high), tmp_path / str(strength), steps=12, l2_sp=strength)
        distance[strength] = sum(float((v - before[n]).square().sum()) for n, v in weights(model).items()) ** 0.5
    assert distance[1e4] < 0.5 * distance[None]


def test_a_run_is_not_resumed_under_another_pull(high: Dataset, tmp_path: Path) -> None:
    assert go(load("chgnet-0.3.0"), everything(high), tmp_path / "s", l2_sp=0.1).resumed == 0
    assert go(load("chgnet-0.3.0"), everything(high), tmp_path / "s", l2_sp=0.1).resumed == 1
    assert go(load("chgnet-0.3.0"), everything(high), tmp_path / "s", l2_sp=0.2).resumed == 0


# --------------------------------------------------------------------------------------------- replay and joint


ASKED: dict[str, Any] = {"pretrained": "chgnet-0.3.0", "targets": TARGETS, "device": "cpu"}


def joint_network() -> Potential:
    """Return a network of two fidelities with an embedding; before training they differ in their references only."""
    potential = load("chgnet-0.3.0")
    potential.add_source(np.linspace(-9, 1, 94), embedding=True)
    return potential


def move_embedding(potential: Potential, most: float) -> None:
    """Give the source fidelity of a network an embedding as training would."""
    with torch.no_grad():
        potential.source.shift += torch.linspace(-most, most, 64)


def source_references(potential: Potential) -> np.ndarray:
    return potential.source.references.double().numpy()


def arm_with(**options: Any) -> Arm:
    return Arm.model_validate({"init": "pretrained", "references": "checkpoint", **options})


def test_batches_hold_the_stated_share_of_source_frames_and_every_frame_in_turn(high: Dataset, low: Dataset) -> None:
    replay = ReplayedFrames(everything(low, "source"), 0.25)
    batches = Batches(everything(high), 8, Budget(epochs=2), seed=3, replay=replay)
    alone = Batches(everything(high), 6, Budget(epochs=2), seed=3)
    assert batches.plan == alone.plan
    seen = []
    for step in range(batches.plan.steps):
        target, source = batches.at(step)
        assert (target.side, source.side) == ("target", "source")
        np.testing.assert_array_equal(target.rows, alone.at(step)[0].rows)
        assert len(source.rows) == 2 or (step + 1) % batches.replay_plan.steps_per_epoch == 0
        seen += source.rows.tolist()
    first_pass = seen[: len(low.energy)]
    assert len(set(first_pass)) == len(first_pass)


def test_the_gradient_of_a_mixed_batch_is_that_of_one_loss_over_all_its_labels(high: Dataset, low: Dataset) -> None:
    module = load("chgnet-0.3.0")
    arm = arm_with(replay=0.5, fidelities="joint")
    replayed = add_source(arm, module, everything(low, "source"), **ASKED)
    move_embedding(module, 0.2)
    module.double().train()
    batch = [everything(high).take(np.arange(5)), replayed.take(np.arange(4, 7))]
    recipe = Training(micro_batch_cost=200)
    loss = accumulate_gradient(ONE, module, batch, targets=TARGETS, recipe=recipe)
    found = {name: p.grad.clone() for name, p in module.named_parameters() if p.grad is not None}
    module.zero_grad()
    counts = [label_counts(part.labels, TARGETS) for part in batch]
    total = {t: sum(c[t] for c in counts) for t in TARGETS}
    wanted = torch.zeros((), dtype=torch.float64)
    for part in batch:
        predicted = module(module.batch(part.dataset.inputs, part.rows), TARGETS, part.side)
        sums = loss_sums(pairs_of(predicted, part.labels, TARGETS), recipe.huber_delta)
        wanted = wanted + total_loss(sums, total, recipe.weights.model_dump())
    wanted.backward()
    assert loss == pytest.approx(wanted.item(), rel=1e-12)
    assert found["source.shift"].abs().max() > 0
    for name, p in module.named_parameters():
        if name in found:
            scale = p.grad.abs().max().item()
            torch.testing.assert_close(found[name], p.grad, atol=1e-11 * scale, rtol=1e-9, msg=name)


def test_source_references_leave_no_shift_of_energy_between_labels_and_network(low: Dataset) -> None:
    for model in (load("chgnet-0.3.0"), architecture("chgnet").new(0)):
        parameters = len(list(model.parameters()))
        frames = add_source(arm_with(replay=0.5), model, everything(low, "source"), **ASKED)
        assert len(list(model.parameters())) == parameters
        assert frames.dataset is low
        network = predict(model, low, frames.rows, targets=["energy"])["network"]
        gap = low.energy - network - low.composition(frames.rows) @ source_references(model)
        assert np.abs(low.composition(frames.rows).T @ gap).max() < 1e-3  # nothing linear in composition is left


def test_replayed_predictions_of_the_pretrained_network_are_labels_without_error(low: Dataset) -> None:
    arm, model = arm_with(replay={"fraction": 0.5, "labels": "pretrained"}), architecture("chgnet").new(0)
    some = everything(low, "source").take(np.arange(6))
    frames = add_source(arm, model, some, **{**ASKED, "targets": ("energy", "force")})
    np.testing.assert_allclose(source_references(model), CHECKPOINT.references, rtol=1e-6)
    found = predict(CHECKPOINT, low, frames.rows, targets=["energy", "force"])
    np.testing.assert_allclose(frames.labels.energy, found["energy"], atol=1e-6)
    np.testing.assert_allclose(frames.labels.forces, found["force"], atol=1e-5)
    assert np.isnan(frames.labels.stress).all()  # not asked for
    assert np.isnan(frames.dataset.energy[6:]).all()  # frames that were not predicted have no labels


def test_a_joint_network_is_an_ordinary_one_at_each_fidelity(high: Dataset, tmp_path: Path) -> None:
    module = joint_network().eval()
    move_embedding(module, 0.5)
    file = tmp_path / "model.pth.tar"
    module.save(file, target="r2scan", source="pbe", corrects=None)
    batch = module.batch(high.inputs, np.arange(5))
    for fidelity, side in (("r2scan", "target"), ("pbe", "source")):
        found = predict(load(file, fidelity), high, np.arange(5), targets=TARGETS)
        for name, values in module(batch, TARGETS, side).items():
            np.testing.assert_allclose(found[name], values.numpy(), atol=2e-5, err_msg=f"{fidelity} {name}")
    own, other = (load(file, name).references for name in ("r2scan", "pbe"))
    assert np.abs(own - other).min() > 0
    for wrong in (None, "hse"):
        with pytest.raises(ValueError, match=r"choose one of r2scan, pbe, not"):
            load(file, wrong)


def test_a_network_for_the_target_knows_no_source(high: Dataset) -> None:
    with pytest.raises(ValueError, match="knows the target fidelity only"):
        CHECKPOINT(CHECKPOINT.batch(high.inputs, np.arange(1)), TARGETS, "source")


def test_a_joint_run_resumes_to_the_same_network(high: Dataset, low: Dataset, tmp_path: Path, monkeypatch) -> None:
    replay = ReplayedFrames(everything(low, "source"), 0.5)
    whole, cut = joint_network(), joint_network()
    go(whole, everything(high), tmp_path / "a", steps=4, replay=replay)
    stop = type("StopError", (KeyboardInterrupt,), {})
    validate_at = 2

    from uprung.training import loop as training

    real = training.save_state

    def save_and_stop(path: Path, identity: str, run: Any, *rest: Any) -> None:
        real(path, identity, run, *rest)
        if run.step == validate_at:
            raise stop

    with monkeypatch.context() as patch:
        patch.setattr(training, "save_state", save_and_stop)
        with pytest.raises(stop):
            go(cut, everything(high), tmp_path / "b", steps=4, replay=replay)
    again = joint_network()
    run = go(again, everything(high), tmp_path / "b", steps=4, replay=replay)
    assert run.resumed == 1
    assert whole.source is not None
    assert whole.source.shift.abs().max() > 0
    assert all(torch.equal(a, b) for a, b in zip(weights(whole).values(), weights(again).values(), strict=True))


# --------------------------------------------------------------------------------------------------- Δ-learning

DELTA = Arm.model_validate({"init": "random", "references": "residual", "delta": True})


def correction(high: Dataset) -> tuple[Potential, np.ndarray]:
    """Return an untrained correction and the residual references that it was built with."""
    elements = np.bincount(high.numbers, minlength=95)[1:] > 0
    references = np.where(elements, CHECKPOINT.references - np.linspace(0.5, 2.0, 94), np.nan)
    found = build_potential(
        DELTA, name="chgnet", pretrained="chgnet-0.3.0", references=references, elements=elements, seed=0
    )
    return found, references


def trained_correction(high: Dataset) -> Potential:
    """Return a correction that adds something to the forces."""
    model, _ = correction(high)
    with torch.no_grad():
        model.chgnet.mlp.layers[-1].weight += 0.3
    return model


def test_a_correction_begins_as_the_pretrained_network_with_the_fitted_references(high: Dataset) -> None:
    model, references = correction(high)
    rows = np.arange(6)
    both = predict(SumPotential([CHECKPOINT, model]), high, rows, targets=TARGETS)
    alone = predict(CHECKPOINT, high, rows, targets=TARGETS)
    np.testing.assert_allclose(both["force"], alone["force"], atol=1e-6)
    np.testing.assert_allclose(both["stress"], alone["stress"], atol=1e-6)
    expected = alone["network"] + high.composition(rows) @ np.nan_to_num(references)
    np.testing.assert_allclose(both["energy"], expected, atol=1e-5)


def test_the_loss_of_a_correction_is_that_of_the_sum(high: Dataset) -> None:
    model = trained_correction(high).eval()
    frames = everything(high).take(np.arange(6))
    residual = residual_labels(frames, CHECKPOINT, targets=TARGETS, device="cpu")
    weight = RECIPE.weights.model_dump()
    batch = model.batch(high.inputs, frames.rows)
    own = model(batch, TARGETS)
    both = {name: own[name] + CHECKPOINT(batch, TARGETS)[name] for name in ("energy", "force", "stress")}
    both["magmom"] = own["magmom"]  # absolute values do not add up: the correction predicts them alone
    count = label_counts(frames.labels, TARGETS)
    losses = [
        total_loss(loss_sums(pairs_of(predicted, labels, TARGETS), RECIPE.huber_delta), count, weight)
        for predicted, labels in ((own, residual.labels), (both, frames.labels))
    ]
    assert losses[0].item() == pytest.approx(losses[1].item(), rel=1e-5)
    assert np.isnan(residual.dataset.energy[6:]).all()


def test_a_saved_correction_adds_up_and_cannot_be_taken_for_a_network(high: Dataset, tmp_path: Path) -> None:
    model, _ = correction(high)
    frames = residual_labels(everything(high), CHECKPOINT, targets=TARGETS, device="cpu")
    go(model, frames, tmp_path / "s", steps=4)
    file = tmp_path / "model.pth.tar"
    model.save(file, target="r2scan", source="pbe", corrects="chgnet-0.3.0")
    potential = load(file)
    rows = np.arange(4)
    total = predict(potential, high, rows, targets=TARGETS)
    parts = [predict(part, high, rows, targets=TARGETS) for part in (CHECKPOINT, model)]
    for name in ("energy", "force", "stress"):
        np.testing.assert_allclose(total[name], parts[0][name] + parts[1][name], atol=1e-6, err_msg=name)
    np.testing.assert_allclose(total["magmom"], parts[1]["magmom"], atol=1e-7)
    assert np.abs(parts[1]["force"]).max() > 1e-4
    np.testing.assert_allclose(potential.references, CHECKPOINT.references + model.references, atol=1e-12)
    with pytest.raises(TypeError, match="a sum of networks is not trained"):
        go(potential, everything(high), tmp_path / "t")
    with pytest.raises(ValueError, match="predicts one fidelity"):
        load(file, "r2scan")


def test_ase_calculators_give_what_the_potential_predicts(high: Dataset, tmp_path: Path) -> None:
    from ase import Atoms

    from uprung.models.calculator import calculator

    files = {"delta": tmp_path / "delta", "joint": tmp_path / "joint"}
    trained_correction(high).save(files["delta"], target="hi", source="lo", corrects="chgnet-0.3.0")
    joint_network().save(files["joint"], target="hi", source="lo", corrects=None)
    arrays = high.inputs.pack([2])
    atoms = Atoms(arrays.numbers, cell=arrays.lattice[0], scaled_positions=arrays.frac, pbc=True)
    for name, fidelity in (("delta", None), ("joint", "lo")):
        atoms.calc = calculator(files[name], fidelity=fidelity)
        found = predict(load(files[name], fidelity), high, np.array([2]), targets=TARGETS)
        assert atoms.get_potential_energy() == pytest.approx(found["energy"][0] * len(atoms), abs=1e-4)
        np.testing.assert_allclose(atoms.get_forces(), found["force"], atol=1e-4)
        np.testing.assert_allclose(atoms.get_stress(voigt=False) * 160.21766, found["stress"][0], atol=1e-3)
        np.testing.assert_allclose(atoms.get_magnetic_moments(), found["magmom"], atol=1e-5)
    with pytest.raises(ValueError, match="choose one of hi, lo"):
        calculator(files["joint"])


@pytest.mark.parametrize("kind", ["delta", "joint"])
def test_forces_and_stress_of_sums_and_of_two_fidelities_are_derivatives(
    kind: str, high: Dataset, tmp_path: Path
) -> None:
    from ase import Atoms

    from uprung.models.calculator import calculator

    if kind == "delta":
        module, corrects, fidelity = trained_correction(high), "chgnet-0.3.0", None
    else:
        module, corrects, fidelity = joint_network(), None, "lo"
        move_embedding(module, 0.2)
    module.save(tmp_path / "model", target="hi", source="lo", corrects=corrects)
    arrays = high.inputs.pack([2])
    atoms = Atoms(arrays.numbers, cell=arrays.lattice[0], scaled_positions=arrays.frac, pbc=True)
    atoms.rattle(0.05, seed=0)
    atoms.calc = calculator(tmp_path / "model", fidelity=fidelity)
    forces, stress = atoms.get_forces(), atoms.get_stress(voigt=False)
    assert np.abs(forces).max() > 0.05

    def energy(position: float, strain: float) -> float:
        moved = atoms.copy()
        moved.positions[0, 0] += position
        moved.set_cell(moved.cell.array * (1 + strain), scale_atoms=True)
        moved.calc = atoms.calc
        return float(moved.get_potential_energy())

    # energies come in float32, and atoms pass the cutoff when the strain is large: steps between the two
    by_position = -(energy(0.02, 0) - energy(-0.02, 0)) / 0.04
    by_strain = (energy(0, 0.001) - energy(0, -0.001)) / 0.002 / atoms.get_volume()
    assert by_position == pytest.approx(forces[0, 0], abs=5e-3 + 2e-3 * abs(float(forces[0, 0])))
    assert by_strain == pytest.approx(np.trace(stress), rel=2e-2, abs=1e-3)


def test_references_of_the_run_decide_the_energy_and_nothing_else(high: Dataset) -> None:
    network, rows = load("chgnet-0.3.0"), np.arange(4)
    moved = np.full(94, np.nan)
    elements = np.unique(high.numbers) - 1
    moved[elements] = network.references[elements] + 1.5  # NaN elsewhere: the network keeps its own
    asked = {("own", "10", 0): None, ("moved", "10", 0): moved}
    found = untouched_errors(network, high, rows, asked, targets=["energy", "force"]).set_index("arm")
    predicted = predict(network, high, rows, targets=["energy", "force"])
    labels = high.labels(rows)
    assert found.loc["own", "energy_start"].to_numpy() == pytest.approx(
        abs(predicted["energy"] - labels.energy), rel=1e-4
    )
    assert found.loc["moved", "energy_start"].to_numpy() == pytest.approx(
        abs(predicted["energy"] + 1.5 - labels.energy), rel=1e-4
    )
    assert (found.loc["own", "force_start"].to_numpy() == found.loc["moved", "force_start"].to_numpy()).all()
