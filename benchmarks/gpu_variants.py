"""Parts of `gpu.py`: variants of the packed step that nobody has seen on a GPU yet, each against the step as it is."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from gpu_parts import errors, found_on
from gpu_work import WHOLE, Options, Sink, Work, against, in_turn, network, reason, spread, timed, wait
from sets import SETS
from throughput_sides import RATE, TARGETS

from uprung.models.chgnet import gated_mlp, packed
from uprung.models.chgnet.compiled import described
from uprung.models.chgnet.kernels import Plain
from uprung.models.chgnet.padding import fitting
from uprung.training.adam import Adam

BATCHES = 8  # of an epoch, which the classes are made from


def graphs(options: Options, sink: Sink) -> None:
    """CUDA graphs over size classes, as training runs have them, against the step as it is without."""
    work = Work(options, SETS[options.set_name]())
    for batch in options.batches[:2]:
        rows = [work.rows(batch, k) for k in range(BATCHES)]
        potential, plain = network(options.device), network(options.device)
        optimiser, eager = Adam([p for p in potential.parameters() if p.requires_grad]), work.stepper(plain)
        began = time.perf_counter()
        captured = work.captured(potential, rows)
        wait(options.device)
        what = f"step of {batch}: capture of {len(captured.classes)} classes"
        sink(what, seconds=round(time.perf_counter() - began, 2))
        gaps = list[float]()
        for k in range(BATCHES):  # losses and gradients first, before any step
            loss = work.gradient(plain, rows[k], WHOLE)
            gaps += [abs(captured(k) / loss - 1), gradient_gap(potential, plain)]
        gap = float(np.max(gaps))  # nan if any is
        sink(f"step of {batch}: loss and gradients against the step as it is", error=gap, ok=gap < 2e-3)

        def replayed() -> None:
            for k in range(BATCHES):
                captured(k)  # noqa: B023
                optimiser.step(RATE)  # noqa: B023

        sides: dict[str, Callable[[], object]] = {
            "as it is": lambda: [eager(each) for each in rows],  # noqa: B023
            "CUDA graphs": replayed,
        }
        report(options, sink, f"step of {batch}", sides, BATCHES, batch)
        sizes = [captured.size(part) for k in range(BATCHES) for part in captured.parts(k)]
        ghosts = sum(sum(fitting(each, captured.classes)[1:]) for each in sizes)
        sink(
            f"step of {batch}: rows with ghosts over rows",
            ratio=round(ghosts / sum(sum(each[1:]) for each in sizes), 3),
        )


def kernels(options: Options, sink: Sink) -> None:
    """The gated MLP's kernels in Triton against PyTorch's operations, and ways to add up products of many rows."""
    work = Work(options, SETS[options.set_name]())
    chosen = gated_mlp.kernels_of

    def step_with(plain: bool, step: Callable[[np.ndarray], float], rows: np.ndarray) -> None:
        gated_mlp.kernels_of = (lambda a: Plain()) if plain else chosen
        step(rows)

    step = work.stepper(network(options.device))
    sink("kernels", note=described(next(network(options.device).parameters())))
    for batch in options.batches[:2]:
        rows = work.rows(batch)
        sides = {"PyTorch": lambda: step_with(True, step, rows), "Triton": lambda: step_with(False, step, rows)}  # noqa: B023
        report(options, sink, f"step of {batch}", sides, 1, batch)
    gated_mlp.kernels_of = chosen
    n = 150_000 if options.device == "cuda" else 2_000
    left, right = (torch.randn(2, n, 64, device=options.device) for _ in range(2))
    exact = torch.bmm(left.double().transpose(1, 2), right.double())
    ways: dict[str, Callable[[], torch.Tensor]] = {
        "a batched product": lambda: torch.bmm(left.transpose(1, 2), right),
        "single products": lambda: gated_mlp._summed_products(left, right),
    }
    for name, way in ways.items():
        sink(f"{n} rows, {name}", error=float((way().double() - exact).abs().max()))
    report(options, sink, f"{n} rows", dict(ways), 1, n)


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

    gated_mlp.kernels_of = lambda a: Plain()  # the pieces are PyTorch's operations

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

    def composed(*given: Any, once: bool) -> Any:
        return gated_mlp._composed(*given)

    def predicted(compile_: bool) -> Any:
        # the compiler differentiates the composed form by itself, and joins its operations
        packed.gate, packed._network = (composed, compiled_network) if compile_ else (gate, whole)
        try:
            return model(own, TARGETS)
        finally:
            packed.gate, packed._network = gate, whole

    began = time.perf_counter()
    try:
        after = predicted(True)
    except Exception as error:  # the compiler of some versions refuses the network
        sink("prediction with a compiled network", note=reason(error))
        return
    wait(options.device)
    gaps = {name: float((after[name] - value).abs().max()) for name, value in before.items()}
    seconds, right = round(time.perf_counter() - began, 2), all(gap < 1e-2 for gap in gaps.values())
    sink("prediction, first with a compiled network", seconds=seconds, **gaps, ok=right)
    sides = {"as it is": lambda: predicted(False), "compiled": lambda: predicted(True)}
    report(options, sink, f"prediction of {batch}", sides, 1, batch)


VARIANTS: Sequence[Callable[[Options, Sink], None]] = (graphs, kernels, tf32, neighbours, compiled)
