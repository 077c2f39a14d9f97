"""A network as a calculator for ASE: the predictions of uprung, for every architecture and kind of arm."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ase
import numpy as np
import torch
from ase.calculators.calculator import Calculator, all_changes
from ase.stress import full_3x3_to_voigt_6_stress
from ase.units import GPa
from numpy.typing import NDArray

from uprung.datasets.store import Inputs
from uprung.frames.crowding import crowding
from uprung.models.interface import Geometry, Potential
from uprung.models.registry import architecture, load


class PotentialCalculator(Calculator):  # type: ignore[misc]
    """Energy and free energy in eV, forces in eV/Å, stress in eV/Å³ (tension positive), moments in |μB|."""

    implemented_properties: list[str] = ["energy", "free_energy", "forces", "stress"]  # noqa: RUF012 - as in ASE

    def __init__(self, potential: Potential, *, device: str = "cpu") -> None:
        """Hold a network on a device."""
        super().__init__()
        self.potential = potential.to(device).eval()
        self.targets = [name for name in potential.card.targets if name != "energy"]
        if "magmom" in self.targets:
            self.implemented_properties = [*type(self).implemented_properties, "magmoms"]

    def calculate(
        self,
        atoms: ase.Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = tuple(all_changes),
    ) -> None:
        """Compute all properties of a crystal.

        Raises:
            ValueError: no crystal that is periodic in three directions, or one without a graph.
        """
        super().calculate(atoms, properties, system_changes)
        self.results = self.evaluate([self.atoms])[0]

    def evaluate(self, crystals: Sequence[ase.Atoms]) -> list[dict[str, Any]]:
        """Return what `calculate` finds, of many crystals, as many in one batch as `predict` takes at once.

        Raises:
            ValueError: see `calculate`.
        """
        if not len(crystals):
            return []
        inputs = architecture(self.potential.card.name).inputs_of([_geometry(crystal) for crystal in crystals])
        limit = self.potential.predicted_at_once[next(self.potential.parameters()).device.type]
        ends = np.cumsum(inputs.costs()) // limit
        results: list[dict[str, Any]] = []
        for end in np.unique(ends):
            rows = np.flatnonzero(ends == end)
            results += self._batch(inputs, rows, [len(crystals[int(row)]) for row in rows])
        return results

    def _batch(self, inputs: Inputs, rows: NDArray[np.int64], n_atoms: Sequence[int]) -> list[dict[str, Any]]:
        found = self.potential(self.potential.batch(inputs, rows), self.targets)
        values = {name: value.detach().to("cpu", torch.float64).numpy() for name, value in found.items()}
        ends = np.cumsum(n_atoms)[:-1]
        results: list[dict[str, Any]] = []
        for k, (count, forces) in enumerate(zip(n_atoms, np.split(values["force"], ends), strict=True)):
            energy = float(values["energy"][k] * count)
            results.append({"energy": energy, "free_energy": energy, "forces": forces})
            if "stress" in values:
                results[-1]["stress"] = full_3x3_to_voigt_6_stress(values["stress"][k] * GPa)
        if "magmom" in values:
            for result, moments in zip(results, np.split(values["magmom"], ends), strict=True):
                result["magmoms"] = moments
        return results


def _geometry(atoms: ase.Atoms) -> Geometry:
    if not atoms.pbc.all():
        raise ValueError(
            f"{atoms.get_chemical_formula()} is periodic in {int(atoms.pbc.sum())} directions, not three: "
            "put a molecule or slab into a box with vacuum and set pbc=True"
        )
    geometry = Geometry(atoms.numbers, atoms.get_scaled_positions(), atoms.cell.array)
    reason = crowding(geometry.frac, geometry.lattice)
    if reason is not None:
        raise ValueError(f"{atoms.get_chemical_formula()} is too large for a graph: {reason}")
    return geometry


def calculator(path: str | Path, *, fidelity: str | None = None, device: str = "cpu") -> PotentialCalculator:
    """Return an ASE calculator of a trained network or a shipped checkpoint.

    Args:
        path: `model.pth.tar` of a run, any file of an architecture's own package, or a checkpoint (`chgnet-0.3.0`).
        fidelity: which one to predict; mandatory for a network of several (`fidelities: joint`), refused for others.
        device: where to compute.

    Raises:
        ValueError: see `uprung.models.registry.load`.
    """
    return PotentialCalculator(load(path, fidelity), device=device)
