"""Arms beyond those of the published study: trainable parts, L2-SP, replay, joint fidelities, Δ-learning."""

from __future__ import annotations

import io
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from chgnet.model import CHGNet
from factories import DATA, table_of
from lightning.fabric import Fabric

from uprung.config.arms import Arm
from uprung.config.training import Budget, Training
from uprung.datasets.store import Dataset, Rows, open_dataset, write_dataset
from uprung.models.chgnet.batch import PackedBatch
from uprung.models.chgnet.checkpoint import atomref, load_chgnet, new_chgnet
from uprung.models.chgnet.layers import layer_of
from uprung.models.chgnet.module import Packed, SourceSide
from uprung.models.chgnet.saved import load_potential, references_of, save_potential
from uprung.models.predict import predict
from uprung.sources import READERS
from uprung.training.arms import build_model, residual_labels, source_side
from uprung.training.gradient import accumulate_gradient
from uprung.training.loop import L2SP, Batches, ReplayedFrames, train
from uprung.training.losses import label_counts, loss_sums, pairs_of, total_loss

TARGETS = ("energy", "force", "stress", "magmom")
ONE = Fabric(accelerator="cpu", devices=1)
RECIPE = Training(batch_size=4, validations=2)
CHECKPOINT = load_chgnet("0.3.0")


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def stored(functional: str, folder: Path) -> Dataset:
    rng = np.random.default_rng(0)
    solids = list(READERS["solids"](DATA / "solids" / "solids.jsonl.gz", functional))[::20]
    frames = table_of([replace(f, label_scale="one", magmom=rng.normal(size=len(f.Z))) for f in solids])
    write_dataset(frames, frames.label("energy"), folder)
    return open_dataset(folder / "manifest.json")


