"""Sides of the benchmark of architectures: optimiser steps by each package's own training code, and by uprung.

Both sides have the same structures, batches and labels of energy, force and stress; the losses are each package's own,
so that their numbers cannot be compared. Graphs are converted before, and nothing is logged.
"""

from __future__ import annotations

import os
import tempfile
import warnings
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from throughput_sides import RATE, Stock, Uprung, _Side

from uprung.models.interface import Potential
from uprung.models.registry import CARDS, architecture, card_of, load

#: Checkpoint -> its side of stock code in this module.
STOCK = {
    "chgnet-0.3.0": "Chgnet",
    "M3GNet-MatPES-PBE-v2025.1-PES": "Matgl",
    "TensorNet-MatPES-PBE-v2025.1-PES": "Matgl",
    "7net-0": "Sevennet",
    "mace": "Mace",
}


class Ours(Uprung):
    """Steps of uprung with any checkpoint."""

    targets = ("energy", "force", "stress")

    def __init__(self, checkpoint: str, set_name: str, first: int | None, batch: int, device: str) -> None:
        """Write the store; one step ahead of the clock."""
        self.checkpoint, self.architecture = checkpoint, card_of(checkpoint).name
        super().__init__(set_name, first, batch, device)

    def network(self) -> Potential:
        """Return the network that is trained."""
        random = self.checkpoint in CARDS
        return (architecture(self.checkpoint).new(0) if random else load(self.checkpoint)).to(self.device)


class Chgnet(Stock):
    """`Trainer._train` of chgnet, which has magnetic moments in its loss as well."""

    def __init__(self, checkpoint: str, set_name: str, first: int | None, batch: int, device: str) -> None:
        """Convert the structures; one step ahead of the clock."""
        super().__init__(set_name, first, batch, device)


class Matgl(_Side):
    """`PotentialLightningModule.training_step` of matgl, without the rest of Lightning."""

    def __init__(self, checkpoint: str, set_name: str, first: int | None, batch: int, device: str) -> None:
        """Convert the structures; one step ahead of the clock."""
        import matgl
        from matgl.ext.pymatgen import Structure2Graph
        from matgl.graph.data import MGLDataset, collate_fn_pes
        from matgl.utils.training import PotentialLightningModule

        super().__init__(set_name, first, batch, device)
        warnings.simplefilter("ignore")  # a step that is not Lightning's own cannot be logged, as it says each time
        network = matgl.load_model(Path(os.environ["UPRUNG_CHECKPOINTS"]) / checkpoint)
        self.module = PotentialLightningModule(
            network.model,
            element_refs=network.element_refs.property_offset.cpu().numpy(),
            data_std=float(network.data_std),
            stress_weight=0.1,
            loss="huber_loss",
        ).to(device)
        self.optimiser = torch.optim.Adam(self.module.parameters(), lr=RATE, fused=True)
        data, chosen = self.data, np.concatenate(self.batches)
        labels = {
            "energies": [data.energies[k] * len(data.structures[k]) for k in chosen],
            "forces": [data.forces[k].tolist() for k in chosen],
            "stresses": [data.stresses[k].tolist() for k in chosen],
        }
        convert = Structure2Graph(network.model.element_types, cutoff=float(network.model.cutoff))
        self.folder = TemporaryDirectory()
        dataset = MGLDataset(
            structures=[data.structures[k] for k in chosen],
            labels=labels,
            converter=convert,
            save_cache=False,
            root=self.folder.name,
        )
        self.items = {int(k): dataset[i] for i, k in enumerate(chosen)}
        self.collate = partial(collate_fn_pes, include_stress=True)
        self.warm_up()

    def steps(self, batches: list[Any]) -> None:
        """Do one optimiser step on every batch, which is collated as in matgl's loader."""
        self.module.train()
        for rows in batches:
            self.optimiser.zero_grad(set_to_none=True)
            self.module.training_step(self.collate([self.items[int(k)] for k in rows]), 0)["loss"].backward()
            self.optimiser.step()


