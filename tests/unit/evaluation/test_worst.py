from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from factories import make_frame, table_of

from uprung.evaluation.largest import largest_runs, run_tests
from uprung.evaluation.worst import COLUMNS, with_formulas, worst_structures
from uprung.figures.structures import worst


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


def test_formulas_and_structures_stand_in_the_order_of_the_ranks() -> None:
    known = table_of([make_frame("a", Z=(14, 8)), make_frame("b", Z=(3, 3)), make_frame("c", Z=(8, 8))])
    listed = worst_structures({"x": frames({"a": 0.1, "b": 0.3})}, "force", best="x")
    found, structures = with_formulas(listed, known)
    assert found["formula"].tolist() == ["Li2", "OSi"]
    assert [each.get_chemical_formula() for each in structures] == ["Li2", "OSi"]
    titles = [axis.get_title() for axis in worst(found, structures).axes]
    assert titles == ["1: Li2\n300 meV/Å", "2: OSi\n100 meV/Å"]


def test_runs_at_the_largest_size_with_the_scored_checkpoint(tmp_path: Path) -> None:
    files: list[list[str]] = [[], [], []]
    runs = [("x", "100", 100, 0), ("x", "all", 240, 0), ("x", "all", 240, 1), ("y", "all", 240, 1)]
    for arm, size, n, seed in runs:
        name = tmp_path / f"{arm}-{size}-{seed}"
        facts = {"run": {"budget": "b", "arm": arm, "size": size, "seed": seed}, "kept": "last", "n_train": n}
        name.with_suffix(".json").write_text(json.dumps(facts | {"last": {"all": {"energy": {"mae": 0.5}}}}))
        pd.DataFrame({"checkpoint": ["last", "val-loss"], "e": [1, 2]}).to_parquet(name.with_suffix(".parquet"))
        for known, end in zip(files, (".json", ".parquet", ".parquet"), strict=True):
            known.append(str(name.with_suffix(end)))
    found = largest_runs(run_tests(*files), "b", {"x": 0, "y": 1})
    assert {arm: run.names["seed"] for arm, run in found.items()} == {"x": 0, "y": 1}
    assert found["x"].names["size"] == "all"
    assert found["x"].predictions()["e"].tolist() == [1]
    assert len(found["x"].components()) == 2
    assert found["x"].mae("energy") == pytest.approx(0.5)
    assert np.isnan(found["x"].mae("stress"))
