"""SevenNet behind the door."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from uprung.models.interface import Architecture, refuse_fidelity
from uprung.models.pair_architecture import PairArchitecture
from uprung.models.pair_potential import PairPotential
from uprung.models.sevennet.card import CARD
from uprung.models.sevennet.files import from_content, is_checkpoint, modes_of, new_network, shipped
from uprung.models.sevennet.potential import SevenNetPotential
from uprung.models.torch_files import read_tensors


class SevenNetArchitecture(PairArchitecture):
    """SevenNet; its own package's networks are files of tensors, plain values and arrays."""

    def new(self, seed: int) -> PairPotential:
        """See `PairArchitecture.new`."""
        return SevenNetPotential(new_network(seed))

    def published(self, name: str) -> PairPotential:
        """See `PairArchitecture.published`."""
        return SevenNetPotential(shipped(name))

    def from_saved(self, saved: Mapping[str, Any], path: Path) -> PairPotential:
        """See `PairArchitecture.from_saved`."""
        if not is_checkpoint(saved):
            raise ValueError(f"{path} is no complete file of a SevenNet")
        return SevenNetPotential(from_content(saved, path, saved.get("modal") or None))

    def reads_own(self, path: Path) -> bool:
        """See `PairArchitecture.reads_own`."""
        try:
            return path.is_file() and is_checkpoint(read_tensors(path, arrays=True))
        except ValueError:
            return False

    def from_own(self, path: Path, fidelity: str | None) -> PairPotential:
        """See `PairArchitecture.from_own`."""
        content = read_tensors(path, arrays=True)
        if modes := modes_of(content):
            if fidelity not in modes:
                raise ValueError(
                    f"{path} predicts several fidelities: choose one of {', '.join(modes)}, not {fidelity!r}"
                )
        else:
            refuse_fidelity(fidelity, path)
        return SevenNetPotential(from_content(content, path, fidelity))


ARCHITECTURE: Architecture = SevenNetArchitecture(CARD)
