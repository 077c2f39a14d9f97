"""Priors of elements without data: a known reference plus a shift that is smooth in Z."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from uprung.atomref.base import N_ELEMENTS, Floats


def degree_for(n_elements: int) -> int:
    """Return the degree of the shift for a number of elements: 0 below 4, 1 below 8, 2 below 12, then 3.

    A cubic follows the published r²SCAN − GGA shift to 1.6 eV root-mean-square over a range of 73 eV.
    """
    return min(3, n_elements // 4)


def powers(Z: ArrayLike, degree: int) -> Floats:
    """Return the powers of Z, highest first, with 1..94 scaled to [−1, 1] for a good condition, (n, degree + 1)."""
    scaled = 2 * (np.asarray(Z, dtype=np.float64) - 1) / (N_ELEMENTS - 1) - 1
    return np.vander(scaled, degree + 1)


def smooth_shift(Z: ArrayLike, shift: ArrayLike) -> tuple[Floats, float]:
    """Fit a polynomial in Z to a shift of references and return it at Z = 1..94 with its error.

    The degree is that of `degree_for`. The error is the leave-one-out root-mean-square error, eV/atom; nan for a
    single element.
    """
    Z, shift = np.asarray(Z, dtype=np.float64), np.asarray(shift, dtype=np.float64)
    degree = degree_for(len(Z))
    basis = powers(Z, degree)
    coefficients, *_ = np.linalg.lstsq(basis, shift, rcond=None)
    curve = powers(np.arange(1, N_ELEMENTS + 1), degree) @ coefficients
    if len(Z) < 2:
        return curve, np.nan
    Q, _ = np.linalg.qr(basis)
    left_out = (shift - basis @ coefficients) / (1 - (Q**2).sum(axis=1))
    return curve, float(np.sqrt((left_out**2).mean()))
