"""Sides of the inference benchmark: predictions and relaxations by stock chgnet and by uprung."""

from __future__ import annotations

import os
import resource
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import ase
import numpy as np
import torch
from ase.filters import UnitCellFilter
from ase.optimize import FIRE
from ase.units import GPa
from chgnet.model import CHGNet
from chgnet.model.dynamics import CHGNetCalculator
from pymatgen.core import Structure
from sets import SEED, SETS, BenchmarkSet
from sides import memory, reset_peak
from throughput_sides import frames_of

from uprung.models.calculator import PotentialCalculator
from uprung.models.chgnet.potential import CHGNetPotential
from uprung.models.data import dataset_of
from uprung.models.predict import predict
from uprung.physics.results import Accuracy
from uprung.physics.together import relax_together

TASK, TARGETS = "efsm", ("energy", "force", "stress", "magmom")
BATCHES = (1, 4, 16)  # of stock, the quickest of which it keeps
TRIED = 48  # structures on which it is chosen
MOST_ATOMS = 20  # of a crystal that is relaxed
ACCURACY = Accuracy(force=0.05, stress=0.5, steps=200)


def mixed(first: int) -> list[Structure]:
    """Return structures of all sets in one fixed random order: 2 to 64 atoms, solids, prototypes, metals, dimers."""
    everything = [structure for make in SETS.values() for structure in make().structures]
    return [everything[k] for k in np.random.default_rng(SEED).permutation(len(everything))[:first]]


