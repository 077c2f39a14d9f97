"""Private memory of a training run: from a small store of graphs, and from one of 100,000 structures.

The large store repeats the headline set on disk until it has as many structures; runs read it through the same
memory-mapped files as any other. `python benchmarks/memory.py --structures 5000` is a short run.
"""

from __future__ import annotations

import argparse
import json
import os
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from graphs import positive
from record import Case, aligned, case, conditions, default_path, measurement, new_record, rows, write
from sets import SETS
from sides import Child, memory
from throughput_sides import TARGETS, frames_of

from uprung.config.training import Budget, Training
from uprung.datasets.arrays import ArrayWriter
from uprung.datasets.store import Rows
from uprung.job.files import write_json
from uprung.job.logs import progress
from uprung.models.data import open_dataset, write_dataset
from uprung.models.registry import load
from uprung.training.gradient import launch
from uprung.training.loop import train

STEPS, BATCH, VALIDATION = 30, 16, 64
INTERVAL = 0.02  # seconds between two looks at the memory


def repeat(source: Path, target: Path, times: int) -> None:
    """Write a data set whose structures are those of another one, several times over."""
    manifest = json.loads((source / "manifest.json").read_text())
    for folder in ("inputs", "labels"):
        (target / folder).mkdir(parents=True)
        for file in sorted((source / folder).glob("*.npy")):
            values, copies = np.load(file), times
            if file.stem == "keys":
                values, copies = np.array([f"{key}-{k}" for k in range(times) for key in values]), 1
            elif "offset" in file.stem:
                values, copies = np.cumsum([0, *np.tile(np.diff(values), times)]), 1
            writer = ArrayWriter(target / folder / file.name, values.dtype.str, values.shape[1:])
            for _ in range(copies):
                writer.append(values)
            arrays = manifest["arrays"] if folder == "labels" else manifest["inputs"]["arrays"]
            arrays[file.stem] = writer.close()
    write_json(target / "manifest.json", manifest)


class Run:
    """A run of a few steps on a data set, in a process of its own."""

    def __init__(self, folder: str) -> None:
        """Open the data set."""
        began = time.perf_counter()
        self.dataset = open_dataset(Path(folder) / "manifest.json")
        self.opened = time.perf_counter() - began
        self.folder = folder

    def run(self) -> dict[str, Any]:
        """Train and validate; the highest private memory on the way, and what it was before."""
        n = len(self.dataset.energy)
        rows = np.random.default_rng(0).permutation(n)
        recipe = Training(batch_size=BATCH, validations=2)
        before, peak, done = memory("RssAnon") or 0.0, [0.0], threading.Event()

        def watch() -> None:
            while not done.wait(INTERVAL):
                peak[0] = max(peak[0], memory("RssAnon") or 0.0)

        watcher = threading.Thread(target=watch)
        watcher.start()
        began = time.perf_counter()
        train(
            launch(recipe),
            load("chgnet-0.3.0"),
            Rows(self.dataset, rows[VALIDATION:]),
            Rows(self.dataset, rows[:VALIDATION]),
            targets=TARGETS,
            recipe=recipe,
            budget=Budget(steps=STEPS),
            seed=0,
            state=Path(self.folder) / "state.ckpt",
        )
        done.set()
        watcher.join()
        seconds = time.perf_counter() - began
        return {"seconds": seconds, "opened": self.opened, "before": before, "peak": peak[0], "structures": n}


def measure(folder: Path, compared: Case | None = None) -> Case:
    """Train from a data set in a process of its own; the note says how much more memory than the compared one took."""
    with Child("memory:Run", threads=1, folder=str(folder)) as child:
        answer = child.ask("run")
        disk = sum(file.stat().st_size for part in ("inputs", "labels") for file in (folder / part).iterdir())
        found = measurement(
            [answer["seconds"]],
            STEPS * BATCH,
            startup=child.startup,
            private_mib=answer["peak"],
            disk_kib=disk / 1024 / answer["structures"],
        )
    note = "what the model and its steps take"
    if compared is not None and compared.uprung is not None and compared.uprung.private_mib is not None:
        note = f"{answer['peak'] - compared.uprung.private_mib:+,.0f} MiB; opened in {answer['opened']:.2f} s"
    what = f"train from {answer['structures']:,} structures"
    return case("headline", what, {"structures": answer["structures"], "steps": STEPS}, None, found, note)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, write the record and print its table."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--structures", type=positive, default=100_000, help="of the large store; default: 100000")
    parser.add_argument("--output", type=Path, help="the record; default: benchmarks/results/memory-MACHINE.json")
    options = parser.parse_args(arguments)
    load = os.getloadavg()[0]
    with TemporaryDirectory() as place, progress(4, "memory", "stage") as bar:
        small, large = Path(place) / "small", Path(place) / "large"
        frames = frames_of(SETS["headline"]())
        write_dataset(frames, frames.label("energy"), small, name="chgnet")
        bar.update()
        repeat(small, large, -(-options.structures // len(frames)))
        bar.update()
        alone = measure(small)
        bar.update()
        cases = [alone, measure(large, alone)]
        bar.update()
    settings = {"steps": STEPS, "batch": BATCH, "validation": VALIDATION, "threads": 1}
    record = new_record("memory", settings, cases, load=load)
    path = options.output or default_path(record.benchmark)
    write(record, path)
    print(f"{aligned(rows(record))}\n\n{conditions(record)}\nrecord: {path}")


if __name__ == "__main__":
    main()
