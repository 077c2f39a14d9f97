"""Forgetting: errors at the source fidelity beside those at the target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

COLUMNS = (
    *("budget", "arm", "size", "seed", "n_frames", "target", "mae", "source_mae", "source_rereferenced"),
    *("source_frames", "source_unseen"),
)


def forgetting_table(runs: Sequence[Mapping[str, Any]], targets: Sequence[str]) -> pd.DataFrame:
    """Return one row per run and target: its error on the target's test frames and on held-out source frames.

    Args:
        runs: metrics of every run.
        targets: which errors.

    Returns:
        Columns `COLUMNS`, in eV/atom, eV/Å, GPa, μB: `mae` on all test frames of the target, `source_mae` on those of
        the source as predicted, `source_rereferenced` (energy only) after what is linear in composition was taken
        away; `source_frames` tested, `source_unseen` of them hold an element that the linear function has not seen.
    """
    rows = []
    for metrics in runs:
        source = metrics.get("source")
        if source is None:
            continue
        for target in targets:
            raw = source["raw"].get(target)
            if raw is None:
                continue
            linear = source.get("rereferenced", {}).get(target, {})
            rows.append(
                {
                    **metrics["run"],
                    "n_frames": metrics["n_train"],
                    "target": target,
                    "mae": metrics[metrics["kept"]]["all"].get(target, {}).get("mae"),
                    "source_mae": raw["mae"],
                    "source_rereferenced": linear.get("mae"),
                    "source_frames": raw["frames"],
                    "source_unseen": source.get("unseen", 0),
                }
            )
    return pd.DataFrame(rows, columns=list(COLUMNS))
