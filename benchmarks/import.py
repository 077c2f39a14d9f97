"""Speed, memory and size of importing MPtrj-style JSON, on a generated file.

`python benchmarks/import.py [--frames 50000] [--folder /tmp]` writes a file of frames with 30 atoms and VASP's eight
decimals, imports it into a frames table in a process of its own, reads the table back, and removes both.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np

ATOMS = 30
STEPS = 10  # frames of a material
ELEMENTS = ("Li", "Mg", "Al", "Si", "P", "S", "Ti", "Mn", "Fe", "Co", "Ni", "O", "F")
SPRING = 5.0  # eV/Å²
SEED = 2022


def materials(frames: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield materials in the documented layout of MPtrj: pymatgen structures, kbar, totals per cell."""
    rng = np.random.default_rng(SEED)
    for material in range(-(-frames // STEPS)):
        symbols = rng.choice(ELEMENTS, ATOMS)
        lattice = np.diag(rng.uniform(6, 9, 3)) + rng.normal(0, 0.3, (3, 3))
        home, energy = rng.random((ATOMS, 3)), float(rng.normal(-6, 1)) * ATOMS
        steps = {}
        for step in range(min(STEPS, frames - material * STEPS)):
            frac = home + rng.normal(0, 0.01, (ATOMS, 3))
            moves = (frac - home) @ lattice  # springs, so that energies and forces belong together
            labels = energy + SPRING / 2 * float((moves**2).sum()), -SPRING * moves
            steps[f"mp-{material}-0-{step}"] = record(f"mp-{material}", structure(symbols, lattice, frac), labels, rng)
        yield f"mp-{material}", steps


def record(mp_id: str, crystal: dict[str, Any], labels: tuple[float, Any], rng: np.random.Generator) -> dict[str, Any]:
    energy, forces = round(labels[0], 8), labels[1]
    moments = rng.normal(0, 1, ATOMS).round(3).tolist()
    return {
        "structure": crystal,
        "uncorrected_total_energy": energy,
        "corrected_total_energy": energy - 1.5,
        "energy_per_atom": (energy - 1.5) / ATOMS,
        "ef_per_atom": rng.normal(),
        "e_per_atom_relaxed": rng.normal(),
        "ef_per_atom_relaxed": rng.normal(),
        "force": forces.round(8).tolist(),
        "stress": np.round(rng.normal(0, 20, (3, 3)), 8).tolist(),
        "magmom": moments,
        "bandgap": 1.2,
        "mp_id": mp_id,
    }


def structure(symbols: Any, lattice: Any, frac: Any) -> dict[str, Any]:
    """Return what pymatgen's Structure.as_dict gives."""
    xyz = (frac @ lattice).round(8).tolist()
    a, b, c = np.linalg.norm(lattice, axis=1).tolist()
    return {
        "@module": "pymatgen.core.structure",
        "@class": "Structure",
        "charge": 0,
        "lattice": {
            "matrix": lattice.round(8).tolist(),
            "a": a,
            "b": b,
            "c": c,
            "alpha": 90.12345678,
            "beta": 89.87654321,
            "gamma": 90.1,
            "volume": abs(float(np.linalg.det(lattice))),
        },
        "sites": [
            {"species": [{"element": s, "occu": 1}], "abc": f, "xyz": x, "label": s, "properties": {}}
            for s, f, x in zip(symbols.tolist(), frac.round(8).tolist(), xyz, strict=True)
        ],
    }


def generate(path: Path, frames: int) -> None:
    with path.open("w", encoding="utf-8") as stream:
        for k, (mp_id, steps) in enumerate(materials(frames)):
            stream.write(f"{', ' if k else '{'}{json.dumps(mp_id)}: {json.dumps(steps)}")
        stream.write("}")


def convert(source: Path, folder: Path) -> dict[str, float]:
    """Import the file; return CPU seconds and the peak memory of this process."""
    from uprung.frames.intake import write_frames
    from uprung.sources import open_source

    idle = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begin, wall = time.process_time(), time.perf_counter()
    stream = open_source("mptrj", source, "PBE")
    manifest = write_frames([(stream.records(), frozenset())], folder, functional="PBE", about=stream.facts)
    return {
        "rows": manifest["written"],
        "cpu_s": time.process_time() - begin,
        "wall_s": time.perf_counter() - wall,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "imports_mb": idle / 1024,
    }


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--frames", type=int, default=50_000)
    options.add_argument("--folder", type=Path, default=None)
    options.add_argument("--repeat", type=int, default=3)
    chosen = options.parse_args()
    work = Path(mkdtemp(prefix="uprung-import-", dir=chosen.folder))
    try:
        source, table = work / "mptrj.json", work / "frames"
        generate(source, chosen.frames)
        print(f"{chosen.frames} frames, {source.stat().st_size / chosen.frames / 1e3:.2f} kB/frame of JSON")
        for _ in range(chosen.repeat):
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
                facts = pool.submit(convert, source, table).result()
            size = sum(file.stat().st_size for file in table.glob("*.parquet"))
            print(
                f"import {facts['rows'] / facts['cpu_s']:,.0f} frames/s of CPU time "
                f"({facts['rows'] / facts['wall_s']:,.0f} of wall time), peak {facts['peak_mb']:.0f} MB "
                f"(of which imports {facts['imports_mb']:.0f}), table {size / facts['rows'] / 1e3:.3f} kB/frame"
            )
        print(f"read   {max(reading(table) for _ in range(chosen.repeat)):,.0f} frames/s")
    finally:
        shutil.rmtree(work)


def reading(table: Path) -> float:
    from uprung.frames.table import read_frames

    begin = time.perf_counter()
    frames = read_frames(table / "manifest.json")
    frames.flat("forces", 3), frames.flat("frac", 3), frames.flat("lattice"), frames.numbers()
    return len(frames) / (time.perf_counter() - begin)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(main())
