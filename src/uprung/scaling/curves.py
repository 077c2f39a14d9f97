"""Learning curves: errors of all runs on fixed test populations, with baselines and convergence.

A point is *converged* when it beats the geometry-free baseline by its 95 % interval (paired
bootstrap over test groups) and its validation error no longer falls at the end of the budget.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from uprung.scaling.resamples import RUN_KEYS, resample

MIN_GROUPS = 10  # test groups without which a bootstrap over them means nothing
POPULATIONS = ("all", "covered")


@dataclass(frozen=True)
class RunFiles:
    """What one run left behind."""

    metrics: Mapping[str, Any]
    predictions: pd.DataFrame  # rows of both checkpoints, test split
    history: pd.DataFrame

    @property
    def names(self) -> Mapping[str, Any]:
        """Budget, arm, size and seed."""
        names: Mapping[str, Any] = self.metrics["run"]
        return names

    @property
    def kept(self) -> pd.DataFrame:
        """Predictions of the scored checkpoint."""
        kept: pd.DataFrame = self.predictions[self.predictions["checkpoint"] == self.metrics["kept"]]
        return kept


def covered_frames(runs: Sequence[RunFiles]) -> frozenset[str]:
    """Return the test frames whose elements every seed saw at the smallest size: one population for all sizes."""
    smallest = min(runs, key=lambda run: int(run.metrics["n_train"])).names["size"]
    at = (run.predictions for run in runs if run.names["size"] == smallest)
    sets = [set(table.loc[table["elements_seen"], "frame_id"]) for table in at]
    return frozenset(set.intersection(*sets))


def better_than_baseline(frames: pd.DataFrame, target: str, *, resamples: int, seed: int) -> tuple[bool, float]:
    """Return whether a model beats its baseline by its 95 % interval, and the interval's upper end.

    Args:
        frames: test frames with columns group, `<t>_abs`, `<t>_base`, `<t>_n`.
        target: which error.
        resamples: bootstrap resamples of whole groups.
        seed: of the resampling.
    """
    sums = frames.groupby("group", sort=True)[[f"{target}_abs", f"{target}_base", f"{target}_n"]].sum().to_numpy()
    draws = np.random.default_rng(seed).multinomial(len(sums), np.full(len(sums), 1 / len(sums)), size=resamples)
    totals = draws @ sums
    difference = (totals[:, 0] - totals[:, 1]) / np.maximum(totals[:, 2], 1)
    upper = float(np.quantile(difference, 0.975))
    return upper < 0, upper


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
) -> pd.DataFrame:
    """Return one row per run, target and population.

    Args:
        runs: all runs of a study.
        fidelity: of the test labels.
        targets: which errors.
        falling: see `still_falling`.
        resamples: bootstrap resamples over test groups.

    Returns:
        Columns budget, arm, size, n_frames, n_materials, seed, fidelity, target, population, n_test, mae, baseline,
        converged, reason. Units eV/atom, eV/Å, GPa, μB.
    """
    covered = covered_frames(runs)
    rows = []
    for run in runs:
        kept = run.kept
        for population in POPULATIONS:
            frames = kept if population == "all" else kept[kept["frame_id"].isin(covered)]
            for target in targets:
                count = int(frames[f"{target}_n"].sum()) if len(frames) else 0
                if not count:
                    continue
                better, _ = better_than_baseline(frames, target, resamples=resamples, seed=0)
                reasons = [] if better else ["not better than the baseline by its interval"]
                if still_falling(run.history, target, falling):
                    reasons.append("validation error still falling at the end of the budget")
                rows.append(
                    {
                        **{name: run.names[name] for name in ("budget", "arm", "size")},
                        "n_frames": run.metrics["n_train"],
                        "n_materials": run.metrics["n_materials"],
                        "seed": run.names["seed"],
                        "fidelity": fidelity,
                        "target": target,
                        "population": population,
                        "n_test": len(frames),
                        "mae": float(frames[f"{target}_abs"].sum() / count),
                        "baseline": float(frames[f"{target}_base"].sum() / count),
                        "converged": not reasons,
                        "reason": "; ".join(reasons),
                    }
                )
    return pd.DataFrame(rows)


def error_resamples(runs: Sequence[RunFiles], *, targets: Sequence[str], resamples: int) -> pd.DataFrame:
    """Return every run's error on the same resamples of the covered test groups; see `uprung.scaling.resamples`.

    Targets with labels in fewer than `MIN_GROUPS` groups are left out: their test noise is unknown.

    Args:
        runs: all runs of a study.
        targets: which errors.
        resamples: bootstrap resamples over test groups.

    Returns:
        Columns budget, arm, size, seed, target, ln_ratio.
    """
    covered = covered_frames(runs)
    rows = []
    for run in runs:
        kept = run.kept
        groups = kept[kept["frame_id"].isin(covered)].groupby("group", sort=True)
        for target in targets:
            totals = groups[[f"{target}_abs", f"{target}_n"]].sum()
            sums = totals[totals[f"{target}_n"] > 0].to_numpy(dtype=np.float64)
            if len(sums) >= MIN_GROUPS:
                ratio = resample(sums[:, 0], sums[:, 1], resamples=resamples, seed=0)
                rows.append({**run.names, "target": target, "ln_ratio": ratio.astype(np.float32)})
    return pd.DataFrame(rows, columns=[*RUN_KEYS, "ln_ratio"])
