"""Time and memory of finding equal geometries among many frames.

python benchmarks/identity.py                            10,000, 30,000 and 100,000 frames; ten minutes
python benchmarks/identity.py --frames 1000 3000         a short look

Two kinds of tables: relaxations of many materials as MPtrj has them (31 atoms on average, ten steps each, the last ones
a few thousandths of an ångström apart), and molecular dynamics of one compound of 32 atoms. A hundredth of the frames
are there twice, half of those in another cell, order and origin. Prints a table in Markdown.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pyarrow as pa

from uprung.frames.schema import SCHEMA
from uprung.frames.table import Frames

SEED, STEPS, TWINS = 20261103, 10, 0.01
Crystal = tuple[np.ndarray, np.ndarray, np.ndarray]  # atomic numbers, cell, fractional coordinates


def relaxations(frames: int, rng: np.random.Generator) -> Iterator[Crystal]:
    """Yield trajectories whose steps shrink; sizes spread as MPtrj's do."""
    for _ in range(-(-frames // STEPS)):
        n = int(np.clip(rng.lognormal(3.13, 0.78), 1, 200))
        Z = rng.choice(rng.integers(1, 90, rng.integers(1, 5)), n).astype(np.uint8)
        cell = np.cbrt(16 * n) * (np.eye(3) + rng.normal(0, 0.15, (3, 3)))
        home = rng.random((n, 3))
        for step in range(STEPS):
            size = 0.1 * 0.6**step
            lattice = cell @ (np.eye(3) + rng.normal(0, 0.1 * size, (3, 3)))
            yield Z, lattice, home + rng.normal(0, size, (n, 3)) @ np.linalg.inv(cell)


def dynamics(frames: int, rng: np.random.Generator) -> Iterator[Crystal]:
    """Yield frames of one compound whose atoms are moved by 0.1 Å, in a cell that stays."""
    points = np.array(np.meshgrid(*[np.arange(4)] * 3)).reshape(3, -1).T
    home = points[points.sum(axis=1) % 2 == 0] / 4
    Z = np.where(np.arange(len(home)) % 2, 8, 12).astype(np.uint8)
    cell = 8.4 * np.eye(3)
    for _ in range(frames):
        yield Z, cell, home + rng.normal(0, 0.1, home.shape) @ np.linalg.inv(cell)


KINDS: dict[str, Callable[[int, np.random.Generator], Iterator[Crystal]]] = {
    "relaxations": relaxations,
    "one compound": dynamics,
}


def rewritten(crystal: Crystal, rng: np.random.Generator) -> Crystal:
    Z, lattice, frac = crystal
    op, order = np.array([[1, 1, 0], [0, 0, 1], [0, 1, 0]]), rng.permutation(len(Z))
    return Z[order], op @ lattice, (frac[order] + rng.random(3)) @ np.linalg.inv(op)


def table(kind: str, frames: int) -> tuple[Frames, int]:
    """Return a table, and how many of its frames are twins of another."""
    rng, rows, twins = np.random.default_rng(SEED), list[Crystal](), 0
    for crystal in KINDS[kind](frames, rng):
        rows.append(crystal)
        if rng.random() < TWINS and len(rows) < frames:
            rows.append(crystal if rng.random() < 0.5 else rewritten(crystal, rng))
            twins += 1
        if len(rows) == frames:
            break
    columns = {
        "nsites": pa.array([len(Z) for Z, _, _ in rows], pa.int32()),
        "Z": lists([Z for Z, _, _ in rows], pa.uint8()),
        "lattice": lists([lattice.ravel() for _, lattice, _ in rows], pa.float64()),
        "frac": lists([frac.ravel() for _, _, frac in rows], pa.float64()),
    }
    return Frames(pa.table(columns, schema=pa.schema([SCHEMA.field(name) for name in columns])), {}), twins


def lists(values: list[np.ndarray], kind: pa.DataType) -> pa.Array:
    ends = np.concatenate([[0], np.cumsum([len(value) for value in values])])
    return pa.ListArray.from_arrays(pa.array(ends, pa.int32()), pa.array(np.concatenate(values), kind))


def measure(kind: str, frames: int) -> dict[str, float]:
    """Return CPU seconds, memory with the table and at most (MB), and how many twins are there and are found."""
    from uprung.structures.identity import Crystals
    from uprung.structures.twins import find_twins

    data, twins = table(kind, frames)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begin = time.process_time()
    classes = find_twins(Crystals(data), 1e-3).classes()
    return {
        "seconds": time.process_time() - begin,
        "before": before / 1024,
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "atoms": float(data.nsites.mean()),
        "twins": twins,
        "found": len(classes) - len(np.unique(classes)),
    }


def main() -> None:
    """Print the table."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--frames", type=int, nargs="+", default=[10_000, 30_000, 100_000])
    options.add_argument("--kinds", nargs="+", default=list(KINDS), choices=list(KINDS))
    chosen = options.parse_args()
    print("| frames of | frames | atoms | CPU, s | µs per frame | peak, MB | of which the table | twins made | found |")
    print("| --- | --: | --: | --: | --: | --: | --: | --: | --: |")
    for kind in chosen.kinds:
        for frames in chosen.frames:
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:  # a process has one peak of memory
                got = pool.submit(measure, kind, frames).result()
            print(
                f"| {kind} | {frames:,} | {got['atoms']:.0f} | {got['seconds']:.0f} | "
                f"{1e6 * got['seconds'] / frames:.0f} | {got['peak']:,.0f} | {got['before']:,.0f} | {got['twins']:,} | "
                f"{got['found']:,} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
