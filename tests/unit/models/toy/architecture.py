"""The energy of an atom: a sum over its neighbours of block1(e_i ∘ e_j)·g(r), read out linearly."""

from pathlib import Path

import ase
import numpy as np
import torch
from ase.neighborlist import neighbor_list
from ase.units import GPa
from torch import nn

from uprung.models import interface as door
from uprung.models.torch_files import read_tensors, write_tensors
from uprung.models.toy.card import CARD


class Pairs:
    def __init__(self, geometries):
        self.rows = []
        for numbers, frac, lattice in geometries:
            crystal = ase.Atoms(numbers, scaled_positions=frac, cell=lattice, pbc=True)
            pairs = neighbor_list("ijD", crystal, CARD.cutoff)
            if len(np.unique(pairs[0])) < len(numbers):
                raise ValueError(f"an atom has no neighbour within {CARD.cutoff:g} Å")
            self.rows.append([torch.as_tensor(a) for a in (crystal.numbers - 1, abs(crystal.cell.volume), *pairs)])

    def costs(self):
        return np.array([len(vectors) for *_, vectors in self.rows])

    def pack(self, rows):
        return [self.rows[k] for k in rows]


class ToyPotential(door.Potential):
    card = CARD
    predicted_at_once = trained_at_once = dict.fromkeys(("cpu", "cuda"), 100_000)

    def __init__(self):
        super().__init__()
        self.atoms = nn.Parameter(torch.zeros(door.N_ELEMENTS), requires_grad=False)
        parts = nn.Embedding(door.N_ELEMENTS, 8), nn.Linear(8, 8), nn.Linear(8, 1, bias=False)
        self.parts = nn.ModuleDict(zip((door.EMBEDDINGS, "block1", door.READOUT), parts, strict=True))

    def batch(self, inputs, rows):
        like = self.atoms
        return [[a.to(like if a.is_floating_point() else like.device) for a in row] for row in inputs.pack(rows)]

    def forward(self, batch, targets, side="target"):
        if side == "source":
            raise ValueError("this network knows the target fidelity only")
        each = [self.of_crystal(*row) for row in batch]
        found = {name: torch.stack([one[name] for one in each]) for name in ("energy", "network", "stress")}
        found["force"] = torch.cat([one["force"] for one in each])
        return {name: found[name] for name in ("energy", "network", *targets)}

    @torch.enable_grad()
    def of_crystal(self, numbers, volume, first, second, vectors):
        embedding, block, readout = self.parts.values()
        atoms = embedding(numbers)
        moved, strain = (torch.zeros(n, 3).to(vectors).requires_grad_() for n in (len(numbers), 3))
        vectors = (vectors + moved[second] - moved[first]) @ (torch.eye(3).to(vectors) + strain)
        gate = (1 - vectors.square().sum(dim=1, keepdim=True) / CARD.cutoff**2) ** 3
        network = readout((gate * torch.tanh(block(atoms[first] * atoms[second]))).sum(dim=0)).sum()
        force, stress = torch.autograd.grad(network, (moved, strain), create_graph=self.training)
        network = network / len(numbers)
        energy = network + self.atoms[numbers].mean()
        return {"energy": energy, "network": network, "force": -force, "stress": stress / volume / GPa}

    @property
    def references(self):
        return self.atoms.detach().cpu().double().numpy().copy()

    def set_references(self, values, *, trainable):
        self.atoms.data = torch.from_numpy(door.check_references(values)).to(self.atoms)
        self.atoms.requires_grad_(trainable)

    def layers(self):
        return {door.REFERENCES: [self.atoms]} | {name: list(part.parameters()) for name, part in self.parts.items()}

    def zero_output(self):
        nn.init.zeros_(self.parts[door.READOUT].weight)

    def save(self, path, *, target, source, corrects):
        write_tensors(path, {"toy": self.state_dict()})


class ToyArchitecture:
    card = CARD

    def new(self, seed):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return ToyPotential()

    def load(self, name_or_path, fidelity=None):
        door.refuse_fidelity(fidelity, name_or_path)
        potential = ToyPotential()
        potential.load_state_dict(read_tensors(Path(name_or_path))["toy"])
        return potential

    def reads(self, path):
        try:
            return "toy" in read_tensors(path)
        except ValueError:
            return False

    def write_inputs(self, names, geometries, folder, *, processes=1, progress=None):
        kept, rejected = [], []
        for name, geometry in zip(names, geometries, strict=True):
            try:
                Pairs([geometry])
                kept.append([values.tolist() for values in geometry])
            except ValueError as error:
                rejected.append([name, str(error)])
        return {"rejected": rejected, "crystals": kept}

    def open_inputs(self, folder, manifest):
        return Pairs(manifest["crystals"])

    def inputs_of(self, geometries):
        return Pairs(geometries)


ARCHITECTURE = ToyArchitecture()
