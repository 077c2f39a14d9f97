"""Plain values of a section: what is off leaves no trace, and the section comes back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import Field

from uprung.config.arms import Arm
from uprung.config.base import Section, plain
from uprung.config.load import load_study
from uprung.config.study import Study
from uprung.config.training import Budget, FineTuning, Training

CONFIG = Path(__file__).parents[3] / "config"


class Inner(Section):
    """With everything off by default."""

    strength: float | None = None
    note: str = ""


class Outer(Section):
    """With options that are on and off by default."""

    name_: str = Field(alias="name")
    count: int = 0
    quiet: bool = False
    loud: bool = True
    limit: float | None = 2.0
    words: list[str] = Field(default=["a"])
    lines: list[str] = Field(default=[])
    inner: Inner = Field(default_factory=Inner)
    several: dict[str, Inner] = Field(default={})
    listed: list[Inner] = Field(default=[])


def test_what_is_off_by_default_and_off_is_left_out() -> None:
    section = Outer.model_validate({"name": "x"})
    assert plain(section) == {"name": "x", "count": 0, "loud": True, "limit": 2.0, "words": ["a"]}


@pytest.mark.parametrize(
    "values",
    [
        {"name": ""},
        {"name": "x", "loud": False, "limit": None, "words": []},
        {"name": "x", "quiet": True, "inner": {"note": "n"}},
        {"name": "x", "several": {"a": {}, "b": {"strength": 0.0}}, "listed": [{}, {"note": "n"}]},
    ],
)
def test_what_differs_from_its_default_stays(values: dict[str, Any]) -> None:
    section = Outer.model_validate(values)
    assert values.items() <= plain(section).items()
    assert Outer.model_validate(plain(section)) == section


@pytest.mark.parametrize("name", ["demo", "arms", "paper", "softening"])
def test_a_study_comes_back(name: str) -> None:
    whole = load_study(yaml.safe_load((CONFIG / f"{name}.yaml").read_text()))
    assert isinstance(whole, Study)
    assert Study.model_validate(plain(whole)) == whole


def test_the_recipe_of_another_section_comes_back() -> None:
    recipe = FineTuning().recipe(Training(threads=3))
    assert Training.model_validate(plain(recipe)).weights.model_dump() == recipe.weights.model_dump()


def test_what_a_budget_keeps_is_said() -> None:
    assert plain(Budget(steps=5)) == {"steps": 5, "keep": "last"}
    assert plain(Budget(epochs=5)) == {"epochs": 5, "keep": "val-energy"}


def test_an_arm_says_what_it_chooses() -> None:
    arm = Arm.model_validate({"init": "random"})
    assert plain(arm) == {"init": "random", "references": "target", "trainable": "all", "fidelities": "target"}
