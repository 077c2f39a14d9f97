"""A trained network as a calculator for ASE."""

from __future__ import annotations

from pathlib import Path

from ase.calculators.calculator import Calculator
from ase.calculators.mixing import SumCalculator
from chgnet.model import CHGNetCalculator

from uprung.models.chgnet.saved import load_potential


def calculator(path: str | Path, *, fidelity: str | None = None, device: str = "cpu") -> Calculator:
    """Return an ASE calculator of a trained network (energy in eV, forces in eV/Å, stress in eV/Å³, moments in μB).

    Args:
        path: `model.pth.tar` of a run, or any CHGNet checkpoint.
        fidelity: which one to predict; mandatory for a network of several (`fidelities: joint`).
        device: where to compute.

    Returns:
        chgnet's own calculator; for Δ-learning the sum of two of them, which has no magnetic moments.

    Raises:
        ValueError: see `uprung.models.chgnet.saved.load_potential`.
    """
    parts = [CHGNetCalculator(model, use_device=device) for model in load_potential(path, fidelity)]
    if len(parts) == 1:
        return parts[0]
    total = SumCalculator(parts)
    # moments are absolute values, which do not add up
    total.implemented_properties = [name for name in total.implemented_properties if name != "magmoms"]
    return total
