"""Draws that a killed job had finished: taken as they were, computed anew when anything about them is another."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from uprung.softening.draws import Draw
from uprung.softening.force_correction import Floats, drawn
from uprung.softening.saved_draws import SavedDraws

IDENTITY = {"code": "x"}


def cloud(seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    n = 60
    table = {f"{side}_{axis}": rng.normal(size=n) for side in ("label", "predicted") for axis in "xyz"}
    names = {"frame_id": [f"f{k // 5}" for k in range(n)], "trajectory": [f"t{k // 10}" for k in range(n)]}
    return pd.DataFrame(names | {"material": "Si"} | table)


class Counting:
    """Multiplies forces by a number that counts the calls; the fourth one is killed where it is told to be."""

    def __init__(self, *, killed: bool = False) -> None:
        self.calls, self.killed = 0, killed

    def __call__(self, material: str, chosen: Draw) -> tuple[Floats, dict[str, float]]:
        self.calls += 1
        if self.killed and self.calls == 4:
            raise KeyboardInterrupt
        forces = np.concatenate([frame.predicted for frame in chosen.judged]) * (1 + chosen.draw / 7)
        return forces, {"loss_before": 0.1 + chosen.draw / 3, "loss_after": float("nan")}


def table(method: object, *, draws: int = 3) -> pd.DataFrame:
    return drawn(cloud(), method, name="training", shots=[1, 2], draws=draws, seed=0)


def test_a_killed_job_goes_on_with_the_draw_at_hand(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        table(SavedDraws(Counting(killed=True), tmp_path / "state", IDENTITY))
    again = Counting()
    kept = SavedDraws(again, tmp_path / "state", IDENTITY)
    pd.testing.assert_frame_equal(table(kept), table(Counting()), check_exact=True)
    assert again.calls == 6 - 3
    kept.forget()
    assert not (tmp_path / "state").exists()


def test_more_draws_compute_only_those(tmp_path: Path) -> None:
    first, more = Counting(), Counting()
    table(SavedDraws(first, tmp_path, IDENTITY), draws=2)
    table(SavedDraws(more, tmp_path, IDENTITY), draws=5)
    assert (first.calls, more.calls) == (4, 6)


@pytest.mark.parametrize("change", ["identity", "frames", "material"])
def test_nothing_is_taken_from_other_data(tmp_path: Path, change: str) -> None:
    table(SavedDraws(Counting(), tmp_path, IDENTITY))
    again, other = Counting(), Counting()
    table(SavedDraws(again, tmp_path, IDENTITY))
    kept = SavedDraws(other, tmp_path, {"code": "y"} if change == "identity" else IDENTITY)
    changes = {"frames": {"frame_id": "g" + cloud()["frame_id"]}, "material": {"material": "Ge"}}
    drawn(cloud().assign(**changes.get(change, {})), kept, name="training", shots=[1, 2], draws=3, seed=0)
    assert (again.calls, other.calls) == (0, 6)
