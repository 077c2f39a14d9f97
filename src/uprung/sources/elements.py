"""Elemental ground states of MatPES at PBE and r²SCAN (see data/elements/README.md).

Stress is kbar in VASP sign (compression positive), order xx yy zz yz xz xy, in the file. Moments are Bader
moments, another quantity than the OUTCAR projections that potentials learn, so they are not taken over.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from ase.data import atomic_numbers

from uprung.frames.schema import Frame

LABEL_SCALE = "VASP PBE_64 PAW, {functional}, no U, uncorrected"
KBAR_TO_GPA = -0.1  # VASP counts compression positive


def read(path: Path, functional: str) -> Iterator[Frame]:
    """Yield the ground state of every element.

    Args:
        path: `MatPES-<functional>-Element-Refs.json.gz`, one functional per file.
        functional: passed through the file's own `functional` entry, which is what the frames carry.
    """
    with gzip.open(path, "rt") as stream:
        entries = json.load(stream)
    for element, entry in entries.items():
        structure = entry["structure"]
        xx, yy, zz, yz, xz, xy = (KBAR_TO_GPA * s for s in entry["stress"])
        yield Frame(
            frame_id=f"{element}-ground-state",
            material_id=element,
            source="elements",
            functional=entry["functional"],
            run_type=f"{entry['functional']} static",
            label_scale=LABEL_SCALE.format(functional=entry["functional"]),
            Z=np.array([atomic_numbers[site["species"][0]["element"]] for site in structure["sites"]], dtype=np.uint8),
            lattice=np.asarray(structure["lattice"]["matrix"], dtype=np.float64),
            frac=np.asarray([site["abc"] for site in structure["sites"]], dtype=np.float64),
            energy=float(entry["energy"]),
            forces=np.asarray(entry["forces"], dtype=np.float64),
            stress_gpa=np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]]),
            provenance=str(entry.get("matpes_id", "")),
        )
