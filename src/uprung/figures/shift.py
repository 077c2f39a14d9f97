"""Figures of the energy shift and the label correlation between two fidelities."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib as mpl
import numpy as np
import pandas as pd
from ase.data import atomic_numbers, chemical_symbols
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import ListedColormap, LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike, NDArray

from uprung.figures.style import COLOURS, COLUMN, PAGE, RC, new_figure

Floats = NDArray[np.float64]

#: Colour maps whose lightness rises steadily: they read in grey and with colour-vision deficiencies.
BY_NUMBER = "viridis"
BY_DENSITY = ListedColormap(mpl.colormaps["cividis_r"](np.linspace(0.25, 1, 192)))  # 0 is too pale on white
#: Above this many points a scatter plot is drawn as pixels in an SVG.
RASTERISE = 500

#: Elements named on an axis of atomic numbers: ends of rows and a few that everybody looks for.
LANDMARKS = ("H", "O", "Cl", "Fe", "Br", "Mo", "I", "Ba", "Gd", "W", "Pb", "U")

#: `label_parity` panel -> (title, unit).
LABELS = {
    "force": ("force", "eV/Å"),
    "stress": ("stress", "GPa"),
    "magmom": ("|moment|", "μB"),
}


def functional(name: str) -> str:
    """Return a functional's name as printed: 'r2SCAN' -> 'r²SCAN'."""
    return name.replace("r2SCAN", "r²SCAN").replace("R2SCAN", "r²SCAN")


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

    raw, relative: (low, high), each (n,) eV/atom; Z (n,) atomic number, or its mean over the structure, for
    the colour. Raises ValueError without structures.
    """
    Z = np.asarray(Z, dtype=np.float64)
    if len(Z) == 0:
        raise ValueError("energy parity: no structures to draw")
    low_name, high_name = map(functional, names)
    figure, axes = new_figure(1, 2, height=3.3)
    order = np.argsort(Z, kind="stable")
    titles = ("total energy as labelled", "minus own elemental references")
    for ax, pair, title, words in zip(axes, (raw, relative), titles, ("total", "referenced"), strict=True):
        low, high = (np.asarray(side, dtype=np.float64)[order] for side in pair)
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
    axes[1].text(0.97, 0.03, "dashed: equal energies", transform=axes[1].transAxes, fontsize=7, ha="right")
    figure.colorbar(points, ax=axes, label="atomic number", pad=0.02, aspect=30)
    return figure


@mpl.rc_context(RC)
def shift_by_element(
    table: pd.DataFrame,
    *,
    published: pd.DataFrame | None = None,
    names: tuple[str, str] = ("PBE", "r2SCAN"),
) -> Figure:
    """Return the energy shift high − low against the atomic number.

    table: as from `labels.energy_shift.element_shift`. Error bars are 1.96 standard errors, clustered by group where
    they exist and of independent structures elsewhere. published: columns Z and shift (eV/atom), drawn as
    crosses behind, with a second panel of the differences from it; rows with nan are left out, and rows more
    than two elements outside the range of table are not shown.
    """
    low_name, high_name = map(functional, names)
    compared = published is not None
    figure, axes = new_figure(2 if compared else 1, width=PAGE, height=4.4 if compared else 2.8)
    Z = table["Z"]
    error = 1.96 * table["stderr"].fillna(table.get("stderr_structures", np.nan)).fillna(0)
    if published is not None:
        known = published.dropna(subset="shift")
        known = known[known["Z"].between(Z.min() - 2, Z.max() + 2)]
        axes[0].scatter(
            known["Z"], known["shift"], marker="x", s=16, lw=0.9, color="0.45", label="published references"
        )
        _bars(axes[1], Z, table["shift"] - Z.map(known.set_index("Z")["shift"]), error)
        axes[1].set_ylabel("difference from\npublished (eV/atom)")
        Z = pd.concat([Z, known["Z"]])
    _bars(axes[0], table["Z"], table["shift"], error)
    for ax in axes:
        ax.axhline(0, color="0.75", linewidth=0.7, zorder=0)
        element_axis(ax, Z)
    if compared:
        axes[0].set_xlabel("")
    axes[0].set_ylabel(f"energy shift\n{high_name} − {low_name} (eV/atom)")
    axes[0].legend(loc="lower left")
    return figure


def _bars(ax: Axes, Z: pd.Series, value: pd.Series, error: pd.Series) -> None:
    ax.errorbar(
        Z,
        value,
        yerr=error,
        fmt="o",
        markersize=3,
        color=COLOURS[0],
        ecolor="black",
        elinewidth=0.8,
        capsize=1.5,
        label="this data, with 95 % interval",
    )


@mpl.rc_context(RC)
def label_parity(
    values: Mapping[str, tuple[ArrayLike, ArrayLike]], *, names: tuple[str, str] = ("PBE", "r2SCAN")
) -> Figure:
    """Return force, stress and moment labels of two fidelities against each other, as counts per cell.

    values: 'force' (eV/Å), 'stress' (GPa) or 'magmom' (μB, taken as magnitudes) -> (low, high) of equal
    shape; pairs with a missing label are left out and the number drawn is printed. Raises ValueError on
    another key, or if nothing is left to draw.
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
def by_element(
    table: pd.DataFrame,
    *,
    value: str = "shift",
    label: str | None = None,
    names: tuple[str, str] = ("PBE", "r2SCAN"),
) -> Figure:
    """Return one number per element as a periodic table; elements without one are left white.

    table: columns Z and `value`, one row per element, such as `element_shift` ('shift', eV/atom) or one
    quantity of `correlation_by_element` ('pearson'). Raises ValueError if an element has two rows or none has
    a value.
    """
    if table["Z"].duplicated().any():
        raise ValueError(f"periodic table of {value}: several rows per element; choose one quantity first")
    known = table.dropna(subset=value)
    numbers = dict(zip(known["Z"].astype(int), known[value].astype(float), strict=True))
    if not numbers:
        raise ValueError(f"periodic table of {value}: no element has a value")
    is_r = value in ("pearson", "spearman")
    low_name, high_name = map(functional, names)
    words = f"{value.capitalize()} r of referenced energies" if is_r else f"energy {value} (eV/atom)"
    norm, below = _norm(np.array(list(numbers.values())), bounded=is_r)
    cmap = mpl.colormaps[BY_NUMBER]
    figure, (ax,) = new_figure(width=PAGE, height=3.8)
    for Z, (x, y) in _positions().items():
        number = numbers.get(Z)
        face = (1.0, 1.0, 1.0, 1.0) if number is None else cmap(float(norm(number)))
        ax.add_patch(Rectangle((x - 0.48, y - 0.48), 0.96, 0.96, facecolor=face, edgecolor="0.8", linewidth=0.5))
        ink = "0.6" if number is None else _readable(face)
        ax.text(x, y - 0.14, chemical_symbols[Z], ha="center", va="center", fontsize=8, color=ink)
        if number is not None:
            text = _three_digits(number, decimals=3 if is_r else None)
            ax.text(x, y + 0.26, text, ha="center", va="center", fontsize=6, color=ink)
    ax.set(xlim=(0.4, 18.6), ylim=(9.95, 0.4))
    ax.set_aspect("equal")
    ax.axis("off")
    bar = ax.inset_axes((3.2, 2.15, 8.6, 0.35), transform=ax.transData)
    mapped = mpl.cm.ScalarMappable(norm, cmap)
    figure.colorbar(mapped, cax=bar, orientation="horizontal", extend="min" if below else "neither")
    bar.set_title(label or f"{words}, {low_name} to {high_name}", fontsize=8)
    ax.text(7.5, 3.3, "white: no value", ha="center", va="center", fontsize=7, color="0.4")
    return figure


