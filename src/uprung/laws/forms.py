"""Laws with one or two nonlinear parameters: given these, ln MAE is linear in the others.

Each form is ln MAE = h₀(x; ψ) + h(x; ψ)·β with x = ln N, nonlinear ψ and linear β. `x1` and `x2` are the smallest and
the largest ln N of the points.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from uprung.laws.points import FloatArray, LogPoints

#: A quantity of a law: (G,) offset and (G, k) factors of the linear parameters, and whether its exponential is meant.
Quantity = tuple[FloatArray, FloatArray, bool]


@dataclass(frozen=True)
class Form(ABC):
    """A law's mathematics for points between x1 and x2."""

    name: ClassVar[str]
    title: ClassVar[str]
    n_parameters: ClassVar[int]

    x1: float
    x2: float

    @classmethod
    def min_sizes(cls) -> int:
        """Distinct sizes without which the law is refused: one more than it has parameters."""
        return cls.n_parameters + 1

    @classmethod
    def of(cls, points: LogPoints) -> Form:
        """Return the form for the range of some points."""
        means = np.sort(points.mean(points.x))
        return cls(float(means[0]), float(means[-1]))

    @abstractmethod
    def bounds(self) -> list[tuple[float, float]]:
        """Return lower and upper bound of every nonlinear parameter."""

    @abstractmethod
    def shape(self, x: FloatArray, psi: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return h₀ (G, n) and h (G, n, k) at x (n,) for nonlinear parameters psi (G, d)."""

    @abstractmethod
    def quantities(self, psi: FloatArray) -> dict[str, Quantity]:
        """Return the parameters by name."""

    def open_ends(self) -> Sequence[tuple[int, str]]:
        """Return which nonlinear parameters may lie beyond a bound ('low', 'high') that is only the search's."""
        return ()


@dataclass(frozen=True)
class Saturating(Form):
    """C·N^-a + E∞, E∞ ≥ 0; β = ln of the error at the largest size.

    ψ = (share of E∞ in that error, ln of the ratio of the errors at the smallest and the largest size). The points fix
    the second whatever the first is, which a grid over (share, a) would have to follow along a bent valley.
    """

    name = "saturating"
    title = "C·N⁻ᵃ + E∞"
    n_parameters = 3

    most: float = 10.0  # largest ratio searched, as a logarithm

    @classmethod
    def of(cls, points: LogPoints) -> Form:
        """Return the form for the range of some points."""
        x, y = points.mean(points.x), points.mean(points.y)
        return cls(float(x.min()), float(x.max()), 0.5 + 1.5 * float(np.ptp(y)))

    def bounds(self) -> list[tuple[float, float]]:
        """Return the search box."""
        return [(0.0, 0.9999), (1e-3, self.most)]

    def _exponent(self, psi: FloatArray) -> FloatArray:
        share, fall = psi.T
        return np.asarray(np.log((np.exp(fall) - share) / (1 - share)) / (self.x2 - self.x1))

    def shape(self, x: FloatArray, psi: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return offset and factors; see `Form.shape`."""
        share, a = psi[:, :1], self._exponent(psi)[:, None]
        with np.errstate(over="ignore"):
            offset = np.log(share + (1 - share) * np.exp(-a * (x - self.x2)))
        return offset, np.ones((*offset.shape, 1))

    def quantities(self, psi: FloatArray) -> dict[str, Quantity]:
        """Return the parameters; see `Form.quantities`."""
        share, a = psi[:, 0], self._exponent(psi)
        one, zero = np.ones((len(psi), 1)), np.zeros((len(psi), 1))
        with np.errstate(divide="ignore"):
            return {
                "exponent": (a, zero, False),
                "prefactor": (np.log(1 - share) + a * self.x2, one, True),
                "floor": (np.log(share), one, True),
            }

    def open_ends(self) -> Sequence[tuple[int, str]]:
        """Return which bounds are open; see `Form.open_ends`."""
        return ((0, "high"),)


class Shifted(Form):
    """C·(N + N₀)^-a, N₀ ≥ 0: transfer as extra data; ψ = arsinh(N₀/N_smallest), β = (ln error at largest size, a)."""

    name = "shifted"
    title = "C·(N + N₀)⁻ᵃ"
    n_parameters = 3

    def bounds(self) -> list[tuple[float, float]]:
        """Return the search box."""
        return [(0.0, float(np.arcsinh(100 * np.exp(self.x2 - self.x1))))]

    def _log_sum(self, x: FloatArray | float, psi: FloatArray) -> FloatArray:
        return np.asarray(np.log(np.exp(np.asarray(x) - self.x1) + np.sinh(psi)) + self.x1)

    def shape(self, x: FloatArray, psi: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return offset and factors; see `Form.shape`."""
        fall = self._log_sum(self.x2, psi) - self._log_sum(x, psi)
        return np.zeros_like(fall), np.stack([np.ones_like(fall), fall], axis=-1)

    def quantities(self, psi: FloatArray) -> dict[str, Quantity]:
        """Return the parameters; see `Form.quantities`."""
        zero, one = np.zeros(len(psi)), np.ones(len(psi))
        with np.errstate(divide="ignore"):
            shift = np.log(np.sinh(psi[:, 0])) + self.x1
        return {
            "exponent": (zero, np.stack([zero, one], axis=1), False),
            "prefactor": (zero, np.stack([one, self._log_sum(self.x2, psi)[:, 0]], axis=1), True),
            "shift": (shift, np.zeros((len(psi), 2)), True),
        }

    def open_ends(self) -> Sequence[tuple[int, str]]:
        """Return which bounds are open; see `Form.open_ends`."""
        return ((0, "high"),)


@dataclass(frozen=True)
class Broken(Form):
    """Two power laws that meet at N_b, a size between the second and the last but one; ψ = ln N_b.

    β = (ln error at N_b, exponent below, exponent above).
    """

    name = "broken"
    title = "C·N⁻ᵇ, then ∝ N⁻ᵃ"
    n_parameters = 4

    first: float = 0.0
    last: float = 0.0

    @classmethod
    def of(cls, points: LogPoints) -> Form:
        """Return the form for the sizes of some points."""
        means = np.sort(points.mean(points.x))
        return cls(float(means[0]), float(means[-1]), float(means[1]), float(means[-2]))

    def bounds(self) -> list[tuple[float, float]]:
        """Return the search box."""
        return [(self.first, self.last)]

    def shape(self, x: FloatArray, psi: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return offset and factors; see `Form.shape`."""
        dx = x - psi
        one = np.ones_like(dx)
        return np.zeros_like(dx), np.stack([one, -np.minimum(dx, 0), -np.maximum(dx, 0)], axis=-1)

    def quantities(self, psi: FloatArray) -> dict[str, Quantity]:
        """Return the parameters; see `Form.quantities`."""
        zero, one, place = np.zeros(len(psi)), np.ones(len(psi)), psi[:, 0]
        return {
            "exponent": (zero, np.stack([zero, zero, one], axis=1), False),
            "prefactor": (zero, np.stack([one, place, zero], axis=1), True),
            "exponent_before": (zero, np.stack([zero, one, zero], axis=1), False),
            "break": (place, np.zeros((len(psi), 3)), True),
        }


FORMS: dict[str, type[Form]] = {form.name: form for form in Form.__subclasses__()}
