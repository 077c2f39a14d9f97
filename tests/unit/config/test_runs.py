"""Which networks a study trains, and what a study file may not ask for."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from uprung.config.runs import longer_budgets, longer_runs, runs_of, tuned_arms, tuned_at
from uprung.config.study import Study

BASE: dict[str, Any] = {
    "study": "s",
    "fidelities": {
        name: {"functional": functional, "sources": [{"format": "diatomics", "file": "x"}]}
        for name, functional in (("low", "PBE"), ("high", "r2SCAN"))
    },
    "pairs": {"p": {"low": "low", "high": "high"}},
    "transfer": {"pair": "p"},
    "arms": {"a": {"init": "random"}, "b": {"references": "target", "seeds": [0]}},
    "sizes": [10, 20, 40, 80, "all"],
    "seeds": 3,
    "budgets": {"steps100": {"steps": 100}},
}


def study(**changes: Any) -> Study:
    return Study.model_validate({**BASE, **changes})


def test_an_arm_may_have_fewer_seeds() -> None:
    runs = runs_of(study())
    assert len(runs) == 5 * 3 + 5
    assert {run.seed for run in runs if run.arm == "b"} == {0}


def test_the_longer_budget_takes_ends_and_middle_and_the_first_seed() -> None:
    assert longer_runs(study()) == []
    found = longer_runs(study(longer={"times": 4}))
    assert {run.size for run in found} == {"10", "40", "all"}
    assert {run.seed for run in found} == {0}
    assert {run.budget for run in found} == {"steps100x4"}
    assert longer_budgets(study(longer={"times": 4}))["steps100x4"].steps == 400
    some = longer_runs(study(longer={"arms": ["a"], "sizes": [20], "seeds": [1, 2]}))
    assert {(run.arm, run.size, run.seed) for run in some} == {("a", "20", 1), ("a", "20", 2)}


def test_epochs_are_lengthened_and_the_scored_checkpoint_stays() -> None:
    long = longer_budgets(study(budgets={"e": {"epochs": 50}}, longer={}))["ex2"]
    assert (long.epochs, long.steps, long.keep) == (100, None, "val-energy")


def test_rates_are_chosen_for_all_arms_at_the_middle_size() -> None:
    assert tuned_arms(study()) == []
    assert tuned_arms(study(tune={})) == ["a", "b"]
    assert tuned_at(study(tune={})) == "40"
    assert tuned_arms(study(tune={"arms": ["b"]})) == ["b"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"longer": {"sizes": [30]}}, "longer.sizes: 30 is not in the study"),
        ({"longer": {"seeds": [7]}}, "longer.seeds: 7 is not in the study"),
        ({"longer": {"arms": ["c"]}}, "longer.arms: c is not in the study"),
        ({"tune": {"arms": ["c"]}}, "tune.arms: c is not in the study"),
        ({"tune": {"size": 30}}, "tune.size: 30 is not in the study"),
        ({"arms": {"a": {"init": "random", "seeds": [5]}}}, "arms.a.seeds: 5 is not in the study"),
        ({"longer": {}, "budgets": {"s": {"steps": 1}, "sx2": {"steps": 2}}}, "budgets.sx2: this is the name"),
        ({"longer": {"times": 3}}, "Input should be 2 or 4"),
        ({"tune": {"learning_rates": [1e-3]}}, "at least 2 items"),
    ],
)
def test_choices_of_what_is_not_there_are_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        study(**changes)
