"""Fits of reference energies as a study asks for them: estimator, labels, priors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

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
from uprung.atomref.base import Bools, Design, Floats, design_of
from uprung.atomref.elements import ElementKind
from uprung.atomref.references import Policy, ReferenceEnergies, common_shift, complete, complete_alone
from uprung.config.estimators import FittedTo
from uprung.datasets.placement import isolated
from uprung.frames.table import Frames


@dataclass(frozen=True, eq=False)
class Estimator:
    """An estimator with its options.

    Attributes:
        name: a key of `uprung.config.estimators.ESTIMATORS`.
        strength: of a ridge; None to choose it.
        threshold: of Huber's estimator, in scales of the residuals.
        elements: energies of solids or atoms, (94,) eV/atom.
        resamples: of the bootstrap behind the standard errors; 0 for analytic ones.
        seed: of the bootstrap.
    """

    name: str = "least-squares"
    strength: float | None = None
    threshold: float = 1.345
    elements: Floats | None = None
    resamples: int = 0
    seed: int = 0

    def build(self, source: Floats | None) -> CompositionModel:
        """Return the estimator, unfitted.

        Args:
            source: source references, (94,) eV/atom, which `prior-ridge` leans on.

        Raises:
            ValueError: an unknown name, or the estimator lacks something.
        """
        if self.name not in BUILDERS:
            raise ValueError(f"no estimator {self.name!r} (allowed: {', '.join(BUILDERS)})")
        return BUILDERS[self.name](self, source)


def _prior_ridge(options: Estimator, source: Floats | None) -> CompositionModel:
    if source is None:
        raise ValueError("prior-ridge: leans on source references, which a fit to the source energies has not")
    return PriorRidge(source, options.strength)


def _of_elements(options: Estimator, kind: ElementKind) -> CompositionModel:
    if options.elements is None:
        raise ValueError(f"{kind}: no energies of elements were given")
    return ElementEnergies(options.elements, kind)


#: How the estimators of `uprung.config.estimators.ESTIMATORS` are built from options and source references.
BUILDERS: dict[str, Callable[[Estimator, Floats | None], CompositionModel]] = {
    "least-squares": lambda options, source: LeastSquares(),
    "ridge": lambda options, source: Ridge(options.strength),
    "huber": lambda options, source: Huber(options.threshold),
    "prior-ridge": _prior_ridge,
    "elemental-solid": lambda options, source: _of_elements(options, "elemental-solid"),
    "isolated-atom": lambda options, source: _of_elements(options, "isolated-atom"),
}


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

    Attributes:
        X: composition fractions, (n, 94).
        y: energies, (n,) eV/atom.
        groups: materials, (n,), by which standard errors are clustered.
        together: what the study's split keeps together and a choice of strength leaves out at once, (n,); None for
            every structure by itself.
    """

    X: Floats
    y: Floats
    groups: NDArray[np.str_]
    together: NDArray[np.str_] | None = None

    @classmethod
    def of(cls, frames: Frames, label: str, rows: NDArray[np.int64] | None = None) -> Labelled:
        """Return the frames of a table that have an energy, each material together.

        Args:
            frames: the table.
            label: energy label (see `Frames.label`).
            rows: those that are meant; None for all.
        """
        energy = frames.label(label)
        rows = np.arange(len(frames)) if rows is None else rows
        rows = rows[np.isfinite(energy[rows])]
        materials = np.array(frames.strings("material_id"), dtype=str)[rows]
        return cls(frames.composition()[rows], (energy / frames.nsites)[rows], materials, materials)

    def fit(self, estimator: Estimator, source: Floats | None) -> CompositionModel:
        """Return the fitted estimator, with the standard errors that its options ask for."""
        model = estimator.build(source).fit(self.X, self.y, self.groups, self.together)
        if estimator.resamples and len(set(self.groups)) > 1:
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
        return complete_alone(model, needed=needed), model
    low = source.fit(Estimator(), None)
    expected = _expected(low, design_of(target.X))
    model = target.fit(estimator, expected)
    reference = complete(model, policy=policy, source=expected, needed=needed)
    guessed = np.isin(reference.origin, ["prior", "source"]) & ~low.determined_
    return replace(reference, stderr=np.where(guessed, np.nan, reference.stderr)), model


def _expected(low: CompositionModel, target: Design) -> Floats:
    """Return the source references that a fit to the target leans on, (94,) eV/atom, nan where there are none.

    Where the source does not determine an element by itself, its share of what is determined counts
    (`complete_alone`), and for one that the target saw and the source did not, the energy that all elements of the
    source share. Elements that the target determines lean on nothing but what the source determines, too.
    """
    values = complete_alone(low, needed=np.zeros_like(low.seen_)).values
    values = np.where(np.isnan(values) & target.seen, common_shift(low, np.zeros_like(values)), values)
    return np.where(target.determined & ~low.determined_, np.nan, values)
