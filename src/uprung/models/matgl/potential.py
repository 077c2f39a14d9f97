"""Networks of matgl as a `Potential`: derivatives, references, layers, a second fidelity."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase.units import GPa
from numpy.typing import NDArray
from torch import Tensor, nn

from uprung.datasets.store import Inputs, Side
from uprung.models.cards import ArchitectureCard
from uprung.models.interface import EMBEDDINGS, N_ELEMENTS, READOUT, REFERENCES, Potential, check_references
from uprung.models.matgl.card import TRIPLET_CUTOFF
from uprung.models.matgl.files import ROWS, Network, export, saved_network
from uprung.models.pairs import PackedPairs
from uprung.models.second_fidelity import SourceSide
from uprung.models.torch_files import write_tensors

_BLOCKS = ("three_body_interactions", "graph_layers", "layers")
_READOUT = ("out_norm", "linear", "final_layer")
#: Atomic number -> row of matgl's arrays of elements.
_ROW_OF = np.full(N_ELEMENTS + 1, -1)
_ROW_OF[ROWS] = np.arange(len(ROWS))


def layer_of(name: str) -> str:
    """Return the layer of a parameter of a network by its name: embeddings, block1 ..., readout."""
    first, *rest = name.split(".")
    if first in _BLOCKS:
        return f"block{int(rest[0]) + 1}"
    return READOUT if first in _READOUT else EMBEDDINGS


@dataclass(frozen=True)
class Graph:
    """A batch as the networks of matgl read it; `pos` and `pbc_offshift` are set by the forward pass."""

    node_type: Tensor  # (A,) rows of matgl's elements
    edge_index: Tensor  # (2, E)
    batch: Tensor  # (A,)
    num_graphs: int
    pos: Tensor  # (A, 3) Å
    pbc_offshift: Tensor  # (E, 3) Å


@dataclass(frozen=True)
class MatglBatch:
    """B crystals with A atoms, on one device."""

    graph: Graph
    numbers: Tensor  # (A,)
    n_atoms: Tensor  # (B,)
    volume: Tensor  # (B,) Å³
    edge_owner: Tensor  # (E,)

    @classmethod
    def from_arrays(cls, arrays: PackedPairs, like: Tensor) -> MatglBatch:
        """Return a packed batch as tensors; positions are computed in float64 and then rounded."""

        def integer(values: NDArray[Any]) -> Tensor:
            return torch.from_numpy(np.ascontiguousarray(values)).to(like.device)

        def real(values: NDArray[np.float64]) -> Tensor:
            return torch.from_numpy(np.ascontiguousarray(values)).to(like.device, like.dtype)

        graph = Graph(
            node_type=integer(_ROW_OF[arrays.numbers]),
            edge_index=integer(arrays.edge.T),
            batch=integer(arrays.owner),
            num_graphs=len(arrays.n_atoms),
            pos=real(arrays.positions()),
            pbc_offshift=real(arrays.shifts()),
        )
        volume = np.abs(np.linalg.det(arrays.lattice))
        return cls(graph, integer(arrays.numbers), integer(arrays.n_atoms), real(volume), integer(arrays.edge_owner))


class MatglPotential(Potential):
    """An M3GNet or TensorNet of matgl."""

    # Pairs + triplets; measured in benchmarks/architectures.py for CPUs, not measured for GPUs.
    predicted_at_once: Mapping[str, int] = {"cpu": 20_000, "cuda": 400_000}
    trained_at_once: Mapping[str, int] = {"cpu": 40_000, "cuda": 400_000}

    def __init__(self, card: ArchitectureCard, network: Network) -> None:
        """Hold a network."""
        super().__init__()
        self.card = card
        self.network = network.model
        self.arguments = network.arguments
        self.scale = network.scale
        self.atoms = nn.Parameter(torch.from_numpy(network.references).float(), requires_grad=False)
        self.source: SourceSide | None = None
        self._shift: Tensor | None = None  # added to the embeddings of the atoms during a forward pass of the source
        self._embedding.register_forward_hook(self._shifted)

    @property
    def _embedding(self) -> nn.Embedding:
        part: Any = self.network
        found = part.embedding.layer_node_embedding if hasattr(part, "embedding") else part.tensor_embedding.emb
        assert isinstance(found, nn.Embedding)
        return found

    def _shifted(self, _: nn.Module, __: Any, output: Tensor) -> Tensor:
        return output if self._shift is None else output + self._shift

    def batch(self, inputs: Inputs, rows: NDArray[np.int64]) -> MatglBatch:
        """See `Potential.batch`."""
        return MatglBatch.from_arrays(inputs.pack(rows), self.atoms)

    def forward(self, batch: MatglBatch, targets: Collection[str], side: Side = "target") -> dict[str, Tensor]:
        """See `Potential.forward`."""
        if side == "source" and self.source is None:
            raise ValueError("this network knows the target fidelity only")
        other = self.source if side == "source" else None
        self._shift = other.shift if other is not None else None
        derive = [name for name in ("force", "stress") if name in targets]
        try:
            with torch.set_grad_enabled(bool(derive) or self.training):
                found = self._energies(batch, derive)
        finally:
            self._shift = None
        references = other.references if other is not None else self.atoms
        sums = batch.volume.new_zeros(len(batch.n_atoms))
        sums = sums.index_add(0, batch.graph.batch, references[batch.numbers - 1])
        return {"energy": found["network"] + sums / batch.n_atoms, **found}

    def _energies(self, batch: MatglBatch, derive: Sequence[str]) -> dict[str, Tensor]:
        """Return `network` in eV/atom and its derivatives, by moving atoms and straining cells.

        Stress is dE/dε / V with x → x (1 + ε), ε symmetric (Knuth et al., Comput. Phys. Commun. 190, 33 (2015)).
        """
        graph = batch.graph
        position = graph.pos.detach().requires_grad_("force" in derive)
        strain = graph.pos.new_zeros(graph.num_graphs, 3, 3).requires_grad_("stress" in derive)
        even = (strain + strain.transpose(1, 2)) / 2
        moved = Graph(
            graph.node_type,
            graph.edge_index,
            graph.batch,
            graph.num_graphs,
            position + torch.einsum("ak,akl->al", position, even[graph.batch]),
            graph.pbc_offshift + torch.einsum("ek,ekl->el", graph.pbc_offshift, even[batch.edge_owner]),
        )
        energy = self.scale * self.network(g=moved, l_g=self._triplets(graph)).reshape(-1)
        found = {"network": energy / batch.n_atoms}
        if derive:
            by = {"force": position, "stress": strain}
            gradients = torch.autograd.grad(energy.sum(), [by[name] for name in derive], create_graph=self.training)
            for name, gradient in zip(derive, gradients, strict=True):
                found[name] = -gradient if name == "force" else gradient / batch.volume[:, None, None] / GPa
        if not self.training:
            found = {name: value.detach() for name, value in found.items()}
        return found

    def _triplets(self, graph: Graph) -> dict[str, Tensor] | None:
        """Return the pairs of pairs that meet at an atom, as M3GNet reads them; None for a network without."""
        if self.card.name != "m3gnet":
            return None
        first, second = graph.edge_index
        distance = torch.linalg.vector_norm(graph.pos[second] + graph.pbc_offshift - graph.pos[first], dim=1)
        close = torch.nonzero(distance <= TRIPLET_CUTOFF).squeeze(1)
        degree = torch.bincount(first[close], minlength=len(graph.pos))
        before = torch.cumsum(degree, 0) - degree  # of an atom's first pair among the close ones
        per_pair = degree[first[close]] - 1  # other close pairs of the same atom
        one = torch.repeat_interleave(torch.arange(len(close), device=close.device), per_pair)
        rank = torch.arange(len(one), device=close.device) - (torch.cumsum(per_pair, 0) - per_pair)[one]
        own = one - before[first[close]][one]  # rank of the pair itself, which is left out
        two = before[first[close]][one] + rank + (rank >= own)
        n_triple = torch.zeros(len(first), dtype=torch.long, device=close.device)
        n_triple[close] = per_pair
        return {
            "line_edge_index": torch.stack([close[one], close[two]]),
            "n_triple_ij": n_triple,
            "kept_edge_ids": close,
        }

    @property
    def references(self) -> NDArray[np.float64]:
        """See `Potential.references`."""
        return self.atoms.detach().to("cpu", torch.float64).numpy().copy()

    def set_references(self, values: NDArray[np.float64], *, trainable: bool) -> None:
        """See `Potential.set_references`."""
        with torch.no_grad():
            self.atoms.copy_(torch.from_numpy(check_references(values)))
        self.atoms.requires_grad_(trainable)

    def layers(self) -> Mapping[str, Sequence[nn.Parameter]]:
        """See `Potential.layers`."""
        found: dict[str, list[nn.Parameter]] = {REFERENCES: [self.atoms]}
        for name, parameter in self.network.named_parameters():
            found.setdefault(layer_of(name), []).append(parameter)
        return found

    def zero_output(self) -> None:
        """See `Potential.zero_output`; the readout is a product of a layer and a gate, of which the layer is zeroed."""
        readout: Any = self.network
        for parameter in readout.final_layer.gated.layers[-1].parameters():
            nn.init.zeros_(parameter)

    def add_source(self, references: NDArray[np.float64], *, embedding: bool) -> None:
        """See `Potential.add_source`."""
        self.source = SourceSide(references, self._embedding.embedding_dim, embedding=embedding).to(self.atoms)

    def _as_network(self) -> Network:
        return Network(self.network, self.scale, self.references, self.arguments)

    def save(self, path: str | Path, *, target: str, source: str, corrects: str | None) -> None:
        """See `Potential.save`; `export` writes the folder that `matgl.load_model` reads."""
        content: dict[str, Any] = {"network": saved_network(self.card, self._as_network()), "corrects": corrects}
        if corrects is None and self.source is not None and self.source.shift.requires_grad:
            other = {name: value.detach().cpu().clone() for name, value in self.source.state_dict().items()}
            content["fidelities"] = {target: {}, source: other}
        write_tensors(path, {"matgl": content})

    def export(self, folder: Path) -> None:
        """Write a folder that `matgl.load_model` reads."""
        export(self._as_network(), folder)

    def adopt(self, other: Mapping[str, Tensor]) -> None:
        """Become the other fidelity of a network of two: its reference energies and its offset of the embedding."""
        with torch.no_grad():
            self._embedding.weight += other["shift"]
        self.set_references(other["references"].double().numpy(), trainable=False)
