"""Comparison of reference estimators: the error of reference energies alone on held-out structures.

Intervals are percentiles of a bootstrap over whole test groups, with the same resamples for all estimators, so that
differences between them are paired. They hold for the subsets at hand; what another subset does shows in the seeds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from uprung.atomref import CompositionModel
from uprung.atomref.base import UNIT_TOLERANCE, Bools, Floats, Ints, group_codes
from uprung.atomref.fit import Estimator, Labelled, fit_reference
from uprung.atomref.references import Policy, ReferenceEnergies
from uprung.config.estimators import FittedTo
from uprung.datasets.sizes import subset

POPULATIONS = ("all", "covered")
#: Columns over the seeds, nan where no seed has a fit.
OVER_SEEDS = ("mae", "mae_min", "mae_max", "mae_low", "mae_high", "ratio", "ratio_low", "ratio_high")
#: Columns of a fit on the test structures, nan where there is no fit.
OF_A_FIT = ("mae", "mae_low", "mae_high", "n_fit", "n_prior", "rank", "condition", "leverage_max", "n_sole", "strength")


@dataclass(frozen=True)
class ComparedFit:
    """An entry of the study's references: its labels and frames, its estimator, how gaps are filled."""

    name: str
    labels: FittedTo
    estimator: Estimator
    scope: str = "subset"  # subset | train
    policy: Policy = "prior"


@dataclass(frozen=True, eq=False)
class Held:
    """The labelled structures of the target and what is compared on them.

    Attributes:
        frames: all structures of the target fidelity.
        source: the low-fidelity training structures.
        test: rows of the test structures.
        needed: elements of the study, (94,).
        orders: seed -> training order (columns row, unit_rank, n_frames).
        sizes: size tokens.
    """

    frames: Labelled
    source: Labelled
    test: Ints
    needed: Bools
    orders: Mapping[int, pd.DataFrame]
    sizes: Mapping[str, str]

    def rows(self, size: str, seed: int) -> Ints:
        """Return the rows that a run of this size and seed trains on."""
        return np.asarray(subset(self.orders[seed], self.sizes[size])["row"].to_numpy(), dtype=np.int64)

    def labelled(self, rows: Ints) -> Labelled:
        """Return some of the target structures."""
        together = self.frames.together
        return Labelled(
            self.frames.X[rows],
            self.frames.y[rows],
            self.frames.groups[rows],
            None if together is None else together[rows],
        )


@dataclass(frozen=True, eq=False)
class _Tested:
    """One fit and its absolute errors on the test structures (n_test,), eV/atom, or why there is none."""

    candidate: ComparedFit
    size: str
    seed: int
    n_frames: int
    n_labels: int
    error: Floats | None
    reference: ReferenceEnergies | None
    model: CompositionModel | None
    reason: str = ""


