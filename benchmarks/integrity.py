"""What checks of integrity cost a job: a training and its test, with and without them, by turns in one process.

    python benchmarks/integrity.py results-of-a-study/ --study config/demo.yaml --repeats 5 --budget steps2000 \\
        --arm scratch --size 1600

The folder is one in which the study has finished; the results of that run are written anew there.
"""

from __future__ import annotations

import argparse
import os
import runpy
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from uprung.datasets.arrays import CheckedArray
from uprung.job import mock_snakemake
from uprung.job import run as job

RULES = ("train_run", "evaluate_run")
#: Inputs held against their hashes; hashes of outputs; how they were made; blocks of arrays when they are first read.
PARTS = {"verify": job, "record": job, "note": job, "_check_blocks": CheckedArray}


def unchecked(array: CheckedArray, blocks: np.ndarray) -> None:
    """Take blocks for good."""
    array._known[blocks] = True
    array._complete = bool(array._known.all())


@contextmanager
def parts(spent: dict[str, float], *, on: bool) -> Iterator[None]:
    """Replace the checks by ones whose time is added up, or by none."""
    with ExitStack() as stack:
        for name, where in PARTS.items():
            none: Callable[..., None] = unchecked if where is CheckedArray else lambda *_: None
            stack.enter_context(patch.object(where, name, timed(getattr(where, name), spent, name) if on else none))
        yield


def timed(check: Callable[..., None], spent: dict[str, float], name: str) -> Callable[..., None]:
    """Return a check that adds its time to that of its name."""

    def run(*arguments: Any) -> None:
        start = time.perf_counter()
        check(*arguments)
        spent[name] = spent.get(name, 0.0) + time.perf_counter() - start

    return run


def main() -> None:
    """Run both jobs by turns and print medians, s."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("folder", type=Path)
    options.add_argument("--repeats", type=int, default=5)
    for name in ("study", "budget", "arm", "size"):
        options.add_argument(f"--{name}", required=True)
    given = options.parse_args()
    scripts = Path(__file__).parents[1] / "scripts"
    snakefile = str(scripts.with_name("Snakefile"))
    os.chdir(given.folder)
    wildcards = {name: getattr(given, name) for name in ("budget", "arm", "size")}
    for rule in RULES:
        snakemake = mock_snakemake(rule, study=given.study, snakefile=snakefile, seed=0, **wildcards)
        script = str(scripts / {"train_run": "train.py", "evaluate_run": "evaluate.py"}[rule])
        spent, times = dict[str, float](), dict[bool, list[float]]({True: [], False: []})
        for turn in range(2 * given.repeats + 2):  # the first two warm up
            # this one process is no other one that it would have to wait for
            with parts(spent, on=turn % 2 == 1), patch("uprung.training.run.hold"):
                start = time.perf_counter()
                runpy.run_path(script, init_globals={"snakemake": snakemake})
                times[turn % 2 == 1].append(time.perf_counter() - start)
            spent = spent if turn > 1 else {}
        each = ", ".join(f"{name} {1e3 * total / given.repeats:.1f} ms" for name, total in spent.items())
        on, off = (statistics.median(times[kind][1:]) for kind in (True, False))
        print(f"{rule}: {on:.2f} s with checks, {off:.2f} s without ({100 * (on / off - 1):+.1f} %); of them {each}")


if __name__ == "__main__":
    main()
