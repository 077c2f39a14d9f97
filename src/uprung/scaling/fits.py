"""Laws of all learning curves of a study, and tables of the fitted, refused and selected ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from uprung.laws import (
    CONFIDENCE,
    LAWS,
    REACH,
    TITLES,
    CurvedLaw,
    Law,
    LawRefused,
    LogPoints,
    Materials,
    Score,
    Shape,
    choose,
    fit_law,
    log_points,
    multi_start,
    out_of_reach,
    score,
    shape_of,
)
from uprung.laws.reach import times_the_largest
from uprung.scaling.materials import MaterialErrors
from uprung.scaling.tables import CURVE_KEYS, LAW_POPULATION, check_curves, groups

LAW_COLUMNS = (
    *("law", "title", "exponent", "exponent_low", "exponent_high", "exponent_all_low", "exponent_all_high"),
    *("prefactor", "prefactor_low", "prefactor_high", "shape", "coverage", "r2"),
    *("n_points", "n_sizes", "n_seeds", "n_excluded", "n_min", "n_max", "df", "interval"),
    *("fitted", "reason", "excluded"),
)
#: Below this share of the test frames the population of the laws speaks for too little of the test.
LOW_COVERAGE = 0.5
PARAMETER_COLUMNS = ("law", "chosen", "parameter", "value", "low", "high")
COMPARISON_COLUMNS = (
    *("law", "title", "chosen", "fitted", "r2", "aicc", "aicc_over_power", "left_out", "p_line"),
    *("squares", "lowest", "starts", "agreeing", "n_sizes", "reason"),
)


@dataclass(frozen=True)
class FittedCurve:
    """One learning curve with every law that its converged points support."""

    key: Mapping[str, str]
    good: pd.DataFrame
    bad: pd.DataFrame
    points: LogPoints
    laws: Mapping[str, Law]
    refused: Mapping[str, str]
    shape: Shape
    scores: Sequence[Score] = field(default=())
    chosen: str = "power"
    robust: bool = False
    coverage: float = float("nan")  # share of the test frames in the population of the law

    @property
    def law(self) -> Law | None:
        """The law that the points support, None where it was refused."""
        return self.laws.get(self.chosen)

    @property
    def falling_law(self) -> Law | None:
        """The law where its exponent is above zero by its interval: from any other nothing follows."""
        return self.law if self.law is not None and self.law.parameters()["exponent"][1] > 0 else None

    def at(self, confidence: float) -> Law | None:
        """Return the same law with intervals of another confidence."""
        if self.law is None or confidence == CONFIDENCE:
            return self.law
        return fit_law(self.points, self.chosen, robust=self.robust, confidence=confidence)

    def out_of_reach(self, law: str, n: float) -> str:
        """Return why one of the laws says nothing at a training size, '' where it does."""
        if n > REACH * self.laws[law].n_max and self.shape.convex is False:
            return f"{times_the_largest(self.laws[law], n)}, and the curve falls faster and faster"
        return out_of_reach(self.laws[law], self.laws.get("saturating"), n)

    @property
    def interval(self) -> str:
        """What the intervals of the chosen law are made from, in words."""
        if self.law is None:
            return ""
        runs = self.chosen != "power" and self.law.df > self.points.n_sizes - 2
        parts = [f"scatter of {'all runs' if runs else 'size means'}"]
        parts += ["bootstrap-t over test materials"] if self.points.test is not None else []
        return " and ".join(parts) + ("; one seed" if len(set(self.good["seed"])) == 1 else "")

    def excluded(self) -> str:
        """Return which runs were kept out, and why."""
        columns = (self.bad[c] for c in ("size", "seed", "reason"))
        return "; ".join(f"n={s} seed {k}: {r or 'not converged'}" for s, k, r in zip(*columns, strict=True))


def fit_curves(
    curves: pd.DataFrame,
    *,
    materials: MaterialErrors | None = None,
    law: str = "auto",
    robust: bool = False,
    population: str = LAW_POPULATION,
) -> list[FittedCurve]:
    """Fit every law to the converged points of each learning curve.

    Args:
        curves: a curves table.
        materials: errors on the test materials that the runs share, where predictions are known.
        law: which law is taken: a name in `LAWS`, or `auto` for the power law unless a curved one is clearly better.
        robust: Huber's loss in place of squares.
        population: of the test frames.

    Raises:
        ValueError: an unknown law, or a table that is none.
    """
    if law not in ("auto", *LAWS):
        raise ValueError(f"law {law!r}: allowed are auto, {', '.join(LAWS)}")
    table = check_curves(curves)
    tested = table.groupby("population")["n_test"].mean()
    share = float(tested[population] / tested["all"]) if {population, "all"} <= set(tested.index) else float("nan")
    return [
        replace(_fit_curve(key, part, materials, law, robust), coverage=share)
        for key, part in groups(table[table["population"] == population], CURVE_KEYS)
    ]


def _fit_curve(
    key: Mapping[str, str], part: pd.DataFrame, materials: MaterialErrors | None, law: str, robust: bool
) -> FittedCurve:
    good, bad = part[part["converged"]], part[~part["converged"]]
    points = log_points(
        good["n_frames"].to_numpy(dtype=np.float64),
        good["mae"].to_numpy(dtype=np.float64),
        sizes=good["size"].to_numpy(dtype=object),
        test=None if materials is None else materials.of(good),
    )
    shape = shape_of(points)
    laws: dict[str, Law] = {}
    refused: dict[str, str] = {}
    for name in LAWS:
        try:
            if shape.monotone is False:
                raise LawRefused(f"{points.n_sizes} sizes: the error {shape.words}, which no law describes")
            laws[name] = fit_law(points, name, robust=robust)
        except LawRefused as refusal:
            why = f"converged points at {refusal}"
            refused[name] = f"{why}; {len(bad)} point(s) excluded" if len(bad) else why
    scores = score(points)
    chosen = choose([s for s in scores if s.law in laws]) if law == "auto" and "power" in laws else law
    chosen = "power" if chosen == "auto" else chosen
    return FittedCurve(key, good, bad, points, laws, refused, shape, scores, chosen, robust)


def joint_materials(one: FittedCurve, two: FittedCurve, materials: MaterialErrors | None) -> Materials | None:
    """Return the errors on the test materials of all runs of two curves, None where they are unknown."""
    return None if materials is None else materials.of(pd.concat([one.good, two.good]))


def laws_on_all(curves: pd.DataFrame, fits: Sequence[FittedCurve], **options: Any) -> pd.DataFrame:
    """Return the laws on all test structures where those of the curves cover too little of the test, else no rows.

    Args:
        curves: a curves table.
        fits: of `fit_curves`.
        options: of `fit_curves`.
    """
    low = any(fit.coverage < LOW_COVERAGE for fit in fits)
    return laws_table(fit_curves(curves, population="all", **options) if low else [])


def simultaneous(fits: Sequence[FittedCurve]) -> float:
    """Return the confidence of each interval with which those of all arms and targets hold together (Bonferroni)."""
    return 1 - (1 - CONFIDENCE) / max(sum(fit.law is not None for fit in fits), 1)


def fit_laws(curves: pd.DataFrame, *, materials: MaterialErrors | None = None) -> pd.DataFrame:
    """Return the table of laws of a curves table; see `fit_curves` and `laws_table`."""
    return laws_table(fit_curves(curves, materials=materials))


def laws_table(fits: Sequence[FittedCurve]) -> pd.DataFrame:
    """Return the chosen law of each curve, or why there is none.

    One row per budget, arm, fidelity and target: law, exponent, prefactor (unit of the MAE) and r2 with
    95 % intervals `*_low`, `*_high` (`exponent_all_*`: those of all rows hold together), the `shape` of the curve, the
    `coverage` of the test by the population of the law, counts of points, sizes, seeds and excluded points, `excluded`
    (which and why), what the intervals are made from, `fitted` and the `reason` of a refusal.
    """
    rows, confidence = [], simultaneous(fits)
    for fit in fits:
        row: dict[str, object] = {
            **fit.key,
            "law": fit.chosen,
            "title": TITLES[fit.chosen],
            "n_points": len(fit.good),
            "n_sizes": fit.good["size"].nunique(),
            "n_seeds": fit.good["seed"].nunique(),
            "n_excluded": len(fit.bad),
            "shape": fit.shape.words if fit.points.n_sizes > 1 else "",
            "coverage": fit.coverage,
            "interval": fit.interval,
            "fitted": fit.law is not None,
            "reason": fit.refused.get(fit.chosen, ""),
            "excluded": fit.excluded(),
        }
        if fit.law is not None:
            parameters = fit.law.parameters()
            for name in ("exponent", "prefactor"):
                value, low, high = parameters[name]
                row |= {name: value, f"{name}_low": low, f"{name}_high": high}
            wider = fit.at(confidence)
            assert wider is not None
            row |= dict(zip(("exponent_all_low", "exponent_all_high"), wider.parameters()["exponent"][1:], strict=True))
            row |= {"r2": fit.law.r2, "df": fit.law.df, "n_min": fit.law.n_min, "n_max": fit.law.n_max}
        rows.append(row)
    return pd.DataFrame(rows, columns=[*CURVE_KEYS, *LAW_COLUMNS])


def parameters_table(fits: Sequence[FittedCurve]) -> pd.DataFrame:
    """Return every parameter of every fitted law with its 95 % interval, open where an end is 0 or infinite.

    Parameters: exponent (of the last stretch), prefactor and floor (unit of the MAE), shift and break (frames),
    exponent_before.
    """
    rows = [
        {**fit.key, "law": name, "chosen": name == fit.chosen, "parameter": parameter}
        | dict(zip(("value", "low", "high"), values, strict=True))
        for fit in fits
        for name, law in fit.laws.items()
        for parameter, values in law.parameters().items()
    ]
    return pd.DataFrame(rows, columns=[*CURVE_KEYS, *PARAMETER_COLUMNS])


def comparison_table(fits: Sequence[FittedCurve]) -> pd.DataFrame:
    """Return how well every law describes each curve; see `uprung.laws.Score`, `uprung.laws.Starts`."""
    rows = []
    for fit in fits:
        plain = fit.scores[0].aicc
        for found in fit.scores:
            law = fit.laws.get(found.law)
            rows.append(
                {**fit.key, "law": found.law, "title": TITLES[found.law], "chosen": found.law == fit.chosen}
                | {"fitted": law is not None, "r2": float("nan") if law is None else law.r2, "aicc": found.aicc}
                | {"aicc_over_power": found.aicc - plain, "left_out": found.left_out, "p_line": found.p_line}
                | (vars(multi_start(law.points, found.law)) if isinstance(law, CurvedLaw) else {})
                | {"n_sizes": fit.points.n_sizes, "reason": fit.refused.get(found.law, found.reason)}
            )
    return pd.DataFrame(rows, columns=[*CURVE_KEYS, *COMPARISON_COLUMNS])
