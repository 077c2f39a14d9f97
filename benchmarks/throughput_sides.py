"""Sides of the throughput benchmark: the same optimiser steps by chgnet's `Trainer` and by uprung."""

from __future__ import annotations

import ctypes
import os
import resource
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from chgnet.graph import CrystalGraphConverter
from chgnet.model import CHGNet
from chgnet.trainer import Trainer
from sets import SEED, SETS, BenchmarkSet
from sides import memory, reset_peak

from uprung.config.training import Training
from uprung.datasets.store import Rows
from uprung.frames.schema import SCHEMA, Frame
from uprung.frames.table import Frames
from uprung.models.chgnet.potential import CHGNetPotential
from uprung.models.data import open_dataset, write_dataset
from uprung.models.interface import Potential
from uprung.training.gradient import accumulate_gradient, launch

TARGETS = ("energy", "force", "stress", "magmom")
RATE = 1e-6  # so small that the model, and with it the time of a step, stays what it is


class _Side:
    """Structures in a fixed random order, cut into batches, and a clock around one pass over them."""

    def __init__(self, set_name: str, first: int | None, batch: int, device: str) -> None:
        self.data: BenchmarkSet = SETS[set_name]()
        rows = np.random.default_rng(SEED).permutation(len(self.data.structures))[:first]
        rows = rows[: len(rows) // batch * batch]  # whole batches only
        self.batches = [rows[k : k + batch] for k in range(0, len(rows), batch)]
        if not self.batches:
            raise ValueError(f"{set_name} has fewer than {batch} structures")
        self.device = device

    def loss(self) -> float:
        """Return the loss of the first batch before any step: that of the other side, if the work is the same."""
        raise NotImplementedError

    def steps(self, batches: list[Any]) -> None:
        """Do one optimiser step on every batch."""
        raise NotImplementedError

    def rest(self) -> None:
        """Make room for the other side, outside the clock."""

    def warm_up(self) -> None:
        """Do one step that is not timed, on the costliest batch, so that memory is at hand."""
        self.steps([max(self.batches, key=lambda rows: sum(len(self.data.structures[k]) for k in rows))])

    def run(self) -> dict[str, Any]:
        """Time one pass over all batches; major faults are pages that had to be read from the disk again.

        A step ahead of the clock takes back the memory that was given away for the other side's turn, which a
        training run never does between its steps.
        """
        self._reset()
        self.steps(self.batches[:1])
        faults = resource.getrusage(resource.RUSAGE_SELF).ru_majflt
        began = time.perf_counter()
        self.steps(self.batches)
        if self.device == "cuda":
            torch.cuda.synchronize()
        seconds = time.perf_counter() - began
        faults = resource.getrusage(resource.RUSAGE_SELF).ru_majflt - faults
        self.rest()
        return {"seconds": seconds, "peak_mib": self._peak(), "major_faults": faults}

    def _reset(self) -> None:
        if self.device == "cuda":
            torch.cuda.reset_peak_memory_stats()
        reset_peak([os.getpid()])

    def _peak(self) -> float | None:
        return torch.cuda.max_memory_allocated() / 2**20 if self.device == "cuda" else memory("VmHWM")


class Stock(_Side):
    """`Trainer._train` of chgnet on graphs that were converted before."""

    def __init__(self, set_name: str, first: int | None, batch: int, device: str) -> None:
        """Convert the structures; one step ahead of the clock."""
        super().__init__(set_name, first, batch, device)
        recipe, weights = Training(), Training().weights
        self.model = CHGNet.load(use_device=device, verbose=False)
        convert = CrystalGraphConverter()
        self.graphs = {k: convert(self.data.structures[k]) for rows in self.batches for k in rows}
        self.trainer = Trainer(
            self.model,
            targets="efsm",
            criterion="Huber",
            energy_loss_ratio=weights.energy,
            force_loss_ratio=weights.force,
            stress_loss_ratio=weights.stress,
            mag_loss_ratio=weights.magmom,
            learning_rate=RATE,
            use_device=device,
        )
        assert self.trainer.criterion.criterion.delta == recipe.huber_delta
        self.initial = self._loss()
        self.warm_up()

    def _batch(self, rows: np.ndarray) -> tuple[list[Any], dict[str, Any]]:
        def real(values: Any) -> torch.Tensor:
            return torch.tensor(values, dtype=torch.float32)

        labels = {
            "e": real([self.data.energies[k] for k in rows]),
            "f": [real(self.data.forces[k]) for k in rows],
            "s": [real(self.data.stresses[k]) for k in rows],
            "m": [real(self.data.magmoms[k]) for k in rows],
        }
        return [self.graphs[k] for k in rows], labels

    def _loss(self) -> float:
        graphs, labels = self._batch(self.batches[0][:2])
        labels = {name: self.trainer.move_to(value, self.trainer.device) for name, value in labels.items()}
        predicted = self.model([graph.to(self.trainer.device) for graph in graphs], task="efsm")
        return float(self.trainer.criterion(labels, predicted)["loss"].detach())

    def loss(self) -> float:
        """Return the loss of the first two structures before any step."""
        return self.initial

    def steps(self, batches: list[Any]) -> None:
        """Run chgnet's own loop; its loader is the list of the collated batches."""
        self.trainer._train([self._batch(rows) for rows in batches], 0)


class Uprung(_Side):
    """Steps of uprung, from a store of graphs and labels on disk."""

    architecture, targets = "chgnet", TARGETS

    def network(self) -> Potential:
        """Return the network that is trained."""
        return CHGNetPotential(CHGNet.load(use_device=self.device, verbose=False))

    def __init__(self, set_name: str, first: int | None, batch: int, device: str) -> None:
        """Write the store; one step ahead of the clock."""
        super().__init__(set_name, first, batch, device)
        self.folder = TemporaryDirectory()
        frames = frames_of(self.data)
        write_dataset(frames, frames.label("energy"), Path(self.folder.name), name=self.architecture)
        self.dataset = open_dataset(Path(self.folder.name) / "manifest.json")
        self.recipe = Training(device="cuda" if device == "cuda" else "cpu", threads=torch.get_num_threads())
        self.fabric = launch(self.recipe)
        self.module = self.network().train()
        self.optimiser = torch.optim.Adam(self.module.parameters(), lr=RATE, fused=True)
        self.initial = self._accumulate(self.batches[0][:2])
        self.warm_up()
        self.rest()

    def _accumulate(self, rows: np.ndarray) -> float:
        self.optimiser.zero_grad(set_to_none=True)
        return accumulate_gradient(
            self.fabric, self.module, [Rows(self.dataset, rows)], targets=self.targets, recipe=self.recipe
        )

    def loss(self) -> float:
        """Return the loss of the first two structures before any step."""
        return self.initial

    def rest(self) -> None:
        """Give freed memory back, since stock needs nearly all there is; a pass takes it again ahead of its clock."""
        if hasattr(ctypes.CDLL(None), "malloc_trim"):
            ctypes.CDLL(None).malloc_trim(0)

    def steps(self, batches: list[Any]) -> None:
        """Do what a training run does between two validations."""
        for rows in batches:
            self._accumulate(rows)
            self.optimiser.step()


def frames_of(data: BenchmarkSet) -> Frames:
    """Return a set as a frames table, in its order."""
    entries = [
        Frame(
            frame_id=f"{k:04}",
            material_id=f"{k:04}",
            source=data.name,
            functional="none",
            run_type="none",
            label_scale="none",
            Z=np.array(structure.atomic_numbers, dtype=np.uint8),
            lattice=structure.lattice.matrix,
            frac=structure.frac_coords,
            energy=data.energies[k] * len(structure),
            forces=data.forces[k],
            stress_gpa=data.stresses[k],
            magmom=data.magmoms[k],
        )
        for k, structure in enumerate(data.structures)
    ]
    return Frames(pa.Table.from_pylist([entry.row() for entry in entries], schema=SCHEMA), {"label_scale": "none"})
