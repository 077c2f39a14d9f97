"""Time and memory of a training step of each architecture: its own package's training code against uprung.

Same machine, same run, same structures, batches and threads, in turns; see README.md in this folder.
`python benchmarks/architectures.py --first 32 --repeats 1` is a short run. MACE, whose package cannot be installed
beside SevenNet's, is measured in its own environment (`--checkpoints mace`, with `.venv-mace/bin/python`).
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from architecture_sides import STOCK
from graphs import positive
from record import Case, aligned, case, conditions, default_path, measurement, new_record, rows, usable_cores, write
from sets import SETS
from sides import Child, ChildError, highest, in_turn
from throughput import ALLOCATOR, _structures, _why

from uprung.job.logs import progress


def compare(checkpoint: str, settings: dict[str, Any], *, repeats: int, threads: int, tick: Callable[[], Any]) -> Case:
    """Time passes over a set in optimiser steps on both sides."""
    answers: dict[str, list[dict[str, Any]]] = {"stock": [], "uprung": []}
    startup: dict[str, float] = {}
    failed: dict[str, str] = {}
    with ExitStack() as stack:
        children = {}
        for side, target in (("stock", STOCK[checkpoint]), ("uprung", "Ours")):
            try:
                child = Child(f"architecture_sides:{target}", threads=threads, checkpoint=checkpoint, **settings)
                children[side] = stack.enter_context(child)
                startup[side] = child.startup
            except ChildError as error:
                failed[side] = _why(side, error)
        for side in in_turn(repeats, list(children)):
            if side not in failed:
                try:
                    answers[side].append(children[side].ask("run"))
                except ChildError as error:
                    failed[side] = _why(side, error)
            tick()
    structures = _structures(settings["set_name"], settings["batch"], settings["first"])
    found = {
        side: None
        if side in failed
        else measurement(
            [answer["seconds"] for answer in several],
            structures,
            startup=startup[side],
            peak_mib=highest(answer["peak_mib"] for answer in several),
        )
        for side, several in answers.items()
    }
    work = {"structures": structures, "steps": structures // settings["batch"]}
    what = f"{checkpoint}, step of {settings['batch']}"
    return case(settings["set_name"], what, work, found["stock"], found["uprung"], "; ".join(failed.values()))


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, write the record and print its table."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument(
        "--checkpoints",
        nargs="+",
        choices=list(STOCK),
        default=[name for name in STOCK if name != "mace"],
        help="default: all but mace",
    )
    parser.add_argument("--set", choices=list(SETS), default="solids", help="structures; default: solids")
    parser.add_argument("--batch", type=positive, default=8, help="structures in an optimiser step; default: 8")
    parser.add_argument("--repeats", type=positive, default=5, help="alternations of the sides; default: 5")
    parser.add_argument("--first", type=positive, help="only so many structures")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu", help="default: cpu")
    parser.add_argument("--threads", type=positive, default=usable_cores(), help="of each side; default: all cores")
    parser.add_argument(
        "--output", type=Path, help="the record; default: benchmarks/results/architectures-MACHINE.json"
    )
    options = parser.parse_args(arguments)
    load = os.getloadavg()[0]
    os.environ.update(ALLOCATOR)  # for both sides
    settings = {"set_name": options.set, "first": options.first, "batch": options.batch, "device": options.device}
    timed = {"repeats": options.repeats, "threads": options.threads}
    cases = []
    with progress(len(options.checkpoints) * options.repeats * 2, "architectures", "pass") as shown:
        for checkpoint in options.checkpoints:
            cases.append(compare(checkpoint, settings, **timed, tick=lambda: shown.update(1)))
    described = settings | timed | {"loss": "energy, force, stress, each package's own", "allocator": ALLOCATOR}
    record = new_record("architectures", described, cases, load=load)
    path = options.output or default_path(record.benchmark)
    write(record, path)
    print(f"{aligned(rows(record))}\n\n{conditions(record)}\nrecord: {path}")


if __name__ == "__main__":
    main()
