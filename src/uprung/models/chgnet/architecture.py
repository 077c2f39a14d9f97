"""CHGNet behind the door: networks from names, files and seeds, and the graphs that they read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from uprung.datasets.store import Inputs
from uprung.models.cards import ArchitectureCard
from uprung.models.chgnet.card import CARD
from uprung.models.chgnet.checkpoint import from_content, new_chgnet, shipped_chgnet
from uprung.models.chgnet.potential import CHGNetPotential
from uprung.models.chgnet.store import graphs_of, open_store, write_store
from uprung.models.interface import Architecture, Geometry, Potential, refuse_fidelity
from uprung.models.torch_files import read_tensors, require_finite
from uprung.models.total import SumPotential


class _CHGNetArchitecture:
    """See `uprung.models.interface.Architecture`."""

    card: ArchitectureCard = CARD

    def new(self, seed: int) -> Potential:
        return CHGNetPotential(new_chgnet(seed))

    def load(self, name_or_path: str | Path, fidelity: str | None = None) -> Potential:
        if str(name_or_path) in CARD.checkpoints:
            refuse_fidelity(fidelity, name_or_path)
            return CHGNetPotential(shipped_chgnet(str(name_or_path)))
        path = Path(name_or_path)
        content = read_tensors(path)
        if "correction" in content:
            refuse_fidelity(fidelity, path)
            corrects = str(content.get("corrects"))
            if corrects not in CARD.checkpoints:  # or a file would choose which other file is read
                allowed = ", ".join(CARD.checkpoints)
                raise ValueError(f"{path} corrects {corrects!r}, which is no shipped checkpoint (allowed: {allowed})")
            correction = from_content(content, path, key="correction")
            return SumPotential([CHGNetPotential(shipped_chgnet(corrects)), CHGNetPotential(correction)])
        known: dict[str, dict[str, torch.Tensor]] = content.get("fidelities", {})
        if known and fidelity not in known:
            raise ValueError(f"{path} predicts several fidelities: choose one of {', '.join(known)}, not {fidelity!r}")
        if not known:
            refuse_fidelity(fidelity, path)
        potential = CHGNetPotential(from_content(content, path))
        if known and (own := known[str(fidelity)]):
            require_finite(own, path)
            with torch.no_grad():
                potential.chgnet.atom_embedding.embedding.weight += own["shift"]
            potential.set_references(own["references"].double().numpy(), trainable=False)
        return potential

    def reads(self, path: Path) -> bool:
        try:
            content = read_tensors(path)
        except ValueError:
            return False
        return bool(content.keys() & {"model", "correction"}) and "architecture" not in content

    def write_inputs(
        self,
        names: Sequence[str],
        geometries: Sequence[Geometry],
        folder: Path,
        *,
        processes: int = 1,
        progress: Callable[[int], object] | None = None,
    ) -> dict[str, Any]:
        return write_store(folder, names, geometries, processes=processes, progress=progress)

    def open_inputs(self, folder: Path, manifest: Mapping[str, Any]) -> Inputs:
        return open_store(folder, manifest)

    def inputs_of(self, geometries: Sequence[Geometry]) -> Inputs:
        return graphs_of(geometries)


ARCHITECTURE: Architecture = _CHGNetArchitecture()
