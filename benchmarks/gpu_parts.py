"""Parts of `gpu.py`: numbers against the CPU, times of both sides, the costliest kernels."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from gpu_work import WHOLE, Options, Sink, Work, against, in_turn, network, peak_mib, reason, spread, timed, wait
from sets import SETS
from throughput_sides import TARGETS, Stock

from uprung.models.chgnet.batch import PackedBatch
from uprung.models.chgnet.packed import packed_forward
from uprung.models.chgnet.padding import covering, padded, sizes_of
from uprung.models.memory import is_out_of_memory
from uprung.training.losses import label_counts, loss_sums, pairs_of, total_loss

#: Largest errors against the CPU in float64: eV/atom, eV/Å, GPa, μB; of gradients relative to the norm of each.
ALLOWED = {
    torch.float64: {"energy": 1e-9, "forces": 1e-8, "stress": 1e-7, "magmom": 1e-9, "gradient": 1e-7},
    torch.float32: {"energy": 1e-5, "forces": 1e-4, "stress": 1e-3, "magmom": 1e-5, "gradient": 1e-3},
}
SHOWN = 10  # kernels


def correct(options: Options, sink: Sink) -> None:
    """E, F, S, m and the gradients of all parameters on the device, against the CPU in float64.

    In float32 an error may be three times that of the CPU's own float32 where this is more than what is allowed.
    """
    work = Work(options, SETS[options.set_name]())
    rows = work.rows(min(16, len(work.order)))
    truth = found_on(work, rows, "cpu", torch.float64)
    own = errors(found_on(work, rows, "cpu", torch.float32), truth)
    first = None
    for dtype in (torch.float64, torch.float32):
        name = str(dtype).removeprefix("torch.")
        ways: dict[str, Callable[[PackedBatch], PackedBatch]] = {"": lambda batch: batch}
        ways[", padded"] = lambda batch: padded(batch, covering([sizes_of(batch)]))
        for way, made in ways.items():
            found = found_on(work, rows, options.device, dtype, made)
            for what, error in errors(found, truth).items():
                allowed = max(ALLOWED[dtype][what], 3 * own[what] if dtype == torch.float32 else 0)
                values = {"error": error, "allowed": allowed, "ok": error <= allowed, "cpu_float32": own[what]}
                sink(f"{name}{way}: {what}", **values)
            if not way:
                first = found
        again = errors(found_on(work, rows, options.device, dtype), first)
        sink(f"{name}: the same again", **again)


Found = dict[str, Any]


def found_on(
    work: Work,
    rows: np.ndarray,
    device: str,
    dtype: torch.dtype,
    made: Callable[[PackedBatch], PackedBatch] = lambda batch: batch,
) -> Found:
    """Return predictions and gradients of the training loss, in float64 on the CPU; those of ghosts are left out."""
    potential = network(device, dtype)
    plain = PackedBatch.from_arrays(work.graphs.pack(rows), device, dtype)
    found = packed_forward(potential.chgnet, made(plain), create_graph=True)
    sizes = {"energy": len(plain.n_atoms), "stress": len(plain.n_atoms)}
    values = {
        name: value[: sizes.get(name, len(plain.numbers))]
        for name, value in vars(found).items()
        if value is not None and name != "energy_gnn"
    }
    labels = work.dataset.labels(rows)
    named = {target: values["forces" if target == "force" else target] for target in TARGETS}
    huber = loss_sums(pairs_of(named, labels, TARGETS), work.recipe.huber_delta)
    loss = total_loss(huber, label_counts(labels, TARGETS), work.recipe.weights.model_dump())
    parameters = {name: p for name, p in potential.named_parameters() if p.requires_grad}
    gradients = torch.autograd.grad(loss, list(parameters.values()), allow_unused=True)
    known = {name: _double(g) for name, g in zip(parameters, gradients, strict=True) if g is not None}
    return {name: _double(value) for name, value in values.items()} | {"gradient": known}


def _double(value: torch.Tensor) -> torch.Tensor:
    return value.detach().to("cpu", torch.float64)


def errors(found: Found, truth: Found) -> dict[str, float]:
    """Return the largest error of every quantity; of gradients that of any parameter, relative to its norm.

    A norm below a millionth of the largest one counts as that: such a gradient is rounding.
    """
    result = {name: float((found[name] - truth[name]).abs().max()) for name in truth if name != "gradient"}
    if found["gradient"].keys() != truth["gradient"].keys():
        return {**result, "gradient": float("inf")}
    norms = {name: float(value.norm()) for name, value in truth["gradient"].items()}
    least = 1e-6 * max(norms.values())
    gaps = {name: float((found["gradient"][name] - value).norm()) for name, value in truth["gradient"].items()}
    # not max(): what it says about nan depends on the order
    return {**result, "gradient": float(np.max([gap / max(norms[name], least) for name, gap in gaps.items()]))}


def times(options: Options, sink: Sink) -> None:
    """Training steps of stock and of packed, with CUDA graphs as in training runs and without, in turn."""
    data = SETS[options.set_name]()
    work = Work(options, data)
    stock = Stock(options.set_name, options.structures, min(16, options.structures), options.device)
    potential = network(options.device)
    step = work.stepper(potential)
    loss, wanted = work.gradient(network(options.device), stock.batches[0][:2]), stock.loss()
    sink("loss of two structures", stock=wanted, packed=loss, ok=abs(loss / wanted - 1) < 1e-4)
    known = list(stock.graphs)
    for batch in options.batches:
        if options.left < 5:
            sink(f"step of {batch}", note="no time was left")
            continue
        work.order = np.array(known)
        rows = work.rows(batch)
        replay = work.replayer(network(options.device), [rows])
        sides: Mapping[str, Callable[[], object]] = {
            "stock": lambda rows=rows: stock.steps([rows]),  # type: ignore[misc]
            "packed, operation by operation": lambda rows=rows: step(rows),  # type: ignore[misc]
            "packed": lambda replay=replay: replay(0),  # type: ignore[misc]
        }
        seconds, failed = in_turn(options, sides)
        # a CUDA graph has its memory from the moment that it is recorded
        counted = [name for name in sides if name not in failed and name != "packed"]
        peaks = {f"{name}_mib": peak_mib(options.device, sides[name]) for name in counted}
        for name in sides:
            sink(
                f"step of {batch}, {name}",
                **spread(seconds[name], batch),
                mib=peaks.get(f"{name}_mib"),
                **_note(failed, name),
            )
        sink(f"step of {batch}", **against(seconds, "stock", "packed"))


def most(options: Options, sink: Sink) -> None:
    """The largest batch that either side computes at once."""
    work = Work(options, SETS[options.set_name]())
    stock = Stock(options.set_name, options.structures, min(16, options.structures), options.device)
    work.order, potential = np.array(list(stock.graphs)), network(options.device)
    largest(options, sink, work, "packed", lambda rows: work.gradient(potential, rows, WHOLE), options.left / 2)
    largest(options, sink, work, "stock", lambda rows: stock.steps([rows]), options.left)


def _note(failed: Mapping[str, str], name: str) -> dict[str, str]:
    return {"note": failed[name]} if name in failed else {}


def largest(
    options: Options, sink: Sink, work: Work, name: str, side: Callable[[np.ndarray], object], allowed: float
) -> None:
    """Double a batch that is computed at once until memory or time runs out, and report the largest that fitted."""
    batch, found, why = 2 * max(options.batches), dict[str, Any](), "no larger one was tried"
    # a machine whose memory others use, too, is not filled
    most = 2**20 if options.device == "cuda" else 4 * max(options.batches)
    seconds, until = 0.0, time.monotonic() + allowed
    while time.monotonic() + 5 + 6 * seconds < until and batch <= most:
        rows = work.rows(batch)
        try:
            seconds = timed(options.device, lambda rows=rows: side(rows))  # type: ignore[misc]
            peak = peak_mib(options.device, lambda rows=rows: side(rows))  # type: ignore[misc]
        except Exception as error:  # its tensors go with it
            if not is_out_of_memory(error):
                sink(f"largest batch at once, {name}", **found, note=reason(error))
                return
            why = f"{batch} did not fit"
            break
        found = {"batch": batch, "ms": round(1000 * seconds, 1), "per_second": round(batch / seconds, 1), "mib": peak}
        batch *= 2
    if options.device == "cuda":
        torch.cuda.empty_cache()
    sink(f"largest batch at once, {name}", **found, note=why)


def profile(options: Options, sink: Sink) -> None:
    """Say which kernels cost most in packed training steps, and for what share of the time the device is idle."""
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as profiler

    work = Work(options, SETS[options.set_name]())
    step = work.stepper(network(options.device))
    cuda = options.device == "cuda"
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if cuda else [])]
    sink("copies within the device's memory, read and written", gb_per_second=round(bandwidth(options.device), 1))
    for batch in options.batches[:2]:
        rows, steps = work.rows(batch), 5 if cuda else 1
        replay = work.replayer(network(options.device), [rows])
        ways: dict[str, Callable[[int], object]] = {"": replay}
        ways[", operation by operation"] = lambda k, rows=rows: step(rows)  # type: ignore[misc]
        for way, run in ways.items():
            for k in range(2):
                run(k)
            wait(options.device)
            with profiler(activities=activities) as found:
                seconds = timed(options.device, lambda run=run, steps=steps: [run(k) for k in range(steps)])  # type: ignore[misc]
            names, busy = kernels(found.events(), cuda)
            sink(
                f"step of {batch}{way}",
                ms=round(1000 * seconds / steps, 3),
                idle_share=round(max(0.0, 1 - busy / seconds), 3) if cuda else None,
                kernels_per_step=sum(count for _, count in names.values()) / steps,
                note="with the profiler, which makes launches slower",
            )
            total = sum(spent for spent, _ in names.values())
            for name, (spent, count) in sorted(names.items(), key=lambda item: -item[1][0])[: 0 if way else SHOWN]:
                sink(
                    f"step of {batch}: {name[:90]}",
                    ms=round(1000 * spent / steps, 4),
                    share=round(spent / total, 4),
                    calls=count / steps,
                )


def bandwidth(device: str) -> float:
    """Return GB/s of a large copy within a device's memory, bytes read and bytes written counted."""
    numbers = torch.rand(2**29 if device == "cuda" else 2**25, device=device)
    other = torch.empty_like(numbers)
    other.copy_(numbers)
    seconds = min(timed(device, lambda: other.copy_(numbers)) for _ in range(5))
    return 2 * numbers.numel() * numbers.element_size() / seconds / 1e9


def kernels(events: Any, cuda: bool) -> tuple[dict[str, tuple[float, int]], float]:
    """Return seconds and calls by kernel (on a CPU by operation), and for how many seconds any kernel was running."""
    names: dict[str, tuple[float, int]] = {}
    spans: list[tuple[float, float]] = []
    for event in events:
        on_device = str(event.device_type).endswith("CUDA")
        if on_device != cuda:
            continue
        begin, end = event.time_range.start * 1e-6, event.time_range.end * 1e-6
        spent = end - begin if cuda else event.self_cpu_time_total * 1e-6
        before, count = names.get(event.name, (0.0, 0))
        names[event.name] = before + spent, count + 1
        spans.append((begin, end))
    return names, covered(spans)


def covered(spans: list[tuple[float, float]]) -> float:
    """Return the length of the union of intervals."""
    total, until = 0.0, float("-inf")
    for begin, end in sorted(spans):
        total += max(0.0, end - max(begin, until))
        until = max(until, end)
    return total
