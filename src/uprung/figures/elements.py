"""Figures over the elements: axis of atomic numbers, periodic table."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pandas as pd
from ase.data import atomic_numbers, chemical_symbols
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike, NDArray

from uprung.figures.style import BY_NUMBER, PAGE, RC, functional, new_figure

Floats = NDArray[np.float64]

#: Elements named on an axis of atomic numbers: ends of rows and a few that everybody looks for.
LANDMARKS = ("H", "O", "Cl", "Fe", "Br", "Mo", "I", "Ba", "Gd", "W", "Pb", "U")


def element_axis(ax: Axes, Z: ArrayLike) -> None:
    """Label the x axis of `ax` with atomic numbers and the symbols of a few elements in the range of Z."""
    Z = np.asarray(Z)
    low, high = (int(Z.min()), int(Z.max())) if len(Z) else (1, 94)
    names = [name for name in LANDMARKS if low <= atomic_numbers[name] <= high]
    if len(names) < 3:
        names = [chemical_symbols[int(z)] for z in np.unique(Z)[:12]]
    ticks = [atomic_numbers[name] for name in names]
    ax.set_xticks(ticks, [f"{z}\n{name}" for z, name in zip(ticks, names, strict=True)])
    ax.set_xlim(low - 1.5, high + 1.5)
    ax.set_xlabel("atomic number and element")


def _positions() -> dict[int, tuple[float, float]]:
    """Return Z -> (column, row) in the periodic table with 18 columns, the f block below."""
    places: dict[int, tuple[float, float]] = {1: (1, 1), 2: (18, 1)}
    rows = {2: (3, 8), 3: (11, 8), 4: (19, 18), 5: (37, 18)}
    for row, (first, length) in rows.items():
        for i in range(length):
            places[first + i] = (i + 1 if i < 2 or length == 18 else i + 11, row)
    for row, first in ((6, 55), (7, 87)):
        places[first], places[first + 1] = (1, row), (2, row)
        for i in range(15):
            places[first + 2 + i] = (i + 3, row + 2.4)
    for Z in range(72, 87):
        places[Z] = (Z - 68, 6)
    return {Z: place for Z, place in places.items() if Z <= 94}


@mpl.rc_context(RC)
def by_element(table: pd.DataFrame, *, names: tuple[str, str] = ("PBE", "r2SCAN")) -> Figure:
    """Return the energy shift per element as a periodic table; elements without one are left white.

    table: columns Z and shift (eV/atom), one row per element. Raises ValueError if an element has two rows or none has
    a value.
    """
    if table["Z"].duplicated().any():
        raise ValueError("periodic table: several rows per element; choose one quantity first")
    known = table.dropna(subset="shift")
    numbers = dict(zip(known["Z"].astype(int), known["shift"].astype(float), strict=True))
    if not numbers:
        raise ValueError("periodic table: no element has a value")
    low_name, high_name = map(functional, names)
    low, high = min(numbers.values()), max(numbers.values())
    norm = Normalize(low, high) if low < high else Normalize(low - 1, low + 1)
    cmap = mpl.colormaps[BY_NUMBER]
    figure, (ax,) = new_figure(width=PAGE, height=3.8)
    for Z, (x, y) in _positions().items():
        number = numbers.get(Z)
        face = (1.0, 1.0, 1.0, 1.0) if number is None else cmap(float(norm(number)))
        ax.add_patch(Rectangle((x - 0.48, y - 0.48), 0.96, 0.96, facecolor=face, edgecolor="0.8", linewidth=0.5))
        ink = "0.6" if number is None else _readable(face)
        ax.text(x, y - 0.14, chemical_symbols[Z], ha="center", va="center", fontsize=8, color=ink)
        if number is not None:
            ax.text(x, y + 0.26, _three_digits(number), ha="center", va="center", fontsize=6, color=ink)
    ax.set(xlim=(0.4, 18.6), ylim=(9.95, 0.4))
    ax.set_aspect("equal")
    ax.axis("off")
    bar = ax.inset_axes((3.2, 2.15, 8.6, 0.35), transform=ax.transData)
    figure.colorbar(mpl.cm.ScalarMappable(norm, cmap), cax=bar, orientation="horizontal")
    bar.set_title(f"energy shift (eV/atom), {low_name} to {high_name}", fontsize=8)
    ax.text(7.5, 3.3, "white: no value", ha="center", va="center", fontsize=7, color="0.4")
    return figure


def _three_digits(number: float) -> str:
    decimals = 2 if abs(number) < 9.995 else 1 if abs(number) < 99.95 else 0
    return f"{number:.{decimals}f}".replace("-", "−")


def _readable(face: tuple[float, float, float, float]) -> str:
    """Return black or white, whichever stands out on the colour."""
    return "black" if 0.299 * face[0] + 0.587 * face[1] + 0.114 * face[2] > 0.5 else "white"