def _three_digits(number: float, *, decimals: int | None) -> str:
    if decimals is None:
        decimals = 2 if abs(number) < 9.995 else 1 if abs(number) < 99.95 else 0
    return f"{number:.{decimals}f}".replace("-", "−")


def _norm(values: Floats, *, bounded: bool) -> tuple[Normalize, bool]:
    """Return the colour range and whether values lie below it: for correlations, the lowest 5 % may."""
    if bounded:
        low = min(0.99, float(np.percentile(values, 5)))
        return Normalize(low, 1), bool(values.min() < low)
    if np.ptp(values) == 0:
        return Normalize(values[0] - 1, values[0] + 1), False
    return Normalize(float(values.min()), float(values.max())), False


def _readable(face: tuple[float, float, float, float]) -> str:
    """Return black or white, whichever stands out on the colour."""
    return "black" if 0.299 * face[0] + 0.587 * face[1] + 0.114 * face[2] > 0.5 else "white"


@mpl.rc_context(RC)
def importance(table: pd.DataFrame, *, most: int = 30) -> Figure:
    """Return the importance of elements for the difference of formation energies, largest first.

    table: as from `labels.energy_shift.formation_importance`; one without rows gives a figure that states why. At
    most `most` elements are drawn, and the title says how many there are.
    """
    if table.empty:
        figure, (ax,) = new_figure(width=COLUMN, height=1.2)
        reason = table.attrs.get("reason", "no element to rank")
        ax.text(0.5, 0.5, f"Not available: {reason}.", ha="center", va="center", wrap=True)
        ax.axis("off")
        return figure
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
