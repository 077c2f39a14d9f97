"""Compute the labels of this folder, or go on with them: python data/physics/own/label.py --minutes 60 (needs GPAW).

Cells and settings are those of `uprung.physics.cells`, cheap cells first. A label is on disk, in results/own-labels,
before the next begins, and labels of this folder are not computed again. The files of the folder are written at the
end; after a kill, `--minutes 0` writes them from all labels that exist.
"""

import argparse
import logging
import warnings
from pathlib import Path

from uprung.dft.gpaw import XC, gpaw_engine
from uprung.physics.cells import cells
from uprung.physics.labelling import label


def main() -> None:
    """Label for some minutes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, required=True, help="no label begins after so many")
    seconds = 60 * parser.parse_args().minutes
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    warnings.filterwarnings("ignore", message="libxc should be compiled")
    found = cells()
    state = Path("results/own-labels")
    count = label(found, list(XC), gpaw_engine(), Path(__file__).parent, state, seconds=seconds)
    print(f"{count} of {len(found) * len(XC)} labels")


if __name__ == "__main__":
    main()