@pytest.fixture(scope="module")
def high(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return stored("r2SCAN", tmp_path_factory.mktemp("high"))


@pytest.fixture(scope="module")
def low(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return stored("PBE", tmp_path_factory.mktemp("low"))


def everything(dataset: Dataset, side: Any = "target") -> Rows:
    return Rows(dataset, np.arange(len(dataset.energy)), side)


def go(module: Packed, frames: Rows, state: Path, steps: int = 3, **options: Any) -> Any:
    return train(
        ONE,
        module,
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
    model = build_model(arm, pretrained="chgnet-0.3.0", references=None, elements=np.zeros(94, dtype=bool), seed=0)
    before = weights(model)
    go(Packed(model, TARGETS), everything(high), tmp_path / "s", steps=1)
    moved = {layer_of(name) for name, value in weights(model).items() if not torch.equal(value, before[name])}
    assert moved == changed


def test_every_parameter_of_the_network_is_in_a_layer() -> None:
    layers = {layer_of(name) for name, _ in CHECKPOINT.named_parameters()}
    assert layers == {"references", "embeddings", "readout", "block1", "block2", "block3", "block4"}
    embedded = {name.split(".")[0] for name, _ in CHECKPOINT.named_parameters() if layer_of(name) == "embeddings"}
    assert all("embedding" in name or "expansion" in name or "bond_weights" in name for name in embedded)


# -------------------------------------------------------------------------------------------------------- L2-SP


def test_l2_sp_adds_the_gradient_of_its_penalty() -> None:
    model = load_chgnet("0.3.0").double()
    model.composition_model.fc.weight.requires_grad_(True)
    module = Packed(model, TARGETS)
    pull = L2SP(module, 0.3)
    start = {name: p.detach().clone() for name, p in model.named_parameters()}
    with torch.no_grad():
        for p in model.parameters():
            p += 0.01 * torch.randn(p.shape, dtype=p.dtype, generator=torch.Generator().manual_seed(p.numel()))
    terms = [(p - start[n]).square().sum() for n, p in model.named_parameters() if layer_of(n) != "references"]
    (0.15 * torch.stack(terms).sum()).backward()
    wanted = {name: p.grad for name, p in model.named_parameters()}
    model.zero_grad()
    pull.add_gradient()
    for name, p in model.named_parameters():
        if layer_of(name) == "references":
            assert p.grad is None  # reference energies have to move by many eV
        else:
            torch.testing.assert_close(p.grad, wanted[name])


def test_a_strong_pull_keeps_the_weights_near_their_start(high: Dataset, tmp_path: Path) -> None:
    distance = {}
    for strength in (None, 1e4):
        model = load_chgnet("0.3.0")
        before = weights(model)
        go(Packed(model, TARGETS), everything(high), tmp_path / str(strength), steps=12, l2_sp=strength)
        distance[strength] = sum(float((v - before[n]).square().sum()) for n, v in weights(model).items()) ** 0.5
    assert distance[1e4] < 0.5 * distance[None]


def test_a_run_is_not_resumed_under_another_pull(high: Dataset, tmp_path: Path) -> None:
    assert go(Packed(load_chgnet("0.3.0"), TARGETS), everything(high), tmp_path / "s", l2_sp=0.1).resumed == 0
    assert go(Packed(load_chgnet("0.3.0"), TARGETS), everything(high), tmp_path / "s", l2_sp=0.1).resumed == 1
    assert go(Packed(load_chgnet("0.3.0"), TARGETS), everything(high), tmp_path / "s", l2_sp=0.2).resumed == 0


# --------------------------------------------------------------------------------------------- replay and joint


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
    model = load_chgnet("0.3.0").double()
    source, replayed = source_side(
        arm_with(replay=0.5, fidelities="joint"),
        load_chgnet("0.3.0"),
        everything(low, "source"),
        pretrained="chgnet-0.3.0",
        targets=TARGETS,
        device="cpu",
    )
    with torch.no_grad():
        source.shift += torch.linspace(-0.2, 0.2, 64)
    module = Packed(model, TARGETS, source.double()).train()
    batch = [everything(high).take(np.arange(5)), replayed.take(np.arange(4, 7))]
    recipe = Training(micro_batch_cost=200)
    loss = accumulate_gradient(ONE, module, batch, targets=TARGETS, recipe=recipe)
    found = {name: p.grad.clone() for name, p in module.named_parameters() if p.grad is not None}
    module.zero_grad()
    counts = [label_counts(part.labels, TARGETS) for part in batch]
    total = {t: sum(c[t] for c in counts) for t in TARGETS}
    wanted = torch.zeros((), dtype=torch.float64)
    for part in batch:
        arrays = part.dataset.graphs.pack(part.rows)
        predicted = module(PackedBatch.from_arrays(arrays, dtype=torch.float64), part.side)
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
    for model in (load_chgnet("0.3.0"), new_chgnet(0)):
        side, frames = source_side(
            arm_with(replay=0.5),
            model,
            everything(low, "source"),
            pretrained="chgnet-0.3.0",
            targets=TARGETS,
            device="cpu",
        )
        assert not list(side.parameters())
        assert frames.dataset is low
        network = predict([model], low, frames.rows, targets=["energy"])["network"]
        gap = low.energy - network - low.composition(frames.rows) @ side.references.double().numpy()
        assert np.abs(low.composition(frames.rows).T @ gap).max() < 1e-3  # nothing linear in composition is left


def test_replayed_predictions_of_the_pretrained_network_are_labels_without_error(low: Dataset) -> None:
    side, frames = source_side(
        arm_with(replay={"fraction": 0.5, "labels": "pretrained"}),
        new_chgnet(0),
        everything(low, "source").take(np.arange(6)),
        pretrained="chgnet-0.3.0",
        targets=("energy", "force"),
        device="cpu",
    )
    np.testing.assert_allclose(side.references, atomref(CHECKPOINT), rtol=1e-6)
    found = predict([CHECKPOINT], low, frames.rows, targets=["energy", "force"])
    np.testing.assert_allclose(frames.labels.energy, found["energy"], atol=1e-6)
    np.testing.assert_allclose(frames.labels.forces, found["force"], atol=1e-5)
    assert np.isnan(frames.labels.stress).all()  # not asked for
    assert np.isnan(frames.dataset.energy[6:]).all()  # frames that were not predicted have no labels


def test_a_joint_network_is_an_ordinary_chgnet_at_each_fidelity(high: Dataset, tmp_path: Path) -> None:
    source = SourceSide(np.linspace(-9, 1, 94), embedding=True)
    with torch.no_grad():
        source.shift += torch.linspace(-0.5, 0.5, 64)
    module = Packed(load_chgnet("0.3.0"), TARGETS, source).eval()
    file = tmp_path / "model.pth.tar"
    save_potential(module, file, target="r2scan", source="pbe", corrects=None)
    batch = PackedBatch.from_arrays(high.graphs.pack(np.arange(5)))
    for fidelity, side in (("r2scan", "target"), ("pbe", "source")):
        found = predict(load_potential(file, fidelity), high, np.arange(5), targets=TARGETS)
        for name, values in module(batch, side).items():
            np.testing.assert_allclose(found[name], values.numpy(), atol=2e-5, err_msg=f"{fidelity} {name}")
    own, other = (references_of(load_potential(file, name)) for name in ("r2scan", "pbe"))
    assert np.abs(own - other).min() > 0
    for wrong in (None, "hse"):
        with pytest.raises(ValueError, match=r"choose one of r2scan, pbe, not"):
            load_potential(file, wrong)
    with pytest.raises(ValueError, match="several fidelities"):
        load_chgnet(file)
    with redirect_stdout(io.StringIO()):
        stock = CHGNet.from_file(str(file))
    assert all(torch.equal(a, b) for a, b in zip(stock.parameters(), module.chgnet.parameters(), strict=True))


def test_a_network_for_the_target_knows_no_source(high: Dataset) -> None:
    with pytest.raises(ValueError, match="knows the target fidelity only"):
        Packed(CHECKPOINT, TARGETS)(PackedBatch.from_arrays(high.graphs.pack([0])), "source")


def test_a_joint_run_resumes_to_the_same_network(high: Dataset, low: Dataset, tmp_path: Path, monkeypatch) -> None:
    def module() -> Packed:
        return Packed(load_chgnet("0.3.0"), TARGETS, SourceSide(np.zeros(94), embedding=True))

    replay = ReplayedFrames(everything(low, "source"), 0.5)
    whole, cut = module(), module()
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
    again = module()
    run = go(again, everything(high), tmp_path / "b", steps=4, replay=replay)
    assert run.resumed == 1
    assert whole.source is not None
    assert whole.source.shift.abs().max() > 0
    assert all(torch.equal(a, b) for a, b in zip(weights(whole).values(), weights(again).values(), strict=True))


# --------------------------------------------------------------------------------------------------- Δ-learning

DELTA = Arm.model_validate({"init": "random", "references": "residual", "delta": True})


def correction(high: Dataset) -> tuple[CHGNet, np.ndarray]:
    """Return an untrained correction and the residual references that it was built with."""
    elements = np.bincount(high.graphs.numbers, minlength=95)[1:] > 0
    references = np.where(elements, atomref(CHECKPOINT) - np.linspace(0.5, 2.0, 94), np.nan)
    return build_model(DELTA, pretrained="chgnet-0.3.0", references=references, elements=elements, seed=0), references


def test_a_correction_begins_as_the_pretrained_network_with_the_fitted_references(high: Dataset) -> None:
    model, references = correction(high)
    rows = np.arange(6)
    both = predict([CHECKPOINT, model], high, rows, targets=TARGETS)
    alone = predict([CHECKPOINT], high, rows, targets=TARGETS)
    np.testing.assert_allclose(both["force"], alone["force"], atol=1e-6)
    np.testing.assert_allclose(both["stress"], alone["stress"], atol=1e-6)
    expected = alone["network"] + high.composition(rows) @ np.nan_to_num(references)
    np.testing.assert_allclose(both["energy"], expected, atol=1e-5)


def test_the_loss_of_a_correction_is_that_of_the_sum(high: Dataset) -> None:
    model, _ = correction(high)
    with torch.no_grad():
        model.mlp.layers[-1].weight += 0.3
    frames = everything(high).take(np.arange(6))
    residual = residual_labels(frames, CHECKPOINT, targets=TARGETS, device="cpu")
    weight = RECIPE.weights.model_dump()
    batch = PackedBatch.from_arrays(high.graphs.pack(frames.rows))
    own = Packed(model, TARGETS).eval()(batch)
    both = {name: own[name] + Packed(CHECKPOINT, TARGETS).eval()(batch)[name] for name in ("energy", "force", "stress")}
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
    module = Packed(model, TARGETS)
    go(module, frames, tmp_path / "s", steps=4)
    file = tmp_path / "model.pth.tar"
    save_potential(module, file, target="r2scan", source="pbe", corrects="chgnet-0.3.0")
    potential = load_potential(file)
    rows = np.arange(4)
    total = predict(potential, high, rows, targets=TARGETS)
    parts = [predict([part], high, rows, targets=TARGETS) for part in (CHECKPOINT, model)]
    for name in ("energy", "force", "stress"):
        np.testing.assert_allclose(total[name], parts[0][name] + parts[1][name], atol=1e-6, err_msg=name)
    np.testing.assert_allclose(total["magmom"], parts[1]["magmom"], atol=1e-7)
    assert np.abs(parts[1]["force"]).max() > 1e-4
    with pytest.raises(ValueError, match=r"correction to chgnet-0\.3\.0"):
        load_chgnet(file)
    with pytest.raises(KeyError):
        CHGNet.from_file(str(file))


def test_ase_calculators_give_what_the_potential_predicts(high: Dataset, tmp_path: Path) -> None:
    from ase import Atoms

    from uprung.models.calculator import calculator

    model, _ = correction(high)
    with torch.no_grad():
        model.mlp.layers[-1].weight += 0.3
    joint = Packed(load_chgnet("0.3.0"), TARGETS, SourceSide(np.linspace(-9, 1, 94), embedding=True))
    files = {"delta": tmp_path / "delta", "joint": tmp_path / "joint"}
    save_potential(Packed(model, TARGETS), files["delta"], target="hi", source="lo", corrects="chgnet-0.3.0")
    save_potential(joint, files["joint"], target="hi", source="lo", corrects=None)
    arrays = high.graphs.pack([2])
    atoms = Atoms(arrays.numbers, cell=arrays.lattice[0], scaled_positions=arrays.frac, pbc=True)
    for name, fidelity in (("delta", None), ("joint", "lo")):
        with redirect_stdout(io.StringIO()):
            atoms.calc = calculator(files[name], fidelity=fidelity)
        found = predict(load_potential(files[name], fidelity), high, np.array([2]), targets=TARGETS)
        assert atoms.get_potential_energy() == pytest.approx(found["energy"][0] * len(atoms), abs=1e-4)
        np.testing.assert_allclose(atoms.get_forces(), found["force"], atol=1e-4)
        np.testing.assert_allclose(atoms.get_stress(voigt=False) * 160.21766, found["stress"][0], atol=1e-3)
    with pytest.raises(ValueError, match="choose one of hi, lo"):
        calculator(files["joint"])


@pytest.mark.parametrize("kind", ["delta", "joint"])
def test_forces_and_stress_of_sums_and_of_two_fidelities_are_derivatives(
    kind: str, high: Dataset, tmp_path: Path
) -> None:
    from ase import Atoms

    from uprung.models.calculator import calculator

    if kind == "delta":
        model, _ = correction(high)
        with torch.no_grad():
            model.mlp.layers[-1].weight += 0.3
        module, corrects, fidelity = Packed(model, TARGETS), "chgnet-0.3.0", None
    else:
        side = SourceSide(np.linspace(-9, 1, 94), embedding=True)
        with torch.no_grad():
            side.shift += torch.linspace(-0.2, 0.2, side.shift.numel()).reshape(side.shift.shape)
        module, corrects, fidelity = Packed(load_chgnet("0.3.0"), TARGETS, side), None, "lo"
    save_potential(module, tmp_path / "model", target="hi", source="lo", corrects=corrects)
    arrays = high.graphs.pack([2])
    atoms = Atoms(arrays.numbers, cell=arrays.lattice[0], scaled_positions=arrays.frac, pbc=True)
    atoms.rattle(0.05, seed=0)
    with redirect_stdout(io.StringIO()):
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