def strained(count: int) -> list[ase.Atoms]:
    """Return crystals to be relaxed, of 2 to `MOST_ATOMS` atoms: prototypes and solids, 2 % too large."""
    prototypes = [s for s in SETS["headline"]().structures if len(s) <= MOST_ATOMS][: count // 3]
    chosen = prototypes + SETS["solids"]().structures[: count - len(prototypes)]
    return [_atoms(s, 1.02) for s in chosen]


def _atoms(structure: Structure, factor: float = 1.0) -> ase.Atoms:
    cell = factor * structure.lattice.matrix
    return ase.Atoms(structure.atomic_numbers, scaled_positions=structure.frac_coords, cell=cell, pbc=True)


class _Side:
    """The structures, and a clock around the work on them; CPU seconds, since the machine may have other work."""

    def __init__(self, first: int, crystals: int) -> None:
        warnings.filterwarnings("ignore")
        torch.set_num_threads(1)
        self.structures, self.crystals = mixed(first), strained(crystals)
        self.found: dict[str, Any] = {}

    def sizes(self) -> dict[str, list[int]]:
        """Return the numbers of atoms of what is predicted and of what is relaxed."""
        return {"predicted": [len(s) for s in self.structures], "relaxed": [len(atoms) for atoms in self.crystals]}

    def answers(self) -> dict[str, Any]:
        """Return what was found last, for the other side to be held against."""
        return self.found

    def timed(self, name: str, work: Callable[[], Any]) -> dict[str, Any]:
        """Do some work and keep its answer."""
        reset_peak([os.getpid()])
        faults, cpu, began = _major_faults(), time.process_time(), time.perf_counter()
        self.found[name] = work()
        spent = {"seconds": time.process_time() - cpu, "wall": time.perf_counter() - began}
        return {**spent, "peak_mib": memory("VmHWM"), "major_faults": _major_faults() - faults}


def _major_faults() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_majflt


def _relaxed(energy: float, atoms: ase.Atoms, steps: int, converged: bool) -> dict[str, Any]:
    """Return what both sides say of a relaxed crystal, energy in eV/atom."""
    place = {"frac": atoms.get_scaled_positions().tolist(), "cell": atoms.cell.array.tolist()}
    return {"energy": energy / len(atoms), "steps": steps, "converged": converged, **place}


class Stock(_Side):
    """chgnet's own functions, and its ASE calculator relaxed by ASE."""

    def __init__(self, first: int, crystals: int) -> None:
        """Convert the structures for `predict_graph`, and choose the quickest batch."""
        super().__init__(first, crystals)
        self.model = CHGNet.load(use_device="cpu", verbose=False)
        self.graphs = [self.model.graph_converter(structure) for structure in self.structures]
        self._predicted(self.graphs[:TRIED], BATCHES[-1])
        self.tried = {}
        for size in BATCHES:
            began = time.process_time()
            self._predicted(self.graphs[:TRIED], size)
            self.tried[size] = time.process_time() - began
        self.quickest = min(self.tried, key=self.tried.__getitem__)

    def batches(self) -> dict[str, Any]:
        """Return the quickest batch, and CPU seconds of all that were tried."""
        return {"quickest": self.quickest, "tried": self.tried}

    def _predicted(self, graphs: Sequence[Any], size: int) -> list[dict[str, Any]]:
        return list(self.model.predict_graph(list(graphs), task=TASK, batch_size=size))

    def graphs_at_hand(self) -> dict[str, Any]:
        """Predict from graphs in memory, in the quickest batches."""
        return self.timed("graphs", lambda: _of_stock(self._predicted(self.graphs, self.quickest)))

    def by_default(self) -> dict[str, Any]:
        """Predict from graphs in memory, as `predict_graph` does unless told otherwise."""
        return self.timed("default", lambda: _of_stock(self.model.predict_graph(self.graphs, task=TASK)))

    def from_structures(self) -> dict[str, Any]:
        """Predict from structures, in the quickest batches."""
        ask = self.model.predict_structure
        return self.timed("structures", lambda: _of_stock(ask(self.structures, task=TASK, batch_size=self.quickest)))

    def relax(self) -> dict[str, Any]:
        """Relax the crystals one after the other."""
        calc = CHGNetCalculator(self.model, use_device="cpu")
        return self.timed("relaxed", lambda: [_by_ase(atoms.copy(), calc) for atoms in self.crystals])


def _of_stock(found: Sequence[dict[str, Any]]) -> list[list[float]]:
    return [[float(one["e"]), float(np.abs(one["f"]).max())] for one in found]


def _by_ase(atoms: ase.Atoms, calc: CHGNetCalculator) -> dict[str, Any]:
    """Relax a crystal as `relax_together` does, step by step."""
    atoms.calc = calc
    optimiser, converged = FIRE(UnitCellFilter(atoms), logfile=None), False
    for _ in optimiser.irun(fmax=1e-12, steps=ACCURACY.steps):
        force = np.linalg.norm(atoms.get_forces(), axis=1).max()
        converged = bool(force <= ACCURACY.force and np.abs(atoms.get_stress()).max() / GPa <= ACCURACY.stress)
        if converged:
            break
    return _relaxed(float(atoms.get_potential_energy()), atoms, int(optimiser.nsteps), converged)


class Uprung(_Side):
    """The same with uprung."""

    def __init__(self, first: int, crystals: int) -> None:
        """Build the graphs for `predict`; a batch ahead of the clock."""
        super().__init__(first, crystals)
        self.potential = CHGNetPotential(CHGNet.load(use_device="cpu", verbose=False))
        self.calculator = PotentialCalculator(self.potential)
        nothing = [np.zeros((len(s), 3)) for s in self.structures]
        labelled = BenchmarkSet(
            "mixed",
            self.structures,
            energies=[0.0] * len(self.structures),
            forces=nothing,
            stresses=[np.zeros((3, 3))] * len(self.structures),
            magmoms=[zero[:, 0] for zero in nothing],
        )
        frames = frames_of(labelled)
        self.dataset = dataset_of(frames, frames.label("energy"), name="chgnet")
        self.calculator.evaluate([_atoms(s) for s in self.structures[:TRIED]])

    def graphs_at_hand(self) -> dict[str, Any]:
        """Predict from graphs in memory."""
        rows = np.arange(len(self.structures))

        def work() -> Any:
            found = predict(self.potential, self.dataset, rows, targets=TARGETS)
            forces = np.split(np.abs(found["force"]), np.cumsum([len(s) for s in self.structures])[:-1])
            return [[float(e), float(f.max())] for e, f in zip(found["energy"], forces, strict=True)]

        return self.timed("graphs", work)

    def by_default(self) -> dict[str, Any]:
        """The same; it has one default."""
        self.found["default"] = self.found.get("graphs")
        return self.graphs_at_hand()

    def from_structures(self) -> dict[str, Any]:
        """Ask the calculator for all structures."""

        def work() -> Any:
            atoms = [_atoms(s) for s in self.structures]
            found = self.calculator.evaluate(atoms)
            return [
                [one["energy"] / len(a), float(np.abs(one["forces"]).max())]
                for one, a in zip(found, atoms, strict=True)
            ]

        return self.timed("structures", work)

    def relax(self) -> dict[str, Any]:
        """Relax the crystals together."""

        def work() -> Any:
            found = relax_together(self.crystals, self.calculator, ACCURACY, cell=True)
            failed = [one for one in found if isinstance(one, ValueError)]
            if failed:
                raise failed[0]
            return [_relaxed(one.energy, one.atoms, one.steps, one.converged) for one in found]  # type: ignore[union-attr]

        return self.timed("relaxed", work)
