"""Which points are settled: a second budget, twice as long or more, changes the error by no more than a stated share.

A schedule that ends at a hundredth of its learning rate makes the end of any budget flat, so a run alone cannot tell.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

SETTLED, BETWEEN, NOT_SETTLED, UNTESTED = "settled", "between settled sizes", "not settled", "no second budget"
#: States in which the order of two arms is no matter of the length of training.
FIRM = (SETTLED, BETWEEN)
POINT = ["budget", "arm", "size", "target", "population"]
SECOND_COLUMNS = (
    *("budget", "other", "times", "arm", "size", "n_frames", "target", "population", "seeds"),
    *("mae", "mae_other", "change", "settled"),
)
TWICE = 1.9  # rounding of epochs to steps


def second_budgets(errors: pd.DataFrame, *, share: float) -> pd.DataFrame:
    """Return every point that was trained twice, the budgets differing by two times or more.

    Args:
        errors: one row per run, target and population: columns of `POINT`, n_frames, seed, steps, mae.
        share: relative change up to which the point is settled.

    Returns:
        Columns `SECOND_COLUMNS`: means over the seeds that both budgets have; `other` is the nearest longer budget, the
        nearest shorter one where there is none; `times` the steps of it over those of `budget`; `change` its error over
        that of `budget`, minus 1.
    """
    rows = []
    for key, part in errors.groupby(["arm", "size", "target", "population"], sort=False):
        names = dict(zip(("arm", "size", "target", "population"), key, strict=True))
        runs = {str(budget): here.set_index("seed") for budget, here in part.groupby("budget", sort=False)}
        for budget, mine in runs.items():
            other = _other(runs, budget)
            if other is None:
                continue
            both = mine.join(runs[other], rsuffix="_other", how="inner")
            mae, mae_other = float(both["mae"].mean()), float(both["mae_other"].mean())
            change = mae_other / mae - 1
            rows.append(
                {
                    "budget": budget,
                    "other": other,
                    "times": float((both["steps_other"] / both["steps"]).mean()),
                    **names,
                }
                | {"n_frames": float(both["n_frames"].mean()), "seeds": len(both), "mae": mae}
                | {"mae_other": mae_other, "change": change, "settled": abs(change) <= share}
            )
    return pd.DataFrame(rows, columns=list(SECOND_COLUMNS))


def _other(runs: Mapping[str, pd.DataFrame], budget: str) -> str | None:
    """Return the budget that tells whether another one is settled: the nearest longer, else the nearest shorter."""
    mine = runs[budget]
    found = {}
    for name, theirs in runs.items():
        seeds = mine.index.intersection(theirs.index)
        if len(seeds):
            found[name] = float((theirs["steps"][seeds] / mine["steps"][seeds]).mean())
    longer = {name: ratio for name, ratio in found.items() if ratio >= TWICE}
    shorter = {name: 1 / ratio for name, ratio in found.items() if ratio <= 1 / TWICE}
    return next((min(some, key=lambda name: some[name]) for some in (longer, shorter) if some), None)


def states(curves: pd.DataFrame, second: pd.DataFrame) -> pd.Series:
    """Return the state of every row of a curves table, a point being a budget, arm, size, target and population.

    A size without a second budget is as settled as both of its neighbours on the curve that have one. A point with a
    run that does not beat the baseline is not settled.

    Args:
        curves: rows with the columns of `POINT`, n_frames and beats_baseline.
        second: of `second_budgets`.
    """
    beats = curves.groupby(POINT)["beats_baseline"].transform("all")
    found = pd.Series(UNTESTED, index=curves.index, dtype=object)
    tested = dict(iter(second.groupby(["budget", "arm", "target", "population"])))
    for key, part in curves.groupby(["budget", "arm", "target", "population"], sort=False):
        if key in tested:
            for size, rows in part.groupby("size"):
                found[rows.index] = _state(str(size), float(rows["n_frames"].mean()), tested[key])
    return found.where(beats | (found == UNTESTED), NOT_SETTLED)


def _state(size: str, n: float, tested: pd.DataFrame) -> str:
    known = tested.sort_values("n_frames")
    own = known[known["size"] == size]
    if len(own):
        return SETTLED if own["settled"].all() else NOT_SETTLED
    below, above = known[known["n_frames"] < n], known[known["n_frames"] > n]
    if below.empty or above.empty:
        return UNTESTED
    return BETWEEN if bool(below["settled"].iloc[-1] and above["settled"].iloc[0]) else NOT_SETTLED


def are_firm(curves: pd.DataFrame, arms: Sequence[str]) -> bool:
    """Return whether all points of some arms in a part of a curves table are settled."""
    mine = curves[curves["arm"].isin(arms)]
    return bool(len(mine)) and bool(mine["settled"].isin(FIRM).all())
