"""Whether a fit is the best one: the search is repeated from many starts, and its result compared."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from uprung.laws.forms import FORMS
from uprung.laws.points import FloatArray, LogPoints
from uprung.laws.search import best_fit, merged, profile

STARTS = 8
SAME = 1e-6  # relative difference of sums of squares that are called equal


@dataclass(frozen=True)
class Starts:
    """Sum of squares of a fit (of the size means), the lowest one found from other starts, and how many reach it."""

    squares: float
    lowest: float
    starts: int
    agreeing: int


def multi_start(points: LogPoints, law: str, *, starts: int = STARTS) -> Starts:
    """Repeat the search for a curved law from random starts in its box.

    Args:
        points: the runs.
        law: a key of `FORMS`.
        starts: how many.
    """
    form, means = FORMS[law].of(points), merged(points)
    own = float(best_fit(form, points).ss[0])
    low, high = np.array(form.bounds()).T

    def squares(unit: FloatArray) -> float:
        return float(profile(form, means, (low + unit * (high - low))[None]).ss[0])

    from scipy import optimize  # a third of a second, which who only reads laws does not need

    units = np.random.default_rng(0).uniform(size=(starts, len(low)))
    box = [(0.0, 1.0)] * len(low)
    found = np.array([optimize.minimize(squares, u, method="Nelder-Mead", bounds=box).fun for u in units])
    lowest = float(found.min())
    total = float(means.weights @ (means.y - means.weights @ means.y / means.weights.sum()) ** 2)
    same = found <= min(own, lowest) + SAME * max(total, 1e-300)
    return Starts(own, lowest, starts, int(same.sum()))
