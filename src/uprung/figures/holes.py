"""Figure of holes in the energy surfaces of networks."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, SymmetricalLogLocator

from uprung.figures import style
from uprung.figures.axes import GREY, grid_behind


@mpl.rc_context(style.RC)
def holes(arms: pd.DataFrame, networks: pd.DataFrame, *, arm_labels: Mapping[str, str]) -> Figure:
    """Draw the share of random structures that fall into a hole by arm, and how deep the deepest state of a network is.

    Args:
        arms: of `uprung.evaluation.hole_tables.arms_table`, one budget, with the untouched checkpoint (no budget).
        networks: of `uprung.evaluation.hole_tables.networks_table`, likewise.
        arm_labels: arm -> name; rows, colours and markers follow its order; the checkpoint comes first, in grey.
    """
    names = [str(arm) for arm in arms.loc[arms["budget"] == "", "arm"]] + list(arm_labels)
    first = len(names) - len(arm_labels)
    sizes = list(dict.fromkeys(arms.loc[arms["budget"] != "", "size"]))
    figure, (share, deep) = style.new_figure(1, 2, width=style.PAGE, height=0.8 + 0.24 * len(names))
    for row, arm in enumerate(names):
        colour = GREY if row < first else style.colour(row - first)
        marker = "s" if row < first else style.marker(row - first)
        for _, point in arms[arms["arm"] == arm].iterrows():
            place, large = _place(sizes, point["size"])
            bar = [[100 * (point["share"] - point["low"])], [100 * (point["high"] - point["share"])]]
            share.errorbar(
                100 * point["share"], row + place, xerr=bar, fmt=marker, color=colour, ms=large, lw=1, capsize=2
            )
        for _, network in networks[networks["arm"] == arm].iterrows():
            place, _ = _place(sizes, network["size"])
            deep.plot(network["deepest"], row + place, marker, color=colour, ms=3, alpha=0.6, lw=0)
    share.set(xlabel="random structures that fall into a hole (%)", yticks=range(len(names)))
    share.set_yticklabels([arm_labels.get(name, f"{name}, untouched") for name in names])
    share.set_ylim(len(names) - 0.5, -0.5)
    share.set_xlim(left=-1)
    deep.set_xlabel("lowest state, relative to the lowest labelled\nframe of its composition (eV/atom)")
    deep.set_xscale("symlog", linthresh=0.1)
    deep.axvline(0, color=GREY, lw=0.6)
    deep.xaxis.set_major_locator(SymmetricalLogLocator(base=10, linthresh=0.1, subs=(1, 3)))
    deep.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:,g}".replace("-", "−")))
    deep.sharey(share)
    deep.tick_params(labelleft=False)
    for axis in (share, deep):
        grid_behind(axis)
    return figure


def _place(sizes: list[str], size: object) -> tuple[float, float]:
    """Return how far below its row a mark stands, and how large it is: by the training-set size."""
    if size not in sizes or len(sizes) == 1:
        return 0.0, 4.5
    k = sizes.index(str(size)) / (len(sizes) - 1)
    return 0.6 * (k - 0.5), 3 + 2 * k
