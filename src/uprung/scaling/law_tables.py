"""All tables that follow from learning curves: laws, their checks, and what is derived from them."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from uprung.config.laws import Laws
from uprung.scaling.checks import back_tests, sensitivity
from uprung.scaling.crossings import crossovers
from uprung.scaling.derived import bands, extrapolations, labels_for_errors, multiplier_curves, wanted_errors
from uprung.scaling.entering import failed_runs
from uprung.scaling.fits import comparison_table, fit_curves, laws_on_all, laws_table, parameters_table
from uprung.scaling.joint import joint_laws
from uprung.scaling.materials import MaterialErrors
from uprung.scaling.observed import data_multiplier


def law_tables(
    curves: pd.DataFrame,
    options: Laws,
    *,
    scratch: str | None,
    materials: MaterialErrors | None = None,
    sources: Mapping[str, tuple[str, float]] | None = None,
) -> dict[str, pd.DataFrame]:
    """Return the tables of laws by their names in `uprung.report.catalogue`.

    Args:
        curves: a curves table.
        options: which laws, and what is derived from them.
        scratch: the arm that others are compared with.
        materials: errors on the test materials, where predictions are known.
        sources: arms that start from networks of several source sizes; see `joint_laws`.
    """
    fits = fit_curves(curves, materials=materials, law=options.law, robust=options.robust)
    two = {"scratch": scratch if scratch in set(curves["arm"]) else None}
    return {
        "laws": laws_table(fits),
        "laws_all": laws_on_all(curves, fits, materials=materials, law=options.law, robust=options.robust),
        "parameters": parameters_table(fits),
        "comparison": comparison_table(fits),
        "failed": failed_runs(curves),
        "sensitivity": sensitivity(fits),
        "back_test": back_tests(fits),
        "joint": joint_laws(curves, sources or {}),
        "bands": bands(fits),
        "extrapolation": extrapolations(fits, options.extrapolate),
        "labels": labels_for_errors(fits, wanted_errors(fits, {str(k): v for k, v in options.errors.items()})),
        "crossover": crossovers(curves, fits, **two, materials=materials),
        "multiplier": data_multiplier(curves, **two),
        "multiplier_curve": multiplier_curves(fits, **two, materials=materials),
    }
