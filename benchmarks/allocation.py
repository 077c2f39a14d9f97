"""What keeping freed memory is worth: a training step with and without, alone and beside others that allocate.

python benchmarks/allocation.py              three ways, alone and beside two processes; ten minutes on idle cores
python benchmarks/allocation.py --steps 4    a short look

Ways: `nothing` as glibc is, `mallopt` as every network of uprung tells it (job/allocation.py), `variables` as the
workflow sets them for its jobs. Each is a process of its own with one thread, on 16 structures of mlearn; the ways take
turns. Then 1,000 steps of changing batches of solids, and the highest memory after 200 and after all. Prints Markdown
and writes every repeat to benchmarks/results.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from record import commit, default_path, hardware, versions

from uprung.job.files import write_json

HERE = Path(__file__)
VARIABLES = {
    "MALLOC_MMAP_THRESHOLD_": "4000000000",
    "MALLOC_TRIM_THRESHOLD_": "16000000000",
    "MALLOC_ARENA_MAX": "1",
}
WAYS = ("nothing", "mallopt", "variables")
HOG = "import numpy as np\nwhile True:\n    np.ones(1 << 24)"  # 128 MiB, written to and given back


def child(task: str, way: str, steps: int) -> dict[str, Any]:
    """Run a task of this file in a process with one way of allocating."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("MALLOC_")}
    own = {"OMP_NUM_THREADS": "1", **(VARIABLES if way == "variables" else {})}
    done = subprocess.run(
        [sys.executable, str(HERE), "--task", task, "--way", way, "--steps", str(steps)],
        env={**inherited, **own},
        capture_output=True,
        text=True,
        check=True,
    )
    return dict(json.loads(done.stdout.splitlines()[-1]))


def prepared(way: str, name: str, first: int) -> Any:
    """Return the training side of the throughput benchmark, with glibc told or not."""
    from uprung.job import allocation
    from uprung.models import interface

    if way == "nothing":
        interface.keep_freed_memory = lambda: False
    elif way == "mallopt" and not allocation.keep_freed_memory():
        raise SystemExit("this system has no glibc, or a variable decides")
    from throughput_sides import Uprung

    return Uprung(name, first, 16, "cpu")


def step(way: str, steps: int) -> dict[str, float]:
    """Return seconds, CPU seconds and page faults of a step of 16 structures of mlearn, medians."""
    side = prepared(way, "mlearn", 16)
    side.steps(side.batches[:1] * 2)
    seconds, cpu, faults = list[float](), list[float](), list[int]()
    for _ in range(steps):
        before, began, spent = (
            resource.getrusage(resource.RUSAGE_SELF).ru_minflt,
            time.perf_counter(),
            time.process_time(),
        )
        side.steps(side.batches[:1])
        seconds.append(time.perf_counter() - began)
        cpu.append(time.process_time() - spent)
        faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
    return {"seconds": median(seconds), "cpu": median(cpu), "faults": median(faults)}


def many(way: str, steps: int) -> dict[str, float]:
    """Return the highest memory (MiB) after a fifth of the steps and after all of them, batches of 1 to 16 solids."""
    import numpy as np

    side, random, found = prepared(way, "solids", 240), np.random.default_rng(0), list[float]()
    rows = np.concatenate(side.batches)
    for number in range(1, steps + 1):
        side.steps([random.choice(rows, random.integers(1, 17), replace=False)])
        if number in (steps // 5, steps):
            found.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    return {"early": found[0], "late": found[-1]}


@contextmanager
def others(count: int) -> Iterator[None]:
    """Keep processes running that allocate, write and free."""
    running = [subprocess.Popen([sys.executable, "-c", HOG]) for _ in range(count)]
    try:
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()


def main() -> None:
    """Print both tables."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--steps", type=int, default=10)
    options.add_argument("--repeats", type=int, default=3)
    options.add_argument("--many", type=int, default=1000)
    options.add_argument("--many-ways", nargs="*", choices=WAYS, default=list(WAYS))
    options.add_argument("--task", choices=["step", "many"])
    options.add_argument("--way", choices=WAYS)
    chosen = options.parse_args()
    if chosen.task:
        print(json.dumps({"step": step, "many": many}[chosen.task](chosen.way, chosen.steps)))
        return
    load, steps, memory = os.getloadavg()[0], list[dict[str, Any]](), list[dict[str, Any]]()
    print(f"load before: {load:.1f}\n")
    print("| glibc | beside | s per step | CPU s | page faults |\n| --- | --- | --: | --: | --: |", flush=True)
    for count in (0, 2):
        with others(count):
            found = {way: [] for way in WAYS}
            for _ in range(chosen.repeats):
                for way in WAYS:
                    found[way].append(child("step", way, chosen.steps))
        for way, runs in found.items():
            steps += [{"way": way, "beside": count, **run} for run in runs]
            seconds, cpu, faults = (median(run[key] for run in runs) for key in ("seconds", "cpu", "faults"))
            print(f"| {way} | {count} that allocate | {seconds:.2f} | {cpu:.2f} | {faults:,.0f} |", flush=True)
    print("\n| glibc | peak after a fifth, MiB | after all | steps |\n| --- | --: | --: | --: |")
    for way in chosen.many_ways:
        run = child("many", way, chosen.many)
        memory.append({"way": way, "steps": chosen.many, **run})
        print(f"| {way} | {run['early']:,.0f} | {run['late']:,.0f} | {chosen.many:,} |", flush=True)
    facts = {"load": round(load, 2), "commit": commit(), "hardware": hardware(), "versions": versions()}
    settings = {"steps": chosen.steps, "repeats": chosen.repeats}
    write_json(
        default_path("allocation"), {"benchmark": "allocation", **facts, **settings, "step": steps, "memory": memory}
    )


if __name__ == "__main__":
    main()
