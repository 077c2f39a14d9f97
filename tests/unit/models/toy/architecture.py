"""The energy of an atom: a sum over its neighbours of block1(e_i ∘ e_j)·g(r), read out linearly."""

import numpy as np
import torch
from torch import nn

from uprung.models import interface as door
from uprung.models.pair_architecture import PairArchitecture
from uprung.models.pair_potential import PairPotential
from uprung.models.toy.card import CARD

LAYERS = (door.EMBEDDINGS, "block1", door.READOUT)


class ToyPotential(PairPotential):
    embedding_width = 8

    def __init__(self):
        parts = nn.Embedding(door.N_ELEMENTS, 8), nn.Linear(8, 8), nn.Linear(8, 1, bias=False)
        super().__init__(CARD, nn.ModuleDict(zip(LAYERS, parts, strict=True)), np.zeros(door.N_ELEMENTS))

    def network_energies(self, batch, side):
        embedding, block, readout = self.network.values()
        atoms = self.shifted(embedding(batch.numbers - 1))
        gate = (1 - batch.vectors().square().sum(dim=1, keepdim=True) / CARD.cutoff**2) ** 3
        pairs = gate * torch.tanh(block(atoms[batch.edge].prod(dim=0)))
        crystals = pairs.new_zeros(len(batch.n_atoms), 8).index_add(0, batch.edge_owner, pairs)
        return readout(crystals).squeeze(1)

    def add_to_embedding(self, shift):
        self.network[door.EMBEDDINGS].weight.data += shift

    def layer_of(self, name):
        return name.partition(".")[0]

    def zero_output(self):
        nn.init.zeros_(self.network[door.READOUT].weight)

    def saved(self):
        return {"network": self.network.state_dict(), "references": self.atoms.detach()}


class ToyArchitecture(PairArchitecture):
    def new(self, seed):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return ToyPotential()

    def from_saved(self, saved, path):
        potential = ToyPotential()
        potential.network.load_state_dict(saved["network"])
        potential.atoms.data = saved["references"]
        return potential

    def published(self, name):
        raise ValueError("the toy ships no checkpoint")

    def reads_own(self, path):
        return False  # no other package has toys

    def from_own(self, path, fidelity):
        raise ValueError(f"{path} is no toy")


ARCHITECTURE = ToyArchitecture(CARD)
