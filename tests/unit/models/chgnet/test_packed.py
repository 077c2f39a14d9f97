from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from ase.build import bulk
from chgnet.graph import CrystalGraphConverter, converter, crystalgraph
from chgnet.model import CHGNet
from chgnet.model import model as chgnet_model
from chgnet.model.composition_model import AtomRef
from pymatgen.core import Structure

from uprung.models.chgnet import gated_mlp as gate
from uprung.models.chgnet.batch import PackedBatch
from uprung.models.chgnet.checkpoint import new_chgnet, set_atomref, shipped_chgnet
from uprung.models.chgnet.network import Network
from uprung.models.chgnet.packed import Prediction, _network, forces_by_element, packed_forward
from uprung.models.chgnet.store import GraphStore, write_store
from uprung.models.chgnet.supported import UnsupportedModelError, check_supported
from uprung.models.interface import Geometry

TOLERANCE = {"energy": 1e-5, "forces": 1e-4, "stress": 1e-3, "magmom": 1e-5}  # eV/atom, eV/Å, GPa, μB
CELLS = [
    ("Cu", "fcc", 3.6),
    ("Fe", "bcc", 2.8),
    ("Po", "sc", 3.2),
    ("Mg", "hcp", 3.2),
    ("Si", "diamond", 5.4),
    ("NaCl", "rocksalt", 5.6),
    ("CsCl", "cesiumchloride", 4.1),
    ("ZnS", "zincblende", 5.4),
    ("CaF2", "fluorite", 5.5),
    ("Xe", "fcc", 6.2),  # no edge below 3 Å: no angles
]


def _crystals(n: int, seed: int) -> list[Structure]:
    """Perturbed, strained crystals of 1 to 12 atoms of random elements; one in six is a pair in a box."""
    rng = np.random.default_rng(seed)
    found = []
    for k in range(n):
        numbers = rng.choice([1, 3, 6, 8, 9, 12, 14, 16, 17, 22, 25, 26, 27, 28, 40, 42, 56, 58, 74, 79, 92], 12)
        if k % 6 == 5:
            frac = np.array([[0.9, 0.1, 0], [0.9 + rng.uniform(0.08, 0.45), 0.1, 0]])
            found.append(Structure(np.diag([13, 14, 15.0]), numbers[:2], frac))
            continue
        formula, name, a = CELLS[k % len(CELLS)]
        atoms = bulk(formula, name, a=a * rng.uniform(0.95, 1.1))
        if len(atoms) <= 3:
            atoms = atoms.repeat(rng.integers(1, 3, 3))
        frac = atoms.get_scaled_positions()[:12] + rng.normal(scale=0.01, size=(min(len(atoms), 12), 3))
        lattice = atoms.cell.array @ (np.eye(3) + 0.03 * rng.normal(size=(3, 3)))
        found.append(Structure(lattice, numbers[: len(frac)], frac))
    return found


def _store(crystals: list[Structure], folder) -> GraphStore:
    geometries = [Geometry(np.array(c.atomic_numbers), c.frac_coords, c.lattice.matrix) for c in crystals]
    manifest = write_store(folder, [str(k) for k in range(len(crystals))], geometries)
    assert manifest["rejected"] == []
    return GraphStore(folder)


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def crystals() -> list[Structure]:
    return _crystals(60, seed=1)


@pytest.fixture(scope="module")
def store(crystals, tmp_path_factory) -> GraphStore:
    return _store(crystals, tmp_path_factory.mktemp("graphs"))


@pytest.fixture
def stock_in(monkeypatch) -> Callable[[torch.dtype], None]:
    """Sets chgnet's precision, which is hard-coded in three modules and in AtomRef."""

    def set_dtype(dtype: torch.dtype) -> None:
        def fractions(self: AtomRef, graphs: list) -> torch.Tensor:
            rows = [torch.bincount(g.atomic_number - 1, minlength=94).to(dtype) for g in graphs]
            return torch.stack([row / row.sum() for row in rows])

        for module in (converter, crystalgraph, chgnet_model):
            monkeypatch.setattr(module, "TORCH_DTYPE", dtype)
        monkeypatch.setattr(AtomRef, "_assemble_graphs", fractions)

    return set_dtype


def as_chgnet(model: Network) -> CHGNet:
    """Return a network of chgnet's own class with the same weights."""
    stock = CHGNet(**model.model_args).to(next(model.parameters()).dtype)
    stock.load_state_dict(model.state_dict())
    return stock


