"""One law in two sizes: how the error falls with target labels and with source labels of the pretraining."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy import special

from uprung.laws import CONFIDENCE, FloatArray, student_t
from uprung.scaling.tables import LAW_POPULATION, check_curves, groups

KEYS = ["budget", "target"]
JOINT_COLUMNS = (
    *("family", "arms", "exponent_target", "target_low", "target_high", "exponent_source", "source_low", "source_high"),
    *("p_interaction", "n_target", "n_source", "n_cells", "df", "fitted", "reason"),
)
MIN_TARGET, MIN_SOURCE = 3, 2


def joint_laws(curves: pd.DataFrame, sources: Mapping[str, tuple[str, float]]) -> pd.DataFrame:
    """Return MAE = C·N⁻ᵃ·S⁻ᵇ in target size N and source size S, by least squares through the means over seeds.

    The scatter of the (N, S) cells about the law gives t intervals; what the test materials do to all of them is in
    none. `p_interaction` is the probability of as large an interaction ln N · ln S by that scatter alone.

    Args:
        curves: a curves table.
        sources: arm -> (family, source structures of its pretraining); arms of a family differ in these alone.
    """
    table = check_curves(curves)
    table = table[(table["population"] == LAW_POPULATION) & table["converged"]]
    rows = []
    for key, part in groups(table[table["arm"].isin(list(sources))], KEYS):
        for family in dict.fromkeys(family for family, _ in sources.values()):
            arms = {arm: size for arm, (mine, size) in sources.items() if mine == family}
            cells = part[part["arm"].isin(list(arms))]
            rows.append(
                key | {"family": family, "arms": ", ".join(arms)} | _fit(cells.assign(source=cells["arm"].map(arms)))
            )
    return pd.DataFrame(rows, columns=[*KEYS, *JOINT_COLUMNS])


def _fit(runs: pd.DataFrame) -> dict[str, object]:
    """Return the row of one family."""
    means = runs.assign(y=np.log(runs["mae"])).groupby(["size", "source"])[["n_frames", "y"]].mean().reset_index()
    n_target, n_source = means["size"].nunique(), means["source"].nunique()
    row: dict[str, object] = {"n_target": n_target, "n_source": n_source, "n_cells": len(means), "fitted": False}
    if n_target < MIN_TARGET or n_source < MIN_SOURCE:
        needed = f"needs {MIN_TARGET} and {MIN_SOURCE}"
        return row | {"reason": f"{n_target} target and {n_source} source size(s); a joint law {needed}"}
    x, s = (np.log(means[c].to_numpy(dtype=np.float64)) for c in ("n_frames", "source"))
    x, s, y = x - x.mean(), s - s.mean(), means["y"].to_numpy()
    ways = np.stack([np.ones_like(x), -x, -s], axis=1)
    df = len(y) - 3
    (_, *exponents), squares, inverse = _least_squares(ways, y)
    found: dict[str, object] = {"df": df, "fitted": True, "reason": ""}
    half = student_t(CONFIDENCE, df) * np.sqrt(squares / df * np.diag(inverse)[1:])
    for name, value, width in zip(("target", "source"), exponents, half, strict=True):
        found |= {f"exponent_{name}": value, f"{name}_low": value - width, f"{name}_high": value + width}
    _, less, _ = _least_squares(np.column_stack([ways, x * s]), y)
    f = (squares - less) / max(less / (df - 1), 1e-300)
    return row | found | {"p_interaction": float(special.fdtrc(1, df - 1, f))}


def _least_squares(ways: FloatArray, y: FloatArray) -> tuple[FloatArray, float, FloatArray]:
    """Return coefficients, the residual sum of squares, and (WᵀW)⁻¹."""
    inverse = np.asarray(np.linalg.inv(ways.T @ ways), dtype=np.float64)
    found = inverse @ ways.T @ y
    return found, float(np.sum((y - ways @ found) ** 2)), inverse


def source_sizes(networks: Mapping[str, tuple[str, str]], sizes: Mapping[str, int]) -> dict[str, tuple[str, float]]:
    """Return arm -> (family, source structures) of arms that start from networks which the study pretrains.

    Args:
        networks: arm -> (family, network).
        sizes: network -> source structures that it was trained on.
    """
    return {arm: (family, float(sizes[name])) for arm, (family, name) in networks.items() if name in sizes}
