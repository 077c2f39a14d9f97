from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from factories import make_frame, table_of

from uprung.labels.identical import IdenticalLabelsError, identical_labels, require_two_functionals

PULL = np.array([[1.0, 2, 0], [-1, -2, 0]])


def compared(low: list, high: list) -> dict[str, list[int]]:
    rows = np.arange(len(low))
    pairs = pd.DataFrame({"row_low": rows, "row_high": rows})
    return identical_labels(table_of(low), table_of(high), pairs, ("energy", "energy"))


def test_energies_and_forces_that_are_the_same_are_counted() -> None:
    low = [make_frame(str(k), energy=-4.0 - k, forces=PULL * (k + 1)) for k in range(4)]
    high = [make_frame("0", energy=-4.0, forces=PULL), make_frame("1", energy=-5.1, forces=2 * PULL[::-1] * [-1, 1, 1])]
    high += [make_frame("2", energy=-6.0 + 1e-8, forces=None), make_frame("3", energy=None, forces=PULL)]
    assert compared(low, high) == {"energy": [2, 3], "forces": [2, 3]}  # order and orientation are no difference


def test_forces_that_vanish_say_nothing() -> None:
    frames = [make_frame("a", forces=np.zeros((2, 3)))]
    assert compared(frames, frames) == {"energy": [1, 1], "forces": [0, 0]}


def test_another_number_of_atoms_has_energies_only() -> None:
    low, high = [make_frame("a", energy=-2.0)], [make_frame("b", Z=(14,) * 4, energy=-4.0, forces=np.ones((4, 3)))]
    assert compared(low, high) == {"energy": [1, 1]}


def test_one_functional_twice_stops_a_study_that_does_not_state_it() -> None:
    with pytest.raises(
        IdenticalLabelsError, match=r"pair p: 16 of 16 pairs have the same energy and 15 of 16 .* forces"
    ):
        require_two_functionals("p", {"energy": [16, 16], "forces": [15, 16]}, stated=False)
    with pytest.raises(IdenticalLabelsError, match=r"`pairs\.p\.identical_labels: true`"):
        require_two_functionals("p", {"energy": [0, 16], "forces": [16, 16]}, stated=False)  # shifted energies
    (told,) = require_two_functionals("p", {"energy": [16, 16], "forces": [16, 16]}, stated=True)
    assert "one functional twice" in told


def test_some_labels_that_are_the_same_are_a_warning() -> None:
    (told,) = require_two_functionals("p", {"energy": [20, 300], "forces": [0, 0]}, stated=False)
    assert told == "20 of 300 pairs have the same energy in both fidelities"
    assert require_two_functionals("p", {"energy": [0, 300], "forces": [2, 300]}, stated=False) == []
