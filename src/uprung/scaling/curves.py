"""Learning curves: errors of all runs on fixed test populations, beside what they have to beat.

A run is *above the baseline* (column `converged`) where its size enters laws (`uprung.scaling.entering`): this is
decided on validation errors. It *gains* when its test error is below that of the untouched pretrained network by its
95 % interval (paired bootstrap over test groups). Whether a point is *settled* takes a second budget
(`uprung.scaling.settled`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from uprung.scaling.entering import decide
from uprung.scaling.materials import RUN_KEYS
from uprung.scaling.settled import SECOND_COLUMNS, second_budgets, states

MIN_GROUPS = 10  # test groups without which a bootstrap over them means nothing
POPULATIONS = ("all", "covered")
RUN_NAMES = ("budget", "arm", "size", "seed")
TAIL = 0.01  # share of the test frames, the worst ones, whose part of the error is stated


@dataclass(frozen=True)
class RunFiles:
    """What one run left behind."""

    metrics: Mapping[str, Any]
    predictions: pd.DataFrame  # rows of both checkpoints, test split
    history: pd.DataFrame
    start: pd.DataFrame | None = None  # errors before training, of `uprung.evaluation.untouched`

    @property
    def names(self) -> Mapping[str, Any]:
        """Budget, arm, size and seed."""
        names: Mapping[str, Any] = self.metrics["run"]
        return names

    @property
    def kept(self) -> pd.DataFrame:
        """Predictions of the scored checkpoint."""
        kept: pd.DataFrame = self.predictions[self.predictions["checkpoint"] == self.metrics["kept"]]
        return kept if self.start is None else kept.merge(self.start, on="frame_id", validate="one_to_one")

    @property
    def other(self) -> pd.DataFrame:
        """Predictions of the other one of last and best."""
        other: pd.DataFrame = self.predictions[self.predictions["checkpoint"] != self.metrics["kept"]]
        return other

    def validation(self, target: str) -> float:
        """Return the validation error of the scored checkpoint over that of learning nothing, NaN without labels."""
        history, baselines = self.history, self.metrics["validation_baseline"]
        at = history["step"] == self.metrics["best_step"] if self.metrics["kept"] != "last" else history.index[-1:]
        return float(history.loc[at, f"val_{target}"].iloc[-1] / baselines.get(target, np.nan))


def entering(runs: Sequence[RunFiles], targets: Sequence[str], falling: float) -> pd.DataFrame:
    """Return which runs enter laws for which target, and why others do not; see `uprung.scaling.entering.decide`."""
    rows = [
        {
            **run.names,
            "n_frames": run.metrics["n_train"],
            "target": target,
            "val_ratio": run.validation(target),
            "falling": still_falling(run.history, target, falling),
        }
        for run in runs
        for target in targets
    ]
    return decide(pd.DataFrame(rows))


def covered_frames(runs: Sequence[RunFiles], entered: pd.DataFrame | None = None) -> frozenset[str]:
    """Return the test frames whose elements every seed saw at the smallest size that enters a law.

    Args:
        runs: all runs of a study.
        entered: of `entering`; without it, or where nothing enters, the smallest size of all counts.
    """
    named = {run.names["size"]: int(run.metrics["n_train"]) for run in runs}
    inside = set() if entered is None else set(entered.loc[entered["converged"], "size"])
    smallest = min(inside & set(named) or named, key=lambda size: named[size])
    at = (run.predictions for run in runs if run.names["size"] == smallest)
    sets = [set(table.loc[table["elements_seen"], "frame_id"]) for table in at]
    return frozenset(set.intersection(*sets))


def better_than(frames: pd.DataFrame, target: str, against: str, *, resamples: int, seed: int) -> tuple[bool, float]:
    """Return whether a model beats something by its 95 % interval, and the interval's upper end.

    Args:
        frames: test frames with columns group, `<t>_abs`, `<t>_<against>`, `<t>_n`.
        target: which error.
        against: `base`, the geometry-free baseline, or `start`, the untouched network.
        resamples: bootstrap resamples of whole groups.
        seed: of the resampling.
    """
    sums = frames.groupby("group", sort=True)[[f"{target}_{c}" for c in ("abs", against, "n")]].sum().to_numpy()
    draws = np.random.default_rng(seed).multinomial(len(sums), np.full(len(sums), 1 / len(sums)), size=resamples)
    totals = draws @ sums
    difference = (totals[:, 0] - totals[:, 1]) / np.maximum(totals[:, 2], 1)
    upper = float(np.quantile(difference, 0.975))
    return upper < 0, upper


def tail_share(errors: pd.Series) -> float:
    """Return which part of a summed error the worst `TAIL` of the frames carry, at least one of them."""
    ordered = errors.to_numpy(dtype=np.float64)
    worst = np.sort(ordered)[-max(1, math.ceil(TAIL * len(ordered))) :]
    return float(worst.sum() / max(ordered.sum(), 1e-300))


def still_falling(history: pd.DataFrame, target: str, share: float) -> bool:
    """Return whether the validation error of a target fell by more than `share` over the last fifth of the budget."""
    steps = history["step"].to_numpy(dtype=np.float64)
    errors = history[f"val_{target}"].to_numpy(dtype=np.float64)
    if not np.isfinite(errors[-1]):
        return True
    earlier = errors[np.argmin(np.abs(steps - 0.8 * steps[-1]))]
    return bool(errors[-1] < (1 - share) * earlier)


def learning_curves(
    runs: Sequence[RunFiles],
    *,
    fidelity: str,
    targets: Sequence[str],
    falling: float,
    resamples: int,
    settled: float = 0.1,
    budgets: Sequence[str] = (),
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return one row per run, target and population, and what the second budgets change.

    Args:
        runs: all runs of a study, those of the second budgets among them.
        fidelity: of the test labels.
        targets: which errors.
        falling: see `still_falling`.
        resamples: bootstrap resamples over test groups.
        settled: see `uprung.scaling.settled`.
        budgets: those that have curves; none for all.

    Returns:
        Columns `uprung.scaling.tables.CURVE_COLUMNS` and `MORE_COLUMNS`, beats_baseline (whether the test error is
        below the baseline by its 95 % interval) and val_ratio, in eV/atom, eV/Å, GPa, μB; and the table of
        `uprung.scaling.settled.second_budgets`.
    """
    drawn = set(budgets) or {run.names["budget"] for run in runs}
    curved = [run for run in runs if run.names["budget"] in drawn]
    entered = entering(curved, targets, falling)
    indexed = entered.set_index([*RUN_NAMES, "target"])[["val_ratio", "converged", "reason"]]
    verdicts: dict[Any, dict[Any, Any]] = dict(zip(indexed.index, indexed.to_dict("records"), strict=True))
    covered = covered_frames(curved, entered)
    rows, steps = [], []
    for run in runs:
        kept, other = run.kept, run.other
        for population in POPULATIONS:
            frames = kept if population == "all" else kept[kept["frame_id"].isin(covered)]
            for target in targets:
                count = int(frames[f"{target}_n"].sum()) if len(frames) else 0
                if not count:
                    continue
                names = {name: run.names[name] for name in ("budget", "arm", "size")}
                row = {
                    **names,
                    "n_frames": run.metrics["n_train"],
                    "n_materials": run.metrics["n_materials"],
                    "seed": run.names["seed"],
                    "fidelity": fidelity,
                    "target": target,
                    "population": population,
                    "n_test": len(frames),
                    "mae": float(frames[f"{target}_abs"].sum() / count),
                }
                steps.append(row | {"steps": run.metrics["steps"]})
                if names["budget"] in drawn:
                    inside = other[other["frame_id"].isin(frames["frame_id"])]
                    verdict = verdicts[(*(run.names[name] for name in RUN_NAMES), target)]
                    rows.append(row | verdict | _compared(frames, inside, target, resamples=resamples))
    curves, errors = pd.DataFrame(rows), pd.DataFrame(steps)
    second = second_budgets(errors, share=settled) if len(errors) else pd.DataFrame(columns=list(SECOND_COLUMNS))
    return curves.assign(settled=states(curves, second)) if len(curves) else curves, second


