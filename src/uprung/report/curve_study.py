"""What the sections about curves and laws ask of a study, whether it trains or reads given points."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import pandas as pd

from uprung.laws import MIN_SIZES
from uprung.report.blocks import Table, there
from uprung.report.format import listing, plural
from uprung.report.results import LawResults, where
from uprung.scaling import LAW_POPULATION, falling

#: Tables of what follows from laws, a curve and a law per row.
FROM_LAWS = ("parameters", "comparison", "sensitivity", "back_test", "bands", "labels", "extrapolation")


@dataclass(frozen=True)
class CurveStudy:
    """Tables of laws with printed names.

    `labels`: arm -> name. `budgets`: name -> what it is. `targets`: in the order of the page. `scratch`: the arm that
    others are compared with. `x_label`: what training sizes count. `given`: whether the points were given.
    """

    results: LawResults
    labels: Mapping[str, str]
    budgets: Mapping[str, str]
    targets: Sequence[str]
    scratch: str | None
    x_label: str
    given: bool = False

    @cached_property
    def following(self) -> LawResults:
        """The results with what follows from laws that fall alone, see `uprung.scaling.falling`.

        From a law whose exponent may be zero by its interval nothing follows that a reader could use.
        """
        laws = self.results.laws
        tables: dict[str, Any] = {name: falling(getattr(self.results, name), laws) for name in FROM_LAWS}
        return replace(self.results, **tables)

    @cached_property
    def sizes(self) -> list[str]:
        """The size tokens of all runs, smallest first."""
        return [str(size) for size in self.results.curves.groupby("size")["n_frames"].mean().sort_values().index]

    @property
    def single_size(self) -> bool:
        """Whether all runs have one size, so that there are no curves."""
        return len(self.sizes) == 1

    @property
    def too_few_for_laws(self) -> bool:
        """Whether no curve can have a law, since the simplest one needs three sizes."""
        return len(self.sizes) < MIN_SIZES

    def targets_of(self, budget: str) -> list[str]:
        """Return the targets that a budget has curves of."""
        there = set(where(self.results.curves, budget=budget, population=LAW_POPULATION)["target"])
        return [target for target in self.targets if target in there]

    def tables(self, make: Callable[..., Table | None], table: pd.DataFrame, budget: str) -> list[Table]:
        """Return a table per target of a budget; `make` takes its rows, the labels and the target."""
        return there(
            make(where(table, budget=budget, target=target), self.labels, target=target)
            for target in self.targets_of(budget)
        )

    def runs_words(self) -> str:
        """State how many runs, arms, sizes, seeds and budgets there are."""
        runs = self.results.curves[["budget", "arm", "size", "seed"]].drop_duplicates()
        names = ("arm", "training-set size", "seed", "budget")
        counts = zip(names, (runs[column].nunique() for column in ("arm", "size", "seed", "budget")), strict=True)
        parts = [plural(count, name) for name, count in counts if name != "budget" or count > 1]
        return f"{plural(len(runs), 'training run')}: {listing(parts)}."