def compare_references(
    candidates: Sequence[ComparedFit], held: Held, *, baseline: str, resamples: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Test reference energies alone on held-out structures, for every candidate, size and seed.

    Args:
        candidates: what is compared; none with labels `residual`, which predict nothing without a network.
        held: the structures.
        baseline: candidate that the others are set in relation to.
        resamples: bootstrap resamples of whole test groups.

    Returns:
        One row per candidate, size, seed and population: reference, estimator, size, n_frames, seed, population,
        n_test, mae with its 95 % interval (mae_low, mae_high, eV/atom), and how the fit came about: n_labels, elements
        by origin (n_fit, n_prior), rank, condition, the largest leverage, structures of leverage 1 (n_sole), the
        chosen strength; reason where there is no fit.

        And one row per candidate, size and population over the seeds: n_groups of the test, n_seeds, mae, its interval
        and its range over seeds (mae_min, mae_max), and the ratio to the baseline's mae over the same seeds with its
        paired 95 % interval (ratio_low, ratio_high).
    """
    _check(candidates, baseline)
    tested = _fit_all(candidates, held)
    covered = _covered(held)
    groups = group_codes(_test_groups(held), len(held.test))
    rows: list[dict[str, Any]] = []
    means: list[dict[str, Any]] = []
    for population in POPULATIONS:
        inside = np.ones(len(held.test), dtype=bool) if population == "all" else covered
        if inside.any():
            draws = _draws(groups[inside], resamples)
            rows += [_row(one, inside, groups, draws, population) for one in tested]
            means += _means(tested, inside, groups, draws, baseline, population)
    return pd.DataFrame(rows), pd.DataFrame(means)


def _check(candidates: Sequence[ComparedFit], baseline: str) -> None:
    names = [candidate.name for candidate in candidates]
    if baseline not in names:
        raise ValueError(f"comparison: the baseline {baseline!r} is not among the references ({', '.join(names)})")
    residual = [candidate.name for candidate in candidates if candidate.labels == "residual"]
    if residual:
        raise ValueError(f"comparison: {', '.join(residual)} fit what a network leaves over and predict nothing alone")


def _fit_all(candidates: Sequence[ComparedFit], held: Held) -> list[_Tested]:
    """Fit and test every candidate at every size and seed; a fit that the subset does not change is made once."""
    made: dict[tuple[str, str, int], tuple[ReferenceEnergies, CompositionModel] | str] = {}
    tested = []
    for size in held.sizes:
        for seed, order in held.orders.items():
            rows = held.rows(size, seed)
            for candidate in candidates:
                whole = candidate.scope == "train" or candidate.labels == "source"
                used = np.asarray(order["row"].to_numpy(), dtype=np.int64) if candidate.scope == "train" else rows
                key = (candidate.name, "", 0) if whole else (candidate.name, size, seed)
                if key not in made:
                    made[key] = _fit(candidate, held, used)
                n_labels = 0 if candidate.labels == "source" else len(used)
                tested.append(_test(candidate, size, seed, len(rows), n_labels, made[key], held))
    return tested


def _fit(candidate: ComparedFit, held: Held, rows: Ints) -> tuple[ReferenceEnergies, CompositionModel] | str:
    """Return the fit of a candidate, or why there is none: a subset may be too small for it."""
    try:
        return fit_reference(
            candidate.labels,
            target=held.labelled(rows),
            source=held.source,
            needed=held.needed,
            policy=candidate.policy,
            estimator=candidate.estimator,
        )
    except ValueError as error:
        return str(error)


def _test(
    candidate: ComparedFit,
    size: str,
    seed: int,
    n_frames: int,
    n_labels: int,
    fit: tuple[ReferenceEnergies, CompositionModel] | str,
    held: Held,
) -> _Tested:
    if isinstance(fit, str):
        return _Tested(candidate, size, seed, n_frames, n_labels, None, None, None, fit)
    reference, model = fit
    error = np.abs(reference.predict(held.frames.X[held.test]) - held.frames.y[held.test])
    return _Tested(candidate, size, seed, n_frames, n_labels, error, reference, model)


def _covered(held: Held) -> Bools:
    """Return which test structures hold only elements that every seed saw at the smallest size, (n_test,)."""
    first = next(iter(held.orders))
    smallest = min(held.sizes, key=lambda size: len(held.rows(size, first)))
    known = np.ones(held.frames.X.shape[1], dtype=bool)
    for seed in held.orders:
        known &= (held.frames.X[held.rows(smallest, seed)] > 0).any(axis=0)
    return np.asarray(~(held.frames.X[held.test][:, ~known] > 0).any(axis=1))


def _test_groups(held: Held) -> Any:
    groups = held.frames.groups if held.frames.together is None else held.frames.together
    return groups[held.test]


def _draws(groups: Ints, resamples: int) -> Ints:
    """Return how often each group is in each resample, (resamples, G); groups without a structure have weight 0."""
    present, numbers = np.unique(groups, return_inverse=True)
    n = len(present)
    drawn = np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), size=resamples)
    full = np.zeros((resamples, int(groups.max()) + 1), dtype=np.int64)
    full[:, present] = drawn[:, : int(numbers.max()) + 1]
    return full


def _resampled(error: Floats, groups: Ints, draws: Ints) -> Floats:
    """Return the mean of the errors in every resample, (resamples,)."""
    size = draws.shape[1]
    sums, counts = np.bincount(groups, weights=error, minlength=size), np.bincount(groups, minlength=size)
    return np.asarray((draws @ sums) / np.maximum(draws @ counts, 1))


def _interval(values: Floats) -> tuple[float, float]:
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)


def _row(one: _Tested, inside: Bools, groups: Ints, draws: Ints, population: str) -> dict[str, Any]:
    row: dict[str, Any] = {
        "reference": one.candidate.name,
        "estimator": one.candidate.estimator.name,
        "size": one.size,
        "n_frames": one.n_frames,
        "seed": one.seed,
        "population": population,
        "n_test": int(inside.sum()),
        "n_labels": one.n_labels,
        "reason": one.reason,
        **dict.fromkeys(OF_A_FIT, np.nan),
    }
    if one.error is None or one.reference is None or one.model is None:
        return row
    error, origin, model = one.error[inside], one.reference.origin, one.model
    row["mae"] = float(error.mean())
    row["mae_low"], row["mae_high"] = _interval(_resampled(error, groups[inside], draws))
    row["n_fit"] = int(np.isin(origin, ["fit", "elements"]).sum())
    row["n_prior"] = int(np.isin(origin, ["prior", "source"]).sum())
    row["rank"], row["condition"] = model.rank_, model.condition_
    row["leverage_max"] = float(model.leverage_.max())
    row["n_sole"] = int((model.leverage_ > 1 - UNIT_TOLERANCE).sum())
    row["strength"] = float(getattr(model, "strength_", np.nan))
    return row


def _means(
    tested: Sequence[_Tested], inside: Bools, groups: Ints, draws: Ints, baseline: str, population: str
) -> list[dict[str, Any]]:
    """Return the rows over the seeds; a ratio is taken over the seeds that both fits have."""
    rows = []
    errors = {(t.candidate.name, t.size, t.seed): t.error[inside] for t in tested if t.error is not None}
    for name, size in dict.fromkeys((t.candidate.name, t.size) for t in tested):
        mine = [t for t in tested if (t.candidate.name, t.size) == (name, size)]
        own = [t.seed for t in mine if t.error is not None]
        row: dict[str, Any] = {
            "reference": name,
            "estimator": mine[0].candidate.estimator.name,
            "scope": mine[0].candidate.scope,
            "size": size,
            "n_frames": float(np.mean([t.n_frames for t in mine])),
            "population": population,
            "n_test": int(inside.sum()),
            "n_groups": len(np.unique(groups[inside])),
            "n_seeds": len(own),
            **dict.fromkeys(OVER_SEEDS, np.nan),
        }
        if own:
            each = [float(errors[name, size, seed].mean()) for seed in own]
            mean = np.mean([errors[name, size, seed] for seed in own], axis=0)
            row |= {"mae": float(mean.mean()), "mae_min": min(each), "mae_max": max(each)}
            row["mae_low"], row["mae_high"] = _interval(_resampled(mean, groups[inside], draws))
        both = [seed for seed in own if (baseline, size, seed) in errors]
        if both:
            mean, base = (np.mean([errors[n, size, seed] for seed in both], axis=0) for n in (name, baseline))
            row["ratio"] = float(mean.mean() / base.mean())
            resampled = [_resampled(values, groups[inside], draws) for values in (mean, base)]
            row["ratio_low"], row["ratio_high"] = _interval(resampled[0] / resampled[1])
        rows.append(row)
    return rows
