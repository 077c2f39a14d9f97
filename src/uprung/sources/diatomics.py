"""Homonuclear dimers X₂ from VASP at PBE and r²SCAN (matbench-discovery; see data/diatomics/README.md).

Energies are E0 (σ→0) of the dimer, forces eV/Å, moments the LORBIT=11 site projections, signed. The two atoms
lie along x in the 15 Å cube of the calculation; there is no stress.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from ase.data import atomic_numbers

from uprung.frames.schema import Frame
from uprung.sources.common import MATPES_SCALE
from uprung.sources.files import load_json

BOX = 15.0  # Å, the cell of the calculations


def read(path: Path, functional: str) -> Iterator[Frame]:
    """Yield one frame per point of every curve of a functional.

    Args:
        path: `diatomics-dft.json.gz`.
        functional: `PBE` or `r2SCAN`.

    Raises:
        ValueError: the file has no curves of this functional.
    """
    curves = load_json(path)
    if functional not in curves:
        raise ValueError(f"{path}: no functional {functional!r} (has: {', '.join(curves)})")
    lattice = BOX * np.eye(3)
    for formula, curve in curves[functional].items():
        element = formula.split("-")[0]
        Z = np.full(2, atomic_numbers[element], dtype=np.uint8)
        for k, distance in enumerate(curve["distances"]):
            middle, half = BOX / 2, distance / 2
            positions = np.array([[middle - half, middle, middle], [middle + half, middle, middle]])
            moments = curve["magmoms"][k]
            yield Frame(
                frame_id=f"{element}2-{distance:.3f}",
                material_id=f"{element}2",
                source="diatomics",
                functional=functional,
                run_type=f"{functional} static, spin candidate {curve['spin_candidates'][k]}",
                label_scale=MATPES_SCALE.format(functional=functional),
                Z=Z,
                lattice=lattice,
                frac=positions / BOX,
                energy=float(curve["energies"][k]),
                forces=np.asarray(curve["forces"][k], dtype=np.float64),
                magmom=None if moments is None else np.asarray(moments, dtype=np.float64),
                provenance=f"{functional}/{formula}/{k}",
            )
