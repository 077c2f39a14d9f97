"""What the first jobs of a study would find: its files are read, paired and split before anything runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from uprung.config.data import Fidelity
from uprung.config.load import find_file
from uprung.config.study import Study
from uprung.datasets.splits import Reach
from uprung.datasets.transfer_split import TransferSplit, split_transfer
from uprung.frames.intake import frames_in_memory
from uprung.frames.table import Frames
from uprung.job.workflow import workflow_folder
from uprung.labels.pairing import Pairing, pair_frames
from uprung.models.registry import card_of
from uprung.sources.opened import OpenSource
from uprung.sources.settings import Settings
from uprung.structures.duplicates import without_copies


@dataclass(frozen=True)
class Examined:
    """The data of a transfer as its first jobs see them."""

    low: Frames
    high: Frames
    pairing: Pairing
    split: TransferSplit

    def on(self, fidelity: str, side: str) -> int:
        """Return how many frames of a fidelity are on a side of the split."""
        table = self.split.table
        return int(((table["fidelity"] == fidelity) & (table["split"] == side)).sum())


def examine(study: Study) -> Examined | None:
    """Read, pair and split the data of a study's transfer; None where they are downloaded or computed.

    Raises:
        FramesError, PairsError, IdenticalLabelsError, UnlikeLabelsError, SplitError, SizeError: what would stop the
            first jobs, with what is allowed.
    """
    names = (study.low, study.high)
    sides = [study.fidelities[name] for name in names]
    if not all(side.sources for side in sides):
        return None
    needed: list[str] = [name for name in study.transfer.targets if name != "energy"]
    low, high = (
        _frames(name, side, needed if name == study.high else []) for name, side in zip(names, sides, strict=True)
    )
    pair = study.pairs[study.transfer.pair]
    labels = (sides[0].energy, sides[1].energy)
    found = pair_frames(
        study.transfer.pair,
        low,
        high,
        labels=labels,
        match=pair.match,
        tolerance=pair.tolerance,
        identical=pair.identical_labels,
        unlike=pair.unlike_labels,
    )
    card = card_of(study.architecture)
    split = split_transfer(
        (low, high),
        found.table,
        names=names,
        labels=labels,
        split=study.split,
        select=study.transfer.select,
        tolerance=pair.tolerance,
        reach=Reach(card.cutoff, sorted({*range(1, 95)} - card.elements)),
        sizes=[str(size) for size in study.sizes],
        seeds=study.seeds,
    )
    return Examined(low, high, found, split)


def _frames(name: str, fidelity: Fidelity, needed: list[str]) -> Frames:
    folders, settings = (Path.cwd(), workflow_folder()), Settings()
    sources = [
        OpenSource(one, Path(find_file(one.file, folders, key=name)), fidelity.functional, settings)
        for one in fidelity.sources
    ]
    streams = [(source.records(), source.unwanted) for source in sources]
    found = frames_in_memory(
        streams, name, functional=fidelity.functional, energy=fidelity.energy, needed=["energy", *needed]
    )
    return without_copies(Frames(found.table, {**found.manifest, "settings": settings.facts()}))


def atoms_per_frame(frames: Frames) -> float:
    """Return the mean number of atoms."""
    return float(np.mean(frames.nsites))
