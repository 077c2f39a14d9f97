"""Which frames can have a graph."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from factories import make_frame, table_of
from hypothesis import given, settings
from hypothesis import strategies as st
from vesin import NeighborList

from uprung.datasets.placement import isolated, misplaced
from uprung.datasets.splits import exclusions
from uprung.models.chgnet.graphs import build_graph


def test_neighbours_are_periodic_and_the_cutoff_is_open() -> None:
    """A lone atom has its own images; at exactly 6 Å there is no neighbour."""
    alone = make_frame("alone", Z=(14,))
    small = replace(alone, lattice=5.9 * np.eye(3))
    edge = replace(make_frame("edge"), lattice=20.0 * np.eye(3), frac=np.array([[0, 0, 0], [0.3, 0, 0]]))
    assert isolated(table_of([alone, small, edge]), 6.0).tolist() == [True, False, True]


@settings(max_examples=60, deadline=None)
@given(
    st.floats(1.5, 15),
    st.lists(st.tuples(*[st.floats(0, 1)] * 3), min_size=1, max_size=4),
    st.sampled_from([0, 3, 127, 160]),
)
def test_neighbours_beyond_the_first_look_count(edge: float, places: list[tuple[float, ...]], away: int) -> None:
    """The same reasons as by looking at all pairs within the cutoff."""
    frac = np.array(places)
    frac[-1, 0] += away
    lattice = edge * np.eye(3) + 0.1
    table = table_of([make_frame("a", Z=(14,) * len(frac), lattice=lattice, frac=frac)])
    search = NeighborList(cutoff=6.0, full_list=True, n_threads=1)
    i, cells, distances = search.compute(points=frac @ lattice, box=lattice, periodic=True, quantities="iSd")
    (found,) = misplaced(table, 6.0)
    if len(set(i.tolist())) < len(frac):
        assert "without neighbour" in found
    elif distances.min() < 0.1:
        assert "less than 0.1 Å" in found
    elif np.abs(cells).max() > 127:
        assert "more than 127 cells" in found
    else:
        assert found == ""


BLOCK = 4.0 * np.eye(3)
MISPLACED: dict[str, tuple[dict[str, Any], str]] = {
    "in one place": ({"frac": np.zeros((2, 3))}, "two atoms, or an atom and its image, less than 0.1 Å apart"),
    "nearly in one place": ({"frac": np.array([[0.5] * 3, [0.50001] * 3])}, "less than 0.1 Å apart"),
    "in one place across a face": ({"frac": np.array([[0.0] * 3, [1 - 1e-9, 0, 0]])}, "less than 0.1 Å apart"),
    "in one place across a corner": ({"frac": np.array([[1e-9] * 3, [1 - 1e-9] * 3])}, "less than 0.1 Å apart"),
    "in one place, whole cells apart": ({"frac": np.array([[0.0] * 3, [3, -2, 1]])}, "less than 0.1 Å apart"),
    "on its own image": ({"lattice": np.diag([0.09, 30, 30]), "frac": np.array([[0.0] * 3, [0.5] * 3])}, "0.1 Å apart"),
    "hundreds of cells away": ({"frac": np.array([[0.0] * 3, [412.5, 0.5, 0.5]])}, "atoms more than 127 cells apart"),
    "millions of cells away": ({"frac": np.array([[0.0] * 3, [4e6 + 0.5, 0.5, 0.5]])}, "more than 127 cells apart"),
    "fine": ({"frac": np.array([[0.0] * 3, [0.5] * 3])}, ""),
    "close, as dimers are": ({"frac": np.array([[0.0] * 3, [0.2 / 4, 0, 0]])}, ""),
    "some cells away": ({"frac": np.array([[0.0] * 3, [99.5, 0.5, 0.5]])}, ""),
    "far, and together": ({"frac": np.array([[500.0] * 3, [500.5] * 3])}, ""),
}


@pytest.mark.parametrize("name", MISPLACED)
def test_atoms_that_can_have_no_graph_are_excluded_and_others_have_one(name: str) -> None:
    changes, reason = MISPLACED[name]
    frame = make_frame(**{"lattice": BLOCK, **changes})
    table = table_of([frame, make_frame("b")])
    found = exclusions(table, table.label("energy"))
    assert reason in found[0]
    assert (found[0] == "") == (reason == "")
    assert found[1] == ""
    if not reason:
        assert len(build_graph(frame.frac, frame.lattice).edge)
