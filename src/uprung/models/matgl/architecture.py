"""Networks of matgl behind the door: from names, files and seeds, and the pairs that they read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from uprung.datasets.store import Inputs
from uprung.models.cards import ArchitectureCard
from uprung.models.interface import Architecture, Geometry, Potential, refuse_fidelity
from uprung.models.matgl.card import TRIPLET_CUTOFF
from uprung.models.matgl.files import described, from_folder, from_saved, new_network, published
from uprung.models.matgl.potential import MatglPotential
from uprung.models.pairs import Neighbourhood, open_pairs, pairs_of, write_pairs
from uprung.models.torch_files import read_tensors, require_finite
from uprung.models.total import SumPotential


class _MatglArchitecture:
    """See `uprung.models.interface.Architecture`."""

    def __init__(self, card: ArchitectureCard) -> None:
        """Hold the card of M3GNet or TensorNet."""
        self.card = card
        triplets = TRIPLET_CUTOFF if card.name == "m3gnet" else 0.0
        self._near = Neighbourhood(card.cutoff, triplets, card.elements, card.title)

    def new(self, seed: int) -> Potential:
        return MatglPotential(self.card, new_network(self.card, seed))

    def load(self, name_or_path: str | Path, fidelity: str | None = None) -> Potential:
        if str(name_or_path) in self.card.checkpoints:
            refuse_fidelity(fidelity, name_or_path)
            return MatglPotential(self.card, published(self.card, str(name_or_path)))
        path = Path(name_or_path)
        if path.is_dir():
            refuse_fidelity(fidelity, path)
            return MatglPotential(self.card, from_folder(self.card, path))
        content = self._content(path)
        potential = MatglPotential(self.card, from_saved(self.card, content["network"], path))
        if (corrects := content.get("corrects")) is not None:
            refuse_fidelity(fidelity, path)
            if corrects not in self.card.checkpoints:  # or a file would choose which other file is read
                allowed = ", ".join(self.card.checkpoints)
                raise ValueError(f"{path} corrects {corrects!r}, which is no known checkpoint (allowed: {allowed})")
            return SumPotential([MatglPotential(self.card, published(self.card, corrects)), potential])
        known: Mapping[str, Any] = content.get("fidelities", {})
        if not known:
            refuse_fidelity(fidelity, path)
        elif fidelity is None or fidelity not in known:
            raise ValueError(f"{path} predicts several fidelities: choose one of {', '.join(known)}, not {fidelity!r}")
        elif other := known[fidelity]:
            require_finite(other, path)
            potential.adopt(other)
        return potential

    def _content(self, path: Path) -> dict[str, Any]:
        """Return what uprung saved; raises ValueError if it is a file of another kind."""
        content = read_tensors(path).get("matgl")
        if not isinstance(content, dict) or content.get("network", {}).get("class") != self.card.title:
            raise ValueError(f"{path} holds no {self.card.title}")
        return content

    def reads(self, path: Path) -> bool:
        if path.is_dir():
            return (described(path) or {}).get("@class") == self.card.title
        try:
            self._content(path)
        except ValueError:
            return False
        return True

    def write_inputs(
        self,
        names: Sequence[str],
        geometries: Sequence[Geometry],
        folder: Path,
        *,
        processes: int = 1,
        progress: Callable[[int], object] | None = None,
    ) -> dict[str, Any]:
        return write_pairs(folder, names, geometries, self._near, processes=processes, progress=progress)

    def open_inputs(self, folder: Path, manifest: Mapping[str, Any]) -> Inputs:
        return open_pairs(folder, manifest)

    def inputs_of(self, geometries: Sequence[Geometry]) -> Inputs:
        return pairs_of(geometries, self._near)


def behind(card: ArchitectureCard) -> Architecture:
    """Return the code behind the card of M3GNet or TensorNet."""
    return _MatglArchitecture(card)
