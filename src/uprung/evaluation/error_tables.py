"""Errors by element, kind of compound and size of the force."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from uprung.datasets.store import Dataset

#: eV/Å, lower ends of the ranges of |F|; the first begins at zero, so that atoms at rest by symmetry count.
FORCE_RANGES = (0.0, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
_LABEL = {"force": "forces"}
COLUMNS = ("by", "key", "target", "n", "absolute", "label_squared", "product")

#: Kind of compound -> atomic numbers, the most electronegative kind first: the first kind with an element in the
#: structure names it.
_ANIONS = (
    ("halide", (9, 17, 35, 53)),
    ("oxide", (8,)),
    ("chalcogenide", (16, 34, 52)),
    ("nitride", (7,)),
    ("pnictide", (15, 33, 51)),
    ("carbide or organic", (6,)),
    ("hydride", (1,)),
    ("boride or silicide", (5, 14, 32)),
)


def compound_kinds(composition: NDArray[np.float64]) -> NDArray[np.object_]:
    """Return the kind of compound of every structure: element, halide, oxide, ..., or intermetallic.

    Args:
        composition: (n, 94) fractions, column Z − 1.
    """
    kinds = np.full(len(composition), "intermetallic", dtype=object)
    for name, numbers in reversed(_ANIONS):
        kinds[(composition[:, np.array(numbers) - 1] > 0).any(axis=1)] = name
    kinds[(composition > 0).sum(axis=1) == 1] = "element"
    return kinds


def error_table(
    predicted: dict[str, NDArray[np.float64]], dataset: Dataset, rows: NDArray[np.int64], targets: Sequence[str]
) -> pd.DataFrame:
    """Return sums of errors by element, by kind of compound and by size of the force.

    Energies count once per structure, for every element in it; forces per component, stresses per component, moments
    per site. `by` is `element` (key: atomic number), `kind` or `force` (key: lower end of the range of |F|, eV/Å).

    Returns:
        Columns `COLUMNS`: number of values, Σ|error|, Σ label², Σ label · prediction; the last two give the slope of
        the prediction on the label through the origin, which is below 1 for a network that is too soft. Sums, so that
        tables of several runs add up.
    """
    labels = dataset.labels(rows)
    counts = np.diff(dataset.offsets)[rows]
    X = dataset.composition(rows)
    frame = np.repeat(np.arange(len(rows)), counts)
    numbers = _numbers(dataset, rows)
    kinds = compound_kinds(X)
    parts = []
    for target in targets:
        label = np.asarray(getattr(labels, _LABEL.get(target, target)), dtype=np.float64)
        values = label.reshape(len(label), -1)
        found = np.asarray(predicted[target], dtype=np.float64).reshape(values.shape)
        known = np.isfinite(values).all(axis=1)
        sums = np.stack(
            [
                np.where(known, values.shape[1], 0.0),
                np.where(known, np.abs(found - values).sum(axis=1), 0.0),
                np.where(known, (values**2).sum(axis=1), 0.0),
                np.where(known, (values * found).sum(axis=1), 0.0),
            ],
            axis=1,
        )
        atomic = target in ("force", "magmom")
        parts.append(_grouped("kind", target, kinds[frame] if atomic else kinds, sums))
        if atomic:
            parts.append(_grouped("element", target, numbers, sums))
        else:
            inside = X > 0
            parts.append(
                pd.concat(
                    _grouped("element", target, np.full(int(inside[:, z].sum()), z + 1), sums[inside[:, z]])
                    for z in np.flatnonzero(inside.any(axis=0))
                )
            )
        if target == "force":
            size = np.linalg.norm(np.nan_to_num(values), axis=1)
            lower = np.array(FORCE_RANGES)[np.searchsorted(FORCE_RANGES, size, side="right") - 1]
            parts.append(_grouped("force", target, lower, sums))
    table = pd.concat(parts, ignore_index=True)
    return table[table["n"] > 0].reset_index(drop=True)


def _numbers(dataset: Dataset, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    parts = [dataset.numbers[dataset.offsets[row] : dataset.offsets[row + 1]] for row in rows]
    return np.concatenate(parts).astype(np.int64)


def _grouped(by: str, target: str, keys: NDArray[Any], sums: NDArray[np.float64]) -> pd.DataFrame:
    names, group = np.unique(keys.astype(str), return_inverse=True)
    total = np.zeros((len(names), 4))
    np.add.at(total, group, sums)
    table = pd.DataFrame({"by": by, "key": names, "target": target})
    table["n"] = total[:, 0].astype(np.int64)
    for k, column in enumerate(COLUMNS[4:], start=1):
        table[column] = total[:, k]
    return table


def mean_errors_by(table: pd.DataFrame, groups: Sequence[str]) -> pd.DataFrame:
    """Return mean absolute errors and slopes of summed tables.

    Args:
        table: rows of `error_table`, of one or several runs, with the columns `groups`.
        groups: columns that set rows apart, beside `by`, `key` and `target`.

    Returns:
        Columns `groups`, by, key, target, n, mae, slope (of prediction on label through the origin).
    """
    keys = [*groups, "by", "key", "target"]
    sums = table.groupby(keys, sort=False, as_index=False)[list(COLUMNS[3:])].sum()
    sums["mae"] = sums["absolute"] / sums["n"]
    sums["slope"] = sums["product"] / sums["label_squared"].where(sums["label_squared"] > 0)
    return sums[[*keys, "n", "mae", "slope"]]
