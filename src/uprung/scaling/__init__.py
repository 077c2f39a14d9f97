"""Learning curves, their fitted laws, crossings and data multipliers."""

from uprung.laws import Crossover, LawRefused, PowerLaw, crossover, power_law
from uprung.scaling.crossings import crossovers
from uprung.scaling.derived import bands, extrapolations, labels_for_errors, multiplier_curves, wanted_errors
from uprung.scaling.fits import FittedCurve, comparison_table, fit_curves, fit_laws, laws_table, parameters_table
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
    "UNIT_FACTORS",
    "YARDSTICKS",
    "Crossover",
    "FittedCurve",
    "LawRefused",
    "PowerLaw",
    "bands",
    "check_curves",
    "comparison_table",
    "crossover",
    "crossovers",
    "data_multiplier",
    "extrapolations",
    "fit_curves",
    "fit_laws",
    "labels_for_errors",
    "laws_table",
    "matching_size",
    "multiplier_curves",
    "observed_crossing",
    "parameters_table",
    "power_law",
    "published_points",
    "read_curves",
    "summarise",
    "wanted_errors",
    "with_measures",
]
