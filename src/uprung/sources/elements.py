"""Elemental ground states of MatPES at PBE and r²SCAN, and its isolated atoms (see data/elements/README.md).

Stress is kbar in VASP sign (compression positive), order xx yy zz yz xz xy, in the file. Moments are Bader
moments, another quantity than the OUTCAR projections that potentials learn, so they are not taken over.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from ase.data import atomic_numbers

from uprung.frames.schema import Frame
from uprung.sources.common import KBAR_TO_GPA, MATPES_SCALE, from_voigt, pymatgen_structure
from uprung.sources.files import load_json

#: Edge of the cell around an atom, Å. The file gives energies of atoms, but no cell: one without neighbours will do.
ATOM_BOX = 20.0


def read(path: Path, functional: str) -> Iterator[Frame]:
    """Yield the ground state of every element.

    Args:
        path: `MatPES-<functional>-Element-Refs.json.gz`, one functional per file.
        functional: passed through the file's own `functional` entry, which is what the frames carry.
    """
    for element, entry in load_json(path).items():
        Z, lattice, frac = pymatgen_structure(entry["structure"])
        yield Frame(
            frame_id=f"{element}-ground-state",
            material_id=element,
            source="elements",
            functional=entry["functional"],
            run_type=f"{entry['functional']} static",
            label_scale=MATPES_SCALE.format(functional=entry["functional"]),
            Z=Z,
            lattice=lattice,
            frac=frac,
            energy=float(entry["energy"]),
            forces=np.asarray(entry["forces"], dtype=np.float64),
            stress_gpa=KBAR_TO_GPA * from_voigt(np.array(entry["stress"])),
            provenance=str(entry.get("matpes_id", "")),
        )


def read_atoms(path: Path, functional: str) -> Iterator[Frame]:
    """Yield the isolated, spin-polarised atom of every element: an energy, and no other label.

    Args:
        path: as for `read`.
        functional: as for `read`.
    """
    for element, entry in load_json(path).items():
        yield Frame(
            frame_id=f"{element}-atom",
            material_id=f"{element}-atom",
            source="atoms",
            functional=entry["functional"],
            run_type=f"{entry['functional']} static",
            label_scale=MATPES_SCALE.format(functional=entry["functional"]),
            Z=np.array([atomic_numbers[element]], dtype=np.uint8),
            lattice=ATOM_BOX * np.eye(3),
            frac=np.zeros((1, 3)),
            energy=float(entry["energy_atomic"]),
        )
