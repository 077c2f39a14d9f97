"""PBE trajectories of Li, Si, Mo and Ge far from equilibrium (Zuo et al., J. Phys. Chem. A 124, 731 (2020)).

A file is a JSON list of structures with outputs. Stresses are not read: the order of their shear components differs
from one group of frames to another, and some contradict the energies (see data/mlearn/README.md). No moments.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from uprung.frames.schema import Frame, FramesError
from uprung.sources.common import pymatgen_structure
from uprung.sources.files import load_json

SNAPSHOT = re.compile(r"^Snapshot \d+ of \d+ of ")
LABEL_SCALE = "VASP PBE PAW (mlearn), no U, uncorrected"


def read(path: Path, functional: str) -> Iterator[Frame]:
    """Yield the frames of a file; `run_type` is the group (AIMD-NVT, Vacancy, Surface, Elastic).

    Args:
        path: `<element>_training.json.gz` as embedded, or `<element>/training.json` as published, plain or compressed.
            Frames have the same names in both: the element of the entry, the name of the file, and a number.
        functional: `PBE`, the only one there is.

    Raises:
        FramesError: another functional.
    """
    if functional != "PBE":
        raise FramesError(f"{path}: mlearn has PBE labels only, not {functional!r}")
    stem = path.name.split(".")[0]
    for k, entry in enumerate(load_json(path)):
        outputs, element = entry["outputs"], entry["element"]
        Z, lattice, frac = pymatgen_structure(entry["structure"])
        yield Frame(
            frame_id=f"{element}_{stem.removeprefix(f'{element}_')}-{k:04}",
            material_id=element,
            source="mlearn",
            functional="PBE",
            run_type=entry["group"],
            label_scale=LABEL_SCALE,
            Z=Z,
            lattice=lattice,
            frac=frac,
            energy=float(outputs["energy"]),
            forces=np.asarray(outputs["forces"], dtype=np.float64),
            provenance=f"{path.name}#{k}: {entry['description']}",
            # the number of the snapshot taken away: training and test files share simulations
            trajectory=f"{element}: {SNAPSHOT.sub('', entry['description'])}",
        )
