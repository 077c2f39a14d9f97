"""Test noise shared by runs: every run's error on the same bootstrap resamples of the test materials.

A *resamples* table has one row per run and target: budget, arm, size, seed, target and `ln_ratio`, the list of
ln(MAE of a resample / MAE). Position k of every list belongs to the same resample, so that covariances between sizes,
seeds and arms can be taken.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

FloatArray = npt.NDArray[np.float64]

RUN_KEYS = ["budget", "arm", "size", "seed", "target"]


class Resamples:
    """Look-up of covariances in a resamples table."""

    def __init__(self, table: pd.DataFrame) -> None:
        """Take a table with the columns of `RUN_KEYS` and ln_ratio."""
        keys = zip(*(table[k].astype(str) for k in RUN_KEYS), strict=True)
        self._rows = {key: np.asarray(v, dtype=np.float64) for key, v in zip(keys, table["ln_ratio"], strict=True)}

    def covariance(self, runs: pd.DataFrame) -> FloatArray | None:
        """Return the covariance of ln MAE of some rows of a curves table, None unless all of them are known."""
        keys = list(zip(*(runs[k].astype(str) for k in RUN_KEYS), strict=True))
        if not keys or any(key not in self._rows for key in keys):
            return None
        return np.atleast_2d(np.cov(np.stack([self._rows[key] for key in keys])))


def resample(sums: FloatArray, counts: FloatArray, *, resamples: int, seed: int) -> FloatArray:
    """Return ln(MAE of a resample / MAE) for resamples of whole groups of test frames.

    Args:
        sums: (groups,) summed absolute errors.
        counts: (groups,) numbers of labels behind them.
        resamples: how many.
        seed: the same seed and number of groups give the same resamples.
    """
    draws = np.random.default_rng(seed).multinomial(len(sums), np.full(len(sums), 1 / len(sums)), size=resamples)
    return np.asarray(np.log((draws @ sums) / (draws @ counts)) - np.log(sums.sum() / counts.sum()))
