"""Two networks whose energies add up: Δ-learning, a pretrained network and a correction to it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from uprung.datasets.store import Inputs, Side
from uprung.models.interface import Potential


class SumPotential(Potential):
    """The sum of networks of one architecture; moments, which are absolute values, are those of the last one.

    It predicts and is not trained: the loss of a correction is that of the sum on labels less the other predictions.
    """

    def __init__(self, parts: Sequence[Potential]) -> None:
        """Hold the networks."""
        super().__init__()
        self.parts = nn.ModuleList(parts)
        self.card = parts[0].card
        self.predicted_at_once, self.trained_at_once = parts[0].predicted_at_once, parts[0].trained_at_once

    @property
    def _networks(self) -> list[Potential]:
        return [part for part in self.parts if isinstance(part, Potential)]

    @property
    def versions(self) -> dict[str, str]:
        """See `Potential.versions`."""
        return self._networks[0].versions

    def batch(self, inputs: Inputs, rows: NDArray[np.int64]) -> Any:
        """See `Potential.batch`."""
        return self._networks[0].batch(inputs, rows)

    def forward(self, batch: Any, targets: Collection[str], side: Side = "target") -> dict[str, Tensor]:
        """See `Potential.forward`; sums are in float64."""
        *others, last = [part(batch, targets, side) for part in self.parts]
        return {
            name: value if name == "magmom" else sum((other[name].double() for other in others), start=value.double())
            for name, value in last.items()
        }

    @property
    def references(self) -> NDArray[np.float64]:
        """Sum of the reference energies, (94,) eV/atom."""
        return np.asarray(np.sum([part.references for part in self._networks], axis=0))

    def forces_by_element(self, batch: Any) -> list[tuple[Tensor, Tensor]]:
        """See `Potential.forces_by_element`."""
        return [entry for part in self._networks for entry in part.forces_by_element(batch)]

    def layers(self) -> Mapping[str, Sequence[nn.Parameter]]:
        """Refuse: a sum is not trained."""
        raise TypeError("a sum of networks is not trained")

    def set_references(self, values: NDArray[np.float64], *, trainable: bool) -> None:
        """Set those of the last network so that the sum has the given ones."""
        last = self._networks[-1]
        last.set_references(values - (self.references - last.references), trainable=trainable)

    def zero_output(self) -> None:
        """Refuse: a sum is not trained."""
        raise TypeError("a sum of networks is not trained")

    def add_source(self, references: NDArray[np.float64], *, embedding: bool) -> None:
        """Refuse: a sum is not trained."""
        raise TypeError("a sum of networks is not trained")

    def save(self, path: str | Path, *, target: str, source: str, corrects: str | None) -> None:
        """Refuse: its networks are saved alone."""
        raise TypeError("a sum of networks is not saved; save the correction")
