"""MACE beside its own package's code; run in its environment (`make mace`), with the contract of all architectures."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import ase
import ase.io
import numpy as np
import pytest
import torch
from ase.build import bulk
from ase.units import GPa

pytest.importorskip("mace", reason="MACE has an environment of its own: make mace")

from e3nn import o3
from factories import DATA
from mace.calculators import MACECalculator
from mace.modules import interaction_classes
from mace.modules.models import MACE, ScaleShiftMACE

from uprung.config.arms import Arm
from uprung.datasets.store import Rows
from uprung.frames.schema import Frame
from uprung.models.calculator import PotentialCalculator, calculator
from uprung.models.interface import Geometry
from uprung.models.mace.potential import MacePotential
from uprung.models.registry import architecture, load
from uprung.sources import READERS
from uprung.training.arms import begin

#: A file of yours, for one more comparison.
GIVEN = os.environ.get("UPRUNG_MACE", "")
RESIDUAL = "RealAgnosticResidualInteractionBlock"
DENSITY = "RealAgnosticDensityResidualInteractionBlock"


def crystals() -> list[ase.Atoms]:
    found = [bulk("Si", cubic=True), bulk("NaCl", "rocksalt", a=5.6), bulk("Fe", cubic=True)]
    for k, atoms in enumerate(found):
        strain = 0.03 * np.random.default_rng(k).normal(size=(3, 3))
        atoms.rattle(0.1, seed=k)
        atoms.set_cell(atoms.cell.array @ (np.eye(3) + strain), scale_atoms=True)
    return found


def theirs(path: Path, **options: Any) -> MACECalculator:
    return MACECalculator(model_paths=str(path), device="cpu", default_dtype="float64", **options)


def same(ours: PotentialCalculator, stock: MACECalculator) -> None:
    known = [atoms for atoms in crystals() if {*atoms.numbers.tolist()} <= ours.potential.elements]
    assert known
    for atoms in known:
        one, two = atoms.copy(), atoms.copy()
        one.calc, two.calc = ours, stock
        n = len(atoms)
        assert one.get_potential_energy() / n == pytest.approx(two.get_potential_energy() / n, abs=1e-5)
        np.testing.assert_allclose(one.get_forces(), two.get_forces(), atol=2e-5)
        np.testing.assert_allclose(one.get_stress() / GPa, two.get_stress() / GPa, atol=2e-4)


def stock(path: Path, kind: type = ScaleShiftMACE, *, heads: tuple[str, ...] = ("Default",), **options: Any) -> Path:
    """Write a file as MACE's training does, of a small network with random weights, references, scale and shift."""
    rng = np.random.default_rng(0)
    numbers = options.pop("atomic_numbers", [11, 14, 17, 26])
    scaled = {"atomic_inter_scale": 0.5 + rng.random(len(heads)), "atomic_inter_shift": rng.normal(size=len(heads))}
    if len(heads) == 1:
        scaled = {name: float(value[0]) for name, value in scaled.items()}
    usual: dict[str, Any] = {
        "r_max": 4.5,
        "num_bessel": 6,
        "num_polynomial_cutoff": 6,
        "max_ell": 2,
        "interaction_cls": interaction_classes[RESIDUAL],
        "interaction_cls_first": interaction_classes[RESIDUAL],
        "num_interactions": 2,
        "num_elements": len(numbers),
        "hidden_irreps": o3.Irreps("8x0e+8x1o"),
        "MLP_irreps": o3.Irreps("4x0e"),
        "atomic_energies": rng.normal(size=(len(heads), len(numbers))),
        "avg_num_neighbors": 11.0,
        "atomic_numbers": numbers,
        "correlation": 2,
        "gate": torch.nn.functional.silu,
        "heads": list(heads),
        **(scaled if kind is ScaleShiftMACE else {}),
    }
    torch.manual_seed(0)
    torch.save(kind(**{**usual, **options}).double(), path)
    return path


VARIANTS: dict[str, dict[str, Any]] = {
    "as usual": {},
    "single precision": {"atomic_energies": np.array([[-1.5, -2.5, -3.5, -4.5]])},
    "one energy per element": {"atomic_energies": np.array([-1.0, -2.0, -3.0, -4.0])},
    "scalars alone": {"hidden_irreps": o3.Irreps("8x0e")},
    "another radial network": {"radial_MLP": [16, 8], "correlation": 3, "max_ell": 3},
    "density": {"interaction_cls": interaction_classes[DENSITY], "interaction_cls_first": interaction_classes[DENSITY]},
    "another first layer": {"interaction_cls_first": interaction_classes["RealAgnosticInteractionBlock"]},
    "repulsion": {"pair_repulsion": True, "distance_transform": "Agnesi"},
    "gaussians": {"radial_type": "gaussian"},
    "three layers": {"num_interactions": 3},
    "last readout": {"use_last_readout_only": True},
    "full basis": {"use_reduced_cg": False},
    "all elements": {"atomic_numbers": [z for z in range(1, 95) if not 83 < z < 89]},
}


