"""Compute the labels of this folder, or go on with them: python data/physics/own/label.py --minutes 60 (needs GPAW).

Cells and settings are those of `uprung.physics.cells`; cheap cells first, the functionals in turns. A label is on disk, in
results/own-labels, before the next begins, and labels of this folder are not computed again. At the end, and with
`--minutes 0` at once, the files of the folder are written from all labels that exist.
"""

import argparse
import gzip
import json
import time
import warnings
from pathlib import Path

import ase

from uprung.dft.gpaw import XC, gpaw_engine
from uprung.dft.labels import Scheme, State, key_of, labelled, settings
from uprung.dft.structures import Structure
from uprung.physics.cells import cells
from uprung.sources.gpaw import records

HERE, STATE = Path(__file__).parent, Path("results/own-labels")


def known(engine):
    """Yield key and record of the labels of this folder that this engine would compute alike."""
    for record in (record for file in sorted(HERE.glob("*.jsonl.gz")) for _, record in records(file)):
        atoms = ase.Atoms(record["numbers"], cell=record["cell"], positions=record["positions"], pbc=True)
        own = {name: value for name, value in record["settings"].items() if name in Scheme.__dataclass_fields__}
        scheme = Scheme(record["xc"], **own)
        if settings(scheme, engine) == record["settings"]:
            yield key_of(Structure("", "", atoms, tuple(record["kpts"])), scheme, engine), record


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, required=True, help="no label begins after so many")
    end = time.monotonic() + 60 * parser.parse_args().minutes
    warnings.filterwarnings("ignore", message="libxc should be compiled")
    engine, state, found = gpaw_engine(), State(STATE, "labels"), {}
    state.known = dict(known(engine)) | state.known
    for cell, functional in ((cell, functional) for cell in cells() for functional in XC):
        structure, scheme = cell.structure, cell.scheme(functional)
        if key_of(structure, scheme, engine) in state.known or time.monotonic() < end:
            for record in labelled([structure], scheme, engine, state):
                found.setdefault(cell.name.split("/")[0], []).append(record)
                print(cell.name, functional, record["seconds"], record.get("unusable", ""), flush=True)
    for name, own in found.items():
        lines = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in own)
        (HERE / f"{name}.jsonl.gz").write_bytes(gzip.compress(lines.encode(), mtime=0))


if __name__ == "__main__":
    main()
