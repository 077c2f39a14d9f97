"""Structures whose graph would fill a machine are told by a bound or a count, in bounded time and memory."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from uprung.frames import crowding as module
from uprung.frames.crowding import crowding
from uprung.frames.limits import CUTOFFS


def cubic_grid(n: int, side: float) -> tuple[np.ndarray, np.ndarray]:
    """Return n³ atoms on a grid in a cube, fractions and cell."""
    return np.array(list(product(range(n), repeat=3))) / n, side * np.eye(3)


def counted(frac: np.ndarray, lattice: np.ndarray, cutoff: float, reach: int = 12) -> np.ndarray:
    """Return how many neighbours each atom has, the slow way."""
    images = np.array(list(product(range(-reach, reach + 1), repeat=3)))
    apart = (frac[:, None, None] - frac[None, :, None] + images) @ lattice
    return (np.linalg.norm(apart, axis=-1) < cutoff).sum(axis=(1, 2)) - 1


@pytest.mark.parametrize("seed", range(6))
def test_counts_are_those_of_all_distances(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also for atoms outside their cell and for oblique cells."""
    rng = np.random.default_rng(seed)
    frac, lattice = rng.normal(0, 1, (5, 3)), 3 * np.eye(3) + rng.normal(0, 0.5, (3, 3))
    lattice[2] += rng.integers(-2, 3, 2) @ lattice[:2]
    near, bonded = (counted(frac, lattice, r) for r in CUTOFFS)
    monkeypatch.setattr(module, "ANGLES", int((bonded * (bonded - 1)).sum()))
    monkeypatch.setattr(module, "PAIRS", int(near.sum() // 2))
    assert crowding(frac, lattice) is None
    monkeypatch.setattr(module, "PAIRS", int(near.sum() // 2) - 1)
    assert str(crowding(frac, lattice)).startswith(f"{near.sum() // 2:,} pairs")
    monkeypatch.setattr(module, "ANGLES", int((bonded * (bonded - 1)).sum()) - 1)
    assert str(crowding(frac, lattice)).startswith(f"{int((bonded * (bonded - 1)).sum()):,} angles")


@pytest.mark.parametrize("seed", range(6))
def test_the_bound_lets_nothing_through_that_a_count_would_not(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(seed)
    frac, lattice = rng.random((4, 3)), rng.uniform(1, 8) * np.eye(3) + rng.normal(0, 0.3, (3, 3))
    near = int(counted(frac, lattice, CUTOFFS[0]).sum() // 2)
    monkeypatch.setattr(module, "PAIRS", near - 1)
    assert crowding(frac, lattice) is not None


FULL = {
    "needle": (np.zeros((1, 3)), np.diag([1e-5, 1e5, 10.0])),
    "needle of some atoms": (np.random.default_rng(0).random((3, 3)), np.diag([1e-5, 1e5, 10.0])),
    "thin plate": (np.zeros((1, 3)), np.diag([0.02, 0.02, 1e4])),
    "hydrogen under a star": cubic_grid(15, (0.5 * 15**3) ** (1 / 3)),
    "a ball of atoms in an empty box": (0.5 + (cubic_grid(14, 1.0)[0] - 0.5) / 50, 100 * np.eye(3)),
    "all in one place": (np.zeros((5_000, 3)), 40 * np.eye(3)),
    "a plane of atoms": (np.random.default_rng(1).random((4_000, 3)) * [0.1, 0.1, 0], np.diag([100.0, 100, 100])),
    "an oblique needle": (np.zeros((1, 3)), np.array([[1e-4, 0, 0], [1e4, 1e3, 0], [1e4, 0, 10.0]])),
}
FINE = {
    "a crystal": cubic_grid(4, 10.0),
    "a supercell of diamond": cubic_grid(17, 17 * 1.8),
    "twenty thousand atoms": cubic_grid(27, 27 * 2.3),
    "a long cell": (np.array([[0.0, 0, 0], [0.5, 0.5, 1e-4]]), np.diag([3.0, 3, 1e5])),
    "a very oblique cell": (np.zeros((1, 3)), np.array([[3.0, 0, 0], [3000, 3, 0], [0, 30000, 3]])),
}


@pytest.mark.parametrize("name", FULL)
def test_what_would_fill_a_machine_is_told(name: str) -> None:
    reason = str(crowding(*FULL[name]))
    assert "angles of bonds within 3 Å" in reason or "it is too thin" in reason


@pytest.mark.parametrize("name", FINE)
def test_what_has_a_graph_passes(name: str) -> None:
    assert crowding(*FINE[name]) is None
