"""References taken from energies of the elements themselves: elemental solids, or isolated atoms."""

from __future__ import annotations

from typing import Literal, Self

import numpy as np
from numpy.typing import ArrayLike

from uprung.atomref.base import (
    N_ELEMENTS,
    Bools,
    CompositionModel,
    Floats,
    check_composition,
    check_elements,
    check_values,
)

ElementKind = Literal["elemental-solid", "isolated-atom"]


class ElementEnergies(CompositionModel):
    """Tabulated energies of the elements; labels count structures, but change no value.

    A table has no sampling error, so standard errors are nan, and leverages are 0.

    Attributes:
        values: (94,) eV/atom, nan where there is none, on the label scale of the energies to be predicted (see
            `require_same_scale`).
        kind: `elemental-solid` or `isolated-atom`, for the name.
    """

    origin = "elements"

    def __init__(self, values: ArrayLike, kind: ElementKind) -> None:
        """Take the energies and what they are of."""
        self.values = values
        self.kind = kind

    @property
    def name(self) -> str:
        """Short name of the estimator, as written into tables and study files."""
        return self.kind

    def fit(
        self, X: ArrayLike, y: ArrayLike, groups: ArrayLike | None = None, together: ArrayLike | None = None
    ) -> Self:
        """Take the values over; X, y and groups are checked and counted as `CompositionModel` says."""
        values = check_elements(self.values, f"{self.kind} energies")
        X, y, *_ = self._begin(X, y, groups)
        self.coef_ = values.copy()
        self.seen_ = self.determined_ = np.isfinite(values)
        self.stderr_ = np.full(N_ELEMENTS, np.nan)
        self.null_space_, self.leverage_ = np.zeros((N_ELEMENTS, 0)), np.zeros(len(X))
        return self


def element_energies(X: ArrayLike, y: ArrayLike, isolated: ArrayLike, kind: ElementKind) -> Floats:
    """Return the energy of every element (94,), eV/atom, nan where there is none, from structures of one element.

    The lowest energy counts where there are several. `elemental-solid` takes structures with neighbours,
    `isolated-atom` those without.

    Args:
        X: composition fractions, (n, 94); structures of several elements are passed over.
        y: energies, (n,) eV/atom.
        isolated: whether an atom of the structure has no neighbour, (n,).
        kind: what is asked for.

    Raises:
        ValueError: no structure of this kind.
    """
    X = check_composition(X)
    y = check_values(y, len(X))
    alone: Bools = np.asarray(isolated, dtype=bool)
    wanted = ((X > 0).sum(axis=1) == 1) & (alone == (kind == "isolated-atom"))
    if not wanted.any():
        raise ValueError(
            f"{kind}: none of {len(X)} structures is {'an isolated atom' if kind == 'isolated-atom' else 'a solid'} of "
            "one element; name a fidelity that holds them (source format `elements` or `atoms`)"
        )
    energies = np.full(N_ELEMENTS, np.inf)
    np.minimum.at(energies, X[wanted].argmax(axis=1), y[wanted])
    return np.where(np.isfinite(energies), energies, np.nan)


def require_same_scale(given: tuple[str, str], wanted: tuple[str, str]) -> None:
    """Refuse energies of elements that are on another label scale than the labels they are to predict.

    Args:
        given: name and label scale of the fidelity of the elements.
        wanted: name and label scale of the fidelity of the labels.

    Raises:
        ValueError: the scales differ.
    """
    if given[1] != wanted[1]:
        raise ValueError(
            f"energies of elements: fidelity {given[0]!r} is on the label scale {given[1]!r}, but {wanted[0]!r} on "
            f"{wanted[1]!r}; references have to be energies of the same code, potentials, functional and corrections"
        )