def _stock(model: CHGNet, crystals: list[Structure]) -> Prediction:
    convert = CrystalGraphConverter(atom_graph_cutoff=6, bond_graph_cutoff=3)
    out = model([convert(crystal) for crystal in crystals], task="efsm")
    forces, stress, magmom = torch.cat(out["f"]), torch.stack(out["s"]), torch.cat(out["m"])
    return Prediction(out["e"], out["e"], forces, stress, magmom)


def _packed(model: Network | CHGNet, store: GraphStore, rows: np.ndarray, dtype: torch.dtype, **options) -> Prediction:
    batch = PackedBatch.from_arrays(store.pack(rows), dtype=dtype)
    return packed_forward(model, batch, **{"create_graph": False, **options})


def _loss(prediction: Prediction) -> torch.Tensor:
    """Like a training loss on energy, forces, stress and moments, with weights that differ per entry."""
    parts = [(getattr(prediction, name), 0.3 + k) for k, name in enumerate(TOLERANCE)]
    return sum(
        (torch.sin(w * torch.arange(p.numel()) + 1).to(p) * p.reshape(-1)).sum() + (p**2).mean() for p, w in parts
    )


@pytest.mark.parametrize("name", ["chgnet-0.3.0", "chgnet-r2scan"])
def test_same_predictions_as_chgnet(name, stock_in, crystals, store):
    assert_same_as_chgnet(name, stock_in, crystals, store)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["chgnet-0.3.0", "chgnet-r2scan"])
def test_same_predictions_as_chgnet_for_many_crystals(name, stock_in, tmp_path):
    crystals = _crystals(320, seed=2)
    assert_same_as_chgnet(name, stock_in, crystals, _store(crystals, tmp_path))


def assert_same_as_chgnet(name, stock_in, crystals, store):
    """float64 to a hundredth of the tolerance; float32 to the tolerance or 3 × chgnet's own rounding error."""
    for start in range(0, len(crystals), 20):  # pairs without angles are mixed into every batch
        rows, some = np.arange(start, start + 20), crystals[start : start + 20]
        owner = {"forces": store.pack(rows).owner, "magmom": store.pack(rows).owner}
        stock, packed = {}, {}
        for dtype in (torch.float64, torch.float32):
            stock_in(dtype)
            model = shipped_chgnet(name).to(dtype)
            stock[dtype], packed[dtype] = _stock(as_chgnet(model), some), _packed(model, store, rows, dtype)
        for target, tolerance in TOLERANCE.items():
            (exact, rounded), (found, single) = (
                [getattr(side[dtype], target).detach().double() for dtype in (torch.float64, torch.float32)]
                for side in (stock, packed)
            )
            torch.testing.assert_close(found, exact, atol=1e-2 * tolerance, rtol=1e-7)
            allowed = tolerance + 2e-5 * exact.abs()  # two atoms that repel each other with 84 eV/Å are 1.5e-5 off
            for structure in range(20):
                mine = torch.from_numpy(owner.get(target, np.arange(20)) == structure)
                limit = allowed[mine].clamp(min=3 * float((rounded - exact)[mine].abs().max()))
                assert ((single - rounded)[mine].abs() <= limit).all(), (target, start + structure)


@pytest.mark.parametrize("small", [0, 2**30], ids=["own derivatives", "torch"])
@pytest.mark.parametrize("rows", [[3, 5, 0, 7], [5, 11, 17]], ids=["mixed", "no angles"])
def test_gradients_of_a_loss_equal_those_of_chgnet_for_every_parameter(
    rows, small, stock_in, crystals, store, monkeypatch
):
    stock_in(torch.float64)
    monkeypatch.setattr(gate, "_SMALL", small)
    model = new_chgnet(2).double()
    set_atomref(model, np.linspace(-8, 0, 94), trainable=True)
    stock = as_chgnet(model)
    set_atomref(stock, np.linspace(-8, 0, 94), trainable=True)
    _loss(_stock(stock, [crystals[k] for k in rows])).backward()
    expected = {name: p.grad for name, p in stock.named_parameters()}
    _loss(_packed(model, store, np.array(rows), torch.float64, create_graph=True)).backward()
    compared = 0
    for name, parameter in model.named_parameters():
        if expected[name] is None:
            # chgnet never reaches the last angle update, nor, without angles, the bond graph.
            assert parameter.grad is None, name
            continue
        found = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        size = expected[name].abs().max()
        torch.testing.assert_close(found, expected[name], rtol=1e-8, atol=1e-9 * max(float(size), 1e-3))
        compared += 1
    assert compared >= 50


