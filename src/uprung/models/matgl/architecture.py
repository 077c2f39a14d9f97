"""Networks of matgl behind the door."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from uprung.models.cards import ArchitectureCard
from uprung.models.interface import Architecture, refuse_fidelity
from uprung.models.matgl.card import TRIPLET_CUTOFF
from uprung.models.matgl.files import described, from_folder, from_saved, new_network, published
from uprung.models.matgl.potential import MatglPotential
from uprung.models.pair_architecture import PairArchitecture
from uprung.models.pair_potential import PairPotential


class MatglArchitecture(PairArchitecture):
    """M3GNet or TensorNet; its own package's networks are folders."""

    def new(self, seed: int) -> PairPotential:
        """See `PairArchitecture.new`."""
        return MatglPotential(self.card, new_network(self.card, seed))

    def published(self, name: str) -> PairPotential:
        """See `PairArchitecture.published`."""
        return MatglPotential(self.card, published(self.card, name))

    def from_saved(self, saved: Mapping[str, Any], path: Path) -> PairPotential:
        """See `PairArchitecture.from_saved`."""
        return MatglPotential(self.card, from_saved(self.card, saved, path))

    def reads_own(self, path: Path) -> bool:
        """See `PairArchitecture.reads_own`."""
        return (described(path) or {}).get("@class") == self.card.title

    def from_own(self, path: Path, fidelity: str | None) -> PairPotential:
        """See `PairArchitecture.from_own`."""
        refuse_fidelity(fidelity, path)
        return MatglPotential(self.card, from_folder(self.card, path))


def behind(card: ArchitectureCard) -> Architecture:
    """Return the code behind the card of M3GNet or TensorNet."""
    return MatglArchitecture(card, triplets=TRIPLET_CUTOFF if card.name == "m3gnet" else 0.0)
