"""What choosing the runs that enter a law does to its exponent, in simulated curves near the baseline."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from uprung.laws import LawRefused, fit_law, log_points
from uprung.scaling.entering import decide


@dataclass(frozen=True)
class Filter:
    """Runs near the baseline, and how those that enter the law are chosen: `test` run by run, or `validation`."""

    exponent: float
    baseline: float  # in e-folds of n beyond the smallest size, where the curve crosses it
    seed: float
    rule: str
    blown: float = 0.0  # share of runs that end four times above the baseline


def filtered_study(cell: Filter, rng: np.random.Generator, sizes: int = 5, seeds: int = 3) -> tuple[float, bool, bool]:
    """Return the fitted exponent, whether its interval holds the truth, and whether a law is refused."""
    x = np.repeat(np.log(np.geomspace(100, 1600, sizes)), seeds)
    line = -cell.exponent * (x - x[0] - cell.baseline)  # ln of error over baseline
    test = line + cell.seed * rng.standard_normal(len(x))
    test = np.where(rng.random(len(x)) < cell.blown, np.log(4.0), test)
    # nine tenths of a run's luck are the same on validation
    validation = test + np.sqrt(0.19) * cell.seed * rng.standard_normal(len(x))
    runs = pd.DataFrame({"budget": "", "arm": "", "target": "", "size": np.exp(x).round().astype(str)})
    runs = decide(runs.assign(n_frames=np.exp(x), val_ratio=np.exp(validation), falling=False))
    keep = (test < 0) if cell.rule == "test" else runs["converged"].to_numpy()
    try:
        law = fit_law(log_points(np.exp(x[keep]), np.exp(test[keep]), sizes=runs["size"].to_numpy()[keep]), "power")
    except LawRefused:
        return np.nan, False, True
    value, low, high = law.parameters()["exponent"]
    return value, low <= cell.exponent <= high, False


def run_filter(cell: Filter, studies: int) -> dict[str, Any]:
    """Return mean exponent and coverage under one way to choose runs."""
    rng = np.random.default_rng([2718, round(100 * cell.exponent), round(100 * cell.blown)])
    rows = np.array([filtered_study(cell, rng) for _ in range(studies)])
    good = rows[rows[:, 2] == 0]
    found = {"mean": float(good[:, 0].mean()), "coverage": float(good[:, 1].mean()), "refused": 1 - len(good) / studies}
    return asdict(cell) | found | {"studies": studies}


def filter_cells() -> list[Filter]:
    """Return curves near the baseline, each under both rules."""
    near = [
        (0.5, -0.1, 0.1, 0.0),
        (0.5, 0.15, 0.15, 0.0),
        (0.4, 0.3, 0.3, 0.0),
        (0.3, 0.8, 0.3, 0.0),
        (0.5, -1, 0.1, 0.03),
    ]
    return [Filter(a, b, sd, rule, blown) for a, b, sd, blown in near for rule in ("test", "validation")]
