"""How numbers, units and lists are written on the report page."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import pandas as pd

from uprung.figures.style import TARGETS, functional

__all__ = ["TARGETS", "amount", "count", "error", "fixed", "functional", "listing", "span", "times", "unit"]

NONE = "–"
MINUS = "−"


def amount(value: float) -> str:
    """Return a number with three significant digits, whole numbers from 100 on: 13,664, 32.1, 0.321."""
    if not math.isfinite(value):
        return NONE
    if value == 0:
        return "0"
    if abs(value) < 1e-6:
        return f"{value:.1e}".replace("-", MINUS)
    rounded = float(f"{value:.3g}")
    text = f"{value:,.0f}" if abs(rounded) >= 100 else f"{value:.{2 - math.floor(math.log10(abs(rounded)))}f}"
    return text.replace("-", MINUS)


def fixed(value: float, digits: int) -> str:
    """Return a number with a fixed number of decimals and a proper minus sign; a dash where there is none."""
    return f"{value:,.{digits}f}".replace("-", MINUS) if math.isfinite(value) else NONE


def pearson(value: float) -> str:
    """Return a correlation coefficient with as many digits as tell it from 1, at least three."""
    if not math.isfinite(value):
        return NONE
    digits = 3 if abs(value) < 0.9995 else 4 if abs(value) < 0.99995 else 5
    return fixed(value, digits)


def minus(text: str) -> str:
    """Return a text whose negative numbers have a proper minus sign."""
    return re.sub(r"(?<![\w.])-(?=\d)", "−", text)


def count(value: float) -> str:
    """Return a whole number with separators of thousands."""
    return f"{round(value):,}" if math.isfinite(value) else NONE


def two_digits(value: float) -> str:
    """Return a fitted training size to two digits: more carry no meaning."""
    if math.isnan(value):
        return NONE
    if math.isinf(value):
        return "any larger size"
    if value < 1:
        return "0"
    return f"{float(f'{value:.2g}'):,.0f}" if value < 1e7 else f"{value:.0e}".replace("e+0", "e").replace("e+", "e")


def unit(target: str) -> str:
    """Return the unit in which a target is shown."""
    return TARGETS[target][1]


def error(value: float, target: str, *, units: bool = True) -> str:
    """Return an error given in eV/atom, eV/Å, GPa or μB in the unit in which the target is shown."""
    text = amount(value * TARGETS[target][2])
    return f"{text} {unit(target)}" if units and text != NONE else text


def span(low: float, high: float, target: str) -> str:
    """Return a range of errors, without unit."""
    return f"{error(low, target, units=False)}–{error(high, target, units=False)}"


def interval(row: pd.Series, name: str) -> str:
    """Return the ends `<name>_low` and `<name>_high` of a row of a table in words; '' where they are not known."""
    low, high = float(row[f"{name}_low"]), float(row[f"{name}_high"])
    return "" if math.isnan(low) else f"{amount(low)} to {amount(high)}"


def times(factor: float) -> str:
    """Return how many times, two digits: '13 times', '1.2 times', '0.53 times'."""
    return (
        f"{float(f'{factor:.2g}'):,.{0 if factor >= 9.95 else 1 if factor >= 0.995 else 2}f} times"
        if factor < 1e6
        else f"{factor:.0e} times"
    )


def listing(names: Sequence[str], last: str = "and") -> str:
    """Return 'a, b and c'."""
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} {last} {names[-1]}"


def plural(number: int, singular: str, several: str = "") -> str:
    """Return '1 seed', '2 seeds'."""
    return f"{number:,} {singular if number == 1 else several or singular + 's'}"


def sentence(text: str) -> str:
    """Return a text with a capital first letter and a full stop."""
    text = text.strip()
    end = "" if text.endswith((".", "!", "?", ":")) else "."
    return text[:1].upper() + text[1:] + end if text else ""


def duration(seconds: float) -> str:
    """Return a wall time: '48 s', '12 min', '3.4 h'."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
