"""All tables that follow from learning curves: laws, their checks, and what is derived from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from uprung.config.laws import Laws
from uprung.scaling.checks import back_tests, sensitivity
from uprung.scaling.crossings import crossovers
from uprung.scaling.derived import bands, extrapolations, labels_for_errors, multiplier_curves, wanted_errors
from uprung.scaling.entering import failed_runs
from uprung.scaling.fits import FittedCurve, comparison_table, fit_curves, laws_on_all, laws_table, parameters_table
from uprung.scaling.joint import joint_laws
from uprung.scaling.materials import MaterialErrors
from uprung.scaling.observed import data_multiplier


def law_tables(
    curves: pd.DataFrame,
    options: Laws,
    *,
    scratch: str | None,
    compared: Mapping[str, Sequence[str]] | None = None,
    materials: MaterialErrors | None = None,
    sources: Mapping[str, tuple[str, float]] | None = None,
) -> dict[str, pd.DataFrame]:
    """Return the tables of laws by their names in `uprung.report.catalogue`.

    Args:
        curves: a curves table.
        options: which laws, and what is derived from them.
        scratch: the arm that all others are compared with.
        compared: in place of `scratch`, arms and which others are compared with each (several architectures).
        materials: errors on the test materials, where predictions are known.
        sources: arms that start from networks of several source sizes; see `joint_laws`.
    """
    fits = fit_curves(curves, materials=materials, law=options.law, robust=options.robust)
    return _of_curves(curves, fits, options, materials, sources or {}) | _of_two_curves(
        curves, fits, compared or ({} if scratch is None else {scratch: list(curves["arm"])}), materials
    )


def _of_two_curves(
    curves: pd.DataFrame,
    fits: Sequence[FittedCurve],
    compared: Mapping[str, Sequence[str]],
    materials: MaterialErrors | None,
) -> dict[str, pd.DataFrame]:
    """Return the tables of arms and those that they are compared with, one group after another."""
    found: dict[str, list[pd.DataFrame]] = {}
    bases: list[str | None] = [name for name in compared if name in set(curves["arm"])]
    for base in bases or [None]:
        arms = {base, *compared[base]} if base else set[str | None]()
        own, fitted = curves[curves["arm"].isin(arms)], [fit for fit in fits if fit.key["arm"] in arms]
        for name, table in {
            "crossover": crossovers(own, fitted, scratch=base, materials=materials),
            "multiplier": data_multiplier(own, scratch=base),
            "multiplier_curve": multiplier_curves(fitted, scratch=base, materials=materials),
        }.items():
            found.setdefault(name, []).append(table)
    return {
        name: tables[0] if len(tables) == 1 else pd.concat(tables, ignore_index=True) for name, tables in found.items()
    }


def _of_curves(
    curves: pd.DataFrame,
    fits: Sequence[FittedCurve],
    options: Laws,
    materials: MaterialErrors | None,
    sources: Mapping[str, tuple[str, float]],
) -> dict[str, pd.DataFrame]:
    """Return the tables of each curve."""
    return {
        "laws": laws_table(fits),
        "laws_all": laws_on_all(curves, fits, materials=materials, law=options.law, robust=options.robust),
        "parameters": parameters_table(fits),
        "comparison": comparison_table(fits),
        "failed": failed_runs(curves),
        "sensitivity": sensitivity(fits),
        "back_test": back_tests(fits),
        "joint": joint_laws(curves, sources),
        "bands": bands(fits),
        "extrapolation": extrapolations(fits, options.extrapolate),
        "labels": labels_for_errors(fits, wanted_errors(fits, {str(k): v for k, v in options.errors.items()})),
    }
