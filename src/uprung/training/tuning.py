"""Choice of a learning rate: of runs that differ in nothing else, the one with the lowest validation loss."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd


def choose_rate(histories: Mapping[float, pd.DataFrame], *, keep: str) -> pd.DataFrame:
    """Return what every learning rate comes to on validation, and which one is chosen.

    Args:
        histories: learning rate -> history of its run.
        keep: checkpoint that the budget scores: `last`, or the best by `val-loss` or `val-energy`.

    Returns:
        Columns learning_rate, step (of the scored checkpoint), the validation errors `val_*`, chosen.

    Raises:
        ValueError: no run has a finite validation loss.
    """
    score = "val_energy" if keep == "val-energy" else "val_loss"
    rows = []
    for rate, history in histories.items():
        values = history[score].to_numpy(dtype=np.float64)
        last = len(history) - 1 if keep == "last" else int(np.argmin(np.where(np.isfinite(values), values, np.inf)))
        columns = [name for name in history.columns if name == "step" or name.startswith("val_")]
        rows.append({"learning_rate": rate, **{name: history[name].iloc[last] for name in columns}})
    table = pd.DataFrame(rows)
    values = table[score].to_numpy(dtype=np.float64)
    if not np.isfinite(values).any():
        raise ValueError(f"tune: no learning rate of {list(histories)} leads to a finite {score}; give lower ones")
    return table.assign(chosen=np.arange(len(table)) == np.argmin(np.where(np.isfinite(values), values, np.inf)))


def with_rate(recipe: Mapping[str, Any], rate: float) -> dict[str, Any]:
    """Return a recipe with another learning rate, at the same ratio of the final one to the first."""
    last = rate * recipe["final_learning_rate"] / recipe["learning_rate"]
    return {**recipe, "learning_rate": rate, "final_learning_rate": float(f"{last:.6g}")}


def tuned(recipe: Mapping[str, Any], *chosen: str | Path) -> dict[str, Any]:
    """Return the recipe of a run: with the learning rate of a table of `choose_rate`, as it is without one."""
    for file in chosen:
        table = pd.read_csv(file)
        return with_rate(recipe, float(table.loc[table["chosen"], "learning_rate"].iloc[0]))
    return dict(recipe)
