"""Holes of networks and arms as tables: how many random structures fall into one, with an interval."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.special import ndtri

RUN = ["budget", "arm", "size", "seed"]
ARM = ["budget", "arm", "size"]
#: Why a state is a hole; see `uprung.evaluation.holes`.
KINDS = ("energy", "collapse", "number")


def networks_table(starts: pd.DataFrame) -> pd.DataFrame:
    """Return one row per network: random structures, holes by kind, lost ones, and how deep the deepest is.

    Args:
        starts: of `uprung.evaluation.holes.holes_of`, with the columns budget, arm, size, seed.
    """
    marks = starts.assign(
        starts=1, holes=starts["hole"] != "", **{f"holes_{kind}": starts["hole"] == kind for kind in KINDS}
    )
    groups = marks.groupby(RUN, sort=False)
    counts = groups[["starts", "holes", *(f"holes_{kind}" for kind in KINDS), "lost"]].sum()
    return counts.assign(deepest=groups["energy"].min()).reset_index()


def arms_table(starts: pd.DataFrame) -> pd.DataFrame:
    """Return one row per arm and size: share of the random structures that fall into a hole, mean over seeds.

    The interval is Wilson's at 95 % for the number of structures. All seeds see the same ones, so that more seeds say
    more of these structures and not of others.

    Args:
        starts: as for `networks_table`.

    Returns:
        Columns budget, arm, size, seeds, starts, share, low, high.
    """
    rows = []
    for names, here in starts.groupby(ARM, sort=False):
        n, share = int(here["start"].nunique()), float((here["hole"] != "").mean())
        low, high = wilson(share, n)
        about = dict(zip(ARM, names, strict=True))
        rows.append(about | {"seeds": here["seed"].nunique(), "starts": n, "share": share, "low": low, "high": high})
    return pd.DataFrame(rows, columns=[*ARM, "seeds", "starts", "share", "low", "high"])


def wilson(share: float, n: int, level: float = 0.95) -> tuple[float, float]:
    """Return the score interval of a share of n (Wilson, J. Am. Stat. Assoc. 22, 209 (1927))."""
    z2 = float(ndtri((1 + level) / 2)) ** 2
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = np.sqrt(z2 * (share * (1 - share) / n + z2 / (4 * n**2))) / (1 + z2 / n)
    return max(0.0, float(middle - half)), min(1.0, float(middle + half))
