from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from uprung.evaluation.largest import largest_runs
from uprung.evaluation.worst import COLUMNS, worst_structures


def frames(errors: dict[str, float], atoms: int = 2) -> pd.DataFrame:
    table = pd.DataFrame({"frame_id": list(errors), "nsites": atoms, "force_n": 3 * atoms})
    table["force_abs"] = np.array(list(errors.values())) * 3 * atoms
    return table.assign(force_n=table["force_n"].where(table["force_abs"].notna(), 0))


def test_the_best_arm_says_which_structures_and_all_arms_say_how_wrong() -> None:
    tested = {"good": frames({"a": 0.1, "b": 0.3, "c": 0.2}), "bad": frames({"c": 5.0, "b": 4.0, "a": 9.0})}
    table = worst_structures(tested, "force", best="good", count=2)
    assert list(table.columns) == list(COLUMNS)
    assert table["frame_id"].tolist() == ["b", "b", "c", "c"]
    assert table["rank"].tolist() == [1, 1, 2, 2]
    np.testing.assert_allclose(table["error"], [0.3, 4.0, 0.2, 5.0])
    assert set(table["nsites"]) == {2}


def test_a_structure_without_the_label_is_not_among_the_worst() -> None:
    table = worst_structures({"x": frames({"a": np.nan, "b": 0.3})}, "force", best="x")
    assert table["frame_id"].tolist() == ["b"]


def test_runs_at_the_largest_size_with_the_scored_checkpoint(tmp_path: Path) -> None:
    metrics, files = [], []
    for arm, size, n in (("x", "100", 100), ("x", "all", 240), ("y", "all", 240)):
        name = tmp_path / f"{arm}-{size}"
        facts = {"run": {"arm": arm, "size": size}, "kept": "last", "n_train": n}
        name.with_suffix(".json").write_text(json.dumps(facts | {"last": {"all": {"energy": {"mae": 0.5}}}}))
        pd.DataFrame({"checkpoint": ["last", "val-loss"], "e": [1, 2]}).to_parquet(name.with_suffix(".parquet"))
        metrics.append(str(name.with_suffix(".json")))
        files.append(str(name.with_suffix(".parquet")))
    runs = largest_runs(metrics, files)
    assert [run.arm for run in runs] == ["x", "y"]
    assert runs[0].table()["e"].tolist() == [1]
    assert runs[0].mae("energy") == pytest.approx(0.5)
    assert np.isnan(runs[0].mae("stress"))
