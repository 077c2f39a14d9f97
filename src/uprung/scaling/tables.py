"""Tables of learning curves: their columns, checks and summaries.

A *curves* table has one row per run, target and test population, with the columns in `CURVE_COLUMNS`:
`mae` and `baseline` in eV/atom, eV/Å, GPa or μB; `n_frames` is the number of training frames that the size
token resolved to and is what laws are fitted to; `baseline` is the error of the predictor that learns
nothing about geometry. Laws use the population `covered` and converged points only.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from uprung.frames.csv import read_table
from uprung.laws.points import CONFIDENCE, student_t
from uprung.scaling.settled import UNTESTED

CURVE_COLUMNS = (
    *("budget", "arm", "size", "n_frames", "n_materials", "seed", "fidelity", "target", "population"),
    *("n_test", "mae", "baseline", "converged", "reason"),
)
#: What a run that was trained here is compared with as well: the error before training and whether the run gains on it,
#: the other checkpoint's error, the share of the error on the worst 1 % of the test frames, whether it is settled.
MORE_COLUMNS = ("untouched", "gains", "mae_other", "tail", "settled")
#: What needs no network (`uprung.evaluation.yardsticks`), as printed.
YARDSTICKS = {
    "composition": "mean per formula",
    "shift": "low-fidelity label, energy shifted",
    "bond": "interpolation in the bond length",
    "difference": "low-fidelity + interpolated difference",
}
#: One learning curve: what a law is fitted to.
CURVE_KEYS = ["budget", "arm", "fidelity", "target", "population"]
#: Two learning curves that are compared.
PAIR_KEYS = ["budget", "fidelity", "target", "population", "scratch", "transfer"]
LAW_POPULATION = "covered"

#: Unit in a table of errors -> factor to the unit of a curves table, and the targets that it measures.
UNIT_FACTORS = {
    "eV/atom": 1.0,
    "meV/atom": 1e-3,
    "eV/angstrom": 1.0,
    "eV/Å": 1.0,
    "meV/angstrom": 1e-3,
    "meV/Å": 1e-3,
    "GPa": 1.0,
    "muB": 1.0,
    "μB": 1.0,
}


def read_curves(path: str | Path) -> pd.DataFrame:
    """Read a curves table from CSV: names stay text, and an empty number is missing."""
    return read_table(path, (*CURVE_KEYS, "size", "reason", "settled"))


def with_measures(curves: pd.DataFrame) -> pd.DataFrame:
    """Return a copy of a curves table that has all of `MORE_COLUMNS`, empty where it had none."""
    table = curves.reindex(columns=[*curves.columns, *(c for c in MORE_COLUMNS if c not in curves)])
    table["settled"] = [state if isinstance(state, str) and state else UNTESTED for state in table["settled"]]
    numbers = ["untouched", "mae_other", "tail"]
    return table.assign(**{name: table[name].astype(np.float64) for name in numbers})


def check_curves(curves: pd.DataFrame) -> pd.DataFrame:
    """Return a copy of a curves table with sizes as text and no missing reasons.

    Raises ValueError for a missing column, a duplicated run, or an error or size that is not positive.
    """
    missing = [c for c in CURVE_COLUMNS if c not in curves.columns]
    if missing:
        raise ValueError(f"curves table: missing column(s) {missing}; needed are {list(CURVE_COLUMNS)}")
    table = with_measures(curves)
    table["size"] = table["size"].astype(str)
    table["reason"] = table["reason"].fillna("").astype(str)
    if not table["converged"].isin([True, False]).all():
        raise ValueError("curves table: column converged holds something else than True and False")
    table["converged"] = table["converged"].astype(bool)
    identity = [*CURVE_KEYS, "size", "seed"]
    twice = table[table.duplicated(identity)]
    if len(twice):
        first = twice[identity].iloc[0].to_dict()
        raise ValueError(f"curves table: {len(twice)} duplicated row(s), the first is {first}; one row per run")
    for column in ("mae", "n_frames"):
        values = table[column].to_numpy(dtype=np.float64)
        bad = table[~(np.isfinite(values) & (values > 0))]
        if len(bad):
            first = bad[[*identity, column]].iloc[0].to_dict()
            raise ValueError(
                f"curves table: {len(bad)} row(s) whose {column} is not positive and finite, the first is {first}"
            )
    return table


def groups(table: pd.DataFrame, keys: list[str]) -> Iterator[tuple[dict[str, str], pd.DataFrame]]:
    """Yield the values of some columns and the rows that have them, in order of appearance."""
    for values, part in table.groupby(keys, sort=False):
        yield {k: str(v) for k, v in zip(keys, np.atleast_1d(np.array(values, dtype=object)), strict=True)}, part


def summarise(curves: pd.DataFrame) -> pd.DataFrame:
    """Return mean, min, max and the 95 % t half-width over seeds of every point of every curve.

    One row per curve and size: the keys of the curve, size, n_frames, n_materials, n_test (means over
    seeds), n_seeds, n_converged, mae, mae_min, mae_max, mae_halfwidth (NaN with one seed), baseline, untouched,
    n_gains, settled.
    """
    rows = []
    for key, part in groups(check_curves(curves), [*CURVE_KEYS, "size"]):
        mae = part["mae"].to_numpy(dtype=np.float64)
        m = len(mae)
        half = student_t(CONFIDENCE, m - 1) * float(mae.std(ddof=1)) / m**0.5 if m > 1 else float("nan")
        mean = part[["n_frames", "n_materials", "n_test", "baseline"]].astype(float).mean()
        rows.append(
            key
            | {c: float(mean[c]) for c in ("n_frames", "n_materials", "n_test")}
            | {"n_seeds": m, "n_converged": int(part["converged"].sum()), "mae": float(mae.mean())}
            | {"mae_min": float(mae.min()), "mae_max": float(mae.max()), "mae_halfwidth": half}
            | {"baseline": float(mean["baseline"]), "untouched": float(part["untouched"].astype(float).mean())}
            | {"n_gains": int((part["gains"].astype(str) == "True").sum()), "settled": part["settled"].iloc[0]}
        )
    table = pd.DataFrame(rows)
    return table.sort_values([*CURVE_KEYS, "n_frames"], ignore_index=True) if len(table) else table


def size_means(part: pd.DataFrame) -> pd.DataFrame:
    """One row per size, by increasing training size: n_frames, mae (means over seeds), converged (all)."""
    grouped = part.groupby("size", sort=False)
    means = grouped[["n_frames", "mae"]].mean()
    means["converged"] = grouped["converged"].all()
    return means.sort_values("n_frames")


def pairs(table: pd.DataFrame, scratch: str) -> Iterator[tuple[dict[str, str], pd.DataFrame, pd.DataFrame]]:
    """Yield (keys, scratch curve, other curve) for every covered curve of each other arm."""
    arms = list(dict.fromkeys(table["arm"]))
    if scratch not in arms:
        raise ValueError(f"curves table has no arm {scratch!r}; it has {arms}")
    covered = table[table["population"] == LAW_POPULATION]
    keys = [k for k in CURVE_KEYS if k != "arm"]
    for key, part in groups(covered, keys):
        base = part[part["arm"] == scratch]
        for arm in (arm for arm in arms if arm != scratch):
            yield {**key, "scratch": scratch, "transfer": arm}, base, part[part["arm"] == arm]


def published_points(path: str | Path) -> pd.DataFrame:
    """Read published learning-curve points: columns arm, target, n_frames, mae (eV/atom, eV/Å).

    The file has the columns n_train, quantity, arm, mae, unit; n_train = 0 is a model that saw no label.
    Raises ValueError for a missing column or an unknown unit.
    """
    table = pd.read_csv(path)
    missing = {"n_train", "quantity", "arm", "mae", "unit"} - set(table.columns)
    if missing:
        raise ValueError(f"{path}: missing column(s) {sorted(missing)}")
    unknown = set(table["unit"]) - set(UNIT_FACTORS)
    if unknown:
        raise ValueError(f"{path}: unknown unit(s) {sorted(unknown)}; allowed are {sorted(UNIT_FACTORS)}")
    return pd.DataFrame(
        {
            "arm": table["arm"],
            "target": table["quantity"],
            "n_frames": table["n_train"].astype(int),
            "mae": table["mae"].astype(float) * table["unit"].map(UNIT_FACTORS).astype(float),
        }
    )
