"""Time of a training step: the `Trainer` of chgnet on converted graphs against uprung on its store of graphs.

Same machine, same run, same structures, loss, optimiser, batches and threads, alternating; see README.md in this
folder. `python benchmarks/throughput.py --sets solids --batch 16 --repeats 1` is a short run.
"""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from graphs import positive
from record import (
    Case,
    Record,
    aligned,
    case,
    conditions,
    default_path,
    measurement,
    new_record,
    rows,
    usable_cores,
    write,
)
from sets import SETS
from sides import Child, ChildError, highest, in_turn

from uprung.job.logs import progress

SIDES = {"stock": "Stock", "uprung": "Uprung"}
ALLOCATOR = {  # as in rules/common.smk
    "MALLOC_MMAP_THRESHOLD_": "4000000000",
    "MALLOC_TRIM_THRESHOLD_": "16000000000",
    "MALLOC_ARENA_MAX": "1",
}
MAJOR_FAULTS = 1000  # in a pass, beyond which a side is short of memory: the system takes its pages back
TOLERANCE = 1e-4  # of the two losses of the same structures, relative: float32


def compare(
    set_name: str, batch: int, *, first: int | None, repeats: int, device: str, threads: int, tick: Callable[[], object]
) -> Case:
    """Time passes over a set in optimiser steps of `batch` structures on both sides.

    Raises:
        ValueError: the sides have different losses on the same structures, so they do not do the same work.
    """
    answers: dict[str, list[dict[str, Any]]] = {side: [] for side in SIDES}
    children: dict[str, Child] = {}
    failed: dict[str, str] = {}
    with ExitStack() as stack:
        for side, target in SIDES.items():
            try:
                child = Child(
                    f"throughput_sides:{target}",
                    threads=threads,
                    set_name=set_name,
                    first=first,
                    batch=batch,
                    device=device,
                )
                children[side] = stack.enter_context(child)
            except ChildError as error:
                failed[side] = _why(side, error)
        losses = {}
        for side, child in children.items():
            try:
                losses[side] = child.ask("loss")
            except ChildError as error:  # it was killed while the other side prepared itself
                failed[side] = _why(side, error)
        _check_losses(set_name, list(losses.values()))
        for side in in_turn(repeats, list(children)):
            if side not in failed:
                try:
                    answers[side].append(children[side].ask("run"))
                except ChildError as error:
                    failed[side] = _why(side, error)
            tick()
    for side, several in answers.items():
        faults = max((answer["major_faults"] for answer in several), default=0)
        if faults > MAJOR_FAULTS:
            failed[side] = f"{side} ran short of memory ({faults:,} page faults)"
    structures = _structures(set_name, batch, first)
    found = {
        side: None
        if side in failed
        else measurement(
            [answer["seconds"] for answer in several],
            structures,
            startup=children[side].startup,
            peak_mib=highest(answer["peak_mib"] for answer in several),
        )
        for side, several in answers.items()
    }
    work = {"structures": structures, "steps": structures // batch}
    note = "; ".join(failed.values())
    return case(set_name, f"step of {batch}", work, found["stock"], found["uprung"], note)


def _check_losses(set_name: str, losses: Sequence[float]) -> None:
    if not all(math.isclose(loss, losses[0], rel_tol=TOLERANCE) for loss in losses):
        raise ValueError(f"{set_name}: the losses of the sides differ, {losses}")


def _structures(set_name: str, batch: int, first: int | None) -> int:
    """Return how many structures the whole batches of a pass hold."""
    n = len(SETS[set_name]().structures)
    return min(n, first or n) // batch * batch


def _why(side: str, error: ChildError) -> str:
    text = str(error)
    killed = "status -9" in text or "out of memory" in text.lower()
    return f"{side} ran out of memory" if killed else f"{side} failed: {text.splitlines()[-1][:80]}"


def run(
    sets: Sequence[str], batches: Sequence[int], *, repeats: int, first: int | None, device: str, threads: int
) -> Record:
    """Run the benchmark.

    Args:
        sets: names of sets.
        batches: structures in an optimiser step, each measured.
        repeats: alternations of the sides; each is a pass over the set.
        first: only so many structures of every set.
        device: `cpu` or `cuda`.
        threads: of each side.
    """
    load = os.getloadavg()[0]
    os.environ.update(ALLOCATOR)  # for both sides
    cases = []
    with progress(len(sets) * len(batches) * repeats * len(SIDES), "throughput", "pass") as shown:
        for name in sets:
            for batch in batches:
                shown.bar.set_postfix_str(f"{name}, batch {batch}")
                cases.append(
                    compare(
                        name,
                        batch,
                        first=first,
                        repeats=repeats,
                        device=device,
                        threads=threads,
                        tick=lambda: shown.update(1),
                    )
                )
    settings = {
        "sets": list(sets),
        "batches": list(batches),
        "repeats": repeats,
        "first": first,
        "device": device,
        "threads": threads,
        "loss": "energy, force, stress, magmom",
        "allocator": ALLOCATOR,
    }
    return new_record("throughput" if device == "cpu" else "throughput-gpu", settings, cases, load=load)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, write the record and print its table."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument(
        "--sets", nargs="+", choices=list(SETS), default=list(SETS)[:3], help="default: the first three"
    )
    parser.add_argument("--batch", nargs="+", type=positive, default=[16, 64], help="default: 16 64")
    parser.add_argument("--repeats", type=positive, default=5, help="alternations of the sides; default: 5")
    parser.add_argument("--first", type=positive, help="only so many structures of each set")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu", help="default: cpu")
    parser.add_argument("--threads", type=positive, default=usable_cores(), help="of each side; default: all cores")
    parser.add_argument("--output", type=Path, help="the record; default: benchmarks/results/throughput-MACHINE.json")
    options = parser.parse_args(arguments)
    record = run(
        options.sets,
        options.batch,
        repeats=options.repeats,
        first=options.first,
        device=options.device,
        threads=options.threads,
    )
    path = options.output or default_path(record.benchmark)
    write(record, path)
    print(f"{aligned(rows(record))}\n\n{conditions(record)}\nrecord: {path}")


if __name__ == "__main__":
    main()
