"""Small distorted crystals labelled with GPAW at PBE and r²SCAN (see data/solids/README.md).

Stress is eV/Å³, tension positive, in the file; energies are relative to GPAW's reference atoms and therefore a
label scale of their own. No moments.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from ase.units import GPa

from uprung.frames.schema import Frame

LABEL_SCALE = "GPAW 26.7.0 PAW (PBE set-ups), {functional}, 450 eV, no U, uncorrected"


def read(path: Path, functional: str) -> Iterator[Frame]:
    """Yield one frame per line of a functional.

    Args:
        path: `solids.jsonl.gz`.
        functional: `PBE` or `r2SCAN`.
    """
    with gzip.open(path, "rt") as stream:
        for line in stream:
            entry = json.loads(line)
            if entry["xc"] != functional:
                continue
            cell = np.asarray(entry["cell"], dtype=np.float64)
            yield Frame(
                frame_id=entry["id"],
                material_id=entry["material"],
                source="solids",
                functional=functional,
                run_type=f"{functional} static, distortion kind {entry['kind']}",
                label_scale=LABEL_SCALE.format(functional=functional),
                Z=np.asarray(entry["numbers"], dtype=np.uint8),
                lattice=cell,
                frac=np.asarray(entry["positions"], dtype=np.float64) @ np.linalg.inv(cell),
                energy=float(entry["energy"]),
                energy_free=float(entry["free_energy"]),
                forces=np.asarray(entry["forces"], dtype=np.float64),
                stress_gpa=np.asarray(entry["stress"], dtype=np.float64) / GPa,
                provenance=f"{entry['id']}/{functional}",
            )
