"""The mathematics of scaling laws: forms, fits with intervals, crossings, selection."""

from uprung.laws.crossing import Crossover, Law, crossover
from uprung.laws.curved import CurvedLaw, fit_curved
from uprung.laws.inverse import Size, equal_error_size, size_for_error
from uprung.laws.points import CONFIDENCE, MIN_SIZES, FloatArray, LawRefused, LogPoints, log_points, student_t
from uprung.laws.power import PowerLaw, fit_power, power_law
from uprung.laws.selection import LAWS, TITLES, Score, choose, fit_law, score

__all__ = [
    "CONFIDENCE",
    "LAWS",
    "MIN_SIZES",
    "TITLES",
    "Crossover",
    "CurvedLaw",
    "FloatArray",
    "Law",
    "LawRefused",
    "LogPoints",
    "PowerLaw",
    "Score",
    "Size",
    "choose",
    "crossover",
    "equal_error_size",
    "fit_curved",
    "fit_law",
    "fit_power",
    "log_points",
    "power_law",
    "score",
    "size_for_error",
    "student_t",
]
