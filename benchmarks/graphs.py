"""Time of building, opening and reading neighbour graphs: chgnet's `CrystalGraphConverter` against ours.

Both sides get the same pymatgen structures, the same number of processes (workers of joblib, warmed up) and one
thread each; see README.md in this folder. `python benchmarks/graphs.py --sets solids --repeats 1` is a short run.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

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
from sides import Child, highest, in_turn

from uprung.job.logs import progress

BUILD = {"convert": ("Stock", "convert"), "save": ("Stock", "save"), "uprung": ("Uprung", "store")}
READ = {"stock": ("StockFiles", "read"), "uprung": ("UprungStore", "read")}
OPEN = {"stock": ("StockFiles", "open"), "uprung": ("UprungStore", "open")}
Turns = Mapping[str, tuple[str, str]]  # what takes its turn -> class of the side, its method
Answers = dict[str, list[dict[str, Any]]]
Tick = Callable[[], object]


@contextmanager
def started(turns: Turns, settings: Mapping[str, Mapping[str, Any]]) -> Iterator[dict[str, Child]]:
    """Start one process per class of side, with the settings of that class."""
    with ExitStack() as stack:
        sides = dict.fromkeys(side for side, _ in turns.values())
        yield {side: stack.enter_context(Child(f"graph_sides:{side}", **settings[side])) for side in sides}


def alternate(children: Mapping[str, Child], turns: Turns, repeats: int, tick: Tick) -> Answers:
    """Let the sides work one after another, several times; the answers of each in the order of the repeats."""
    answers: Answers = {name: [] for name in turns}
    for name in in_turn(repeats, list(turns)):
        side, method = turns[name]
        answers[name].append(children[side].ask(method))
        tick()
    return answers


def same_work(set_name: str, answers: Answers) -> dict[str, int]:
    """Return the counts of what was built; ValueError if sides or repeats differ, for then times say nothing."""
    counts: list[tuple[str, dict[str, int]]] = [
        (side, answer["work"]) for side, several in answers.items() for answer in several
    ]
    for side, work in counts:
        if work != counts[0][1]:
            raise ValueError(f"{set_name}: {counts[0][0]} built {counts[0][1]}, but {side} built {work}")
    return counts[0][1]


def build_cases(
    set_name: str, first: int | None, processes: int, repeats: int, folders: Mapping[str, Path], tick: Tick
) -> list[Case]:
    """Time the building of graphs with some processes; the files stay in the folders."""
    common = {"set_name": set_name, "first": first, "processes": processes}
    settings = {side: common | {"folder": str(folders[side.lower()])} for side in ("Stock", "Uprung")}
    with started(BUILD, settings) as children:
        answers = alternate(children, BUILD, repeats, tick)
        work = same_work(set_name, answers)
        found = {
            name: measurement(
                [answer["seconds"] for answer in several],
                work["structures"],
                startup=children[BUILD[name][0]].startup,
                peak_mib=highest(answer["peak_mib"] for answer in several),
            )
            for name, several in answers.items()
        }
    where = "1 process" if processes == 1 else f"{processes} processes"
    return [
        case(set_name, f"convert, {where}", work, found["convert"], found["uprung"]),
        case(set_name, f"convert and save, {where}", work, found["save"], found["uprung"]),
    ]


def read_cases(
    set_name: str, repeats: int, folders: Mapping[str, Path], work: dict[str, int], tick: Tick
) -> list[Case]:
    """Time the reading and the opening of the graphs that lie in the folders."""
    stored = work["structures"] - work["rejected"]
    settings = {side: {"folder": str(folders[name])} for name, (side, _) in READ.items()}
    cases = []
    with started(READ, settings) as children:
        for what, turns in (("read all once, in batches", READ), ("open, all graphs at hand", OPEN)):
            found = {
                name: measurement(
                    [answer["seconds"] for answer in several],
                    stored,
                    startup=children[turns[name][0]].startup,
                    private_mib=several[0]["private_mib"],  # later repeats fill what the first one left free
                    disk_kib=sum(file.stat().st_size for file in folders[name].iterdir()) / 1024 / stored,
                )
                for name, several in alternate(children, turns, repeats, tick).items()
            }
            cases.append(case(set_name, what, work, found["stock"], found["uprung"]))
    return cases


def compare(set_name: str, first: int | None, processes: Sequence[int], repeats: int, tick: Tick) -> list[Case]:
    """Compare both sides on one set: building with each number of processes, reading, opening."""
    with tempfile.TemporaryDirectory() as temporary:
        folders = {side: Path(temporary) / side for side in ("stock", "uprung")}
        for folder in folders.values():
            folder.mkdir()
        cases = [made for n in processes for made in build_cases(set_name, first, n, repeats, folders, tick)]
        return cases + read_cases(set_name, repeats, folders, cases[0].work, tick)


def run(sets: Sequence[str], processes: Sequence[int], repeats: int, first: int | None = None) -> Record:
    """Run the benchmark.

    Args:
        sets: names of sets.
        processes: numbers of processes, each measured.
        repeats: alternations of the sides.
        first: only so many structures of every set.
    """
    load = os.getloadavg()[0]
    ticks = len(sets) * repeats * (len(processes) * len(BUILD) + len(READ) + len(OPEN))
    cases = []
    with progress(ticks, "graphs", "run") as shown:
        for name in sets:
            shown.bar.set_postfix_str(name)
            cases += compare(name, first, processes, repeats, lambda: shown.update(1))
    settings = {"sets": list(sets), "processes": list(processes), "repeats": repeats, "first": first, "threads": 1}
    return new_record("graphs", settings, cases, load=load)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, write the record and print its table."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    cores = usable_cores()
    parser.add_argument(
        "--sets", nargs="+", choices=list(SETS), default=list(SETS)[:3], help="default: the first three"
    )
    parser.add_argument("--repeats", type=positive, default=5, help="alternations of the sides; default: 5")
    parser.add_argument(
        "--processes", nargs="+", type=positive, default=sorted({1, cores}), help="default: 1 and all cores"
    )
    parser.add_argument("--first", type=positive, help="only so many structures of each set")
    parser.add_argument("--output", type=Path, help="the record; default: benchmarks/results/graphs-MACHINE.json")
    options = parser.parse_args(arguments)
    record = run(options.sets, options.processes, options.repeats, options.first)
    path = options.output or default_path("graphs")
    write(record, path)
    print(f"{aligned(rows(record))}\n\n{conditions(record)}\nrecord: {path}")


def positive(text: str) -> int:
    """Return a number above zero, for argparse."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not above zero")
    return number


if __name__ == "__main__":
    main()
