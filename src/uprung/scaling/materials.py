"""Errors of every run on the test materials that all runs share.

A *materials* table has one row per run, target and population: their names and two lists with one entry per
test material (group of the split): `errors`, its summed absolute error, and `labels`, how many labels are behind it.
Position k of every list belongs to the same material, so that laws can draw materials for all runs together.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from uprung.laws.points import Materials

RUN_KEYS = ["budget", "arm", "size", "seed", "target", "population"]


class MaterialErrors:
    """Look-up in a materials table."""

    def __init__(self, table: pd.DataFrame, *, resamples: int = 1000) -> None:
        """Take a table with the columns of `RUN_KEYS`, errors and labels.

        Args:
            table: one row per run and target.
            resamples: of the bootstrap over the materials.
        """
        self.resamples = resamples
        keys = zip(*(table[k].astype(str) for k in RUN_KEYS), strict=True)
        columns = (table[c].map(lambda v: np.asarray(v, dtype=np.float64)) for c in ("errors", "labels"))
        self._rows = dict(zip(keys, zip(*columns, strict=True), strict=True))

    def of(self, runs: pd.DataFrame) -> Materials | None:
        """Return the errors of some rows of a curves table, None unless all of them are known."""
        keys = list(zip(*(runs[k].astype(str) for k in RUN_KEYS), strict=True))
        if not keys or any(key not in self._rows for key in keys):
            return None
        errors = np.stack([self._rows[key][0] for key in keys], axis=1)
        return Materials.of(errors, self._rows[keys[0]][1], resamples=self.resamples)
