"""Pictures of crystal structures."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
import pandas as pd
from ase import Atoms
from ase.data import chemical_symbols, covalent_radii
from ase.data.colors import jmol_colors
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from uprung.figures import style

TURNED = "8x,-18y,0z"  # degrees: a cell seen from a little above its front
SMALL = 8  # atoms up to which a cell is doubled along each axis
SIZE = 0.55  # of the covalent radii
EMPTY = 6.0  # Å between atoms along a cell vector from which the cell is not drawn: atoms in a box


@mpl.rc_context(style.RC)
def structures(found: Sequence[Atoms], titles: Sequence[str]) -> Figure:
    """Draw structures side by side, five in a row, elements by colour.

    Args:
        found: to be drawn.
        titles: above each, of one or more lines.
    """
    from ase.visualize.plot import plot_atoms  # half a second with what it imports

    if not found:
        return style.text_figure("no structure to draw")
    columns = min(5, len(found))
    rows = -(-len(found) // columns)
    figure, axes = style.new_figure(rows, columns, width=style.PAGE * columns / 5, height=2.2 * rows)
    for axis in axes:
        axis.axis("off")
    for axis, atoms, title in zip(axes, found, titles, strict=False):
        shown, boxed = _shown(atoms)
        plot_atoms(shown, axis, rotation=TURNED, radii=SIZE * covalent_radii[shown.numbers], show_unit_cell=boxed)
        axis.set_title(style.in_lines(title, 26), fontsize=6.5)
        kinds = sorted(set(atoms.numbers))
        handles = [
            Line2D([], [], ls="", marker="o", ms=5, mfc=jmol_colors[z], mec="black", mew=0.4, label=chemical_symbols[z])
            for z in kinds
        ]
        axis.legend(
            handles=handles, loc="upper center", bbox_to_anchor=(0.5, 0.02), ncols=4, fontsize=6.5, handlelength=0.8
        )
    return figure


def worst(table: pd.DataFrame, found: Sequence[Atoms]) -> Figure:
    """Draw the structures with the largest errors, with rank, formula and error of the arm that they are the worst of.

    Args:
        table: of `uprung.evaluation.worst.with_formulas`.
        found: its structures.
    """
    own = table[table["arm"] == table["worst_of"]]
    titles = []
    for _, row in own.iterrows():
        _, unit, factor = style.TARGETS[str(row["target"])]
        titles.append(f"{row['rank']}: {row['formula']}\n{row['error'] * factor:,.3g} {unit}")
    return structures(found, titles)


def _shown(atoms: Atoms) -> tuple[Atoms, int]:
    """Return what is drawn, and how ASE draws the cell: 2 with all edges, 0 not at all."""
    molecule = _out_of_its_box(atoms)
    if molecule is not None:
        return molecule, 0
    return (atoms.repeat(2) if len(atoms) <= SMALL else atoms), 2


def _out_of_its_box(atoms: Atoms) -> Atoms | None:
    """Return atoms that touch no image of their own in one piece, without the cell; None for those of a crystal."""
    places = atoms.get_scaled_positions()
    ordered = np.sort(places, axis=0)
    gaps = np.vstack([ordered[1:], ordered[:1] + 1]) - ordered  # behind every atom, along each vector
    if not (gaps.max(axis=0) * atoms.cell.lengths() > EMPTY).all():
        return None
    first = np.take_along_axis(np.roll(ordered, -1, axis=0), gaps.argmax(axis=0)[None], axis=0)
    return Atoms(atoms.numbers, positions=((places - first) % 1) @ atoms.cell.array)