@pytest.mark.parametrize("left_handed", [False, True])
def test_forces_and_stress_are_derivatives(left_handed, tmp_path):
    """Central differences; in a left-handed cell the stress keeps its sign (chgnet's does not)."""
    crystal = _crystals(3, seed=8)[1]
    frac, lattice, numbers = crystal.frac_coords, crystal.lattice.matrix, np.array(crystal.atomic_numbers)
    if left_handed:
        frac, lattice = frac[:, [1, 0, 2]], lattice[[1, 0, 2]]
    assert (np.linalg.det(lattice) < 0) == left_handed
    model, h = shipped_chgnet("chgnet-0.3.0").double(), 3e-5
    position = frac @ lattice
    strains = [np.eye(3)[[a]].T @ np.eye(3)[[b]] for a, b in ((0, 0), (1, 2), (2, 1), (0, 2))]
    displaced = [(position, lattice)]
    for sign in (1, -1):
        for component in range(3):
            moved = position.copy()
            moved[0, component] += sign * h
            displaced.append((moved, lattice))
        for strain in strains:
            deformation = np.eye(3) + sign * h * strain
            displaced.append((position @ deformation, lattice @ deformation))
    n = len(displaced)
    geometries = [Geometry(numbers, np.linalg.solve(cell.T, x.T).T, cell) for x, cell in displaced]
    write_store(tmp_path, [str(k) for k in range(n)], geometries)
    found = _packed(model, GraphStore(tmp_path), np.arange(n), torch.float64)
    energy = (found.energy_gnn * len(numbers)).numpy()
    slope = (energy[1:8] - energy[8:15]) / (2 * h)
    np.testing.assert_allclose(found.forces[0].numpy(), -slope[:3], atol=2e-6)
    volume = abs(np.linalg.det(lattice))
    stress = [float((found.stress[0].numpy() * strain).sum()) for strain in strains]
    np.testing.assert_allclose(stress, slope[3:] / volume * 160.21766208, atol=2e-5)
    assert np.abs(stress).max() > 0.5


def test_prediction_does_not_depend_on_the_batch(store):
    model = shipped_chgnet("chgnet-0.3.0").double()
    rows = np.array([5, 0, 17, 3, 11, 26])
    whole = _packed(model, store, rows, torch.float64)
    alone = [_packed(model, store, rows[k : k + 1], torch.float64) for k in range(len(rows))]
    for target in ("energy", "energy_gnn", "forces", "stress", "magmom"):
        parts = torch.cat([getattr(prediction, target) for prediction in alone])
        torch.testing.assert_close(getattr(whole, target), parts, rtol=1e-11, atol=1e-11)


def test_symmetry_of_the_results(store):
    found = _packed(shipped_chgnet("chgnet-r2scan").double(), store, np.arange(12), torch.float64)
    batch = PackedBatch.from_arrays(store.pack(np.arange(12)), dtype=torch.float64)
    total = torch.zeros(12, 3, dtype=torch.float64).index_add(0, batch.owner, found.forces)
    assert total.abs().max() < 1e-10
    assert (found.stress - found.stress.transpose(1, 2)).abs().max() < 1e-9


@pytest.mark.parametrize("small", [0, 2**30], ids=["own derivatives", "torch"])
def test_results_do_not_depend_on_whether_they_are_differentiated(small, store, monkeypatch):
    monkeypatch.setattr(gate, "_SMALL", small)
    model, rows = shipped_chgnet("chgnet-0.3.0").double(), np.arange(12)
    kept, detached = (_packed(model, store, rows, torch.float64, create_graph=kept) for kept in (True, False))
    for target in ("energy", "forces", "stress", "magmom"):
        torch.testing.assert_close(getattr(kept, target).detach(), getattr(detached, target), rtol=1e-11, atol=1e-11)


