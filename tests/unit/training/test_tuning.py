"""The learning rate of the lowest validation loss is taken, and the rest of the recipe stays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from uprung.training.tuning import choose_rate, tuned, with_rate

RECIPE = {"learning_rate": 1e-3, "final_learning_rate": 1e-5, "batch_size": 32}


def course(*losses: float) -> pd.DataFrame:
    steps = range(0, 100 * len(losses), 100)
    return pd.DataFrame({"step": steps, "val_loss": losses, "val_energy": 1 / np.array(losses)})


def chosen(table: pd.DataFrame) -> list[float]:
    return table.loc[table["chosen"], "learning_rate"].tolist()


def test_the_scored_checkpoint_decides() -> None:
    trials = {1e-4: course(1.0, 0.3, 0.5), 1e-3: course(1.0, 0.6, 0.4), 1e-2: course(0.1, 0.9, 0.9)}
    assert chosen(choose_rate(trials, keep="last")) == [1e-3]
    best = choose_rate(trials, keep="val-loss")
    assert chosen(best) == [1e-2]
    assert best["step"].tolist() == [100, 200, 0]
    assert chosen(choose_rate(trials, keep="val-energy")) == [1e-4]


def test_a_run_without_a_number_is_never_chosen() -> None:
    assert chosen(choose_rate({1e-3: course(1.0, np.nan), 1e-4: course(1.0, 0.9)}, keep="last")) == [1e-4]
    with pytest.raises(ValueError, match="finite val_loss; give lower ones"):
        choose_rate({1e-3: course(1.0, np.nan)}, keep="last")


def test_a_recipe_keeps_the_ratio_of_its_rates_and_all_else(tmp_path: Path) -> None:
    assert with_rate(RECIPE, 3e-3) == {"learning_rate": 3e-3, "final_learning_rate": 3e-5, "batch_size": 32}
    file = tmp_path / "rates.csv"
    choose_rate({1e-3: course(1.0, 0.4), 3e-3: course(1.0, 0.2)}, keep="last").to_csv(file, index=False)
    assert tuned(RECIPE, file)["learning_rate"] == 3e-3
    assert tuned(RECIPE) == RECIPE
