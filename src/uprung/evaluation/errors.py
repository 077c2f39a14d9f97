"""Errors of a network on held-out frames, frame by frame, beside baselines that know nothing of the geometry."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from uprung.atomref.least_squares import LeastSquares
from uprung.atomref.references import ReferenceEnergies
from uprung.datasets.splits import sample
from uprung.datasets.store import Dataset, rows_of
from uprung.evaluation.components import components
from uprung.evaluation.error_tables import error_table
from uprung.models.interface import Potential
from uprung.models.predict import predict


def frame_errors(
    predicted: dict[str, NDArray[np.float64]],
    dataset: Dataset,
    rows: NDArray[np.int64],
    *,
    targets: Sequence[str],
    baseline_energy: NDArray[np.float64],
) -> pd.DataFrame:
    """Return per frame and target the summed absolute error, that of the baseline, and the number of labels.

    The baselines learn nothing about geometry: energy from the references alone, forces, stresses and moments 0.

    Args:
        predicted: from `predict`.
        dataset: labels.
        rows: the frames.
        targets: which errors.
        baseline_energy: (n,) eV/atom, what the reference energies alone predict.

    Returns:
        Columns frame_id, and per target `<t>_abs`, `<t>_base`, `<t>_n`; a mean absolute error is Σ_abs / Σ_n.
    """
    labels = dataset.labels(rows)
    counts = np.diff(dataset.offsets)[rows]
    starts = np.cumsum(counts) - counts
    zero = {"force": labels.forces, "stress": labels.stress, "magmom": labels.magmom}
    table: dict[str, Any] = {"frame_id": dataset.keys[rows], "nsites": counts}
    table["energy_label"], table["energy"] = labels.energy, predicted["energy"]
    for target in targets:
        label = np.asarray(labels.energy if target == "energy" else zero[target], dtype=np.float64)
        base = baseline_energy if target == "energy" else np.zeros_like(label)
        error, base_error = np.abs(predicted[target] - label), np.abs(base - label)
        known = np.isfinite(label)
        sums = [np.where(known, values, 0.0) for values in (error, base_error)] + [known.astype(np.int64)]
        if target in ("force", "magmom"):
            per_atom = [s.reshape(len(s), -1).sum(axis=1) for s in sums]
            per_frame = [np.add.reduceat(s, starts) for s in per_atom]
        else:
            per_frame = [s.reshape(len(rows), -1).sum(axis=1) for s in sums]
        for name, values in zip(("abs", "base", "n"), per_frame, strict=True):
            table[f"{target}_{name}"] = values
    return pd.DataFrame(table)


def label_baselines(
    dataset: Dataset, rows: NDArray[np.int64], *, targets: Sequence[str], baseline: ReferenceEnergies
) -> dict[str, float]:
    """Return per target the mean absolute error of learning nothing about geometry, from the labels of some rows."""
    labels, energy = dataset.labels(rows), baseline.predict(dataset.composition(rows))
    zero = {"force": labels.forces, "stress": labels.stress, "magmom": labels.magmom}
    nothing = {"energy": energy} | {name: np.zeros_like(values) for name, values in zero.items()}
    frames = frame_errors(nothing, dataset, rows, targets=targets, baseline_energy=energy)
    return {target: found["baseline"] for target, found in mean_errors(frames, targets).items()}


def evaluate_run(
    checkpoints: dict[str, Potential],
    dataset: Dataset,
    *,
    test: NDArray[np.int64],
    train: NDArray[np.int64],
    groups: NDArray[np.object_],
    baseline: ReferenceEnergies,
    targets: Sequence[str],
    device: str = "cpu",
) -> tuple[dict[str, Any], pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Test the checkpoints of a run.

    Args:
        checkpoints: name (`last`, `val-loss`, ...) -> potential, the scored one first.
        dataset: inputs and labels.
        test: rows tested on.
        train: rows trained on, for which elements the run has seen.
        groups: split group of each test row.
        baseline: reference energies whose prediction alone is the energy baseline.
        targets: which errors.
        device: where to predict.

    Returns:
        Per checkpoint the mean errors over all test frames and over those whose elements were seen; the frame-wise
        table of all checkpoints with columns checkpoint, group, elements_seen; and for the first checkpoint sums of
        errors by element, kind of compound and size of the force (`uprung.evaluation.error_tables.error_table`), and
        single components (`uprung.evaluation.components.components`).
    """
    X = dataset.composition(test)
    seen = elements_seen(X, dataset.composition(train))
    tables, metrics, sums, single = [], dict[str, Any](), pd.DataFrame(), pd.DataFrame()
    for name, potential in checkpoints.items():
        found = predict(potential, dataset, test, targets=targets, device=device)
        table = frame_errors(found, dataset, test, targets=targets, baseline_energy=baseline.predict(X))
        metrics[name] = {
            "all": mean_errors(table, targets),
            "elements_seen": mean_errors(table[seen], targets),
        }
        if not len(sums):
            sums = error_table(found, dataset, test, targets)
            single = components(found, dataset, test, targets)
        tables.append(table.assign(checkpoint=name, group=groups, elements_seen=seen))
    return metrics, pd.concat(tables, ignore_index=True), sums, single


