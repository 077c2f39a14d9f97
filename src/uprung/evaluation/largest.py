"""Tests of runs as files, and those at the largest training-set size, which figures of single structures show."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd


@dataclass(frozen=True)
class RunTest:
    """What a run left of its test: `metrics.json`, and the files of single predictions."""

    metrics: Mapping[str, Any]
    predictions_file: str
    components_file: str

    @property
    def names(self) -> dict[str, Any]:
        """Budget, arm, size and seed."""
        return dict(self.metrics["run"])

    def predictions(self) -> pd.DataFrame:
        """Return the errors of the scored checkpoint, frame by frame."""
        found = pd.read_parquet(self.predictions_file)
        return found[found["checkpoint"] == str(self.metrics["kept"])]

    def components(self) -> pd.DataFrame:
        """Return single components, see `uprung.evaluation.components`."""
        return pd.read_parquet(self.components_file)

    def mae(self, target: str) -> float:
        """Return the mean absolute error on all test frames; NaN without labels."""
        errors = self.metrics[self.metrics["kept"]]["all"]
        return float(errors.get(target, {}).get("mae", "nan"))


def run_tests(metrics: Sequence[str], predictions: Sequence[str], components: Sequence[str]) -> list[RunTest]:
    """Return the tests of runs by their files."""
    facts = (json.loads(Path(file).read_text(encoding="utf-8")) for file in metrics)
    return [RunTest(*each) for each in zip(facts, predictions, components, strict=True)]


def largest_runs(runs: Sequence[RunTest], budget: str, seeds: Mapping[str, int]) -> dict[str, RunTest]:
    """Return arm -> run of one budget, at the largest size that any run has.

    Args:
        runs: of a study.
        budget: which.
        seeds: arm -> seed.
    """
    size = max(runs, key=lambda run: int(run.metrics["n_train"])).names["size"]
    return {
        arm: run
        for run in runs
        if (run.names["budget"], run.names["size"], run.names["seed"]) == (budget, size, seeds[arm := run.names["arm"]])
    }
