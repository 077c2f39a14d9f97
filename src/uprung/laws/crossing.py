"""Where two fitted laws meet."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from uprung.laws.curved import CurvedLaw
from uprung.laws.fitted import Band, widened
from uprung.laws.materials import TestNoise, noise_of
from uprung.laws.points import FloatArray, Materials, student_t
from uprung.laws.power import PowerLaw

Law = PowerLaw | CurvedLaw

#: How far beyond the measured sizes a meeting of curved laws is looked for, in powers of ten.
DECADES_BELOW, DECADES_ABOVE = 2.0, 6.0
PER_DECADE = 12


@dataclass(frozen=True)
class Crossover:
    """Where two fitted laws meet.

    `n` is the training size (NaN where `kind` is 'none'), `low` and `high` its interval, open where `low` is 0 or
    `high` is infinite; `kind` is 'in range' (of the sizes both laws were fitted to), 'extrapolated' (by
    `decades` powers of ten) or 'none'; `better_above` is the law with the smaller error beyond `n`.
    """

    n: float
    low: float
    high: float
    kind: str
    better_above: str
    decades: float
    reason: str


def crossover(scratch: Law, transfer: Law, *, test: Materials | None = None) -> Crossover:
    """Return the training size at which two laws meet, with its interval: every size at which they do not differ.

    Args:
        scratch: law of the one arm; its confidence is that of the interval.
        transfer: law of the other arm.
        test: errors on the test materials that both arms share, of all runs of the one, then of the other; without it
            their test noise counts as independent. So does their scatter, which is conservative where they share
            subsets.
    """
    if isinstance(scratch, PowerLaw) and isinstance(transfer, PowerLaw):
        return _lines_meet(scratch, transfer, test)
    return _curves_meet(scratch, transfer, test)


def joint_noise(scratch: Law, transfer: Law, test: Materials | None) -> TestNoise | None:
    """Return the noise of the test materials in the parameters of two laws, None where it is unknown together."""
    if test is None:
        return None
    curves = [scratch.known_points(), transfer.known_points()]
    return noise_of(curves, [scratch.solve(), transfer.solve()], [scratch.shown, transfer.shown], test)


def _line_noise(scratch: PowerLaw, transfer: PowerLaw, test: Materials | None, u: float, v: float) -> FloatArray:
    """Return the covariance of level and exponent of both lines from the test materials, (4, 4).

    It is widened as far as the longest tails of a bootstrap-t of the difference of the lines, at the centre and of
    their slopes, go beyond those of a normal distribution.
    """
    joint = joint_noise(scratch, transfer, test)
    if joint is not None:
        return np.asarray(joint.excess * joint.widening(np.array([[1.0, u, -1.0, -v], [0.0, 1.0, 0.0, -1.0]])) ** 2)
    blocks = np.zeros((4, 4))
    for i, law in ((0, scratch), (2, transfer)):
        if law.noise is not None:
            blocks[i : i + 2, i : i + 2] = law.noise.excess * law.noise.widening(np.eye(2)) ** 2
    return blocks


def _lines_meet(scratch: PowerLaw, transfer: PowerLaw, test: Materials | None) -> Crossover:
    """Return where two power laws meet, with the interval of Fieller (J. R. Stat. Soc. B 16, 175 (1954)).

    Lines whose slopes do not differ by their interval are parallel within error: no crossing.
    """
    # Sizes are measured from z, between the centres of the laws: D(x) = d - s·(x - z), D = ln(scratch/transfer),
    # with variance c0 - 2·c1·(x - z) + c2·(x - z)².
    z = 0.5 * (scratch.log_n + transfer.log_n)
    u, v = scratch.log_n - z, transfer.log_n - z
    s = scratch.exponent - transfer.exponent
    d = scratch.log_mae + scratch.exponent * u - transfer.log_mae - transfer.exponent * v
    var_a, var_b = scratch.se_exponent**2, transfer.se_exponent**2
    noise = _line_noise(scratch, transfer, test, u, v)
    level, slope = np.array([1.0, u, -1.0, -v]), np.array([0.0, 1.0, 0.0, -1.0])
    c0 = scratch.se_log_mae**2 + transfer.se_log_mae**2 + var_a * u**2 + var_b * v**2 + level @ noise @ level
    c1 = var_a * u + var_b * v + level @ noise @ slope
    c2 = var_a + var_b + slope @ noise @ slope
    spread = var_a**2 / scratch.df + var_b**2 / transfer.df
    df = min(c2**2 / spread, 1e6) if spread > 0 else scratch.df + transfer.df  # Welch-Satterthwaite
    t2 = student_t(scratch.confidence, df) ** 2
    a, b, c = s**2 - t2 * c2, d * s - t2 * c1, d**2 - t2 * c0
    root = np.sqrt(max(b**2 - a * c, 0.0))
    with np.errstate(over="ignore", divide="ignore"):
        n = float(np.exp(z + d / s)) if s else float("nan")
        ends = [float(np.exp(z + (b + sign * root) / a)) for sign in (-1, 1)] if a else [0.0, 0.0]
    if s == 0 or a <= 0:
        # A true crossing may lie anywhere outside the stretch in which the lines differ clearly.
        below, above = sorted(ends)
        smallest = min(scratch.n_min, transfer.n_min)
        low = above if b**2 > a * c and below <= smallest < above else 0.0
        why = f"slopes differ by {-s:+.3f} ± {np.sqrt(t2 * c2):.3f}: parallel within error"
        if s:
            why += f" (the lines as fitted meet at {_count(n)})"
        if low:
            why += f"; no crossing between the smallest size and {_count(low)}"
        return Crossover(float("nan"), low, float("inf"), "none", "", float("nan"), why)
    low, high = sorted(ends)
    return _placed(n, low, high, "scratch" if s > 0 else "transfer", scratch, transfer)


def _placed(n: float, low: float, high: float, better: str, scratch: Law, transfer: Law) -> Crossover:
    """Say where an established crossing lies: in the range of both laws, beyond it, or below all sizes."""
    worse = "transfer" if better == "scratch" else "scratch"
    if n < min(scratch.n_min, transfer.n_min):
        why = f"the laws meet at {_count(n)}, below the smallest size: {better} is better from there on"
        return Crossover(float("nan"), low, high, "none", better, float("nan"), why)
    first, last = max(scratch.n_min, transfer.n_min), min(scratch.n_max, transfer.n_max)
    decades = max(0.0, float(np.log10(n / last)), float(np.log10(first / n)))
    if decades < 1e-9:
        return Crossover(n, low, high, "in range", better, 0.0, "")
    side = "beyond the largest" if n > last else "below the smallest"
    why = f"{decades:.2f} decades {side} size that both laws were fitted to; {worse} is better before"
    return Crossover(n, low, high, "extrapolated", better, decades, why)


def difference(
    scratch: Law, transfer: Law, n: FloatArray, test: Materials | None, *, other: FloatArray | None = None
) -> Band:
    """Return ln(scratch error at n / transfer error at other) and its pointwise interval.

    Args:
        scratch: law of the one arm.
        transfer: law of the other arm.
        n: training sizes.
        test: as in `crossover`.
        other: sizes of the other arm; default: the same.
    """
    other = n if other is None else other
    joint = joint_noise(scratch, transfer, test)
    if joint is None:
        return combined(_log_prediction(scratch, n), _log_prediction(transfer, other))
    band = combined(scratch.band(np.log(n)), transfer.band(np.log(other)))
    ways = np.concatenate([scratch.directions(np.log(n)), -transfer.directions(np.log(other))], axis=1)
    return widened(band, joint, ways, scratch.confidence)


def _log_prediction(law: Law, n: FloatArray) -> Band:
    with np.errstate(divide="ignore"):
        value, low, high = (np.log(v) for v in law.predict(n))
    return value, low, high


def combined(one: Band, two: Band) -> Band:
    """Return a difference and its interval from two values with intervals, without assuming symmetry."""
    value = one[0] - two[0]
    low = value - np.hypot(one[0] - one[1], two[2] - two[0])
    return value, low, value + np.hypot(one[2] - one[0], two[0] - two[1])


def _curves_meet(scratch: Law, transfer: Law, test: Materials | None) -> Crossover:
    """Return where two laws meet when one is curved: established where they differ clearly in both orders."""
    smallest, largest = min(scratch.n_min, transfer.n_min), max(scratch.n_max, transfer.n_max)
    n = smallest * 10 ** (np.arange(-DECADES_BELOW, np.log10(largest / smallest) + DECADES_ABOVE, 1 / PER_DECADE))
    value, low, high = difference(scratch, transfer, n, test)
    clear = np.where(low > 0, 1, np.where(high < 0, -1, 0))
    known = np.flatnonzero(clear)
    changes = [(i, j) for i, j in pairwise(known) if clear[i] != clear[j]]
    if not changes:
        return _none_established(n, clear, smallest)
    i, j = int(changes[-1][0]), int(changes[-1][1])
    near, far = (low, high) if clear[i] > 0 else (high, low)
    at = _zero(n, value, i + int(np.flatnonzero(np.diff(np.sign(value[i : j + 1])))[-1]))
    ends = (_zero(n, near, i), _zero(n, far, j - 1))
    return _placed(at, min(ends), max(ends), "scratch" if value[j] < 0 else "transfer", scratch, transfer)


def _zero(n: FloatArray, values: FloatArray, i: int) -> float:
    """Return where values change sign between n[i] and n[i + 1]."""
    a, b = values[i], values[i + 1]
    part = a / (a - b) if np.isfinite(a - b) and a != b else 0.5
    return float(n[i] * (n[i + 1] / n[i]) ** min(max(part, 0.0), 1.0))


def _none_established(n: FloatArray, clear: FloatArray, smallest: float) -> Crossover:
    start = int(np.argmin(np.abs(n - smallest)))
    same = clear[start:] == clear[start]
    end = start + (len(same) if same.all() else int(np.argmin(same))) - 1
    why = f"the laws do not differ clearly in both orders anywhere up to {_count(n[-1])}"
    if not clear[start]:
        return Crossover(float("nan"), 0.0, float("inf"), "none", "", float("nan"), why)
    why += f"; no crossing between the smallest size and {_count(n[end])}"
    return Crossover(float("nan"), float(n[end]), float("inf"), "none", "", float("nan"), why)


def _count(n: float) -> str:
    return f"{n:,.0f}" if 1 <= n < 1e9 else f"{n:.1e}"