class Sevennet(_Side):
    """`Trainer.run_one_epoch` of sevenn."""

    def __init__(self, checkpoint: str, set_name: str, first: int | None, batch: int, device: str) -> None:
        """Convert the structures; one step ahead of the clock."""
        from ase.units import GPa
        from sevenn.atom_graph_data import AtomGraphData
        from sevenn.train.dataload import atoms_to_graph
        from sevenn.train.trainer import Trainer

        super().__init__(set_name, first, batch, device)
        arguments, _, _ = Trainer.args_from_checkpoint(checkpoint)
        arguments |= {"optimizer_args": {"lr": RATE}, "scheduler_cls": None, "device": device}
        self.trainer = Trainer(**arguments)
        self.graphs = {}
        for k in np.concatenate(self.batches):
            atoms = self.data.structures[k].to_ase_atoms()
            atoms.info["y_energy"] = np.array(self.data.energies[k] * len(atoms))
            atoms.arrays["y_force"] = self.data.forces[k]
            atoms.info["y_stress"] = self.data.stresses[k] * GPa
            self.graphs[int(k)] = AtomGraphData.from_numpy_dict(atoms_to_graph(atoms, 5.0))
        self.warm_up()

    def steps(self, batches: list[Any]) -> None:
        """Run sevenn's own loop; its loader is that of torch-geometric."""
        from torch_geometric.data import Batch

        self.trainer.run_one_epoch(
            (Batch.from_data_list([self.graphs[int(k)] for k in rows]) for rows in batches), True
        )


class Mace(_Side):
    """`take_step` of mace, on its own network from the same random weights."""

    def __init__(self, checkpoint: str, set_name: str, first: int | None, batch: int, device: str) -> None:
        """Convert the structures; one step ahead of the clock."""
        from ase.stress import full_3x3_to_voigt_6_stress
        from ase.units import GPa
        from mace.data import AtomicData, KeySpecification, config_from_atoms
        from mace.modules.loss import WeightedEnergyForcesStressLoss
        from mace.tools.torch_geometric.dataloader import Collater
        from mace.tools.train import take_step
        from mace.tools.utils import AtomicNumberTable

        super().__init__(set_name, first, batch, device)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "mace.model"
            architecture(checkpoint).new(0).save(path, target="high", source="low", corrects=None)
            network = torch.load(path, weights_only=False).to(device)
        known = AtomicNumberTable(network.atomic_numbers.tolist())
        keys = KeySpecification(info_keys={"energy": "energy", "stress": "stress"}, arrays_keys={"forces": "forces"})
        self.graphs = {}
        for k in np.concatenate(self.batches):
            atoms = self.data.structures[k].to_ase_atoms()
            atoms.info["energy"] = float(self.data.energies[k] * len(atoms))
            atoms.info["stress"] = full_3x3_to_voigt_6_stress(self.data.stresses[k] * GPa)
            atoms.arrays["forces"] = self.data.forces[k]
            config = config_from_atoms(atoms, key_specification=keys)
            self.graphs[int(k)] = AtomicData.from_config(config, z_table=known, cutoff=float(network.r_max))
        self.collate = Collater([None], [None])
        self.step = partial(
            take_step,
            network,
            WeightedEnergyForcesStressLoss(),
            optimizer=torch.optim.Adam(network.parameters(), lr=RATE, fused=True),
            ema=None,
            output_args={"forces": True, "virials": False, "stress": True},
            max_grad_norm=10.0,
            device=torch.device(device),
        )
        network.train()
        for _ in range(4):  # TorchScript looks at what a layer is given before it compiles it
            self.warm_up()

    def steps(self, batches: list[Any]) -> None:
        """Do one optimiser step on every batch, which is collated as in mace's loader."""
        for rows in batches:
            self.step(batch=self.collate([self.graphs[int(k)] for k in rows]))
