"""Learning curves, their fitted laws, crossings and data multipliers."""

from uprung.laws import Crossover, LawRefused, PowerLaw, crossover, power_law
from uprung.scaling.checks import back_tests, hit_rate, sensitivity
from uprung.scaling.crossings import crossovers
from uprung.scaling.derived import bands, extrapolations, falling, labels_for_errors, multiplier_curves, wanted_errors
from uprung.scaling.entering import failed_runs
from uprung.scaling.fits import (
    LOW_COVERAGE,
    FittedCurve,
    comparison_table,
    fit_curves,
    fit_laws,
    laws_on_all,
    laws_table,
    parameters_table,
)
from uprung.scaling.joint import joint_laws
from uprung.scaling.law_tables import law_tables
from uprung.scaling.observed import data_multiplier, matching_size, observed_crossing
from uprung.scaling.tables import (
    CURVE_COLUMNS,
    CURVE_KEYS,
    LAW_POPULATION,
    UNIT_FACTORS,
    YARDSTICKS,
    check_curves,
    published_points,
    read_curves,
    summarise,
    with_measures,
)

__all__ = [
    "CURVE_COLUMNS",
    "CURVE_KEYS",
    "LAW_POPULATION",
    "LOW_COVERAGE",
    "UNIT_FACTORS",
    "YARDSTICKS",
    "Crossover",
    "FittedCurve",
    "LawRefused",
    "PowerLaw",
    "back_tests",
    "bands",
    "check_curves",
    "comparison_table",
    "crossover",
    "crossovers",
    "data_multiplier",
    "extrapolations",
    "failed_runs",
    "falling",
    "fit_curves",
    "fit_laws",
    "hit_rate",
    "joint_laws",
    "labels_for_errors",
    "law_tables",
    "laws_on_all",
    "laws_table",
    "matching_size",
    "multiplier_curves",
    "observed_crossing",
    "parameters_table",
    "power_law",
    "published_points",
    "read_curves",
    "sensitivity",
    "summarise",
    "wanted_errors",
    "with_measures",
]
