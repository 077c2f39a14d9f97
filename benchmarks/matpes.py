"""Import, pairing, split and order of MatPES at its full size, on generated files of its shape.

python benchmarks/matpes.py                          434,712 PBE and 400,000 r2SCAN records; 4.5 GB, half an hour
python benchmarks/matpes.py --pbe 4000 --r2scan 3500 a short look
python benchmarks/matpes.py --like mptrj --pbe 100000 --r2scan 90000    larger crystals in longer trajectories

Writes both files in the layout of MatPES 2025.2, runs the stage `data` of config/matpes.yaml on them, and prints what
Snakemake measured of every job, as a table in Markdown. Structures are made up: elements, sizes (8.9 atoms on average),
frames of a material and keys of a record are like the real ones, positions are random, energies and forces belong to
springs. All is removed in the end.
"""

from __future__ import annotations

import argparse
import csv
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import orjson
from ase.data import chemical_symbols

ROOT = Path(__file__).parents[1]
STUDY = "config/matpes.yaml"
FILES = {"PBE": "MatPES-PBE-2025.2.json", "r2SCAN": "MatPES-R2SCAN-2025.2.json"}
ELEMENTS = np.array([z for z in range(1, 95) if z not in range(84, 89)])
#: Frames of a material; mean and spread of the logarithm of the atoms, their most.
SHAPES = {"matpes": (3, 1.87, 0.8, 100), "mptrj": (10, 3.13, 0.78, 200)}
SPRING = {"PBE": 5.0, "r2SCAN": 5.2}  # eV/Å²
SEED = 20250306


class Crystal(NamedTuple):
    """A frame of a material, and how far its atoms are from home (N, 3) Å."""

    name: str
    material: str
    Z: np.ndarray
    lattice: np.ndarray
    frac: np.ndarray
    moved: np.ndarray


def crystals(frames: int, rng: np.random.Generator, like: str) -> Iterator[Crystal]:
    """Yield frames of materials, each a few steps of a simulation in a cell that stays."""
    steps, mean, spread, most = SHAPES[like]
    for k in range(frames):
        if k % steps == 0:
            n = int(np.clip(rng.lognormal(mean, spread), 1, most))
            Z = np.sort(rng.choice(rng.choice(ELEMENTS, rng.integers(1, 5)), n))
            lattice = np.cbrt(16 * n) * (np.eye(3) + rng.normal(0, 0.1, (3, 3)))
            home = rng.random((n, 3))
        moved = rng.normal(0, 0.1, (n, 3))
        frac = home + moved @ np.linalg.inv(lattice)
        yield Crystal(f"matpes-20240214_{k // steps}_{k % steps}", f"mp-{k // steps}", Z, lattice, frac, moved)


def record(crystal: Crystal, functional: str, per_element: np.ndarray) -> dict[str, Any]:
    """Return a record of MatPES 2025.2, with the keys of the data set's documentation."""
    n, xyz = len(crystal.Z), crystal.frac @ crystal.lattice
    symbols = [chemical_symbols[z] for z in crystal.Z]
    spring = SPRING[functional]
    energy = float(per_element[crystal.Z].sum() + spring / 2 * (crystal.moved**2).sum())
    lengths = np.linalg.norm(crystal.lattice, axis=1).tolist()
    volume = abs(float(np.linalg.det(crystal.lattice)))
    forces = -spring * crystal.moved
    own = np.round(crystal.moved[:, 0], 6).tolist()
    return {
        "builder_meta": {"emmet_version": "0.84.6", "pymatgen_version": "2025.2.18", "license": "BY-C"},
        "nsites": n,
        "elements": sorted(set(symbols)),
        "nelements": len(set(symbols)),
        "formula_pretty": "".join(sorted(set(symbols))),
        "chemsys": "-".join(sorted(set(symbols))),
        "volume": volume,
        "density": 5.0,
        "symmetry": {"crystal_system": "Triclinic", "symbol": "P1", "number": 1, "symprec": 0.1},
        "structure": {
            "@module": "pymatgen.core.structure",
            "@class": "Structure",
            "charge": 0,
            "lattice": {
                "matrix": crystal.lattice.tolist(),
                "pbc": [True, True, True],
                **dict(zip("abc", lengths, strict=True)),
                **dict.fromkeys(("alpha", "beta", "gamma"), 90.12345678901234),
                "volume": volume,
            },
            "properties": {},
            "sites": [
                {
                    "species": [{"element": s, "occu": 1}],
                    "abc": f,
                    "properties": {"magmom": 0.125},
                    "label": s,
                    "xyz": x,
                }
                for s, f, x in zip(symbols, crystal.frac.tolist(), xyz.tolist(), strict=True)
            ],
        },
        "energy": round(energy, 8),
        "forces": forces.round(8).tolist(),
        "stress": np.round(200 * crystal.moved.ravel()[:1].repeat(6), 8).tolist(),
        "matpes_id": crystal.name,
        "bandgap": 0.0,
        "functional": functional,
        "cohesive_energy_per_atom": -4.2,
        "formation_energy_per_atom": -0.5,
        "abs_forces": np.linalg.norm(forces, axis=1).tolist(),
        "bader_charges": own,
        "bader_magmoms": own,
        "cm5_partial_charges": own,
        "ddec6": {"partial_charges": own, "spin_moments": own},
        "provenance": {
            "original_mp_id": crystal.material,
            "materials_project_version": "v2023.11.1",
            "md_ensemble": "NpT",
            "md_temperature": 300.0,
            "md_pressure": 1.0,
            "md_step": 1000,
            "mlip_name": "M3GNet-MP-2021.2.8-DIRECT",
        },
    }


