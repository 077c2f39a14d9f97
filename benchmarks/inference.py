"""Time of predictions and relaxations: stock chgnet against uprung, one thread each, CPU seconds.

python benchmarks/inference.py                                        1,000 structures, 64 relaxed; half an hour
python benchmarks/inference.py --first 60 --crystals 6 --repeats 1    a short look, two minutes

Same machine, same run, same structures, both sides in turn; see README.md in this folder. What the sides find is
compared.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from graphs import positive
from record import Case, Record, aligned, case, conditions, default_path, measurement, new_record, rows, write
from sides import Child, highest, in_turn
from throughput import ALLOCATOR, MAJOR_FAULTS

from uprung.job.logs import progress

SIDES = {"stock": "Stock", "uprung": "Uprung"}
DEFAULT = 16  # structures in a batch of chgnet's `predict_graph`
#: Largest differences of energies (eV/atom), largest forces (eV/Å) and relaxed cells (Å) between the sides, and what
#: float32 adds to those of energies and forces, as a share of their size.
ENERGY, FORCE, CELL, ROUNDING = 2e-5, 2e-3, 5e-3, 1e-4


def check(found: dict[str, Any], other: dict[str, Any], name: str) -> dict[str, float]:
    """Return the largest differences of what two sides found.

    Raises:
        ValueError: they found something else, so they did not do the same work.
    """
    if name == "relaxed":
        pairs = list(zip(found[name], other[name], strict=True))
        both = [(a, b) for a, b in pairs if a["converged"] and b["converged"]]
        most = {
            "energy": max((abs(a["energy"] - b["energy"]) for a, b in both), default=0.0),
            "cell": max((float(np.abs(np.subtract(a["cell"], b["cell"])).max()) for a, b in both), default=0.0),
        }
        most |= {"converged": len(both), "steps_differ": sum(a["steps"] != b["steps"] for a, b in pairs)}
        wrong = most["energy"] > ENERGY or most["cell"] > CELL
        wrong |= any(a["converged"] != b["converged"] and abs(a["steps"] - b["steps"]) > 5 for a, b in pairs)
    else:
        apart, size = np.abs(np.subtract(found[name], other[name])), np.abs(found[name])
        most = {"energy": float(apart[:, 0].max()), "force": float(apart[:, 1].max())}
        wrong = bool((apart > np.array([ENERGY, FORCE]) + ROUNDING * size).any())
    if wrong:
        raise ValueError(f"{name}: the sides differ by {most}")
    return most


def run(first: int, crystals: int, repeats: int, relaxations: int) -> Record:
    """Run the benchmark: so many structures, crystals, and repeats of predictions and of relaxations."""
    load, cases = os.getloadavg()[0], list[Case]()
    os.environ.update(ALLOCATOR)  # for both sides
    settings: dict[str, Any] = {"clock": "CPU seconds of one thread", "repeats": repeats, "relaxations": relaxations}
    with ExitStack() as stack, progress(2 * (2 * repeats + relaxations), "inference", "pass") as shown:
        children = {
            side: stack.enter_context(Child(f"inference_sides:{target}", threads=1, first=first, crystals=crystals))
            for side, target in SIDES.items()
        }
        sizes = {name: np.array(counts) for name, counts in children["stock"].ask("sizes").items()}
        settings["stock_batches"] = children["stock"].ask("batches")
        work = {name: {"structures": len(n), "atoms": int(n.sum())} for name, n in sizes.items()}
        batch = settings["stock_batches"]["quickest"]
        for name, method, what in (
            ("graphs", "graphs_at_hand", f"predict, graphs at hand; stock in batches of {batch}"),
            ("default", "by_default", f"predict, graphs at hand; stock in batches of {DEFAULT}"),
            ("structures", "from_structures", f"calculator, structures given; stock in batches of {batch}"),
            ("relaxed", "relax", "relaxed with cells: by ASE one by one, together"),
        ):
            if name == "default" and batch == DEFAULT:
                continue
            answers: dict[str, list[dict[str, Any]]] = {side: [] for side in SIDES}
            for side in in_turn(relaxations if name == "relaxed" else repeats, list(children)):
                answers[side].append(children[side].ask(method))
                shown.update(1)
            found = {side: child.ask("answers") for side, child in children.items()}
            settings[f"differences_{name}"] = check(found["stock"], found["uprung"], name)
            of = work["relaxed" if name == "relaxed" else "predicted"]
            measured = {side: _measured(several, of["structures"]) for side, several in answers.items()}
            note = (
                "short of memory" if any(a["major_faults"] > MAJOR_FAULTS for s in answers.values() for a in s) else ""
            )
            wall = {side: [round(one["wall"], 2) for one in several] for side, several in answers.items()}
            settings[f"wall_{name}"] = wall
            cases.append(case("crystals" if name == "relaxed" else "mixed", what, of, *measured.values(), note))
    return new_record("inference", settings, cases, load=load)


def _measured(several: Sequence[dict[str, Any]], structures: int) -> Any:
    seconds = [one["seconds"] for one in several]
    return measurement(seconds, structures, peak_mib=highest(one["peak_mib"] for one in several))


def main() -> None:
    """Run the benchmark, write its record and print its table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--first", type=positive, default=1000, help="structures to predict")
    parser.add_argument("--crystals", type=positive, default=64, help="crystals to relax")
    parser.add_argument("--repeats", type=positive, default=3, help="of predictions")
    parser.add_argument("--relaxations", type=positive, default=2, help="repeats of relaxations")
    parser.add_argument("--output", type=Path, default=default_path("inference"))
    options = parser.parse_args()
    record = run(options.first, options.crystals, options.repeats, options.relaxations)
    write(record, options.output)
    print(f"{aligned(rows(record))}\n\n{conditions(record)}\n{record.settings}")


if __name__ == "__main__":
    main()
