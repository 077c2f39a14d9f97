"""SevenNet as a `Potential`."""

from __future__ import annotations

from typing import Any

import numpy as np
import sevenn._keys as keys
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from uprung.datasets.store import Side
from uprung.models.interface import EMBEDDINGS, READOUT
from uprung.models.pair_potential import PairBatch, PairPotential
from uprung.models.sevennet.card import CARD
from uprung.models.sevennet.files import SevenNetNetwork, saved_network

_LEFT_OUT = ("reduce_total_enegy", "force_output")  # sums and derivatives are uprung's


class SevenNetPotential(PairPotential):
    """A SevenNet, at one of its fidelities where it has several."""

    def __init__(self, network: SevenNetNetwork) -> None:
        """Hold a network."""
        super().__init__(CARD, network.model, network.references[network.modal or ""])
        self.held = network
        self.modal_map: dict[str, int] = dict(network.config["_modal_map"]) if network.modal else {}
        self.modal = network.modal
        self.other = next((name for name in self.modal_map if name != network.modal), None)

    @property
    def _first(self) -> Any:
        return self.network.onehot_to_feature_x.linear  # type: ignore[union-attr]

    @property
    def embedding_width(self) -> int:
        """See `PairPotential.embedding_width`."""
        return int(self._first.irreps_out.dim)

    def add_to_embedding(self, shift: Tensor) -> None:
        """See `PairPotential.add_to_embedding`."""
        scale = self._first.instructions[0].path_weight  # what e3nn multiplies its weights by
        with torch.no_grad():
            self._first.weight.view(-1, self.embedding_width).add_(shift / scale)

    def network_energies(self, batch: PairBatch, side: Side) -> Tensor:
        """See `PairPotential.network_energies`; the source of a network of several fidelities is its other one."""
        rows: Any = self.network.z_to_onehot_tensor
        data: dict[str, Tensor] = {
            keys.NODE_FEATURE: rows.to(batch.numbers.device)[batch.numbers],
            keys.EDGE_IDX: batch.edge,
            keys.EDGE_VEC: batch.vectors(),
            keys.BATCH: batch.owner,
            keys.NUM_ATOMS: batch.n_atoms,
        }
        mode = self.other if side == "source" and self.other else self.modal
        if mode is not None:
            data[keys.MODAL_TYPE] = torch.full_like(batch.n_atoms, self.modal_map[mode])
        for name, module in self.network.named_children():
            if name in _LEFT_OUT:
                continue
            data = module(data)
            if name == "onehot_idx_to_onehot":  # single precision whatever that of the network
                data[keys.NODE_FEATURE] = data[keys.NODE_FEATURE].to(batch.positions.dtype)
                data[keys.NODE_ATTR] = data[keys.NODE_FEATURE]
            elif name == "onehot_to_feature_x":
                data[keys.NODE_FEATURE] = self.shifted(data[keys.NODE_FEATURE])
        return batch.volume.new_zeros(len(batch.n_atoms)).index_add(0, batch.owner, data[keys.ATOMIC_ENERGY].view(-1))

    def layer_of(self, name: str) -> str:
        """See `PairPotential.layer_of`."""
        number, _, _ = name.partition("_")
        if number.isdigit():
            return f"block{int(number) + 1}"
        return READOUT if name.startswith("reduce_") else EMBEDDINGS

    def zero_output(self) -> None:
        """See `Potential.zero_output`."""
        nn.init.zeros_(self.network.reduce_hidden_to_energy.linear.weight)  # type: ignore[union-attr,arg-type]

    def add_source(self, references: NDArray[np.float64], *, embedding: bool) -> None:
        """See `Potential.add_source`; a network of several fidelities tells them apart by itself."""
        super().add_source(references, embedding=embedding and not self.other)

    def saved(self) -> dict[str, Any]:
        """See `PairPotential.saved`."""
        references = dict(self.held.references) | {self.modal or "": self.references}
        if self.other and self.source is not None:
            references[self.other] = self.source.references.double().cpu().numpy()
        return saved_network(self.held._replace(references=references))
