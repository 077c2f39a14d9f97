from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from uprung.evaluation.errors import elements_seen
from uprung.scaling.curves import (
    RunFiles,
    better_than,
    covered_frames,
    learning_curves,
    still_falling,
)
from uprung.scaling.entering import FALLING, NO_BETTER


def predictions(errors: dict[str, float], *, base: float = 1.0, seen: set[str] | None = None, **more) -> pd.DataFrame:
    """Return a frame-wise table: per frame one energy and six force components with the same absolute error."""
    names = list(errors)
    table = pd.DataFrame({"frame_id": names, "group": names, "checkpoint": "last"})
    table["elements_seen"] = [seen is None or name in seen for name in names]
    for target, count in (("energy", 1), ("force", 6)):
        table[f"{target}_abs"] = [count * e for e in errors.values()]
        table[f"{target}_base"] = base * count
        table[f"{target}_n"] = count
    return table.assign(**more)


def history(*errors: float) -> pd.DataFrame:
    steps = np.linspace(0, 1000, len(errors))
    return pd.DataFrame({"step": steps, "val_energy": errors, "val_force": errors})


FLAT = history(2.0, *[0.1] * 10)


def run(size: str, seed: int, table: pd.DataFrame, course: pd.DataFrame = FLAT, arm: str = "a") -> RunFiles:
    names = {"budget": "b", "arm": arm, "size": size, "seed": seed}
    baselines = {"energy": 1.0, "force": 1.0}
    facts = {"kept": "last", "best_step": 100, "steps": 1000, "n_train": int(size), "n_materials": 3}
    return RunFiles({"run": names, **facts, "validation_baseline": baselines}, table, course)


def curves(*runs: RunFiles, targets: tuple[str, ...] = ("energy", "force")) -> pd.DataFrame:
    return learning_curves(runs, fidelity="r2scan", targets=targets, falling=0.1, resamples=200)[0].set_index(
        ["arm", "size", "seed", "target", "population"]
    )


ERRORS = {f"f{n}": 0.1 * (1 + n % 3) for n in range(30)}


def test_covered_is_what_every_seed_and_arm_saw_at_the_smallest_size() -> None:
    runs = [
        run("10", 0, predictions(ERRORS, seen={"f0", "f1", "f2"})),
        run("10", 1, predictions(ERRORS, seen={"f1", "f2", "f3"})),
        run("20", 0, predictions(ERRORS, seen={"f2"})),  # larger sizes do not narrow it
    ]
    assert covered_frames(runs) == {"f1", "f2"}
    disjoint = [run("10", 0, predictions(ERRORS, seen={"f0"})), run("10", 1, predictions(ERRORS, seen={"f1"}))]
    assert covered_frames(disjoint) == frozenset()
    assert covered_frames(runs[::-1]) == {"f1", "f2"}  # the smallest, not the first


def test_both_populations_with_their_errors() -> None:
    table = predictions(ERRORS, seen={"f0", "f1", "f2", "f3"})
    found = curves(run("10", 0, table), run("20", 0, predictions(ERRORS)))
    for size in ("10", "20"):
        for target in ("energy", "force"):
            row = found.loc["a", size, 0, target, "all"]
            assert row["mae"] == pytest.approx(np.mean(list(ERRORS.values())))
            assert (row["baseline"], row["n_test"]) == (1.0, 30)
            row = found.loc["a", size, 0, target, "covered"]
            assert row["mae"] == pytest.approx(np.mean([ERRORS[f"f{n}"] for n in range(4)]))
            assert row["n_test"] == 4
    assert found["n_frames"].tolist() == [10] * 4 + [20] * 4


def test_only_the_kept_checkpoint_is_scored() -> None:
    other = predictions(dict.fromkeys(ERRORS, 9.0), checkpoint="val-loss")
    found = curves(run("10", 0, pd.concat([predictions(ERRORS), other], ignore_index=True)))
    assert found["mae"].max() < 1.0
    assert set(found["n_test"]) == {30}


def test_a_target_without_labels_has_no_row() -> None:
    found = curves(run("10", 0, predictions(ERRORS, force_n=0, force_abs=0.0, force_base=0.0)))
    assert set(found.index.get_level_values("target")) == {"energy"}


def test_labels_are_weighted_one_by_one_not_frame_by_frame() -> None:
    table = predictions({"f0": 0.0, "f1": 0.0})
    table["force_abs"], table["force_n"] = [6.0, 0.0], [6, 18]
    assert curves(run("10", 0, table)).loc["a", "10", 0, "force", "all"]["mae"] == pytest.approx(6 / 24)


