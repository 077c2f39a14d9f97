"""Labels of a repair are never of the composition, or of a structure, that is judged with them."""

from __future__ import annotations

import ase
import numpy as np
import pandas as pd
import pytest
from ase.build import bulk
from factories import make_frame, table_of

from uprung.physics.labels import Fit, PoolFrame, composition, compositions_of, fits, pool_of
from uprung.physics.references import Material
from uprung.softening.draws import ScoredFrame

KINDS = ["MgO", "MgO", "NaCl", "NaCl", "NaCl", "Al", "Si"]


def frame(name: str, scale: float = 0.8, force: float = 1.0) -> ScoredFrame:
    label = force * np.arange(1.0, 7.0)
    return ScoredFrame(name, name, label, scale * label)


POOL = [PoolFrame(frame(f"{kind}-{k}"), kind) for k, kind in enumerate(KINDS)]
MATERIALS = {
    ("moduli", "MgO"): frozenset({"MgO"}),
    ("moduli", "NaCl"): frozenset({"NaCl"}),
    ("surfaces", "NaCl"): frozenset({"NaCl"}),
    ("mixing", "MgO-NaCl"): frozenset({"MgO", "NaCl"}),
    ("moduli", "LiF"): frozenset({"LiF"}),
}


def drawn(*, same: bool, shots: list[int] | None = None, draws: int = 5, seed: int = 0) -> list[Fit]:
    return list(fits(POOL, MATERIALS, same=same, shots=shots or [1, 2, 5], draws=draws, seed=seed))


def test_nothing_is_judged_with_a_label_of_its_composition() -> None:
    found = drawn(same=False)
    assert {fit.shots for fit in found} == {1, 2, 5}
    for fit in found:
        kinds = {each.composition for each in fit.labelled}
        assert len(fit.labelled) == fit.shots
        assert fit.judged == {name for name, own in MATERIALS.items() if not own & kinds}
        assert ("moduli", "LiF") in fit.judged


def test_labels_of_the_same_composition_are_where_they_are_asked_for() -> None:
    found = drawn(same=True)
    for fit in found:
        for name in fit.judged:
            assert {each.composition for each in fit.labelled} <= MATERIALS[name]
    judged = {(fit.shots, name) for fit in found for name in fit.judged}
    assert (2, ("moduli", "MgO")) in judged
    assert (5, ("moduli", "MgO")) not in judged  # there are two of them
    assert (5, ("mixing", "MgO-NaCl")) in judged
    assert not any(name == ("moduli", "LiF") for _, name in judged)
    both = [fit for fit in found if ("moduli", "NaCl") in fit.judged]
    assert all(("surfaces", "NaCl") in fit.judged for fit in both)  # one fit for both


def test_no_set_of_structures_is_drawn_twice() -> None:
    ones = [fit for fit in drawn(same=True, shots=[1], draws=20) if ("moduli", "MgO") in fit.judged]
    assert sorted(fit.names for fit in ones) == [["MgO-0"], ["MgO-1"]]
    assert [fit.names for fit in drawn(same=False)] == [fit.names for fit in drawn(same=False)]
    assert [fit.names for fit in drawn(same=False)] != [fit.names for fit in drawn(same=False, seed=1)]
    assert drawn(same=False, shots=[8]) == []


def test_draws_do_not_depend_on_what_else_is_judged() -> None:
    alone = {("moduli", "MgO"): frozenset({"MgO"})}
    few = fits(POOL, alone, same=True, shots=[1, 2], draws=3, seed=0)
    many = [fit for fit in drawn(same=True, shots=[1, 2], draws=3) if ("moduli", "MgO") in fit.judged]
    assert [fit.names for fit in few] == [fit.names for fit in many]


def test_the_number_is_that_of_the_forces() -> None:
    fit = Fit(2, 0, (PoolFrame(frame("a", 0.8), "Al"), PoolFrame(frame("b", 0.8), "Si")), frozenset())
    assert fit.multiplier == pytest.approx(1.25)
    assert np.isnan(Fit(1, 0, (PoolFrame(frame("a", 0.0), "Al"),), frozenset()).multiplier)


def test_a_composition_is_that_of_any_multiple_of_a_cell() -> None:
    cell = bulk("MgO", "rocksalt", a=4.2)
    assert composition(cell.numbers) == composition(cell.repeat(2).numbers) == "MgO"
    materials = {
        "mixing": [Material("Cu-Au", [bulk("Cu"), bulk("Au")])],
        "vacancies": [Material("Al"), Material("mp-12", unusable="no cell")],
        "surfaces": [
            Material("C", [bulk("C", a=3.57, crystalstructure="diamond")]),
            Material("C", unusable="no label"),
        ],
    }
    assert compositions_of(materials) == {
        ("mixing", "Cu-Au"): {"Cu", "Au"},
        ("vacancies", "Al"): {"Al"},
        ("vacancies", "mp-12"): frozenset(),
        ("surfaces", "C"): {"C"},
    }


def test_the_pool_has_no_judged_geometry_and_nothing_at_rest() -> None:
    dimers = [make_frame(f"d{k}", bond=2.0 + 0.1 * k) for k in range(4)]
    frames = table_of(dimers)
    rows = []
    for k, each in enumerate(dimers):
        for atom in range(2):
            force = 0.0 if k == 3 else 1.0 - 2 * atom
            rows.append({"frame_id": each.frame_id, "material": "Si2", "trajectory": each.frame_id, "label_x": force})
    zero = dict.fromkeys(["label_y", "label_z", "predicted_x", "predicted_y", "predicted_z"], 0.5)
    cloud = pd.DataFrame(rows).assign(**zero).assign(label_y=0.0, label_z=0.0)
    judged = ase.Atoms("Si2", cell=[15, 15, 15], positions=[[7, 7, 7], [7, 7, 9.1]], pbc=True)  # d1, moved and turned
    assert [each.frame.name for each in pool_of(cloud, frames, [])] == ["d0", "d1", "d2"]
    found = pool_of(cloud, frames, [judged])
    assert [(each.frame.name, each.composition) for each in found] == [("d0", "Si"), ("d2", "Si")]