def _compared(frames: pd.DataFrame, other: pd.DataFrame, target: str, *, resamples: int) -> dict[str, Any]:
    """Return what a run's error on some frames has to be compared with."""
    count = frames[f"{target}_n"].sum()
    begun = f"{target}_start" in frames
    return {
        "baseline": float(frames[f"{target}_base"].sum() / count),
        "beats_baseline": better_than(frames, target, "base", resamples=resamples, seed=0)[0],
        "untouched": float(frames[f"{target}_start"].sum() / count) if begun else math.nan,
        "gains": better_than(frames, target, "start", resamples=resamples, seed=0)[0] if begun else None,
        "mae_other": float(other[f"{target}_abs"].sum() / count) if len(other) else math.nan,
        "tail": tail_share(frames[f"{target}_abs"]),
    }


def material_errors(runs: Sequence[RunFiles], *, targets: Sequence[str], falling: float) -> pd.DataFrame:
    """Return every run's errors on the test groups of both populations; see `uprung.scaling.materials`.

    Targets with labels in fewer than `MIN_GROUPS` groups are left out: their test noise is unknown.

    Args:
        runs: all runs of a study.
        targets: which errors.
        falling: see `still_falling`.

    Returns:
        Columns budget, arm, size, seed, target, population, errors, labels.
    """
    covered = covered_frames(runs, entering(runs, targets, falling))
    rows = []
    for run in runs:
        kept = run.kept
        for population in POPULATIONS:
            frames = kept if population == "all" else kept[kept["frame_id"].isin(covered)]
            groups = frames.groupby("group", sort=True)
            for target in targets:
                totals = groups[[f"{target}_abs", f"{target}_n"]].sum()
                sums = totals[totals[f"{target}_n"] > 0].to_numpy(dtype=np.float64)
                if len(sums) >= MIN_GROUPS:
                    lists = {"errors": sums[:, 0], "labels": sums[:, 1]}
                    rows.append({**run.names, "target": target, "population": population, **lists})
    return pd.DataFrame(rows, columns=[*RUN_KEYS, "errors", "labels"])
