"""A point is settled where a second budget agrees; one budget alone never settles anything."""

from __future__ import annotations

import pandas as pd
import pytest

from uprung.scaling.settled import BETWEEN, NOT_SETTLED, SETTLED, UNTESTED, are_firm, second_budgets, states

SIZES = (100, 200, 400, 800)


def errors(budgets: dict[str, tuple[int, dict[int, list[float]]]], arm: str = "a") -> pd.DataFrame:
    """Return runs: budget -> (steps, size -> errors of the seeds)."""
    rows = [
        {"budget": budget, "arm": arm, "size": str(size), "n_frames": size, "seed": seed, "steps": steps}
        | {"target": "energy", "population": "covered", "mae": mae, "beats_baseline": True}
        for budget, (steps, sizes) in budgets.items()
        for size, values in sizes.items()
        for seed, mae in enumerate(values)
    ]
    return pd.DataFrame(rows)


def state_of(table: pd.DataFrame, share: float = 0.1) -> dict[str, str]:
    short = table[table["budget"] == "short"]
    found = states(short, second_budgets(table, share=share))
    return dict(zip(short["size"], found, strict=True))


def one(**longer: float) -> pd.DataFrame:
    """Return a curve of error 1 at four sizes, and a second budget at some of them: n100=0.95."""
    again = {int(name[1:]): [mae] for name, mae in longer.items()}
    return errors({"short": (1000, {n: [1.0] for n in SIZES}), "long": (4000, again)})


def test_without_a_second_budget_nothing_is_settled() -> None:
    assert set(state_of(one()).values()) == {UNTESTED}


def test_a_change_within_the_share_settles_in_both_directions() -> None:
    assert state_of(one(n100=0.91, n200=1.09, n400=0.89, n800=1.11)) == {
        "100": SETTLED,
        "200": SETTLED,
        "400": NOT_SETTLED,
        "800": NOT_SETTLED,
    }
    assert state_of(one(n100=0.91), share=0.05)["100"] == NOT_SETTLED


def test_a_size_between_settled_ones_is_settled_and_one_outside_is_not_tested() -> None:
    found = state_of(one(n100=1.0, n400=1.0))
    assert (found["200"], found["800"]) == (BETWEEN, UNTESTED)
    assert state_of(one(n100=1.0, n800=0.5))["400"] == NOT_SETTLED
    assert state_of(one(n100=0.5, n800=1.0))["200"] == NOT_SETTLED


def test_a_run_below_its_baseline_is_not_settled_however_often_it_fails_alike() -> None:
    table = one(n100=1.0)
    table["beats_baseline"] = ~((table["size"] == "100") & (table["budget"] == "short"))
    assert state_of(table)["100"] == NOT_SETTLED


def test_budgets_that_differ_by_less_than_two_say_nothing() -> None:
    table = errors({"short": (1000, {100: [1.0]}), "long": (1500, {100: [1.0]})})
    assert second_budgets(table, share=0.1).empty
    assert state_of(table)["100"] == UNTESTED


def test_only_seeds_that_both_budgets_have_are_compared() -> None:
    table = errors({"short": (1000, {100: [1.0, 9.0]}), "long": (2000, {100: [1.0]})})
    found = second_budgets(table, share=0.1).set_index("budget")
    assert found.loc["short", "change"] == pytest.approx(0.0)
    assert found.loc["short", "seeds"] == 1
    assert (found.loc["short", "times"], found.loc["long", "times"]) == (2.0, 0.5)


def test_the_nearest_longer_budget_decides_and_the_longest_is_judged_by_a_shorter_one() -> None:
    table = errors({"short": (1000, {100: [1.0]}), "mid": (2000, {100: [0.95]}), "long": (8000, {100: [0.5]})})
    found = second_budgets(table, share=0.1).set_index("budget")
    assert found["other"].to_dict() == {"short": "mid", "mid": "long", "long": "mid"}
    assert found["settled"].to_dict() == {"short": True, "mid": False, "long": False}


def test_an_order_is_firm_when_all_its_points_are() -> None:
    table = pd.concat([errors({"b": (1, {100: [1.0]})}, arm=arm) for arm in ("a", "b")])
    assert are_firm(table.assign(settled=[SETTLED, BETWEEN]), ["a", "b"])
    assert not are_firm(table.assign(settled=[SETTLED, UNTESTED]), ["a", "b"])
    assert not are_firm(table.assign(settled=SETTLED), ["c"])
