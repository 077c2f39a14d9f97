"""Figure of the correction by one number: slopes and errors against the number of labelled structures."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, NullLocator

from uprung.figures import style

GREY = "#777777"


def correction(table: pd.DataFrame, *, labels: Mapping[str, str]) -> Figure:
    """Draw the slope before and after the correction, and the error after over before, against k.

    Args:
        table: of `uprung.correction.correction_table` with the column model; a mark is the median over materials, a bar
            holds the materials between the quartiles.
        labels: model -> name, in the order drawn.
    """
    known = table[table["reason"] == ""]
    if not len(known):
        return style.text_figure("; ".join(dict.fromkeys(map(str, table["reason"]))) or "nothing was evaluated")
    shots = sorted(set(known["shots"]))
    # one place per k, no correction at the left: the steps of k are no more equal than their effect
    place = {k: x for x, k in enumerate([0, *shots])}
    figure, (slopes, errors) = style.new_figure(1, 2, height=3.2)
    models = [model for model in labels if model in set(known["model"])]
    with mpl.rc_context(style.RC):
        for axis in (slopes, errors):
            axis.axhline(1, color=GREY, ls="--", lw=0.9)
            axis.set_xticks(list(place.values()), ["none", *map(str, shots)])
            axis.set_xlabel("labelled structures that the number is fitted to")
            axis.grid(visible=True, axis="y", color="#e6e6e6", lw=0.5)
        for n, model in enumerate(models):
            own = known[known["model"] == model]
            aside = (n - (len(models) - 1) / 2) * 0.5 / max(len(models), 1)
            look = {"color": style.colour(n), "marker": style.marker(n), "ms": 4, "lw": 1, "elinewidth": 0.8}
            first = own[own["shots"] == shots[0]]
            found = {0: (first["slope_before"], first["slope_before"] * 0 + 1)}
            found |= {k: (part["slope_after"], part["mae_ratio"]) for k, part in _by_shots(own)}
            x = np.array([place[k] for k in sorted(found)]) + aside
            for side, axis in enumerate((slopes, errors)):
                values = np.array([np.percentile(found[k][side].dropna(), [25, 50, 75]) for k in sorted(found)])
                gaps = np.abs(values[:, [0, 2]].T - values[:, 1])
                axis.errorbar(x, values[:, 1], yerr=gaps, **look)  # type: ignore[arg-type]
            promise = float(own.loc[own["shots"] == shots[-1], "cmae_ratio"].median())
            errors.axhline(promise, color=style.colour(n), ls=":", lw=1)
        slopes.set(title="Softness", ylabel="slope of predicted on labelled forces")
        errors.set(title="Error", ylabel="MAE after correction / before")
        for axis in (slopes, errors):
            axis.xaxis.set_minor_locator(NullLocator())
            axis.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:.2f}"))
        handles = [
            Line2D([], [], color=style.colour(n), marker=style.marker(n), ms=4, lw=1, label=labels[model])
            for n, model in enumerate(models)
        ]
        handles.append(Line2D([], [], color=GREY, ls=":", lw=1, label="right: cMAE / MAE"))
        figure.legend(handles=handles, loc="outside upper center", ncols=min(3, len(handles)))
    return figure


def _by_shots(table: pd.DataFrame) -> list[tuple[int, pd.DataFrame]]:
    return [(k, table[table["shots"] == k]) for k in sorted({int(value) for value in table["shots"]})]
