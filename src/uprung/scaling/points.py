"""Learning curves from a given table of sizes and errors, with nothing to train.

The table is CSV with one row per run: `n` (training structures; also `n_train`, `n_frames`), `arm`, `target` (also
`quantity`) and `mae`; and, where known, `seed`, `unit`, `budget`. Errors without a unit are in eV/atom, eV/Å, GPa, μB.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from uprung.frames.csv import own_csv
from uprung.laws import MIN_SIZES
from uprung.scaling.tables import CURVE_COLUMNS, LAW_POPULATION, MORE_COLUMNS, UNIT_FACTORS

SYNONYMS = {"n_train": "n", "n_frames": "n", "quantity": "target"}
#: A number as tables have it: 0x10, 1_000, yes and nan are none.
NUMBER = r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?"
LARGEST = 10**12  # structures, or a seed: larger ones are another column
NEEDED = ("n", "arm", "target", "mae")
UNITS = {
    "energy": ("eV/atom", "meV/atom"),
    "force": ("eV/Å", "meV/Å", "eV/angstrom", "meV/angstrom"),
    "stress": ("GPa",),
    "magmom": ("μB", "muB"),
}


@dataclass(frozen=True)
class Points:
    """A curves table, and the rows that no curve can have, each with its reason."""

    curves: pd.DataFrame
    left_out: pd.DataFrame


def read_points(path: str | Path, *, smallest: float | None = None) -> Points:
    """Read a table of learning-curve points.

    Args:
        path: CSV file.
        smallest: laws use sizes from here on; smaller ones are kept out of them.

    Raises:
        ValueError: a missing column, an unknown target, a size or an error that is no number or not positive, a row
            that is there twice, units that are unknown or mixed within a target, or no curve with three sizes.
    """
    table = own_csv(path)
    table = table.rename(columns={k: v for k, v in SYNONYMS.items() if k in table and v not in table})
    missing = [name for name in NEEDED if name not in table]
    if missing:
        found = [name for name in table if name != "line"]
        raise ValueError(f"{path}: missing column(s) {missing}; it has {found}, needed are {list(NEEDED)}")
    if table.empty:
        raise ValueError(f"{path}: the table has no rows")
    unnamed = table.loc[table["arm"] == "", "line"]
    if len(unnamed):
        raise ValueError(f"{path}: {len(unnamed)} row(s) without an arm, the first in line {unnamed.iloc[0]}")
    for name in ("n", "mae"):
        table[name] = _numbers(table, name, path)
    table["seed"] = _numbers(table, "seed", path).astype(int) if "seed" in table else 0
    budget = table["budget"] if "budget" in table else pd.Series("", index=table.index)
    table["budget"] = budget.where(budget != "", "points")
    unknown = sorted(set(table["target"]) - set(UNITS))
    if unknown:
        raise ValueError(f"{path}: unknown target(s) {unknown}; allowed are {list(UNITS)}")
    table["mae"] *= _factors(table, path)
    none = table["n"] == 0
    left_out = table.loc[none, ["line", "arm", "target", "n", "mae"]].assign(
        reason="no training structures: a size of 0 has no place on a logarithmic axis"
    )
    return Points(_curves(table[~none], path, smallest), left_out.reset_index(drop=True))


def _numbers(table: pd.DataFrame, name: str, path: str | Path) -> pd.Series:
    """Return a column as numbers; raise ValueError for text, and for what a size or an error cannot be."""
    values = pd.to_numeric(table[name].where(table[name].str.fullmatch(NUMBER)), errors="coerce").astype(float)
    allowed = (values >= 0) & (values % 1 == 0) & (values <= LARGEST) if name in ("n", "seed") else values > 0
    bad = table[~(np.isfinite(values) & allowed)]
    if len(bad):
        whole = f"a whole number from 0 to {LARGEST:,}"
        what = {"n": f"a positive number of structures, {whole}", "mae": "a positive error", "seed": whole}[name]
        raise ValueError(
            f"{path}: {len(bad)} row(s) whose {name} is not {what}, the first in line {bad['line'].iloc[0]}: "
            f"{bad[name].iloc[0]!r}"
        )
    return values


def _factors(table: pd.DataFrame, path: str | Path) -> pd.Series:
    """Return the factor of every row to the unit of a curves table; raise ValueError for a wrong or mixed unit."""
    if "unit" not in table:
        return pd.Series(1.0, index=table.index)
    for target, units in table.groupby("target")["unit"]:
        found = list(dict.fromkeys(units))
        wrong = [unit for unit in found if unit not in UNITS[str(target)]]
        if wrong:
            raise ValueError(f"{path}: unit(s) {wrong} of target {target}; allowed are {list(UNITS[str(target)])}")
        if len(found) > 1:
            raise ValueError(f"{path}: target {target} has mixed units {found}; give all its errors in one")
    return table["unit"].map(UNIT_FACTORS).astype(float)


def _curves(table: pd.DataFrame, path: str | Path, smallest: float | None) -> pd.DataFrame:
    identity = ["budget", "arm", "target", "n", "seed"]
    twice = table[table.duplicated(identity)]
    if len(twice):
        first = twice.iloc[0]
        raise ValueError(
            f"{path}: {len(twice)} duplicated row(s), the first in line {first['line']}: arm {first['arm']}, target "
            f"{first['target']}, n = {first['n']:g}, seed {first['seed']}; give every run a seed of its own"
        )
    used = table if smallest is None else table[table["n"] >= smallest]
    sizes = used.groupby(["budget", "arm", "target"])["n"].nunique()
    if not len(sizes) or sizes.max() < MIN_SIZES:
        rows = sizes.reset_index().itertuples(index=False, name=None)
        found = "; ".join(f"{arm}, {target}: {count}" for _, arm, target, count in rows)
        beyond = "" if smallest is None else f" from {smallest:g} on"
        raise ValueError(
            f"{path}: no curve has {MIN_SIZES} sizes{beyond}, which a law needs (sizes: {found or 'none'})"
        )
    small = np.zeros(len(table), dtype=bool) if smallest is None else (table["n"] < smallest).to_numpy()
    curves = pd.DataFrame(
        {
            "budget": table["budget"],
            "arm": table["arm"],
            "size": table["n"].map("{:g}".format),
            "n_frames": table["n"],
            "seed": table["seed"],
            "fidelity": "points",
            "target": table["target"],
            "population": LAW_POPULATION,
            "mae": table["mae"],
            "converged": ~small,
            "reason": np.where(small, f"below the smallest size of laws, {smallest or 0:g}", ""),
        }
    )
    return curves.reindex(columns=[*CURVE_COLUMNS, *MORE_COLUMNS]).reset_index(drop=True)
