"""Networks of matgl as a `Potential`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from uprung.datasets.store import Side
from uprung.models.cards import ArchitectureCard
from uprung.models.interface import EMBEDDINGS, N_ELEMENTS, READOUT
from uprung.models.matgl.card import TRIPLET_CUTOFF
from uprung.models.matgl.files import ROWS, MatglNetwork, export, saved_network
from uprung.models.pair_potential import PairBatch, PairPotential

_BLOCKS = ("three_body_interactions", "graph_layers", "layers")
_READOUT = ("out_norm", "linear", "final_layer")


@dataclass(frozen=True)
class MatglGraph:
    """A batch as the networks of matgl read it."""

    node_type: Tensor  # (A,) rows of matgl's elements
    edge_index: Tensor  # (2, E)
    batch: Tensor  # (A,)
    num_graphs: int
    pos: Tensor  # (A, 3) Å
    pbc_offshift: Tensor  # (E, 3) Å


class MatglPotential(PairPotential):
    """An M3GNet or TensorNet of matgl."""

    row_of: Tensor  # atomic number -> row of matgl's elements

    def __init__(self, card: ArchitectureCard, network: MatglNetwork) -> None:
        """Hold a network."""
        super().__init__(card, network.model, network.references)
        self.arguments, self.scale = network.arguments, network.scale
        rows = torch.full((N_ELEMENTS + 1,), -1)
        rows[torch.from_numpy(ROWS)] = torch.arange(len(ROWS))
        self.register_buffer("row_of", rows, persistent=False)
        self._embedding.register_forward_hook(self._hook)  # bound, so that a copy has its own

    def _hook(self, _: nn.Module, __: Any, output: Tensor) -> Tensor:
        return self.shifted(output)

    @property
    def _embedding(self) -> nn.Embedding:
        part: Any = self.network
        found = part.embedding.layer_node_embedding if self.card.name == "m3gnet" else part.tensor_embedding.emb
        assert isinstance(found, nn.Embedding)
        return found

    @property
    def embedding_width(self) -> int:
        """See `PairPotential.embedding_width`."""
        return self._embedding.embedding_dim

    def add_to_embedding(self, shift: Tensor) -> None:
        """See `PairPotential.add_to_embedding`."""
        with torch.no_grad():
            self._embedding.weight += shift

    def network_energies(self, batch: PairBatch, side: Side) -> Tensor:
        """See `PairPotential.network_energies`."""
        graph = MatglGraph(
            self.row_of[batch.numbers], batch.edge, batch.owner, len(batch.n_atoms), batch.positions, batch.shifts
        )
        triplets = _triplets(batch) if self.card.name == "m3gnet" else None
        energies: Tensor = self.network(g=graph, l_g=triplets)
        return self.scale * energies.reshape(-1)

    def layer_of(self, name: str) -> str:
        """See `PairPotential.layer_of`."""
        first, *rest = name.split(".")
        if first in _BLOCKS:
            return f"block{int(rest[0]) + 1}"
        return READOUT if first in _READOUT else EMBEDDINGS

    def zero_output(self) -> None:
        """See `Potential.zero_output`; the readout is a product of a layer and a gate, of which the layer is zeroed."""
        readout: Any = self.network
        for parameter in readout.final_layer.gated.layers[-1].parameters():
            nn.init.zeros_(parameter)

    def _as_network(self) -> MatglNetwork:
        return MatglNetwork(self.network, self.scale, self.references, self.arguments)

    def saved(self) -> dict[str, Any]:
        """See `PairPotential.saved`."""
        return saved_network(self._as_network())

    def export(self, folder: Path) -> None:
        """Write a folder that `matgl.load_model` reads."""
        export(self._as_network(), folder)


def _triplets(batch: PairBatch) -> dict[str, Tensor]:
    """Return the pairs of pairs that meet at an atom, both shorter than the cutoff, as M3GNet reads them."""
    first = batch.edge[0]
    distance = torch.linalg.vector_norm(batch.vectors().detach(), dim=1)
    close = torch.nonzero(distance <= TRIPLET_CUTOFF).squeeze(1)
    degree = torch.bincount(first[close], minlength=len(batch.positions))
    before = torch.cumsum(degree, 0) - degree  # of an atom's first pair among the close ones
    per_pair = degree[first[close]] - 1  # other close pairs of the same atom
    one = torch.repeat_interleave(torch.arange(len(close), device=close.device), per_pair)
    rank = torch.arange(len(one), device=close.device) - (torch.cumsum(per_pair, 0) - per_pair)[one]
    own = one - before[first[close]][one]  # rank of the pair itself, which is left out
    two = before[first[close]][one] + rank + (rank >= own)
    n_triple = torch.zeros(len(first), dtype=torch.long, device=close.device)
    n_triple[close] = per_pair
    return {"line_edge_index": torch.stack([close[one], close[two]]), "n_triple_ij": n_triple, "kept_edge_ids": close}
