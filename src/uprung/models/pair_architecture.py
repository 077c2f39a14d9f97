"""The code behind the card of an architecture of neighbour pairs: names, files and seeds, and stored pairs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from uprung.datasets.store import Inputs
from uprung.models.cards import ArchitectureCard
from uprung.models.interface import Geometry, Potential, refuse_fidelity
from uprung.models.pair_potential import PairPotential
from uprung.models.pairs import Neighbourhood, open_pairs, pairs_of, write_pairs
from uprung.models.torch_files import read_tensors, require_finite
from uprung.models.total import SumPotential


class PairArchitecture(ABC):
    """See `uprung.models.interface.Architecture`."""

    def __init__(self, card: ArchitectureCard, *, triplets: float = 0.0) -> None:
        """Hold a card, and the cutoff of triplets in Å for a network that has them."""
        self.card = card
        self._near = Neighbourhood(card.cutoff, triplets, card.elements, card.title)

    @abstractmethod
    def new(self, seed: int) -> PairPotential:
        """See `uprung.models.interface.Architecture.new`."""

    @abstractmethod
    def published(self, name: str) -> PairPotential:
        """Return a published checkpoint by its name; raises ValueError if it is not here or not as published."""

    @abstractmethod
    def from_saved(self, saved: Mapping[str, Any], path: Path) -> PairPotential:
        """Return the network that `PairPotential.saved` gave; raises ValueError if it does not fit."""

    @abstractmethod
    def reads_own(self, path: Path) -> bool:
        """Return whether a file or folder that the architecture's own package wrote holds such a network."""

    @abstractmethod
    def from_own(self, path: Path, fidelity: str | None) -> PairPotential:
        """Return the network of a file or folder of the architecture's own package; raises ValueError."""

    def load(self, name_or_path: str | Path, fidelity: str | None = None) -> Potential:
        """See `uprung.models.registry.load`."""
        if str(name_or_path) in self.card.checkpoints:
            refuse_fidelity(fidelity, name_or_path)
            return self.published(str(name_or_path))
        path = Path(name_or_path)
        if (content := self._saved(path)) is None:
            return self.from_own(path, fidelity)
        if "correction" in content:
            refuse_fidelity(fidelity, path)
            corrects = str(content.get("corrects"))
            if corrects not in self.card.checkpoints:  # or a file would choose which other file is read
                allowed = ", ".join(self.card.checkpoints)
                raise ValueError(f"{path} corrects {corrects!r}, which is no known checkpoint (allowed: {allowed})")
            return SumPotential([self.published(corrects), self.from_saved(content["correction"], path)])
        known: Mapping[str, Any] = content.get("fidelities", {})
        if not known:
            refuse_fidelity(fidelity, path)
        elif fidelity is None or fidelity not in known:
            raise ValueError(f"{path} predicts several fidelities: choose one of {', '.join(known)}, not {fidelity!r}")
        potential = self.from_saved(content, path)
        if fidelity is not None and (other := known[fidelity]):
            require_finite(other, path)
            potential.adopt(other)
        return potential

    def _saved(self, path: Path) -> dict[str, Any] | None:
        """Return what uprung saved in a file; None for a file of another kind."""
        try:
            content = read_tensors(path, arrays=True) if path.is_file() else {}
        except ValueError:
            return None
        return content if content.get("architecture") == self.card.name else None

    def reads(self, path: Path) -> bool:
        """See `uprung.models.interface.Architecture.reads`."""
        return self._saved(path) is not None or self.reads_own(path)

    def write_inputs(
        self,
        names: Sequence[str],
        geometries: Sequence[Geometry],
        folder: Path,
        *,
        processes: int = 1,
        progress: Callable[[int], object] | None = None,
    ) -> dict[str, Any]:
        """See `uprung.models.interface.Architecture.write_inputs`."""
        return write_pairs(folder, names, geometries, self._near, processes=processes, progress=progress)

    def open_inputs(self, folder: Path, manifest: Mapping[str, Any]) -> Inputs:
        """See `uprung.models.interface.Architecture.open_inputs`."""
        return open_pairs(folder, manifest)

    def inputs_of(self, geometries: Sequence[Geometry]) -> Inputs:
        """See `uprung.models.interface.Architecture.inputs_of`."""
        return pairs_of(geometries, self._near)
