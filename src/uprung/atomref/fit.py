"""The reference fits of a study: which estimator, on which labels, and what it leans on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from uprung.atomref import (
    CompositionModel,
    ElementEnergies,
    Huber,
    LeastSquares,
    PriorRidge,
    Ridge,
    bootstrap_stderr,
    element_energies,
    require_same_scale,
)
from uprung.atomref.base import Bools, Floats
from uprung.atomref.elements import ElementKind
from uprung.atomref.references import Policy, ReferenceEnergies, complete
from uprung.datasets.splits import isolated
from uprung.frames.table import Frames

FittedTo = Literal["target", "source", "residual"]
EstimatorName = Literal["least-squares", "ridge", "huber", "prior-ridge", "elemental-solid", "isolated-atom"]


@dataclass(frozen=True, eq=False)
class Estimator:
    """An estimator with its options.

    name; strength of a ridge, None to choose it; threshold of Huber's estimator, in scales; elements (94,) eV/atom,
    energies of solids or atoms; resamples of the bootstrap behind the standard errors, 0 for analytic ones; its seed.
    """

    name: EstimatorName = "least-squares"
    strength: float | None = None
    threshold: float = 1.345
    elements: Floats | None = None
    resamples: int = 0
    seed: int = 0

    def build(self, source: Floats | None) -> CompositionModel:
        """Return the estimator, unfitted; source (94,) eV/atom is what `prior-ridge` leans on.

        Raises ValueError for an unknown name, or without what the estimator needs.
        """
        if self.name == "least-squares":
            return LeastSquares()
        if self.name == "ridge":
            return Ridge(self.strength)
        if self.name == "huber":
            return Huber(self.threshold)
        if self.name == "prior-ridge":
            if source is None:
                raise ValueError("prior-ridge: leans on source references, which a fit to the source energies has not")
            return PriorRidge(source, self.strength)
        if self.name in ("elemental-solid", "isolated-atom"):
            if self.elements is None:
                raise ValueError(f"{self.name}: no energies of elements were given")
            return ElementEnergies(self.elements, self.name)
        raise ValueError(f"no estimator {self.name!r} (allowed: {', '.join(get_args(EstimatorName))})")


def energies_of_elements(
    frames: Frames, kind: ElementKind, *, label: str, fidelity: str, wanted: tuple[str, str], cutoff: float = 6.0
) -> Floats:
    """Return the energy of every elemental solid or isolated atom in a table, (94,) eV/atom, nan where there is none.

    Args:
        frames: the table; frames without the label are passed over.
        kind: `elemental-solid` or `isolated-atom`.
        label: energy label, as in `Frames.label`.
        fidelity: name of the table, for messages.
        wanted: name and label scale of the fidelity whose labels the energies are to predict.
        cutoff: an atom without neighbour within this distance is isolated, Å.

    Raises:
        ValueError: another label scale, or no such structure.
    """
    require_same_scale((fidelity, str(frames.manifest["label_scale"])), wanted)
    labelled = np.flatnonzero(np.isfinite(frames.label(label)))
    frames = frames.take(labelled)
    return element_energies(frames.composition(), frames.label(label) / frames.nsites, isolated(frames, cutoff), kind)


@dataclass(frozen=True, eq=False)
class Labelled:
    """Structures and the energies that a reference is fitted to.

    X (n, 94) composition fractions; y (n,) eV/atom; groups (n,), materials, for standard errors; together (n,), what
    the study's split keeps together and a choice of strength leaves out at once, None for every structure by itself.
    """

    X: Floats
    y: Floats
    groups: NDArray[np.str_]
    together: NDArray[np.str_] | None = None

    def fit(self, estimator: Estimator, source: Floats | None) -> CompositionModel:
        """Return the fitted estimator, with the standard errors that its options ask for."""
        model = estimator.build(source).fit(self.X, self.y, self.groups, self.together)
        if estimator.resamples:
            spread = bootstrap_stderr(
                model,
                self.X,
                self.y,
                self.groups,
                self.together,
                resamples=estimator.resamples,
                seed=estimator.seed,
            )
            model.stderr_ = np.where(model.determined_, spread, np.nan)
        return model


def fit_reference(
    labels: FittedTo,
    *,
    target: Labelled,
    source: Labelled,
    needed: Bools,
    residual: tuple[Floats, Floats] | None = None,
    policy: Policy = "prior",
    estimator: Estimator | None = None,
) -> tuple[ReferenceEnergies, CompositionModel]:
    """Fit one set of elemental reference energies; return it with the fitted estimator.

    Args:
        labels: `target` regresses the target energies on composition (Huang et al., npj Comput. Mater. 11, 313
            (2025), M4); `source` the low-fidelity energies; `residual` what the pretrained network leaves
            unexplained, so that the network and its references are right together.
        target: the target frames fitted.
        source: the low-fidelity training frames. Their least-squares references are the source of priors.
        needed: elements that occur in the study, (94,).
        residual: prediction of the pretrained network without its references, (n,) eV/atom, and those references,
            (94,) eV/atom, which are the source of priors then; only for `residual`.
        policy: what happens to needed elements without training structures.
        estimator: least squares when None.

    Raises:
        ValueError: `residual` without a prediction, an element that neither fit nor prior can give, or an estimator
            that lacks something.
    """
    estimator = estimator or Estimator()
    if labels == "residual":
        if residual is None:
            raise ValueError("a residual reference needs the prediction of the pretrained network")
        network, checkpoint = residual
        rest = Labelled(target.X, target.y - network, target.groups, target.together)
        model = rest.fit(estimator, checkpoint)
        return complete(model, policy=policy, source=checkpoint, needed=needed), model
    if labels == "source":
        model = source.fit(estimator, None)
        return complete(model, policy="error", source=None, needed=needed), model
    low = source.fit(Estimator(), None)
    low_values = np.where(low.determined_, low.coef_, np.nan)
    model = target.fit(estimator, low_values)
    return complete(model, policy=policy, source=low_values, needed=needed), model
