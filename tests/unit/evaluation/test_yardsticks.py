"""Yardsticks know the answer where there is one, and say nothing where they cannot."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from uprung.atomref.transfer import TransferFrames
from uprung.evaluation.yardsticks import yardsticks

R = np.linspace(1.5, 3.5, 21)
SHIFT = {1: -1.0, 8: 4.0}  # eV per atom and element


class Table:
    """A frames table of homonuclear dimers in a box (or crystals, in a small one)."""

    def __init__(self, shift: bool, box: float) -> None:
        self.Z, self.r = np.repeat([1, 8], len(R)), np.tile(R, 2)
        self.box, self.nsites = box, np.full(len(self.Z), 2)
        self.offsets = np.arange(len(self.Z) + 1) * 2
        extra = np.array([SHIFT[z] for z in self.Z]) if shift else 0.0
        self.energy = 2 * ((self.r - 2.2) ** 2 * self.Z + extra)
        self.force = -4 * (self.r - 2.2) * self.Z  # on the second atom along the bond

    def __len__(self) -> int:
        return len(self.Z)

    def composition(self) -> np.ndarray:
        return np.eye(94)[self.Z - 1]

    def label(self, _: str) -> np.ndarray:
        return self.energy

    def flat(self, column: str, _: int = 0) -> np.ndarray:
        n = len(self)
        if column == "lattice":
            return np.tile(np.eye(3).ravel() * self.box, n)
        along = np.zeros((n, 2, 3))
        along[:, 1, 0] = self.r / self.box if column == "frac" else self.force
        if column == "forces":
            along[:, 0, 0] = -self.force
        return along.ravel()


def errors(box: float = 15.0, size: str = "20") -> pd.DataFrame:
    n = 2 * len(R)
    split = pd.DataFrame({"fidelity": "high", "row": range(n), "split": ["train"] * n})
    split.loc[[4, 10, 25, 33], "split"] = "test"
    train = split[split["split"] == "train"].sample(frac=1.0, random_state=0)
    order = pd.DataFrame({"row": train["row"], "unit_rank": range(len(train)), "n_frames": range(1, len(train) + 1)})
    order["frame_id"] = order["row"].astype(str)
    tables: Any = (Table(False, box), Table(True, box))
    pairs = pd.DataFrame({"row_low": range(n), "row_high": range(n)})
    transfer = TransferFrames(tables, ("low", "high"), ("energy", "energy"), split)
    found = yardsticks(transfer, pairs, {0: order}, {size: size}, ["energy", "force", "stress"])
    return found[found["population"] == "all"].set_index(["yardstick", "target"])


def test_a_shift_that_is_linear_in_composition_is_solved_exactly() -> None:
    found = errors()
    assert found.loc[("shift", "energy"), "mae"] == pytest.approx(0.0, abs=1e-9)
    assert found.loc[("difference", "energy"), "mae"] == pytest.approx(0.0, abs=1e-9)
    assert found.loc[("shift", "force"), "mae"] == pytest.approx(0.0, abs=1e-12)
    assert (found["n_test"] == 4).all()


def test_interpolation_beats_the_mean_of_the_formula_and_is_not_perfect() -> None:
    found = errors()
    assert 1e-6 < found.loc[("bond", "energy"), "mae"] < 0.2 * found.loc[("composition", "energy"), "mae"]
    more = errors(size="all").loc[("bond", "energy"), "mae"]
    assert more < found.loc[("bond", "energy"), "mae"]


def test_the_force_of_a_molecule_is_a_mean_of_components() -> None:
    """With all training structures the force, linear in r, is interpolated; its components are counted as a run's."""
    found = errors(size="all")
    assert found.loc[("bond", "force"), "mae"] == pytest.approx(0.0, abs=1e-9)


def test_crystals_have_no_bond_length_to_interpolate_in() -> None:
    assert set(errors(box=5.0).index.get_level_values("yardstick")) == {"composition", "shift"}