def source_errors(
    potential: Potential,
    dataset: Dataset,
    *,
    test: NDArray[np.int64],
    train: NDArray[np.int64],
    targets: Sequence[str],
    device: str = "cpu",
) -> dict[str, Any]:
    """Test a potential on held-out frames of the source fidelity: what the transfer made it forget.

    A potential that was moved to another fidelity has other reference energies, so its raw energies are wrong by a
    linear function of composition. That function is fitted by least squares to the errors on training materials and
    taken away for the second figure, which tells what the network has forgotten beyond it.

    Args:
        potential: at the target fidelity, or at the source where the network has both.
        dataset: inputs and labels of the source fidelity.
        test: rows of held-out materials.
        train: rows of training materials, for the linear function.
        targets: which errors.
        device: where to predict.

    Returns:
        `raw` and `rereferenced` errors (the second of energies only) and the frames behind them; `linear_rank` of the
        fit, and how many test frames hold an element that it has not seen and are left out of the second.
    """
    nothing = np.zeros(len(test))
    found = predict(potential, dataset, test, targets=targets, device=device)
    raw = frame_errors(found, dataset, test, targets=targets, baseline_energy=nothing)
    result: dict[str, Any] = {"frames": len(test), "raw": _without_baseline(mean_errors(raw, targets))}
    if "energy" not in targets or not len(train):
        return result
    X, y = dataset.composition(train), dataset.energy[train]
    known = np.isfinite(y)
    error = y - predict(potential, dataset, train, targets=["energy"], device=device)["energy"]
    fit = LeastSquares().fit(X[known], error[known])
    seen = elements_seen(dataset.composition(test), X[known])
    moved = found["energy"] + dataset.composition(test) @ np.where(fit.seen_, fit.coef_, 0.0)
    table = frame_errors({"energy": moved}, dataset, test, targets=["energy"], baseline_energy=nothing)
    linear = _without_baseline(mean_errors(table[seen], ["energy"]))
    return result | {"rereferenced": linear, "linear_rank": fit.rank_, "unseen": int((~seen).sum())}


def sampled_source_errors(
    potential: Potential,
    dataset: Dataset,
    split: pd.DataFrame,
    fidelity: str,
    count: int,
    *,
    targets: Sequence[str],
    device: str = "cpu",
) -> dict[str, Any]:
    """Return `source_errors` on at most `count` test frames of the source, with as many training frames for the fit."""
    test, train = (rows_of(dataset, sample(split, fidelity, side, count)) for side in ("test", "train"))
    return source_errors(potential, dataset, test=test, train=train, targets=targets, device=device)


def _without_baseline(errors: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    return {t: {name: value for name, value in found.items() if name != "baseline"} for t, found in errors.items()}


def mean_errors(frames: pd.DataFrame, targets: Sequence[str]) -> dict[str, dict[str, float]]:
    """Return per target the mean absolute error, the baseline's, and the number of labels behind them."""
    result = {}
    for target in targets:
        count = int(frames[f"{target}_n"].sum())
        if count:
            mae, base = (float(frames[f"{target}_{c}"].sum() / count) for c in ("abs", "base"))
            result[target] = {"mae": mae, "baseline": base, "labels": count, "frames": len(frames)}
    return result


def elements_seen(compositions: NDArray[np.float64], train: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which structures hold only elements that occur in the training compositions, (n,)."""
    known = (train > 0).any(axis=0)
    return np.asarray(~((compositions > 0) & ~known).any(axis=1))
