"""Flat arrays of many crystals; that stores are written and opened is seen in the tests of each architecture."""

from __future__ import annotations

import numpy as np

from uprung.models.ragged import ranges


def test_ranges_are_concatenated() -> None:
    start, length = np.array([5, 2, 9, 0]), np.array([2, 0, 3, 1])
    assert ranges(start, length).tolist() == [5, 6, 9, 10, 11, 0]
    assert len(ranges(start[:0], length[:0])) == 0
