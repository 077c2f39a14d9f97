from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.build import bulk
from matplotlib.patches import PathPatch

from uprung.figures.structures import structures
from uprung.figures.style import NOTHING_DRAWN

SILICON = bulk("Si")
DIMER = Atoms("OO", cell=np.eye(3) * 15, positions=[[0.2, 7, 7], [14.0, 7, 7]], pbc=True)  # across the border


def test_structures_stand_five_in_a_row_with_their_titles_and_elements() -> None:
    figure = structures([SILICON] * 6 + [bulk("NaCl", "rocksalt", a=5.6)], [f"n {k}" for k in range(7)])
    assert [axis.get_title() for axis in figure.axes[:7]] == [f"n {k}" for k in range(7)]
    assert len(figure.axes) == 10
    assert not any(axis.axison for axis in figure.axes)
    assert [text.get_text() for text in figure.axes[6].get_legend().get_texts()] == ["Na", "Cl"]


def test_a_small_cell_is_doubled_and_a_large_one_is_not() -> None:
    small, large = (structures([each], ["x"]).axes[0] for each in (SILICON, SILICON.repeat(3)))
    count = [
        sum(isinstance(p, PathPatch) or p.__class__.__name__ == "Circle" for p in axis.patches)
        for axis in (small, large)
    ]
    assert count[0] >= 16
    assert count[1] >= 54


def test_a_molecule_in_a_box_is_drawn_without_it_and_in_one_piece() -> None:
    axis = structures([DIMER], ["x"]).axes[0]
    circles = [patch for patch in axis.patches if patch.__class__.__name__ == "Circle"]
    assert len(axis.patches) == len(circles) == 2, "no edges of a cell"
    apart = np.linalg.norm(np.subtract(circles[0].center, circles[1].center))
    assert apart < 2.0, "1.2 Å apart, not 13.8"


def test_no_structure_is_no_picture() -> None:
    assert structures([], []).axes[0].texts[0].get_gid() == NOTHING_DRAWN
