"""Figure of the correction with few labels: slopes and errors against the number of labelled structures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, NullLocator

from uprung.figures import style
from uprung.figures.axes import GREY, GRID, MANY, quartiles_in_rows, rows_of_networks

RATIO = "MAE after correction / before"
#: Method -> how it is called, and its line.
METHODS = {"number": ("one number", "-"), "per-element": ("per element", "-."), "training": ("fine-tuned", "--")}


@mpl.rc_context(style.RC)
def correction(table: pd.DataFrame, *, labels: Mapping[str, str]) -> Figure:
    """Draw the slope before and after the correction, and the error after over before, against k.

    Args:
        table: of `correction_table` with the column model; a mark is the median over materials, a bar
            holds the materials between the quartiles. Every method of a model is a series.
        labels: model -> name, in the order drawn.
    """
    known = table[table["reason"] == ""]
    if not len(known):
        return style.text_figure("; ".join(dict.fromkeys(map(str, table["reason"]))) or "nothing was evaluated")
    shots = sorted(set(known["shots"]))
    # one place per k, no correction at the left: the steps of k are no more equal than their effect
    place = {k: x for x, k in enumerate([0, *shots])}
    models = [model for model in labels if model in set(known["model"])]
    if len(models) > MANY:
        return _in_rows(known, {model: labels[model] for model in models}, shots)
    series = [
        (n, method)
        for n, model in enumerate(models)
        for method in METHODS
        if method in set(known.loc[known["model"] == model, "method"])
    ]
    # colour and marker tell models apart and the line methods; a single model has colours for its methods
    looks = {(n, method): _look(n if len(models) > 1 else k, method) for k, (n, method) in enumerate(series)}
    figure, (slopes, errors) = style.new_figure(1, 2, height=3.2)
    for axis in (slopes, errors):
        axis.axhline(1, color=GREY, ls="--", lw=0.9)
        axis.set_xticks(list(place.values()), ["none", *map(str, shots)])
        axis.set_xlabel("labelled structures of a material")
        axis.grid(axis="y", **GRID)  # type: ignore[arg-type]
    for place_of_series, (n, method) in enumerate(series):
        own = known[(known["model"] == models[n]) & (known["method"] == method)]
        aside = (place_of_series - (len(series) - 1) / 2) * 0.5 / len(series)
        _draw(slopes, errors, own, place, aside=aside, look=looks[n, method])
    for n, model in enumerate(models):
        own = known[(known["model"] == model) & (known["shots"] == shots[-1])]
        promise = float(own.loc[own["method"] == own["method"].iloc[0], "cmae_ratio"].median()) if len(own) else np.nan
        errors.axhline(promise, color=style.colour(n), ls=":", lw=1)
    slopes.set(title="Softness", ylabel="slope of predicted on labelled forces")
    errors.set(title="Error", ylabel=RATIO)
    for axis in (slopes, errors):
        axis.xaxis.set_minor_locator(NullLocator())
        axis.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:.2f}"))
    several = len({method for _, method in series}) > 1
    handles = [
        Line2D([], [], **looks[n, method], label=_name(labels[models[n]], method, several=several))
        for n, method in series
    ]
    handles.append(Line2D([], [], color=GREY, ls=":", lw=1, label="right: cMAE / MAE"))
    figure.legend(handles=handles, loc="outside upper center", ncols=min(3, len(handles)))
    return figure


def _in_rows(known: pd.DataFrame, labels: Mapping[str, str], shots: list[int]) -> Figure:
    """Draw many models, a row each: slopes before and after the correction, errors at the smallest and largest k."""
    figure, (slopes, errors), places = rows_of_networks(list(labels.values()), 2)
    methods = [method for method in METHODS if method in set(known["method"])]

    def values(method: str, k: int, column: str) -> list[pd.Series]:
        part = known[(known["method"] == method) & (known["shots"] == k)]
        return [part.loc[part["model"] == model, column] for model in labels]

    before = {"color": GREY, "marker": "s", "mfc": "none", "label": "before"}
    quartiles_in_rows(slopes, places + 0.25, values(methods[0], shots[0], "slope_before"), **before)
    for m, method in enumerate(methods):
        for k, mfc in ((shots[0], "none"), (shots[-1], style.colour(m))):
            aside = -0.08 - 0.16 * m - (0.08 if k == shots[-1] else 0.0)
            look: dict[str, Any] = {"color": style.colour(m), "mfc": mfc, "label": f"{METHODS[method][0]}, k = {k}"}
            for axis, column in ((slopes, "slope_after"), (errors, "mae_ratio")):
                quartiles_in_rows(axis, places + aside, values(method, k, column), **look)
    for axis, title, x in ((slopes, "Softness", "slope of predicted on labelled forces"), (errors, "Error", RATIO)):
        axis.axvline(1, color=GREY, ls="--", lw=0.9)
        axis.set(title=title, xlabel=x)
    figure.legend(*slopes.get_legend_handles_labels(), loc="outside upper center", ncols=3)
    return figure


def _draw(
    slopes: Axes, errors: Axes, own: pd.DataFrame, place: Mapping[int, int], *, aside: float, look: dict[str, Any]
) -> None:
    """Draw one series; the marks over `none` are the forces before any correction."""
    shots = sorted({int(value) for value in own["shots"]})
    first = own[own["shots"] == shots[0]]
    found = {0: (first["slope_before"], first["slope_before"] * 0 + 1)}
    found |= {k: (part["slope_after"], part["mae_ratio"]) for k in shots for part in [own[own["shots"] == k]]}
    x = np.array([place[k] for k in found]) + aside
    for side, axis in enumerate((slopes, errors)):
        values = np.array([np.percentile(sides[side].dropna(), [25, 50, 75]) for sides in found.values()])
        axis.errorbar(x, values[:, 1], yerr=np.abs(values[:, [0, 2]].T - values[:, 1]), elinewidth=0.8, **look)


def _look(n: int, method: str) -> dict[str, Any]:
    return {"color": style.colour(n), "marker": style.marker(n), "ms": 4, "lw": 1, "ls": METHODS[method][1]}


def _name(label: str, method: str, *, several: bool) -> str:
    return f"{label}, {METHODS[method][0]}" if several else label
