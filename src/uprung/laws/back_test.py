"""A back-test: the largest size of a curve predicted from the others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from uprung.laws.crossing import Law
from uprung.laws.fitted import widened
from uprung.laws.materials import noise_of
from uprung.laws.points import FloatArray, LogPoints, Materials
from uprung.laws.selection import choose, fit_law, score


@dataclass(frozen=True)
class BackTest:
    """What the law through the other sizes predicts for the mean ln MAE of the runs of the largest size.

    `predicted`, `low`, `high` and `measured` are errors; the interval has the confidence of the law.
    """

    law: str
    n: float
    predicted: float
    low: float
    high: float
    measured: float

    @property
    def hit(self) -> bool:
        """Whether the prediction interval holds what was measured."""
        return self.low <= self.measured <= self.high


def back_test(points: LogPoints) -> BackTest:
    """Predict the largest size from the others, by the law that these support.

    The interval holds the scatter of the law and of the runs of the largest size; what all runs share through the test
    materials cancels.

    Raises:
        LawRefused: too few sizes are left.
    """
    largest = int(np.argmax(points.mean(points.x)))
    out = np.asarray(points.group == largest)
    rest = points.without(largest)
    scores = score(rest)
    law = fit_law(rest, choose(scores))
    x = np.array([points.x[out].mean()])
    y = float(points.y[out].mean())
    value, low, high = law.band(x)
    low, high = _with_shared_noise(points, law, out, (value, low, high), x)
    own = law.own_half(int(out.sum()))
    ends = (value - np.hypot(value - low, own), value + np.hypot(high - value, own))
    predicted, bottom, top = (float(np.exp(v[0])) for v in (value, *ends))
    return BackTest(law.name, float(np.exp(x[0])), predicted, bottom, top, float(np.exp(y)))


def _with_shared_noise(
    points: LogPoints,
    law: Law,
    out: npt.NDArray[np.bool_],
    band: tuple[FloatArray, FloatArray, FloatArray],
    x: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """Return the ends of a band with the noise of the test materials in prediction minus measurement."""
    if points.test is None:
        return band[1], band[2]
    count = int(out.sum())
    last = LogPoints(points.x[out], points.y[out], np.zeros(count, dtype=np.int64), ("",), np.ones(count))
    materials = Materials(
        np.concatenate([points.test.errors[:, ~out], points.test.errors[:, out]], axis=1),
        points.test.labels,
        points.test.resamples,
    )
    noise = noise_of(
        [law.known_points(), last], [law.solve(), np.full((1, count), 1 / count)], [law.shown, law.shown], materials
    )
    ways = np.concatenate([law.directions(x), [[-1.0]]], axis=1)
    _, low, high = widened(band, noise, ways, law.confidence)
    return low, high
