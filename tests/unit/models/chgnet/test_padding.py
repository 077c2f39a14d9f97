"""Batches filled up with ghosts, and batches made on a device, give the losses and gradients of ordinary ones."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from ase.build import bulk
from torch.utils._python_dispatch import TorchDispatchMode

from uprung.config.training import Weights
from uprung.datasets.store import Labels
from uprung.models.chgnet import gated_mlp
from uprung.models.chgnet.batch import PackedBatch
from uprung.models.chgnet.checkpoint import shipped_chgnet
from uprung.models.chgnet.padding import GHOSTS, Sizes, covering, fitting, padded, size_classes, sizes_at, sizes_of
from uprung.models.chgnet.potential import CHGNetPotential
from uprung.models.chgnet.store import Graphs, graphs_of
from uprung.models.interface import Geometry
from uprung.training.losses import label_counts, loss_sums, pairs_of, total_loss
from uprung.training.padded import padded_labels, padded_loss

TARGETS = ("energy", "force", "stress", "magmom")
WEIGHTS = Weights().model_dump()
ANGLED, BARE = np.array([0, 1, 2]), np.array([3, 4])


@pytest.fixture(scope="module")
def graphs() -> Graphs:
    """Three crystals with angles, two without: far apart, and alone in a box."""
    rng = np.random.default_rng(0)
    found = []
    for name, structure, a in [
        ("NaCl", "rocksalt", 5.6),
        ("Si", "diamond", 5.4),
        ("Fe", "bcc", 2.8),
        ("Xe", "fcc", 6.2),
    ]:
        atoms = bulk(name, structure, a=a).repeat((2, 1, 1))
        frac = atoms.get_scaled_positions() + rng.normal(scale=0.01, size=(len(atoms), 3))
        found.append(Geometry(atoms.numbers, frac, atoms.cell.array @ (np.eye(3) + 0.02 * rng.normal(size=(3, 3)))))
    found.append(Geometry(np.array([18, 18]), np.array([[0, 0, 0], [0.35, 0, 0]]), 12 * np.eye(3)))
    return graphs_of(found)


@pytest.fixture(params=[0, gated_mlp._SMALL])
def _both_gates(request, monkeypatch):
    """The gated MLP with derivatives of its own, which a GPU always takes, and the one that small batches take."""
    monkeypatch.setattr(gated_mlp, "_SMALL", request.param)


def batch_of(graphs: Graphs, rows: np.ndarray, dtype: torch.dtype = torch.float64) -> PackedBatch:
    return PackedBatch.from_arrays(graphs.pack(rows), dtype=dtype)


def network(dtype: torch.dtype = torch.float64) -> CHGNetPotential:
    return CHGNetPotential(shipped_chgnet("chgnet-0.3.0")).to(dtype).train()


def labels_of(batch: PackedBatch) -> Labels:
    """Random labels; some are missing, as in studies."""
    rng = np.random.default_rng(1)
    n, atoms = len(batch.n_atoms), len(batch.numbers)
    stress, magmom = rng.normal(size=(n, 3, 3)), rng.normal(size=atoms) ** 2
    stress[0], magmom[::3] = np.nan, np.nan
    return Labels(rng.normal(size=n), rng.normal(size=(atoms, 3)), stress, magmom)


def gradients(potential: CHGNetPotential, loss: torch.Tensor) -> list[torch.Tensor | None]:
    parameters = [p for p in potential.parameters() if p.requires_grad]
    return list(torch.autograd.grad(loss, parameters, allow_unused=True))


@pytest.mark.usefixtures("_both_gates")
@pytest.mark.parametrize("rows", [ANGLED, BARE, np.array([2, 3, 0, 4])])
@pytest.mark.parametrize("more", [GHOSTS, Sizes(1, 5, 9, 30, 40), Sizes(4, 3, 2, 0, 7)])
def test_a_padded_batch_has_the_loss_and_the_gradient_of_the_batch(graphs, rows, more):
    batch, potential = batch_of(graphs, rows), network()
    if not len(batch.angle_first):
        more = more._replace(angles=0)
    sizes = Sizes(*(a + b for a, b in zip(sizes_of(batch), more, strict=True)))
    filled, labels = padded(batch, sizes), labels_of(batch)
    assert sizes_of(filled) == sizes

    plain = potential(batch, TARGETS)
    ghosted = potential(filled, TARGETS)
    for name, values in plain.items():
        assert torch.isfinite(ghosted[name]).all()
        torch.testing.assert_close(ghosted[name][: len(values)], values, rtol=1e-12, atol=1e-12)

    count = label_counts(labels, TARGETS)
    loss = total_loss(loss_sums(pairs_of(plain, labels, TARGETS), 0.1), count, WEIGHTS)
    fixed = padded_labels(labels, count, WEIGHTS, structures=sizes.structures, atoms=sizes.atoms, dtype=torch.float64)
    other = padded_loss(ghosted, fixed, TARGETS, 0.1)
    assert float(other.detach()) == pytest.approx(float(loss.detach()), rel=1e-12)
    for mine, wanted in zip(gradients(potential, other), gradients(potential, loss), strict=True):
        assert (mine is None) == (wanted is None)  # Adam leaves a weight without a gradient alone
        if mine is not None and wanted is not None:
            torch.testing.assert_close(mine, wanted, rtol=1e-9, atol=1e-11)


def test_a_ghost_with_a_label_would_be_seen(graphs):
    """The comparison above can fail: a mask that counts one ghost changes the loss."""
    batch, potential = batch_of(graphs, ANGLED), network()
    labels, sizes = labels_of(batch), covering([sizes_of(batch)])
    count = label_counts(labels, TARGETS)
    fixed = padded_labels(labels, count, WEIGHTS, structures=sizes.structures, atoms=sizes.atoms, dtype=torch.float64)
    found = potential(padded(batch, sizes), TARGETS)
    before = float(padded_loss(found, fixed, TARGETS, 0.1).detach())
    fixed.known["energy"][-1] = 1.0
    assert float(padded_loss(found, fixed, TARGETS, 0.1).detach()) != before


@pytest.mark.parametrize("field", range(5))
def test_a_batch_too_large_for_a_class_is_refused(graphs, field):
    batch = batch_of(graphs, ANGLED)
    room = covering([sizes_of(batch)])
    assert fitting(sizes_of(batch), [room]) == room
    small = room._replace(**{room._fields[field]: room[field] - 1})
    assert fitting(sizes_of(batch), [small]) is None
    with pytest.raises(ValueError, match="do not fit"):
        padded(batch, small)


def test_labels_that_do_not_fit_are_refused(graphs):
    labels = labels_of(batch_of(graphs, ANGLED))
    with pytest.raises(ValueError, match="labels of energy, but room for 2"):
        padded_labels(labels, {"energy": 3}, WEIGHTS, structures=2, atoms=99)


def test_every_batch_fits_into_a_class_and_classes_grow():
    rng = np.random.default_rng(2)
    batches = [Sizes(8, *(int(n) for n in rng.integers(1, 1000, 4))) for _ in range(50)]
    bare = [each._replace(angles=0) for each in batches[:5]]
    for count in (1, 3, 50, 80):
        classes = size_classes([*batches, *bare], count)
        angled = [each for each in classes if each.angles]
        assert len(classes) - len(angled) == 1
        assert len(angled) <= count
        assert all(fitting(each, classes) in classes for each in [*batches, *bare])
        assert all(a <= b for one, next_ in pairwise(angled) for a, b in zip(one, next_, strict=True))
    assert not any(fitting(each, [c for c in classes if c.angles]) for each in bare)
    with pytest.raises(ValueError, match="at least one class"):
        size_classes(batches, 0)
    with pytest.raises(ValueError, match="classes need batches"):
        size_classes([], 2)


@pytest.mark.parametrize("rows", [ANGLED, BARE, np.array([4, 0, 4, 2, 3])])
def test_sizes_are_known_before_a_batch_is_made(graphs, rows):
    assert sizes_at(graphs, rows) == sizes_of(batch_of(graphs, rows))


class NoQuestions(TorchDispatchMode):
    """Refuses operations after which a host waits for a GPU, or whose result has a shape that only the GPU knows.

    None of them may be captured in a CUDA graph, nor may numbers of the host (`lift_fresh`), which others may send.
    """

    ASKS = (
        *("_local_scalar_dense", "nonzero", "masked_select", "_unique2", "unique_dim", "unique_consecutive"),
        *("equal", "is_nonzero", "bincount"),
    )

    def __init__(self, *, captured: bool = True) -> None:
        super().__init__()
        self.refused = {*self.ASKS, *(["lift_fresh"] if captured else [])}

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name, kwargs = function.overloadpacket.__name__, kwargs or {}
        assert name not in self.refused, name
        if name == "repeat_interleave":
            assert kwargs.get("output_size") is not None, "the host has to ask how long it is"
        if name in ("index", "index_put", "index_put_", "_index_put_impl_"):
            assert all(each is None or each.dtype != torch.bool for each in args[1]), "a mask has to be counted"
        return function(*args, **kwargs)


@pytest.mark.usefixtures("_both_gates")
@pytest.mark.parametrize("rows", [ANGLED, BARE])
def test_nothing_between_a_batch_and_its_gradient_asks_the_device(graphs, rows):
    batch, potential = batch_of(graphs, rows), network()
    sizes = covering([sizes_of(batch)])
    labels = labels_of(batch)
    fixed = padded_labels(
        labels,
        label_counts(labels, TARGETS),
        WEIGHTS,
        structures=sizes.structures,
        atoms=sizes.atoms,
        dtype=torch.float64,
    )
    with NoQuestions():
        loss = padded_loss(potential(padded(batch, sizes), TARGETS), fixed, TARGETS, 0.1)
        gradients(potential, loss)


def test_the_loss_of_a_batch_with_missing_labels_asks_the_device_nothing(graphs):
    batch, potential = batch_of(graphs, ANGLED), network()
    labels = labels_of(batch)
    found = potential(batch, TARGETS)
    with NoQuestions(captured=False):
        sums = loss_sums(pairs_of(found, labels, TARGETS), 0.1)
        gradients(potential, total_loss(sums, label_counts(labels, TARGETS), WEIGHTS))


@pytest.mark.parametrize(
    "asks",
    [
        lambda x: float(x[0]),
        lambda x: x[x > 0],
        lambda x: torch.nonzero(x),
        lambda x: torch.repeat_interleave(x, torch.arange(3)),
        lambda x: x * torch.tensor(2.0),
    ],
)
def test_questions_are_seen(asks):
    with pytest.raises(AssertionError), NoQuestions():
        asks(torch.arange(3.0))
