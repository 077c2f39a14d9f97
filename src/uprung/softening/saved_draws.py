"""Saved draws of a force correction, so that a killed job can resume."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from uprung.job.files import write_whole
from uprung.job.sealed import seal, unseal
from uprung.softening.draws import Draw
from uprung.softening.force_correction import CorrectionMethod
from uprung.training.resume import Identity

LOG = logging.getLogger(__name__)


class SavedDraws:
    """A method of `uprung.softening.force_correction.drawn` that computes no draw twice."""

    def __init__(self, method: CorrectionMethod, folder: Path, identity: Identity) -> None:
        """Keep the results of a method.

        Args:
            method: the correction.
            folder: where its results are kept, a file for each draw.
            identity: of all that decides a result beside the draw: model, recipe, data, code.
        """
        self.method, self.folder, self.identity = method, folder, identity
        folder.mkdir(parents=True, exist_ok=True)

    def __call__(self, material: str, chosen: Draw) -> tuple[NDArray[np.float64], dict[str, float]]:
        """Return what the method returns, from its file where there is one."""
        names = [[frame.name for frame in side] for side in (chosen.fitted, chosen.judged)]
        decides = json.dumps([dict(self.identity), material, chosen.draw, *names])
        file = self.folder / f"{hashlib.sha256(decides.encode()).hexdigest()[:24]}.json"
        if file.exists():
            try:
                kept = unseal(file.read_bytes())
            except ValueError as error:
                LOG.warning("%s is computed again: %s", file, error)
            else:
                LOG.info("%s k=%d draw %d was finished before", material, len(chosen.fitted), chosen.draw)
                return np.array(kept["forces"], dtype=np.float64), kept["about"]
        forces, about = self.method(material, chosen)
        write_whole(file, seal({"forces": forces.tolist(), "about": about}).encode())
        return forces, about

    def forget(self) -> None:
        """Drop what only a job that goes on needs."""
        shutil.rmtree(self.folder)
