"""Flat per-atom values of many structures, and where each structure starts among them."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from uprung.frames.schema import Floats


def composition_fractions(Z: ArrayLike, offsets: ArrayLike) -> Floats:
    """Return composition fractions (n, 94), column Z − 1, of flat atomic numbers Z (N,).

    Raises:
        ValueError: a structure without sites, or an atomic number outside 1..94.
    """
    Z, offsets = np.asarray(Z, dtype=np.int64), check_offsets(offsets, len(np.asarray(Z)))
    if len(Z) and (Z.min() < 1 or Z.max() > 94):
        raise ValueError(f"atomic numbers from {Z.min()} to {Z.max()}; allowed are 1 to 94")
    n = len(offsets) - 1
    sites = np.diff(offsets)
    counts = np.bincount(owner_of(offsets) * 94 + Z - 1, minlength=n * 94)
    return np.asarray(counts.reshape(n, 94) / sites[:, None])


def check_offsets(offsets: ArrayLike, n_sites: int) -> NDArray[np.int64]:
    """Return where each structure starts among flat per-site values, (n + 1,).

    Raises:
        ValueError: they do not rise from 0 to the number of sites.
    """
    array = np.asarray(offsets, dtype=np.int64)
    if array.ndim != 1 or len(array) < 1 or array[0] != 0 or array[-1] != n_sites or (np.diff(array) < 1).any():
        raise ValueError(
            f"offsets must rise from 0 to the number of sites ({n_sites}), with at least one site per structure"
        )
    return array


def owner_of(offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the structure index (N,) of every site."""
    return np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