@pytest.mark.parametrize("name", VARIANTS)
def test_predictions_of_files_are_those_of_mace(name: str, tmp_path: Path) -> None:
    path = stock(tmp_path / "stock.model", **VARIANTS[name])
    same(calculator(path), theirs(path))


def test_a_head_of_several_is_chosen_by_name(tmp_path: Path) -> None:
    heads = ("pt_head", "Default", "r2scan")
    path = stock(tmp_path / "stock.model", heads=heads)
    for head in heads:
        same(calculator(path, fidelity=head), theirs(path, head=head))
    with pytest.raises(ValueError, match="choose one of pt_head, Default, r2scan, not None"):
        load(path)


def test_a_changed_network_loads_in_mace(tmp_path: Path) -> None:
    potential = load(stock(tmp_path / "stock.model"))
    with torch.no_grad():
        for parameter in potential.parameters():
            parameter += 1e-2 * torch.randn_like(parameter)
    potential.save(tmp_path / "model.pth.tar", target="high", source="low", corrects=None)
    same(calculator(tmp_path / "model.pth.tar"), theirs(tmp_path / "model.pth.tar"))
    same(PotentialCalculator(potential), theirs(tmp_path / "model.pth.tar"))


@pytest.mark.parametrize("heads", [("Default",), ("one", "two")])
def test_two_fidelities_are_heads_of_one_file(heads: tuple[str, ...], tmp_path: Path) -> None:
    potential = load(stock(tmp_path / "stock.model", heads=heads), heads[0] if len(heads) > 1 else None)
    assert isinstance(potential, MacePotential)
    potential.add_source(potential.references + 2.0, embedding=True)
    assert potential.source is not None
    with torch.no_grad():
        potential.source.shift += 0.1 * torch.randn_like(potential.source.shift)
    path = tmp_path / "model.pth.tar"
    potential.save(path, target="high", source="low", corrects=None)
    for name in ("high", "low"):
        same(calculator(path, fidelity=name), theirs(path, head=name))
    same(PotentialCalculator(load(path, "high")), theirs(path, head="high"))
    atoms = crystals()[1]
    ours = architecture("mace").inputs_of([Geometry(atoms.numbers, atoms.get_scaled_positions(), atoms.cell.array)])
    batch = potential.eval().batch(ours, np.arange(1))
    for name, side in (("high", "target"), ("low", "source")):
        moved = atoms.copy()
        moved.calc = theirs(path, head=name)
        found = potential(batch, ["energy", "force"], side)
        assert float(found["energy"]) == pytest.approx(moved.get_potential_energy() / len(atoms), abs=1e-5)
        np.testing.assert_allclose(found["force"], moved.get_forces(), atol=2e-5)


def test_what_is_not_computed_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds a MACE, not a ScaleShiftMACE"):
        load(stock(tmp_path / "plain.model", MACE))
    with pytest.raises(ValueError, match=r"cutoff is 7 Å \(allowed: up to 6 Å\)"):
        load(stock(tmp_path / "far.model", r_max=7.0))
    with pytest.raises(ValueError, match=r"elements Z = \[96\]"):
        load(stock(tmp_path / "curium.model", atomic_numbers=[11, 14, 17, 96]))
    with pytest.raises(ValueError, match=r"non-linearity torch\.nn\.functional\.relu is not computed here"):
        load(stock(tmp_path / "gate.model", gate=torch.nn.functional.relu))


def test_an_element_that_a_file_does_not_know_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"does not know the elements Z = \[29\]"):
        calculator(stock(tmp_path / "stock.model")).evaluate([bulk("Cu", cubic=True)])


def test_forces_of_files_are_checked(tmp_path: Path) -> None:
    path = stock(tmp_path / "stock.model", atomic_numbers=[14, 26])  # neither sodium nor chlorine
    original = MacePotential.network_energies

    def cut(self: MacePotential, batch: Any, side: Any) -> torch.Tensor:
        energies = original(self, batch, side)
        return energies.index_add(0, batch.owner, batch.positions.detach().square().sum(dim=1))

    assert load(path).elements == {14, 26}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MacePotential, "network_energies", cut)
        with pytest.raises(ValueError, match="not the gradient"):
            load(path)


