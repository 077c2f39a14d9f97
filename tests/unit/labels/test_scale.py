"""Paired labels that differ by a unit or a sign."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from factories import make_frame, table_of

from uprung.frames.schema import EV_PER_A3, Frame
from uprung.labels.scale import UnlikeLabelsError, label_slopes, require_like_labels


def pair(change: Any = lambda frame: frame, *, compositions: int = 1, atoms: int = 2) -> dict[str, dict[str, Any]]:
    rng, low, high = np.random.default_rng(1), [], []
    for k in range(24):
        stress = rng.normal(0, 5, (3, 3))
        one = make_frame(
            str(k),
            Z=(*[14] * (atoms - 1), 14 + k % compositions),
            bond=2.0 + 0.02 * k,
            energy=-10.0 + rng.normal(0, 0.5) - k % compositions,
            forces=rng.normal(0, 1, (atoms, 3)),
            stress_gpa=stress + stress.T,
        )
        low.append(one)
        noisy = replace(
            one,
            energy=1.05 * one.energy - 7 + rng.normal(0, 0.02),
            forces=1.02 * one.forces + rng.normal(0, 0.05, (atoms, 3)),
            stress_gpa=0.97 * one.stress_gpa,
        )
        high.append(change(noisy))
    rows = np.arange(len(low))
    pairs = pd.DataFrame({"row_low": rows, "row_high": rows, "rmsd": 0.0, "material_id": "m"})
    return label_slopes(table_of(low), table_of(high), pairs, ("energy", "energy"))


def test_two_functionals_are_alike() -> None:
    found = pair()
    assert {name: facts["verdict"] for name, facts in found.items()} == dict.fromkeys(
        ("energy", "force", "stress"), "checked"
    )
    assert found["energy"]["slope"] == pytest.approx(1.05, abs=0.05)
    assert require_like_labels("p", found, stated=False) == []


def scaled(**factors: float) -> Any:
    def change(frame: Frame) -> Frame:
        return replace(frame, **{name: getattr(frame, name) * size for name, size in factors.items()})

    return change


@pytest.mark.parametrize(
    ("factors", "name", "words"),
    [
        ({"forces": -1.0}, "force", r"force labels .* -1\.0\d times .* high fidelity were of the opposite sign"),
        ({"stress_gpa": EV_PER_A3}, "stress", "high fidelity were in GPa, taken for eV/Å³"),
        ({"stress_gpa": -EV_PER_A3}, "stress", "in GPa with compression positive, taken for eV/Å³"),
        ({"stress_gpa": 10 * EV_PER_A3}, "stress", "in kbar, taken for eV/Å³"),
        ({"stress_gpa": -1.0}, "stress", "of the opposite sign"),
        ({"stress_gpa": 1 / EV_PER_A3}, "stress", "low fidelity were in GPa, taken for eV/Å³|in eV/Å³"),
        ({"forces": 1 / 51.422}, "force", "high fidelity were in Ha/bohr"),
        ({"forces": 1 / 25.711}, "force", "high fidelity were in Ry/bohr"),
        ({"forces": 51.422}, "force", "low fidelity were in Ha/bohr"),
        ({"energy": 1 / 27.2114}, "energy", "high fidelity were in Hartree"),
    ],
)
def test_units_and_signs_stop_with_the_guess(factors: dict[str, float], name: str, words: str) -> None:
    found = pair(scaled(**factors))
    assert [quantity for quantity, facts in found.items() if facts["verdict"] == "contradicted"] == [name]
    with pytest.raises(UnlikeLabelsError, match=words):
        require_like_labels("p", found, stated=False)
    (told,) = require_like_labels("p", found, stated=True)
    assert told.startswith(f"{name} labels")


def test_energies_per_atom_are_found_where_all_have_as_many_atoms() -> None:
    found = pair(scaled(energy=0.5))
    assert found["energy"]["verdict"] == "checked"  # of two atoms, half could be a functional
    for atoms, factor, side in ((3, 1 / 3, "high"), (4, 1 / 4, "high"), (4, 4.0, "low"), (8, 1 / 8, "high")):
        found = pair(scaled(energy=factor), atoms=atoms)["energy"]
        assert found["verdict"] == "contradicted"
        assert found["like"] == f"as if those of the {side} fidelity were per atom, taken for those of the cell"
    assert pair(scaled(energy=0.4), atoms=4)["energy"]["verdict"] == "checked"
    found = pair(scaled(energy=1 / 27.2114), compositions=24)  # no composition twice: only a unit says something
    assert "Hartree" in found["energy"]["like"]
    assert pair(scaled(energy=3.0), compositions=24)["energy"]["verdict"] == "unchecked"


def test_labels_that_do_not_go_along_say_nothing() -> None:
    rng = np.random.default_rng(2)
    found = pair(lambda frame: replace(frame, forces=20 * rng.normal(0, 1, (2, 3))))
    assert found["force"]["verdict"] == "unchecked"
