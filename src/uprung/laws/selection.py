"""Which law the points support: information criterion, error in predicting a size left out, evidence of curvature."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from uprung.laws.crossing import Law
from uprung.laws.curved import fit_curved
from uprung.laws.forms import FORMS
from uprung.laws.points import CONFIDENCE, MIN_SIZES, LawRefused, LogPoints, refuse_below, scatter
from uprung.laws.power import PowerLaw, fit_power
from uprung.laws.search import best_fit, line

LAWS = (PowerLaw.name, *FORMS)
TITLES = {PowerLaw.name: "C·N⁻ᵃ"} | {name: form.title for name, form in FORMS.items()}
PARAMETERS = {PowerLaw.name: 2} | {name: form.n_parameters for name, form in FORMS.items()}

EVIDENCE, AICC_MARGIN, PRICE = 0.01, 4.0, 1.25


@dataclass(frozen=True)
class Score:
    """How well a law describes the points of a curve, and why it cannot be scored where it cannot.

    `aicc` counts sizes as observations, since the runs of one size share what a law misses there (NaN below parameters
    + 3 sizes); `left_out` is the root mean square of ln(prediction / mean) for every size left out in turn;
    `p_line` is the probability that a power law would be improved upon as much by seed scatter alone.
    """

    law: str
    aicc: float
    left_out: float
    p_line: float
    reason: str


def fit_law(points: LogPoints, law: str, *, robust: bool = False, confidence: float = CONFIDENCE) -> Law:
    """Fit the law of a name in `LAWS`; raises LawRefused where the points cannot support it."""
    if law == PowerLaw.name:
        return fit_power(points, robust=robust, confidence=confidence)
    return fit_curved(points, law, robust=robust, confidence=confidence)


def line_through(points: LogPoints, law: str, x: np.ndarray) -> np.ndarray:
    """Return ln MAE at x of the best fit, without intervals."""
    if law == PowerLaw.name:
        fit = fit_power(points)
        return np.asarray(fit.log_mae - fit.exponent * (x - fit.log_n))
    form = FORMS[law].of(points)
    return line(form, best_fit(form, points), x)


def sum_of_squares(points: LogPoints, law: str) -> tuple[float, float]:
    """Return the weighted squares of the size means about the best fit, and of the seeds about these means."""
    residual = points.y - line_through(points, law, points.x)
    means = points.mean(residual)
    total = np.bincount(points.group, weights=points.weights)
    return float(total @ means**2), float(points.weights @ (residual - means[points.group]) ** 2)


def aicc(points: LogPoints, law: str, squares: float) -> float:
    """Return the corrected information criterion of Hurvich and Tsai (Biometrika 76, 297 (1989)), sizes counted.

    Args:
        points: the runs.
        law: name of the law.
        squares: of the size means about it.
    """
    count, k = points.n_sizes, PARAMETERS[law] + 1
    if count <= k + 1:
        return float("nan")
    return count * float(np.log(max(squares, 1e-300) / count)) + 2 * k + 2 * k * (k + 1) / (count - k - 1)


def left_out_error(points: LogPoints, law: str) -> float:
    """Return the root mean square of ln(prediction / mean) over the sizes, each left out once; NaN with too few."""
    if points.n_sizes - 1 < max(PARAMETERS[law], MIN_SIZES):
        return float("nan")
    x, y = points.mean(points.x), points.mean(points.y)
    total = np.asarray(np.bincount(points.group, weights=points.weights), dtype=np.float64)
    means = LogPoints(x, y, np.arange(len(x), dtype=np.int64), points.sizes, total)
    error = [y[i] - line_through(means.without(i), law, x[i : i + 1])[0] for i in range(len(x))]
    return float(np.sqrt(np.mean(np.square(error))))


def p_of_line(points: LogPoints, law: str, straight: float, curved: float, within: float) -> float:
    """Return the p value of the power law against a law that contains it (F test); NaN without a second seed.

    The noise is the largest of: scatter of the seeds, noise of the test materials about a line, scatter of the size
    means about the curved law. The last keeps a law from being chosen for sizes that no smooth law describes.

    Args:
        points: the runs.
        law: name of the curved law.
        straight: squares of the size means about the power law.
        curved: the same about the curved law.
        within: squares of the seeds about these means.
    """
    df = len(points.x) - points.n_sizes
    if law == PowerLaw.name or df == 0:
        return float("nan")
    more = PARAMETERS[law] - PARAMETERS[PowerLaw.name]
    noise = max(within / df, curved / (points.n_sizes - PARAMETERS[law]))
    if points.test is not None:
        tangent = np.stack([np.ones_like(points.x), points.x], axis=1)
        noise = max(noise, scatter(points, np.zeros_like(points.x), tangent).test)
    if noise <= 0:
        return 0.0 if straight > curved else 1.0
    return float(special.fdtrc(more, df, max(straight - curved, 0.0) / more / noise))


def score(points: LogPoints) -> list[Score]:
    """Score all laws; one that the points cannot support has its reason."""
    nan, straight = float("nan"), float("nan")
    scores = []
    for law in LAWS:
        needed = MIN_SIZES if law == PowerLaw.name else FORMS[law].min_sizes()
        try:
            refuse_below(points, needed, f"{law} law")
        except LawRefused as refusal:
            scores.append(Score(law, nan, nan, nan, str(refusal)))
            continue
        squares, within = sum_of_squares(points, law)
        straight = squares if law == PowerLaw.name else straight
        value, p = aicc(points, law, squares), p_of_line(points, law, straight, squares, within)
        why = "" if np.isfinite(value) else f"AICc of {PARAMETERS[law]} parameters needs {PARAMETERS[law] + 3} sizes"
        scores.append(Score(law, value, left_out_error(points, law), p, why))
    return scores


def choose(scores: Sequence[Score]) -> str:
    """Return the law that the points support: the plain power law unless a curved one is clearly better.

    A curved law is chosen when there are sizes enough for its AICc, seed scatter would improve on the power law as much
    with a probability below `EVIDENCE` (with one seed: its AICc is lower by `AICC_MARGIN`), and it predicts left-out
    sizes better. Of several the one that predicts these best, where every parameter more has to pay for itself
    (`PRICE`).
    """
    plain = next(s for s in scores if s.law == PowerLaw.name)
    good = [s for s in scores if s.law != PowerLaw.name and _supported(s, plain)]
    if not good:
        return PowerLaw.name
    return min(good, key=lambda s: s.left_out * PRICE ** PARAMETERS[s.law]).law


def _supported(candidate: Score, plain: Score) -> bool:
    if not (candidate.left_out < plain.left_out and np.isfinite(candidate.aicc)):
        return False
    if np.isfinite(candidate.p_line):
        return candidate.p_line < EVIDENCE
    return candidate.aicc < plain.aicc - AICC_MARGIN