class Touch:
    """Leaves a mark when a pickle of it is loaded as code."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return (os.mkdir, (str(self.mark),))


@pytest.mark.parametrize("place", ["beside", "attribute", "module", "state"])
def test_code_in_a_file_is_named_and_not_run(place: str, tmp_path: Path) -> None:
    model, mark = torch.load(stock(tmp_path / "stock.model"), weights_only=False), tmp_path / "mark"
    if place == "attribute":
        model.extra = Touch(mark)
    elif place == "module":
        model._modules["readouts"]._modules["0"].__dict__["extra"] = Touch(mark)
    elif place == "state":
        model.interactions[0].avg_num_neighbors = Touch(mark)
    path = tmp_path / "hostile.model"
    torch.save((model, Touch(mark)) if place == "beside" else model, path)
    with pytest.raises(ValueError, match=r"mkdir.*code"):
        load(path)
    assert not mark.exists()
    torch.load(path, weights_only=False)
    assert mark.exists()  # so it would have run


def test_torchscript_of_a_file_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = stock(tmp_path / "stock.model")
    monkeypatch.setattr(torch.jit, "load", lambda *_, **__: pytest.fail("TorchScript of the file was loaded"))
    architecture("mace").load(path)  # `load` copies it to check its forces, by TorchScript of its own


def test_importing_mace_leaves_torch_careful() -> None:
    code = "import os, uprung.models.mace.files; print(os.environ.get('TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD'))"
    clean = {name: value for name, value in os.environ.items() if name != "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"}
    done = subprocess.run([sys.executable, "-c", code], env=clean, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "None"


@pytest.mark.parametrize("fidelities", ["target", "joint"])
def test_random_weights_take_frames_of_both_fidelities(fidelities: str, tmp_path: Path) -> None:
    """No checkpoint is there to load; source references come from the source's own labels."""
    from contract import dataset_of

    potential = architecture("mace").new(0)
    dataset = dataset_of(potential, tmp_path)
    rows = Rows(dataset, np.arange(5))
    source = Rows(dataset, np.arange(5), "source")
    arm = Arm(init="random", references="target", replay=0.5, fidelities=fidelities)
    begun = begin(
        arm,
        rows,
        rows,
        source,
        pretrained="mace",
        corrected="mace",
        references=np.full(94, -3.0),
        targets=["energy", "force"],
        seed=0,
        device="cpu",
    )
    assert begun.replay is not None
    assert isinstance(begun.potential, MacePotential)
    assert begun.potential.source is not None
    assert begun.potential.source.shift.requires_grad is (fidelities == "joint")


def test_a_network_of_its_own_training_is_read(tmp_path: Path) -> None:
    """MACE's own command trains it, on real labels, and writes the file."""
    frames = READERS["solids"].read(DATA / "solids/solids.jsonl.gz", "r2SCAN")
    elements = {3, 8, 9, 11, 12, 14, 17}
    for frame in [frame for frame in frames if isinstance(frame, Frame) and {*frame.Z.tolist()} <= elements][:24]:
        atoms = ase.Atoms(frame.Z, cell=frame.lattice, scaled_positions=frame.frac, pbc=True)
        atoms.info["label"], atoms.arrays["labels"] = frame.energy, frame.forces
        ase.io.write(tmp_path / "labels.xyz", atoms, format="extxyz", append=True)
    options = {
        **{"name": "own", "train_file": "labels.xyz", "valid_fraction": "0.2", "E0s": "average", "seed": "1"},
        **{"hidden_irreps": "8x0e+8x1o", "r_max": "4.0", "num_radial_basis": "6", "batch_size": "4"},
        **{"max_num_epochs": "1", "energy_key": "label", "forces_key": "labels", "default_dtype": "float64"},
    }
    command = [str(Path(sys.executable).with_name("mace_run_train"))]
    command += [word for name, value in options.items() for word in (f"--{name}", value)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    file = tmp_path / "own.model"
    same(calculator(file), theirs(file))


@pytest.mark.skipif(not GIVEN, reason="UPRUNG_MACE names no file of MACE")
def test_predictions_of_a_given_file_are_those_of_mace() -> None:
    same(calculator(GIVEN), theirs(Path(GIVEN)))