def generate(folder: Path, counts: dict[str, int], like: str = "matpes") -> int:
    """Write both files: the first one has every structure, the second one a part of them. Return the atoms."""
    rng = np.random.default_rng(SEED)
    pbe, r2scan = counts.values()
    also = np.zeros(pbe, dtype=bool)
    also[rng.permutation(pbe)[:r2scan]] = True
    per_element = {name: rng.normal(-6, 2, 120) for name in FILES}
    atoms, streams = 0, {name: (folder / file).open("wb") for name, file in FILES.items()}
    for k, crystal in enumerate(crystals(pbe, rng, like)):
        atoms += len(crystal.Z)
        for name, stream in streams.items():
            if name == "PBE" or also[k]:
                append(stream, record(crystal, name, per_element[name]))
    for stream in streams.values():
        stream.write(b"]")
        stream.close()
    return atoms


def append(stream: BinaryIO, entry: dict[str, Any]) -> None:
    stream.write(b", " if stream.tell() else b"[")
    stream.write(orjson.dumps(entry))


def measured(results: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield what Snakemake wrote about every job: its name, and a row of its benchmark."""
    for file in sorted(results.glob("benchmarks/**/*.tsv"), key=lambda file: file.stat().st_mtime):
        with file.open(encoding="utf-8") as stream:
            yield (
                file.relative_to(results / "benchmarks").with_suffix("").as_posix(),
                next(csv.DictReader(stream, delimiter="\t")),
            )


def main() -> None:
    """Generate, run, print, remove."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--pbe", type=int, default=434_712)
    options.add_argument("--r2scan", type=int, default=400_000)
    options.add_argument("--like", choices=list(SHAPES), default="matpes", help="atoms and frames of a material")
    options.add_argument("--folder", type=Path, default=None)
    chosen = options.parse_args()
    work = Path(mkdtemp(prefix="uprung-matpes-", dir=chosen.folder))
    try:
        (work / "downloads").mkdir()
        counts = {"PBE": chosen.pbe, "r2SCAN": chosen.r2scan}
        atoms = generate(work / "downloads", counts, chosen.like)
        sizes = {name: (work / "downloads" / file).stat().st_size / 1e9 for name, file in FILES.items()}
        words = ", ".join(f"{counts[name]:,} {name} records ({sizes[name]:.2f} GB)" for name in FILES)
        print(f"{words}, {atoms / chosen.pbe:.1f} atoms each", flush=True)
        command = [sys.executable, "-m", "snakemake", "data", "--snakefile", str(ROOT / "Snakefile"), "--cores", "1"]
        subprocess.run([*command, "--configfile", str(ROOT / STUDY)], cwd=work, check=True)
        results = next((work / "results").iterdir())
        print("| job | seconds | CPU, s | peak, MB |\n| --- | --: | --: | --: |")
        for name, row in measured(results):
            print(f"| {name} | {float(row['s']):,.0f} | {float(row['cpu_time']):,.0f} | {float(row['max_rss']):,.0f} |")
        pairs = json.loads((results / "pairs/matpes/manifest.json").read_text(encoding="utf-8"))
        disk = sum(file.stat().st_size for file in results.rglob("*") if file.is_file()) / 1e9
        print(f"{pairs['pairs']:,} pairs; {disk:.2f} GB of results")
    finally:
        shutil.rmtree(work)


if __name__ == "__main__":
    main()
