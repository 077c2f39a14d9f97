"""Figures of the energy shift and the label correlation between two fidelities."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import ListedColormap, LogNorm
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from uprung.figures.elements import element_axis
from uprung.figures.style import BY_NUMBER, COLOURS, COLUMN, PAGE, RC, functional, new_figure, text_figure

Floats = NDArray[np.float64]

#: Its lightness rises steadily.
BY_DENSITY = ListedColormap(mpl.colormaps["cividis_r"](np.linspace(0.25, 1, 192)))  # 0 is too pale on white
#: Range of values, in their unit, below which a panel would show rounding.
SPREAD = 1e-6
#: Above this many points a scatter plot is drawn as pixels in an SVG.
RASTERISE = 500

#: `label_parity` panel -> (title, unit).
LABELS = {
    "force": ("force", "eV/Å"),
    "stress": ("stress", "GPa"),
    "magmom": ("|moment|", "μB"),
}


def _statistics(low: Floats, high: Floats) -> dict[str, float]:
    """Return r, slope and MAE as `uprung.labels.correlation.correlation` defines them; nan without spread."""
    if len(low) < 3 or min(np.ptp(low), np.ptp(high)) < 1e-9:
        return {"r": np.nan, "slope": np.nan, "mae": float(np.abs(high - low).mean()) if len(low) else np.nan}
    centred = low - low.mean()
    return {
        "r": float(np.corrcoef(low, high)[0, 1]),
        "slope": float(centred @ high / (centred @ centred)),
        "mae": float(np.abs(high - low).mean()),
    }


def _correlation_text(r: float) -> str:
    """Return r with as many digits as tell it from 1: 0.2447, 0.99990."""
    return "r undefined" if np.isnan(r) else f"r = {r:.4f}" if abs(r) < 0.9995 else f"r = {r:.5f}"


def _note(ax: Axes, text: str, *, corner: str = "upper left") -> None:
    x, align = (0.04, "left") if corner == "upper left" else (0.97, "right")
    y, baseline = (0.96, "top") if corner == "upper left" else (0.03, "bottom")
    ax.text(x, y, text, transform=ax.transAxes, fontsize=8, ha=align, va=baseline, zorder=5)


def _diagonal(ax: Axes, *values: Floats) -> None:
    """Give both axes one range and draw the line of equal values."""
    both = np.concatenate(values)
    low, high = both.min(), both.max()
    margin = 0.05 * max(high - low, 1e-6)
    limits = (low - margin, high + margin)
    ax.plot(limits, limits, color="black", linewidth=0.8, linestyle=(0, (4, 3)), zorder=3)
    ax.set(xlim=limits, ylim=limits)
    ax.set_aspect("equal")
    ax.locator_params(nbins=5)


@mpl.rc_context(RC)
def energy_parity(
    raw: tuple[ArrayLike, ArrayLike],
    relative: tuple[ArrayLike, ArrayLike],
    Z: ArrayLike,
    *,
    names: tuple[str, str] = ("PBE", "r2SCAN"),
) -> Figure:
    """Return the energies of two fidelities against each other, as labelled and minus elemental references.

    raw, relative: (low, high), each (n,) eV/atom, the second without a panel where nothing but rounding is left; Z (n,)
    atomic number, or its mean over the structure, for the colour. Raises ValueError without structures.
    """
    Z = np.asarray(Z, dtype=np.float64)
    if len(Z) == 0:
        raise ValueError("energy parity: no structures to draw")
    low_name, high_name = map(functional, names)
    order = np.argsort(Z, kind="stable")
    drawn = [tuple(np.asarray(side, dtype=np.float64)[order] for side in pair) for pair in (raw, relative)]
    if max(map(np.ptp, drawn[1])) < SPREAD:
        drawn.pop()
    figure, axes = new_figure(1, len(drawn), width=PAGE * (0.25 + 0.375 * len(drawn)), height=3.3)
    titles = ("total energy as labelled", "minus own elemental references")
    for ax, (low, high), title, words in zip(axes, drawn, titles, ("total", "referenced"), strict=False):
        points = ax.scatter(
            low, high, c=Z[order], s=7, cmap=BY_NUMBER, linewidths=0, alpha=0.85, rasterized=len(Z) > RASTERISE
        )
        ax.set_title(title)
        ax.set(xlabel=f"{low_name} {words} energy (eV/atom)", ylabel=f"{high_name} {words} energy (eV/atom)")
        if words == "total":
            ends = (low.min(), low.max())
            ax.plot(ends, ends, color="black", linewidth=0.8, linestyle=(0, (4, 3)))
        else:
            _diagonal(ax, low, high)
        _note(ax, _correlation_text(_statistics(low, high)["r"]))
    axes[-1].text(0.97, 0.03, "dashed: equal energies", transform=axes[-1].transAxes, fontsize=7, ha="right")
    figure.colorbar(points, ax=axes, label="atomic number", pad=0.02, aspect=30)
    return figure


@mpl.rc_context(RC)
def shift_by_element(table: pd.DataFrame, *, names: tuple[str, str] = ("PBE", "r2SCAN")) -> Figure:
    """Return the energy shift high − low against the atomic number.

    table: as from `labels.energy_shift.element_shift`. Error bars are 1.96 standard errors, clustered by group where
    they exist and of independent structures elsewhere.
    """
    low_name, high_name = map(functional, names)
    figure, (ax,) = new_figure(width=PAGE, height=2.8)
    look: dict[str, Any] = {
        "fmt": "o",
        "markersize": 3,
        "color": COLOURS[0],
        "ecolor": "black",
        "elinewidth": 0.8,
        "capsize": 1.5,
    }
    error = 1.96 * table["stderr"].fillna(table.get("stderr_structures", np.nan)).fillna(0)
    ax.errorbar(table["Z"], table["shift"], yerr=error, label="this data, with 95 % interval", **look)
    loose = table[~table["determined"].astype(bool)] if "determined" in table else table.iloc[:0]
    if len(loose):
        words = "not determined by itself"
        ax.plot(loose["Z"], loose["shift"], "o", ms=3, color=COLOURS[0], mfc="white", zorder=3, label=words)
    ax.axhline(0, color="0.75", linewidth=0.7, zorder=0)
    element_axis(ax, table["Z"])
    ax.set_ylabel(f"energy shift\n{high_name} − {low_name} (eV/atom)")
    ax.legend(loc="lower left")
    return figure


@mpl.rc_context(RC)
def label_parity(
    values: Mapping[str, tuple[ArrayLike, ArrayLike]], *, names: tuple[str, str] = ("PBE", "r2SCAN")
) -> Figure:
    """Return force, stress and moment labels of two fidelities against each other, as counts per cell.

    values: 'force' (eV/Å), 'stress' (GPa) or 'magmom' (μB, taken as magnitudes) -> (low, high) of equal
    shape; pairs with a missing label are left out and the number drawn is printed. Labels that are all the same number
    have no panel. Raises ValueError on another key, or without any pair of labels.
    """
    unknown = sorted(set(values) - set(LABELS))
    if unknown:
        raise ValueError(f"label parity: unknown label {', '.join(unknown)}; allowed are {', '.join(LABELS)}")
    pairs = {}
    for key, (low, high) in values.items():
        a, b = (np.asarray(side, dtype=np.float64).ravel() for side in (low, high))
        ok = np.isfinite(a) & np.isfinite(b)
        if ok.any():
            pairs[key] = (np.abs(a[ok]), np.abs(b[ok])) if key == "magmom" else (a[ok], b[ok])
    if not pairs:
        raise ValueError("label parity: no pair of labels to draw")
    pairs = {key: both for key, both in pairs.items() if max(map(np.ptp, both)) > SPREAD}
    if not pairs:
        return text_figure("no label differs from structure to structure")
    low_name, high_name = map(functional, names)
    width = PAGE if len(pairs) > 1 else COLUMN + 0.4
    figure, axes = new_figure(1, len(pairs), width=width, height=(width - 0.7) / len(pairs) + 0.15)
    cells = []
    for ax, (key, (low, high)) in zip(axes, pairs.items(), strict=True):
        name, unit = LABELS[key]
        cells.append(_density(ax, low, high))
        _diagonal(ax, low, high)
        ax.set_title(f"{name}, n = {len(low):,}")
        ax.set(xlabel=f"{low_name} {name} ({unit})", ylabel=f"{high_name} {name} ({unit})")
        found = _statistics(low, high)
        _note(ax, _correlation_text(found["r"]))
        _note(ax, f"slope {found['slope']:.3f}\nMAE {found['mae']:.3g} {unit}", corner="lower right")
    norm = LogNorm(1, max(2.0, *(float(np.max(np.asarray(each.get_array()))) for each in cells)))
    for each in cells:
        each.set_norm(norm)
    figure.colorbar(cells[0], ax=axes, label="values per cell", pad=0.02, aspect=28, format="%g")
    return figure


def _density(ax: Axes, low: Floats, high: Floats) -> PolyCollection:
    """Draw pairs as hexagons to be shaded by the logarithm of their number."""
    both = np.concatenate([low, high])
    edges = (both.min(), both.max()) if np.ptp(both) > 0 else (both[0] - 1, both[0] + 1)
    return ax.hexbin(
        low, high, gridsize=45, extent=(*edges, *edges), mincnt=1, cmap=BY_DENSITY, linewidths=0.2, zorder=2
    )


@mpl.rc_context(RC)
def importance(table: pd.DataFrame, *, most: int = 30) -> Figure:
    """Return the importance of elements for the difference of formation energies, largest first.

    table: as from `labels.energy_shift.formation_importance`. At most `most` elements are drawn, and the title says
    how many there are.
    """
    shown = table.sort_values("importance", ascending=False).head(most)
    figure, (ax,) = new_figure(width=PAGE, height=2.6)
    ax.bar(shown["element"], shown["importance"], color=COLOURS[0], width=0.75)
    ax.set_xlim(-0.7, len(shown) - 0.3)
    ax.set_ylabel("importance for the difference\nof formation energies (sum = 1)")
    ax.set_xlabel("element")
    kind = {"elemental": "elemental solids", "fitted": "references fitted to these structures"}
    count = "" if len(shown) == len(table) else f", {len(shown)} of {len(table)} elements"
    ax.set_title(f"formation energies from {kind[str(table['reference'].iloc[0])]}{count}")
    return figure
