"""The runs that figures of single structures show: those at the largest training-set size."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd


@dataclass(frozen=True)
class ShownRun:
    """A run's errors and a table of its single predictions."""

    metrics: dict[str, Any]
    file: Path

    @property
    def arm(self) -> str:
        """Name of the arm."""
        return str(self.metrics["run"]["arm"])

    def table(self) -> pd.DataFrame:
        """Return the table, of the scored checkpoint where it holds several."""
        found = pd.read_parquet(self.file)
        return found[found["checkpoint"] == self.metrics["kept"]] if "checkpoint" in found else found

    def mae(self, target: str) -> float:
        """Return the mean absolute error on all test frames; NaN without labels."""
        errors = self.metrics[self.metrics["kept"]]["all"]
        return float(errors.get(target, {}).get("mae", "nan"))


def largest_runs(metrics: Sequence[str], files: Sequence[str]) -> list[ShownRun]:
    """Return the runs at the largest size that any has.

    Args:
        metrics: `metrics.json` of runs of one budget and seed.
        files: a table of each.
    """
    runs = [
        ShownRun(json.loads(Path(facts).read_text(encoding="utf-8")), Path(file))
        for facts, file in zip(metrics, files, strict=True)
    ]
    size = max(runs, key=lambda run: int(run.metrics["n_train"])).metrics["run"]["size"]
    return [run for run in runs if run.metrics["run"]["size"] == size]
