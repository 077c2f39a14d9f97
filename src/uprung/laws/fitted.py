"""What every fitted law predicts: the error at a size with its intervals, and the error of one more run."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property

import numpy as np

from uprung.laws.materials import TestNoise, noise_of
from uprung.laws.points import CONFIDENCE, FloatArray, LogPoints, student_t

Band = tuple[FloatArray, FloatArray, FloatArray]


class FittedLaw(ABC):
    """A law with the runs behind it; `confidence` is that of all its intervals."""

    points: LogPoints | None
    confidence: float = CONFIDENCE

    @abstractmethod
    def band(self, x: FloatArray) -> Band:
        """Return ln MAE at x = ln N (n,) and its band from the scatter alone."""

    @abstractmethod
    def directions(self, x: FloatArray) -> FloatArray:
        """Return the derivatives of ln MAE at x (n,) by the parameters, (n, parameters)."""

    @abstractmethod
    def solve(self) -> FloatArray:
        """Return (parameters, runs), which takes small changes of ln MAE of the runs to those of the parameters."""

    @property
    @abstractmethod
    def shown(self) -> float:
        """Variance of one run that the test materials put into the scatter about the law."""

    @cached_property
    def noise(self) -> TestNoise | None:
        """Noise of the test materials in the parameters, None where it is unknown."""
        points = self.points
        if points is None or points.test is None:
            return None
        return noise_of([points], [self.solve()], [self.shown], points.test)

    def predict(self, n: float | Sequence[float] | FloatArray) -> Band:
        """Return the fitted MAE at training sizes `n` and its pointwise confidence band."""
        at = np.asarray(n, dtype=np.float64)
        x = np.log(at.reshape(-1))
        return _exponentials(widened(self.band(x), self.noise, self.directions(x), self.confidence), at.shape)

    def predict_run(self, n: float | Sequence[float] | FloatArray, *, runs: int = 1) -> Band:
        """Return the fitted MAE and the interval that holds the geometric mean of `runs` new ones on the same test.

        The variance of one run is that of all runs about the law; the noise of the test materials is shared.
        """
        at = np.asarray(n, dtype=np.float64)
        value, low, high = self.band(np.log(at.reshape(-1)))
        own = self.own_half(runs)
        return _exponentials((value, value - np.hypot(value - low, own), value + np.hypot(high - value, own)), at.shape)

    def own_half(self, runs: int = 1) -> float:
        """Return the half-width that the scatter of new runs has of its own."""
        points = self.known_points()
        df = len(points.x) - len(self.solve())
        residual = points.y - self.band(points.x)[0]
        variance = float(points.weights @ residual**2) / df
        return student_t(self.confidence, df) * float(np.sqrt(variance / runs))

    def known_points(self) -> LogPoints:
        """Return the runs; raise ValueError for a law that was made from its numbers."""
        if self.points is None:
            raise ValueError("this law was made from its numbers: the runs behind it are unknown")
        return self.points


def widened(band: Band, noise: TestNoise | None, directions: FloatArray, confidence: float) -> Band:
    """Return a band with the noise of the test materials added, without assuming symmetry.

    Both sources are combined after Zou & Donner, Stat. Med. 27, 1693 (2008).
    """
    if noise is None:
        return band
    value, low, high = band
    below, above = noise.ends(directions, confidence)
    with np.errstate(invalid="ignore"):
        return value, value - np.hypot(value - low, below), value + np.hypot(high - value, above)


def _exponentials(band: Band, shape: tuple[int, ...]) -> Band:
    with np.errstate(over="ignore"):
        value, low, high = (np.exp(each).reshape(shape) for each in band)
    return value, low, high
