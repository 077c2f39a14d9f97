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


def prior_error(Z: ArrayLike, shift: ArrayLike) -> Floats:
    """Return the error of `smooth_shift` at Z = 1..94, (94,) eV/atom, of which 1.96 hold 95 %; nan without freedom.

    Within the range of Z it is that of a prediction by the polynomial, s√(1 + h(Z)), with the t quantile. Outside,
    `beyond` is added in squares.
    """
    Z, shift = np.asarray(Z, dtype=np.float64), np.asarray(shift, dtype=np.float64)
    degree = degree_for(len(Z))
    freedom = len(Z) - degree - 1
    if freedom < 1:
        return np.full(N_ELEMENTS, np.nan)
    from scipy.special import ndtri, stdtrit  # runs begin with references, and ask for no errors of them

    Q, R = np.linalg.qr(powers(Z, degree))
    scatter = np.sqrt(((shift - Q @ (Q.T @ shift)) ** 2).sum() / freedom)
    leverage = (np.linalg.solve(R.T, powers(np.arange(1, N_ELEMENTS + 1), degree).T) ** 2).sum(axis=0)
    inside = scatter * np.sqrt(1 + leverage) * stdtrit(freedom, 0.975) / ndtri(0.975)
    return np.asarray(np.hypot(inside, beyond(Z, shift)))


def beyond(Z: ArrayLike, shift: ArrayLike) -> Floats:
    """Return by how much a smooth shift may be off outside the range of Z seen, (94,) eV/atom, 0 within.

    Two terms, added in squares: the distance in Z times the rate at which the shift changes over the elements seen
    (the slope of a straight line and the half-width of its 95 % interval), and what a polynomial of one degree more
    says otherwise. 0 for fewer than two elements.
    """
    Z, shift = np.asarray(Z, dtype=np.float64), np.asarray(shift, dtype=np.float64)
    every = np.arange(1, N_ELEMENTS + 1)
    if len(Z) < 2:
        return np.zeros(N_ELEMENTS)
    from scipy.special import stdtrit

    outside = np.maximum(0, np.maximum(Z.min() - every, every - Z.max()))
    apart = Z - Z.mean()
    slope = apart @ shift / (apart @ apart)
    freedom = max(len(Z) - 2, 1)
    scatter = np.sqrt(((shift - shift.mean() - slope * apart) ** 2).sum() / freedom)
    rate = abs(slope) + stdtrit(freedom, 0.975) * scatter / np.sqrt(apart @ apart)
    curves = []
    for degree in (degree_for(len(Z)), min(degree_for(len(Z)) + 1, len(Z) - 1)):
        coefficients, *_ = np.linalg.lstsq(powers(Z, degree), shift, rcond=None)
        curves.append(powers(every, degree) @ coefficients)
    return np.asarray(np.where(outside > 0, np.hypot(rate * outside, curves[1] - curves[0]), 0.0))