def test_better_than_the_baseline_needs_the_whole_interval() -> None:
    rng = np.random.default_rng(0)
    base = rng.uniform(0.5, 1.5, size=200)
    table = pd.DataFrame({"group": np.arange(200), "energy_base": base, "energy_n": 1})
    clear = table.assign(energy_abs=0.5 * base)
    assert better_than(clear, "energy", "base", resamples=500, seed=0)[0]
    equal = table.assign(energy_abs=base)
    better, upper = better_than(equal, "energy", "base", resamples=500, seed=0)
    assert not better
    assert upper == 0
    noise = rng.normal(scale=0.5, size=200)
    slightly = table.assign(energy_abs=base + noise - noise.mean() - 0.01)  # better by 0.01 ± 0.035
    assert slightly["energy_abs"].mean() < base.mean()
    better, upper = better_than(slightly, "energy", "base", resamples=2000, seed=0)
    assert not better
    assert upper == pytest.approx(-0.01 + 1.96 * 0.5 / np.sqrt(200), abs=0.01)


def test_frames_of_a_group_are_one_observation() -> None:
    """Two hundred frames of two materials, one of them worse than the baseline, prove nothing."""
    table = pd.DataFrame({"group": ["x"] * 150 + ["y"] * 50, "energy_base": 1.0, "energy_n": 1})
    table["energy_abs"] = np.where(table["group"] == "x", 0.5, 1.2)
    assert not better_than(table, "energy", "base", resamples=500, seed=0)[0]
    assert better_than(table.assign(group=range(200)), "energy", "base", resamples=500, seed=0)[0]


@pytest.mark.parametrize(
    ("errors", "falling"),
    [
        ((1.0, 0.5, 0.4, 0.35, 0.30, 0.20), True),  # 0.30 at four fifths, 0.20 at the end
        ((1.0, 0.5, 0.4, 0.35, 0.30, 0.28), False),
        ((1.0, 0.5, 0.4, 0.35, 0.30, 0.269), True),
        ((1.0, 0.2, 0.2, 0.2, 0.2, 0.2), False),  # fell early
        ((1.0, 0.5, 0.4, 0.35, 0.30, 0.9), False),  # rises
        ((1.0, 0.5, 0.4, 0.35, 0.30, np.nan), True),  # unknown is not converged
    ],
)
def test_still_falling_over_the_last_fifth(errors: tuple[float, ...], falling: bool) -> None:
    assert still_falling(history(*errors), "energy", 0.1) is falling


def test_verdicts_are_made_on_validation_and_the_test_has_a_column_of_its_own() -> None:
    falling, useless = history(2.0, *[0.1] * 4, 0.05), history(2.0, *[1.2] * 10)
    bad = dict.fromkeys(ERRORS, 1.5)
    found = curves(
        run("10", 0, predictions(ERRORS)),
        run("10", 0, predictions(ERRORS), falling, arm="falls"),
        run("10", 0, predictions(ERRORS), useless, arm="useless"),
        run("10", 0, predictions(bad), arm="bad on the test"),
    ).xs(("energy", "all"), level=["target", "population"])
    verdicts = {arm: (row["converged"], row["beats_baseline"], row["reason"]) for (arm, *_), row in found.iterrows()}
    assert verdicts == {
        "a": (True, True, ""),
        "falls": (False, True, FALLING),
        "useless": (False, True, NO_BETTER),
        "bad on the test": (True, False, ""),
    }
    assert found.loc[("useless", "10", 0), "val_ratio"] == pytest.approx(1.2)


def test_the_scored_checkpoint_is_judged() -> None:
    course = history(2.0, 0.5, *[1.5] * 9)
    table = predictions(ERRORS, checkpoint="val-loss")
    files = run("10", 0, table, course)
    best = RunFiles({**files.metrics, "kept": "val-loss"}, table, course)
    assert (files.validation("energy"), best.validation("energy")) == (1.5, 0.5)


def test_the_population_begins_at_the_smallest_size_that_enters_a_law() -> None:
    useless = history(2.0, *[1.5] * 10)
    few, more = (predictions(ERRORS, seen=seen) for seen in ({"f0"}, {"f0", "f1", "f2"}))
    runs = [
        run("10", 0, few, useless),
        *(run(n, 0, more) for n in ("20", "40")),
    ]
    found = curves(*runs).xs(("energy", "covered"), level=["target", "population"])
    assert set(found["n_test"]) == {3}
    assert covered_frames(runs) == {"f0"}  # without knowing what enters


def test_the_same_runs_give_the_same_table() -> None:
    runs = [run("10", 0, predictions(ERRORS))]
    pd.testing.assert_frame_equal(curves(*runs), curves(*runs))


def test_elements_seen() -> None:
    train = np.array([[0.5, 0.5, 0, 0], [0, 1, 0, 0]])
    tested = np.array([[1, 0, 0, 0], [0.2, 0.8, 0, 0], [0.5, 0, 0.5, 0], [0, 0, 0, 1]])
    assert elements_seen(tested, train).tolist() == [True, True, False, False]
