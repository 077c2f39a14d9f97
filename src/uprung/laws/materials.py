"""How the choice of test materials affects fitted quantities: a bootstrap-t over the materials.

A mean over few materials with long-tailed errors is too low and seems too certain at the same time, so that normal
intervals, and percentile ones, end too early above. Quantiles of the studentised error (Efron & Tibshirani, An
Introduction to the Bootstrap, ch. 12) correct both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from scipy import linalg, stats

from uprung.laws.points import CONFIDENCE, FloatArray, LogPoints, Materials

CHUNK = 50  # resamples that are held in memory together


@lru_cache(maxsize=4)
def resample_weights(materials: int, resamples: int) -> FloatArray:
    """Return how often every resample draws every material, over the number of materials, (resamples, materials)."""
    draws = np.random.default_rng(0).multinomial(materials, np.full(materials, 1 / materials), size=resamples)
    return np.asarray(draws / materials)


@dataclass(frozen=True)
class TestNoise:
    """Noise of linear combinations of ln MAE of runs, beyond what the scatter about the laws shows already.

    `solve` (parameters, runs) takes ln MAE to the parameters of one law, or of two side by side; `excess` is the
    covariance of these from the test materials, less the part that the scatter shows.
    """

    __test__ = False  # no test class, whatever pytest thinks of the name

    materials: Materials
    solve: FloatArray
    excess: FloatArray

    def variance(self, directions: FloatArray) -> FloatArray:
        """Return the variance of some combinations (n, parameters) of the parameters, (n,)."""
        return np.asarray(np.maximum(np.einsum("np,pq,nq->n", directions, self.excess, directions), 0.0))

    def ends(self, directions: FloatArray, confidence: float = CONFIDENCE) -> tuple[FloatArray, FloatArray]:
        """Return how far the interval of some combinations (n, parameters) reaches below and above, (n,) each."""
        known = np.asarray(np.isfinite(directions)).all(axis=1)  # a floor of 0 has no derivative of its logarithm
        directions = np.where(np.asarray(known)[:, None], directions, 0.0)
        studentised = self._studentised(directions)
        low, high = np.quantile(studentised, [0.5 - CONFIDENCE / 2, 0.5 + CONFIDENCE / 2], axis=0)
        root = np.sqrt(self.variance(directions)) * _stretch(confidence)
        return root * np.maximum(high, 0.0), root * np.maximum(-low, 0.0)

    def widening(self, directions: FloatArray) -> float:
        """Return the largest symmetric quantile of some combinations, over that of a normal distribution."""
        found = np.quantile(np.abs(self._studentised(directions)), CONFIDENCE, axis=0)
        return float(np.max(found)) / float(stats.norm.ppf(0.5 + CONFIDENCE / 2))

    def _studentised(self, directions: FloatArray) -> FloatArray:
        """Return the errors of the resamples over their own standard errors, (resamples, n)."""
        moved, covariance = self._draws
        own = np.einsum("np,bpq,nq->bn", directions, covariance, directions, optimize=True)
        return np.asarray(moved @ directions.T / np.sqrt(np.maximum(own, 1e-300)))

    @cached_property
    def _draws(self) -> tuple[FloatArray, FloatArray]:
        """Return by how much every resample moves the parameters, and their covariance by its own materials."""
        errors, labels = self.materials.errors, self.materials.labels
        weights = resample_weights(len(errors), self.materials.resamples)
        means, counts = np.maximum(weights @ errors, 1e-300), weights @ labels
        moved = (np.log(means) - np.log(counts)[:, None]) @ self.solve.T
        starts = range(0, len(weights), CHUNK)
        parts = [_covariance(self.solve, self.materials, weights[i : i + CHUNK]) for i in starts]
        return moved, np.concatenate(parts)


def _covariance(solve: FloatArray, materials: Materials, weights: FloatArray) -> FloatArray:
    """Return the delta-method covariance of the parameters for some resamples, (resamples, parameters, parameters)."""
    errors, labels = materials.errors, materials.labels
    means, counts = np.maximum(weights @ errors, 1e-300), weights @ labels
    pulls = solve[None] / means[:, None, :]
    moved = np.einsum("bpr,mr->bmp", pulls, errors, optimize=True)
    moved -= (labels / counts[:, None])[:, :, None] * solve.sum(axis=1)
    return np.asarray(np.einsum("bmp,bmq->bpq", moved * weights[:, :, None], moved, optimize=True) / len(errors))


def _stretch(confidence: float) -> float:
    """Return the length of a normal interval over that of its 95 % one; a bootstrap's far tails are too noisy."""
    return float(stats.norm.ppf(0.5 + confidence / 2) / stats.norm.ppf(0.5 + CONFIDENCE / 2))


def noise_of(
    curves: Sequence[LogPoints], solves: Sequence[FloatArray], shown: Sequence[float], materials: Materials
) -> TestNoise:
    """Return the test noise of the laws through one curve, or two that share their test materials.

    Args:
        curves: the runs.
        solves: (parameters, runs) of each law.
        shown: the variance of one run that the test materials put into the scatter about each law.
        materials: errors of all runs of the curves, one after the other.
    """
    solve = np.asarray(linalg.block_diag(*solves))
    seen = linalg.block_diag(
        *((each / points.weights) @ each.T * part for points, each, part in zip(curves, solves, shown, strict=True))
    )
    return TestNoise(materials, solve, positive_part(solve @ materials.covariance @ solve.T - seen))


def positive_part(matrix: FloatArray) -> FloatArray:
    """Return the nearest covariance matrix: negative eigenvalues, which are noise of the estimate, become 0."""
    values, vectors = np.linalg.eigh(0.5 * (matrix + matrix.T))
    return np.asarray(vectors * np.maximum(values, 0.0) @ vectors.T)
