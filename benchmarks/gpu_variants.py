"""Parts of `gpu.py`: variants of the packed step that nobody has seen on a GPU yet, each against the step as it is."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import fields
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from gpu_parts import errors, found_on
from gpu_work import WHOLE, Options, Sink, Work, against, in_turn, network, reason, spread, timed, wait
from sets import SETS
from throughput_sides import RATE, TARGETS
from torch import Tensor

from uprung.models.chgnet import gated_mlp, packed
from uprung.models.chgnet.batch import PackedBatch
from uprung.models.chgnet.kernels import Plain
from uprung.models.chgnet.padding import Sizes, fitting, padded, size_classes, sizes_of
from uprung.models.chgnet.potential import CHGNetPotential
from uprung.models.chgnet.resident import ResidentGraphs
from uprung.training.adam import Adam
from uprung.training.padded import PaddedLabels, padded_loss

BATCHES = 8  # of an epoch, which the classes are made from
CLASSES = 3


class StaticStep:
    """Loss and gradients for the batches of one size class, from buffers that stay where they are.

    On a GPU the work is captured as a CUDA graph after warming up on the stream that captures and replays it: what a
    first call sets up (handles, workspaces, autograd's streams) must not happen while it is captured. Nothing in it
    asks the device, and no shape depends on the batch. Gradients are tensors of the graph: each replay overwrites them,
    as it may those of other graphs of the pool, so they are used before the next replay on the same stream.
    """

    def __init__(
        self, potential: CHGNetPotential, delta: float, batch: PackedBatch, labels: PaddedLabels, pool: Any
    ) -> None:
        """Take the first batch as the buffers, and capture what is done with them."""
        self.potential, self.delta = potential, delta
        self.parameters = [p for p in potential.parameters() if p.requires_grad]
        self.batch = PackedBatch(**{f.name: _copy(getattr(batch, f.name)) for f in fields(PackedBatch)})
        self.labels = PaddedLabels(*({name: _copy(value) for name, value in part.items()} for part in labels))
        self.graph = None
        self.loss, self.gradients = None, [None]
        if not batch.vector.is_cuda:
            return
        stream = torch.cuda.current_stream()
        for _ in range(3):
            self._compute()
        stream.synchronize()
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph, pool=pool, stream=stream):
            self._compute()

    def _compute(self) -> None:
        found = self.potential(self.batch, TARGETS)
        loss = padded_loss(found, self.labels, TARGETS, self.delta)
        self.gradients = list(torch.autograd.grad(loss, self.parameters, allow_unused=True))
        self.loss = loss.detach()

    def __call__(self, batch: PackedBatch, labels: PaddedLabels) -> Tensor:
        """Compute another batch of the class; the loss stays on the device, gradients are those of the parameters."""
        for field in fields(PackedBatch):
            if isinstance(buffer := getattr(self.batch, field.name), Tensor):
                buffer.copy_(getattr(batch, field.name), non_blocking=True)
        for mine, new in zip(self.labels, labels, strict=True):
            for name, buffer in mine.items():
                buffer.copy_(new[name], non_blocking=True)
        if self.graph is None:
            self._compute()
        else:
            self.graph.replay()
        for p, gradient in zip(self.parameters, self.gradients, strict=True):
            p.grad = gradient
        assert self.loss is not None
        return self.loss


def _copy(value: Any) -> Any:
    return value.detach().clone() if isinstance(value, Tensor) else value


def graphs(options: Options, sink: Sink) -> None:
    """CUDA graphs over padded size classes, with graphs from the host and with graphs that stay on the device.

    All of it runs on one stream beside the default one, which capture does not allow.
    """
    if options.device != "cuda":
        _graphs(options, sink)
        return
    with torch.cuda.stream(torch.cuda.Stream()):
        _graphs(options, sink)


def _graphs(options: Options, sink: Sink) -> None:
    work = Work(options, SETS[options.set_name]())
    resident = ResidentGraphs(work.graphs, options.device)
    for batch in options.batches[:2]:
        rows = [work.rows(batch, k) for k in range(BATCHES)]
        sizes = [sizes_of(work.batch(each)) for each in rows]
        classes = size_classes(sizes, CLASSES)
        potential, plain = network(options.device), network(options.device)
        optimiser = Adam([p for p in potential.parameters() if p.requires_grad])
        pool = torch.cuda.graph_pool_handle() if options.device == "cuda" else None
        steps: dict[Sizes, StaticStep] = {}

        began = time.perf_counter()
        # the largest first: smaller ones then find room in its memory
        order = sorted(range(BATCHES), key=lambda k: -sum(sizes[k][1:]))
        for k in order:
            to, filled, labels = inputs(work, work.batch, rows[k], classes)
            if to not in steps:
                steps[to] = StaticStep(potential, work.recipe.huber_delta, filled, labels, pool)
        wait(options.device)
        sink(f"step of {batch}: capture of {len(steps)} classes", seconds=round(time.perf_counter() - began, 2))

        made = {"from the host": work.batch, "made on the device": resident.pack}
        gaps = list[float]()
        for k in range(BATCHES):  # losses and gradients first, before any step
            loss = work.gradient(plain, rows[k], WHOLE)
            for source in made.values():
                to, filled, labels = inputs(work, source, rows[k], classes)
                gaps += [abs(float(steps[to](filled, labels)) / loss - 1), gradient_gap(potential, plain)]
        gap = float(np.max(gaps))  # nan if any is
        sink(f"step of {batch}: loss and gradients against the step as it is", error=gap, ok=gap < 2e-3)

        def replayed(source: Callable[[np.ndarray], PackedBatch], n: int = BATCHES) -> None:
            for k in range(n):
                to, filled, labels = inputs(work, source, rows[k], classes)  # noqa: B023
                steps[to](filled, labels)  # noqa: B023
                optimiser.step(RATE)  # noqa: B023

        step = work.stepper(plain)
        sides: dict[str, Callable[[], object]] = {"as it is": lambda: [step(each) for each in rows]}  # noqa: B023
        for name, source in made.items():
            sides[f"graph, {name}"] = lambda source=source: replayed(source)  # type: ignore[misc]
        report(options, sink, f"step of {batch}", sides, BATCHES, batch)
        padding = sum(sum(fitting(each, classes)[1:]) for each in sizes) / sum(sum(each[1:]) for each in sizes)
        sink(f"step of {batch}: rows with ghosts over rows", ratio=round(padding, 3), classes=len(classes))


def inputs(
    work: Work, made: Callable[[np.ndarray], PackedBatch], rows: np.ndarray, classes: list[Sizes]
) -> tuple[Sizes, PackedBatch, PaddedLabels]:
    """Return the class of a batch, and the batch and its labels filled up to it."""
    own = made(rows)
    to = fitting(sizes_of(own), classes)
    assert to is not None
    return to, padded(own, to), work.labels(rows, to.structures, to.atoms)


def gradient_gap(one: torch.nn.Module, other: torch.nn.Module) -> float:
    """Return the norm of the difference of two gradients over that of the second; infinite where one is missing."""
    gap, norm = 0.0, 0.0
    for p, q in zip(one.parameters(), other.parameters(), strict=True):
        if (p.grad is None) != (q.grad is None):
            return float("inf")
        if p.grad is not None and q.grad is not None:
            gap += float((p.grad - q.grad).double().square().sum())
            norm += float(q.grad.double().square().sum())
    return (gap / norm) ** 0.5


def report(
    options: Options, sink: Sink, what: str, sides: dict[str, Callable[[], object]], steps: int, batch: int
) -> None:
    """Time sides of so many steps in turn and write a row for each, with its ratio to the first."""
    seconds, failed = in_turn(options, sides, warm_up=1)
    base = next(iter(sides))
    for name, each in seconds.items():
        row = spread([s / steps for s in each], batch)
        ratio = against(seconds, base, name) if name != base else {}
        sink(f"{what}, {name}", **row, **ratio, **({"note": failed[name]} if name in failed else {}))


def resident(options: Options, sink: Sink) -> None:
    """Batches made on the device from graphs that stay there, without CUDA graphs."""
    work = Work(options, SETS[options.set_name]())
    began = time.perf_counter()
    kept = ResidentGraphs(work.graphs, options.device)
    wait(options.device)
    size = sum(value.numel() * value.element_size() for value in kept._data.values())
    sink(
        "the data set on the device",
        seconds=round(time.perf_counter() - began, 3),
        kib_each=size / 1024 / len(work.graphs),
    )
    for batch in options.batches:
        rows = work.rows(batch)
        sides = {"from the host": lambda: work.batch(rows), "made on the device": lambda: kept.pack(rows)}  # noqa: B023
        report(options, sink, f"batch of {batch}", sides, 1, batch)


def tf32(options: Options, sink: Sink) -> None:
    """Products in TF32: errors against the CPU in float64, and the time of a step."""
    work = Work(options, SETS[options.set_name]())
    rows = work.rows(min(16, len(work.order)))
    truth = found_on(work, rows, "cpu", torch.float64)
    for name, allowed in (("float32", False), ("TF32", True)):
        torch.backends.cuda.matmul.allow_tf32 = allowed
        sink(f"errors with {name}", **errors(found_on(work, rows, options.device, torch.float32), truth))
    step = work.stepper(network(options.device))

    def with_products(allowed: bool, rows: np.ndarray) -> None:
        torch.backends.cuda.matmul.allow_tf32 = allowed
        step(rows)

    for batch in options.batches[:3]:
        own = work.rows(batch)
        sides = {"float32": lambda: with_products(False, own), "TF32": lambda: with_products(True, own)}  # noqa: B023
        report(options, sink, f"step of {batch}", sides, 1, batch)
    torch.backends.cuda.matmul.allow_tf32 = False


def neighbours(options: Options, sink: Sink) -> None:
    """Batched neighbour lists on the device (nvalchemi-ops), against vesin on the CPU."""
    from vesin import NeighborList

    data = SETS[options.set_name]()
    chosen = data.structures[: min(options.structures, 256)]
    calculator = NeighborList(cutoff=6.0, full_list=True)

    def on_cpu() -> int:
        pairs = 0
        for each in chosen:
            found = calculator.compute(each.cart_coords, each.lattice.matrix, periodic=True, quantities="i")
            pairs += len(found[0])
        return pairs

    wanted = on_cpu()
    sink("vesin on the CPU", **spread([timed("cpu", on_cpu) for _ in range(3)], len(chosen)), pairs=wanted)
    if find_spec("nvalchemiops") is None:
        sink("nvalchemi-ops on the device", note="not installed")
        return
    from nvalchemiops.torch.neighbors import neighbor_list  # type: ignore[import-not-found]

    wrapped = [(each.frac_coords % 1) @ each.lattice.matrix for each in chosen]
    position = torch.tensor(np.concatenate(wrapped), dtype=torch.float64, device=options.device)
    cell = torch.tensor(np.stack([each.lattice.matrix for each in chosen]), dtype=torch.float64, device=options.device)
    pbc = torch.ones((len(chosen), 3), dtype=torch.bool, device=options.device)
    counts = torch.tensor([len(each) for each in chosen], device=options.device)
    owner = torch.repeat_interleave(torch.arange(len(chosen), device=options.device), counts).int()
    start = torch.cat([counts.new_zeros(1), counts.cumsum(0)]).int()
    for method in ("batch_naive", "batch_cell_list"):

        def on_device(method: str = method) -> Any:
            return neighbor_list(
                position, 6.0, cell=cell, pbc=pbc, batch_idx=owner, batch_ptr=start,
                return_neighbor_list=True, method=method, max_neighbors=512,
            )  # fmt: skip

        pairs = on_device()[0].shape[1]
        seconds = [timed(options.device, on_device) for _ in range(max(options.repeats, 3))]
        sink(f"nvalchemi-ops, {method}", **spread(seconds, len(chosen)), pairs=pairs, ok=pairs == wanted)


def compiled(options: Options, sink: Sink) -> None:
    """torch.compile of pieces: the kernels of the gated MLP for training, the network for predicting.

    The whole step is not compiled: PyTorch's compiler does not differentiate twice.
    """
    work = Work(options, SETS[options.set_name]())
    batch = next((b for b in options.batches if b >= 64), options.batches[-1])
    rows, potential = work.rows(batch), network(options.device)
    names = ("hidden", "output", "slope", "columns", "columns_curved", "along", "curvature", "normalised")
    plain = {name: getattr(Plain, name) for name in names}
    fused = {name: torch.compile(function, backend=options.backend, dynamic=True) for name, function in plain.items()}
    step = work.stepper(potential)

    def use(pieces: dict[str, Any]) -> None:
        for name, function in pieces.items():
            setattr(Plain, name, function)

    def with_pieces(pieces: dict[str, Any]) -> Callable[[], object]:
        def run() -> None:
            use(pieces)
            step(rows)

        return run

    other = network(options.device)
    work.gradient(other, rows)
    working = dict(plain)
    for name, function in fused.items():  # each by itself: the compiler may refuse one
        use(plain | {name: function})
        try:
            seconds = timed(options.device, lambda: work.gradient(potential, rows))
        except Exception as error:
            sink(f"training: {name}", note=reason(error))
            continue
        gap = gradient_gap(potential, other)
        sink(f"training: {name}, first step and gradients", seconds=round(seconds, 2), error=gap, ok=gap < 2e-3)
        working[name] = function
    sides = {"as it is": with_pieces(plain), "compiled pieces": with_pieces(working)}
    report(options, sink, f"step of {batch}", sides, 1, batch)
    use(plain)

    model, own = network(options.device).eval(), work.batch(rows)
    before = model(own, TARGETS)
    gate, whole = packed.gate, packed._network
    compiled_network = torch.compile(whole, backend=options.backend)

    def predicted(compile_: bool) -> Any:
        # the compiler differentiates the composed form by itself, and joins its operations
        packed.gate, packed._network = (gated_mlp._composed, compiled_network) if compile_ else (gate, whole)
        try:
            return model(own, TARGETS)
        finally:
            packed.gate, packed._network = gate, whole

    began = time.perf_counter()
    after = predicted(True)
    wait(options.device)
    gaps = {name: float((after[name] - value).abs().max()) for name, value in before.items()}
    seconds, right = round(time.perf_counter() - began, 2), all(gap < 1e-2 for gap in gaps.values())
    sink("prediction, first with a compiled network", seconds=seconds, **gaps, ok=right)
    sides = {"as it is": lambda: predicted(False), "compiled": lambda: predicted(True)}
    report(options, sink, f"prediction of {batch}", sides, 1, batch)


VARIANTS: Sequence[Callable[[Options, Sink], None]] = (graphs, resident, tf32, neighbours, compiled)
