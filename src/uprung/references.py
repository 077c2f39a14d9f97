"""The reference energies of a run: which energies are fitted, on which frames, and what fills the gaps."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from uprung.atomref import LeastSquares, Reference, complete

Floats = NDArray[np.float64]


def fit_reference(
    labels: Literal["target", "source", "residual"],
    *,
    X: Floats,
    y: Floats,
    groups: NDArray[np.str_],
    source: tuple[Floats, Floats, NDArray[np.str_]],
    residual: tuple[Floats, Floats] | None = None,
    policy: Literal["prior", "error"] = "prior",
    needed: NDArray[np.bool_],
) -> Reference:
    """Fit one set of elemental reference energies.

    Args:
        labels: `target` regresses the target energies on composition (Huang et al., npj Comput. Mater. 11, 313
            (2025), M4); `source` the low-fidelity energies; `residual` what the pretrained network leaves
            unexplained, so that the network and its references are right together.
        X: composition fractions of the target frames fitted, (n, 94).
        y: their energies, (n,) eV/atom.
        groups: their materials, (n,), for standard errors.
        source: the same three for the low-fidelity training frames.
        residual: prediction of the pretrained network without its references, (n,) eV/atom, and those references,
            (94,) eV/atom; only for `residual`.
        policy: what happens to needed elements without training structures.
        needed: elements that occur in the study, (94,).

    Raises:
        ValueError: `residual` without a prediction, or an element that neither fit nor prior can give.
    """
    if labels == "residual":
        if residual is None:
            raise ValueError("a residual reference needs the prediction of the pretrained network")
        network, checkpoint = residual
        fit = LeastSquares().fit(X, y - network, groups)
        return complete(fit, policy=policy, source=checkpoint, needed=needed)
    low = LeastSquares().fit(*source)
    low_values = np.where(low.determined_, low.coef_, np.nan)
    if labels == "source":
        return complete(low, policy="error", source=None, needed=needed)
    return complete(LeastSquares().fit(X, y, groups), policy=policy, source=low_values, needed=needed)
