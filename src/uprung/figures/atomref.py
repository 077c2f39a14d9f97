"""Figure of elemental reference energies."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from uprung.figures.elements import element_axis
from uprung.figures.style import COLOURS, MARKERS, PAGE, RC, new_figure

#: Origins of values that the labels did not determine.
FILLED_UP = ("prior", "source")


@mpl.rc_context(RC)
def reference_values(tables: Mapping[str, pd.DataFrame]) -> Figure:
    """Return reference energies against the atomic number, and differences from the first table.

    tables: name -> columns Z, value, stderr, origin, as from `ReferenceEnergies.to_frame`. Filled
    markers are fitted (or energies of elements), hollow ones come from the prior or the source; error bars are
    1.96 standard errors. The second panel appears with two tables or more. Raises ValueError without tables or on more
    than there are markers.
    """
    if not 0 < len(tables) <= len(COLOURS):
        raise ValueError(f"reference values: {len(tables)} tables; between 1 and {len(COLOURS)} can be drawn")
    several = len(tables) > 1
    figure, axes = new_figure(2 if several else 1, width=PAGE, height=4.6 if several else 2.8)
    first, base = next(iter(tables.items()))
    zero = base.set_index("Z")["value"]
    spread = np.linspace(-0.25, 0.25, len(tables)) if several else [0.0]
    for i, (name, table) in enumerate(tables.items()):
        _draw(axes[0], table, spread[i], i, name)
        if several and i > 0:
            _draw(axes[1], table.assign(value=table["value"] - table["Z"].map(zero)), spread[i], i, None)
    Z = np.concatenate([table["Z"].to_numpy() for table in tables.values()])
    for ax in axes:
        element_axis(ax, Z)
    axes[0].set_ylabel("reference energy (eV/atom)")
    hollow = [name for name in FILLED_UP if any((table["origin"] == name).any() for table in tables.values())]
    if hollow:
        text = f"hollow: from the {' or the '.join(hollow)}"
        axes[0].plot([], [], "o", color="black", markerfacecolor="white", label=text)
    axes[0].legend(loc="lower left", ncols=2)
    if several:
        axes[0].set_xlabel("")
        axes[1].axhline(0, color="0.75", linewidth=0.7, zorder=0)
        axes[1].set_ylabel(f"difference from\n{first} (eV/atom)")
    return figure


def _draw(ax: Axes, table: pd.DataFrame, offset: float, index: int, name: str | None) -> None:
    """Draw one table in its colour and marker, fitted values filled and prior ones hollow."""
    for hollow, face in ((False, COLOURS[index]), (True, "white")):
        rows = table[table["origin"].isin(FILLED_UP) == hollow].dropna(subset="value")
        ax.errorbar(
            rows["Z"] + offset,
            rows["value"],
            yerr=1.96 * rows["stderr"].fillna(0),
            fmt=MARKERS[index],
            markersize=3.5,
            color=COLOURS[index],
            markerfacecolor=face,
            markeredgewidth=0.8,
            elinewidth=0.7,
            capsize=1.2,
            label=None if hollow else name,
        )
