"""MACE behind the door. Its package is imported when a network is needed: stored inputs and names do without."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from uprung.models.interface import Architecture
from uprung.models.mace.card import CARD
from uprung.models.pair_architecture import PairArchitecture
from uprung.models.pair_potential import PairPotential
from uprung.models.torch_files import names_in


class MaceArchitecture(PairArchitecture):
    """MACE; a run's network is a file of its own package, so that there is no other kind."""

    def new(self, seed: int) -> PairPotential:
        """See `PairArchitecture.new`."""
        from uprung.models.mace.files import new_network
        from uprung.models.mace.potential import MacePotential

        return MacePotential(new_network(seed))

    def published(self, name: str) -> PairPotential:
        """See `PairArchitecture.published`; there is none."""
        raise ValueError(f"no checkpoint of MACE is called {name!r}")

    def from_saved(self, saved: Mapping[str, Any], path: Path) -> PairPotential:
        """See `PairArchitecture.from_saved`; there is none."""
        raise ValueError(f"{path} is no file of MACE")

    def reads_own(self, path: Path) -> bool:
        """See `PairArchitecture.reads_own`."""
        return path.is_file() and any(name.startswith("mace.modules.models.") for name in names_in(path))

    def from_own(self, path: Path, fidelity: str | None) -> PairPotential:
        """See `PairArchitecture.from_own`; a fidelity is a head of the network."""
        from uprung.models.mace.files import from_file
        from uprung.models.mace.potential import MacePotential

        return MacePotential(from_file(path, fidelity))


ARCHITECTURE: Architecture = MaceArchitecture(CARD)
