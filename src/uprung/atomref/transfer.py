"""What the reference fits of a study are given: the split frames of both fidelities, and the estimators it names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from uprung.atomref.base import Bools, Floats
from uprung.atomref.fit import Estimator, Labelled, energies_of_elements
from uprung.config.arms import ReferenceFit
from uprung.frames.table import Frames, read_frames


@dataclass(frozen=True, eq=False)
class TransferFrames:
    """The frames of both fidelities of a transfer, source first.

    tables; names of the fidelities; labels, which energies; split, as from `uprung.datasets.splits.split_fidelities`.
    """

    tables: Sequence[Frames]
    names: Sequence[str]
    labels: Sequence[str]
    split: pd.DataFrame

    @classmethod
    def read(cls, low: str, high: str, split: str, *, names: Sequence[str], labels: Sequence[str]) -> TransferFrames:
        """Read two frames tables and their split."""
        return cls((read_frames(low), read_frames(high)), names, labels, pd.read_parquet(split))

    def target(self) -> pd.DataFrame:
        """Return the split of the target's frames, in their order."""
        return self.split[self.split["fidelity"] == self.names[1]].sort_values("row")

    def source_training(self) -> Labelled:
        """Return the training structures of the source."""
        own = (self.split["fidelity"] == self.names[0]) & (self.split["split"] == "train")
        return self._labelled(0, self.split[own])

    def target_frames(self, entries: pd.DataFrame) -> Labelled:
        """Return target structures by their entries in the split or in a training order."""
        return self._labelled(1, entries)

    def _labelled(self, side: int, entries: pd.DataFrame) -> Labelled:
        frames, rows = self.tables[side], entries["row"].to_numpy()
        return Labelled(
            frames.composition()[rows],
            (frames.label(self.labels[side]) / frames.nsites)[rows],
            entries["material_id"].to_numpy(dtype=str),
            entries["group"].to_numpy(dtype=str),
        )

    def needed(self) -> Bools:
        """Return which elements occur in the target frames that take part, (94,)."""
        target = self.target()
        used = target.loc[target["split"] != "excluded", "row"].to_numpy()
        return np.asarray((self.tables[1].composition()[used] > 0).any(axis=0))

    def estimator(self, options: ReferenceFit, elements: Mapping[str, str | Path], *, seed: int | None) -> Estimator:
        """Return the estimator of a reference.

        Args:
            options: of the reference.
            elements: fidelity -> frames table with energies of elements, for references that need one.
            seed: of the bootstrap behind the standard errors; None for no standard errors but analytic ones.

        Raises:
            ValueError: the energies of elements are on another label scale, or there are none.
        """
        energies = None
        if options.elements:
            energies = energies_of_elements(
                read_frames(elements[options.elements]),
                "elemental-solid" if options.estimator == "elemental-solid" else "isolated-atom",
                label=self.labels[1],
                fidelity=options.elements,
                wanted=(self.names[1], self.tables[1].manifest["label_scale"]),
            )
        return Estimator(
            options.estimator,
            strength=options.strength,
            threshold=options.threshold or Estimator.threshold,
            elements=energies,
            resamples=0 if seed is None else options.bootstrap or 0,
            seed=seed or 0,
        )


def unexplained(predicted: pd.DataFrame, chosen: pd.DataFrame) -> tuple[Floats, Floats]:
    """Return a network's prediction without references, (n,), and its references, (94,), in eV/atom: for residual fits.

    Args:
        predicted: frame_id and network (eV/atom), with the references in `attrs["atomref"]`.
        chosen: the frames that are fitted.
    """
    network = predicted.set_index("frame_id").loc[chosen["frame_id"], "network"].to_numpy()
    return network, np.asarray(predicted.attrs["atomref"])
