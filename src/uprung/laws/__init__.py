"""The mathematics of scaling laws: forms, fits with intervals, crossings, selection."""

from uprung.laws.back_test import BackTest, back_test
from uprung.laws.crossing import Crossover, Law, crossover
from uprung.laws.curved import CurvedLaw, fit_curved
from uprung.laws.inverse import Size, equal_error_size, size_for_error
from uprung.laws.points import (
    CONFIDENCE,
    MIN_SIZES,
    FloatArray,
    LawRefused,
    LogPoints,
    Materials,
    log_points,
    student_t,
)
from uprung.laws.power import PowerLaw, fit_power, power_law
from uprung.laws.reach import FLOOR_SHARE, REACH, out_of_reach
from uprung.laws.selection import LAWS, TITLES, Score, choose, fit_law, score
from uprung.laws.shape import Shape, shape_of
from uprung.laws.starts import Starts, multi_start

__all__ = [
    "CONFIDENCE",
    "FLOOR_SHARE",
    "LAWS",
    "MIN_SIZES",
    "REACH",
    "TITLES",
    "BackTest",
    "Crossover",
    "CurvedLaw",
    "FloatArray",
    "Law",
    "LawRefused",
    "LogPoints",
    "Materials",
    "PowerLaw",
    "Score",
    "Shape",
    "Size",
    "Starts",
    "back_test",
    "choose",
    "crossover",
    "equal_error_size",
    "fit_curved",
    "fit_law",
    "fit_power",
    "log_points",
    "multi_start",
    "out_of_reach",
    "power_law",
    "score",
    "shape_of",
    "size_for_error",
    "student_t",
]
