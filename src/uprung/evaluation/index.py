"""Index of a study's trained networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from uprung.job.files import sha256


@dataclass(frozen=True)
class TrainedModel:
    """One run's scored checkpoint with what is known about it."""

    file: Path
    card: Mapping[str, Any]
    metrics: Mapping[str, Any]


def model_index(models: Sequence[TrainedModel], *, root: Path, targets: Sequence[str]) -> pd.DataFrame:
    """Return one row per network.

    Args:
        models: the scored checkpoints.
        root: folder that the column `file` is relative to.
        targets: errors to list.

    Returns:
        Columns budget, arm, size, seed, file, sha256, labels (trained on), kept, steps, n_train, n_materials,
        label_scale, loads_in (package and function that read it), n_test and `<target>_mae_all` (eV/atom, eV/Å, GPa,
        μB; empty where there is no label): errors on all test frames, while the tables of the report are of the
        covered ones.
    """
    rows = []
    for model in models:
        errors = model.metrics[model.metrics["kept"]]["all"]
        rows.append(
            {
                **model.metrics["run"],
                "file": model.file.relative_to(root).as_posix(),
                "sha256": sha256(model.file),
                "labels": " ".join(model.card["options"]["arm"].get("labels") or model.card["options"]["targets"]),
                **{key: model.card[key] for key in ("kept", "steps", "n_train", "n_materials", "label_scale")},
                "loads_in": model.card["loads_in"],
                "n_test": model.metrics["n_test"],
                **{f"{t}_mae_all": errors.get(t, {}).get("mae") for t in targets},
            }
        )
    return pd.DataFrame(rows)