def test_targets_that_are_not_asked_for_are_none(store):
    model, rows = shipped_chgnet("chgnet-0.3.0"), np.arange(3)
    with torch.no_grad():
        everything = _packed(model, store, rows, torch.float32)
        only = _packed(model, store, rows, torch.float32, forces=False, stress=False, magmom=False)
        forces = _packed(model, store, rows, torch.float32, stress=False, magmom=False)
    assert only.forces is only.stress is only.magmom is forces.stress is forces.magmom is None
    assert torch.equal(only.energy, everything.energy)
    assert torch.equal(forces.forces, everything.forces)
    assert not everything.forces.requires_grad
    assert not everything.energy.requires_grad
    trained = _packed(model, store, rows, torch.float32, forces=False, stress=False, create_graph=True)
    assert trained.energy.requires_grad


def test_reference_energies_are_added_per_atom(store):
    model = shipped_chgnet("chgnet-0.3.0")
    values = np.arange(94.0)
    set_atomref(model, values, trainable=False)
    arrays = store.pack(np.array([4, 5]))
    found = packed_forward(model, PackedBatch.from_arrays(arrays), create_graph=False)
    expected = [values[arrays.numbers[arrays.owner == b] - 1].mean() for b in (0, 1)]
    np.testing.assert_allclose((found.energy - found.energy_gnn).numpy(), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"mlp_out_bias": True}, "biases in mlp_out"),
        ({"conv_dropout": 0.1}, "dropout"),
        ({"gMLP_norm": None}, "without layer norm"),
        ({"conv_norm": "layer"}, "norms after its convolutions"),
        ({"readout_norm": None}, "no layer norm before the read-out"),
        ({"mlp_first": False}, "read-out"),
        ({"non_linearity": "tanh"}, "silu"),
        ({"angle_layer_hidden_dim": 64}, "angle updates"),
        ({"atom_conv_hidden_dim": 32}, "sizes other than 64"),
        ({"is_intensive": False}, "extensive"),
        ({"composition_model": None}, "AtomRef"),
    ],
)
def test_other_architectures_are_refused(option, message):
    model = CHGNet(**{**new_chgnet(0).model_args, **option})
    with pytest.raises(UnsupportedModelError, match=message):
        check_supported(model)


def test_a_network_of_chgnets_own_class_is_computed_as_ours(store):
    model, rows = shipped_chgnet("chgnet-0.3.0"), np.arange(6)
    ours, stock = (_packed(each, store, rows, torch.float32) for each in (model, as_chgnet(model)))
    assert torch.equal(ours.forces, stock.forces)
    assert torch.equal(ours.energy, stock.energy)


def test_batch_is_a_frozen_value(store):
    batch = PackedBatch.from_arrays(store.pack(np.array([0])))
    assert replace(batch, volume=batch.volume * 2).volume == 2 * batch.volume
    assert batch.vector.dtype == torch.float32


# --------------------------------------------------------------------------------------------- forces by element


def test_forces_by_element_add_up_and_are_gradients_of_that_elements_energies(store: GraphStore) -> None:
    """Site energies of one element in float64, differentiated by moving an atom: the graph stays as it is."""
    model = shipped_chgnet("chgnet-0.3.0").double()
    batch = PackedBatch.from_arrays(store.pack(np.arange(12)), dtype=torch.float64)
    found = forces_by_element(model, batch)
    numbers, forces = (torch.stack(values) for values in zip(*found, strict=True))
    whole = packed_forward(model, batch, create_graph=False).forces
    torch.testing.assert_close(forces.sum(0), whole, rtol=0, atol=1e-10)
    for structure in range(12):
        elements = batch.numbers[batch.owner == structure].unique().tolist()
        assert numbers[:, structure][numbers[:, structure] > 0].tolist() == elements
        assert not forces[len(elements) :, batch.owner == structure].any()

    def energy(moved: PackedBatch, element: int, structure: int) -> float:
        with torch.no_grad():
            sites, _ = _network(model, moved, moved.vector, False, False, None)
        return float(sites[(batch.numbers == element) & (batch.owner == structure)].sum())

    n, step = len(batch.vector), 1e-5
    for atom in (0, 5, len(batch.numbers) - 1):
        structure = int(batch.owner[atom])
        for k in range(len(found)):
            element = int(numbers[k, structure])
            if element:
                ends = []
                for sign in (step, -step):
                    end = (batch.centre[:n] == atom).double() - (batch.neighbour[:n] == atom).double()
                    moved = replace(batch, vector=batch.vector + sign * end[:, None] * torch.eye(3).double()[1])
                    ends.append(energy(moved, element, structure))
                assert -(ends[0] - ends[1]) / (2 * step) == pytest.approx(float(forces[k, atom, 1]), abs=1e-6)
