"""From errors back to sizes: labels for a wanted error, and how many times more labels one law needs than another."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from uprung.laws.crossing import DECADES_ABOVE, DECADES_BELOW, PER_DECADE, Law, difference
from uprung.laws.points import FloatArray, Materials


@dataclass(frozen=True)
class Size:
    """A training size at which a law has some error, with its 95 % interval; NaN where it never has.

    `low` is 0 and `high` infinite where the interval leaves the sizes that are searched, 2 decades below and
    6 decades above the measured ones.
    """

    n: float
    low: float
    high: float


def search_grid(law: Law) -> FloatArray:
    """Return the sizes that are searched for an error."""
    span = np.log10(law.n_max / law.n_min)
    steps = np.arange(-DECADES_BELOW, span + DECADES_ABOVE + 1 / PER_DECADE, 1 / PER_DECADE)
    return np.asarray(law.n_min * 10**steps)


def size_for_error(law: Law, error: float) -> Size:
    """Return the size at which a law comes down to an error, with the sizes whose band holds it."""
    n = search_grid(law)
    with np.errstate(divide="ignore"):
        value, low, high = (np.log(v) - np.log(error) for v in law.predict(n))
    return _root(n, value, low, high)


def equal_error_size(scratch: Law, transfer: Law, n: float, *, test: Materials | None = None) -> Size:
    """Return the size at which `scratch` has the error that `transfer` has at n.

    The interval holds every size at which the two errors do not differ clearly; `test` as in `crossover`.
    """
    grid = search_grid(scratch)
    return _root(grid, *difference(scratch, transfer, grid, test, other=np.full_like(grid, n)))


def _root(n: FloatArray, value: FloatArray, low: FloatArray, high: FloatArray) -> Size:
    """Return where a difference that falls with n is zero for the last time, and where its interval holds zero."""
    if value[-1] > 0:
        middle, start = float("nan"), len(n) - 1
    else:
        above = np.flatnonzero(value > 0)
        if not len(above):
            return Size(float("nan"), 0.0, _edge(n, low, 0))
        start = int(above[-1])
        middle = _between(n, value, start)
    clear = np.flatnonzero(low[: start + 1] > 0)
    smallest = _between(n, low, int(clear[-1])) if len(clear) else 0.0
    if np.isnan(middle) and len(clear) == start + 1:
        return Size(middle, float("inf"), float("inf"))
    return Size(middle, smallest, _edge(n, high, start))


def _edge(n: FloatArray, values: FloatArray, start: int) -> float:
    """Return where values fall below zero from `start` on; infinite where they do not."""
    below = np.flatnonzero(values[start:] < 0)
    if not len(below):
        return float("inf")
    i = start + int(below[0])
    return _between(n, values, i - 1) if i else 0.0


def _between(n: FloatArray, values: FloatArray, i: int) -> float:
    """Return where values cross zero between n[i] and n[i + 1]."""
    if i + 1 >= len(n):
        return float("inf")
    a, b = float(values[i]), float(values[i + 1])
    part = a / (a - b) if np.isfinite(a - b) and a != b else 0.5
    return float(n[i] * (n[i + 1] / n[i]) ** min(max(part, 0.0), 1.0))
