"""How far beyond the measured sizes a law may be followed."""

from __future__ import annotations

from uprung.laws.crossing import Law
from uprung.laws.curved import CurvedLaw

#: Beyond this multiple of the largest size a law needs evidence against a floor.
REACH = 2.0
#: Largest share of the predicted error that a floor may have which fits the points as well.
FLOOR_SHARE = 0.5


def out_of_reach(law: Law, saturating: Law | None, n: float) -> str:
    """Return why a law says nothing at a training size, '' where it does.

    A straight line goes on falling where a floor would stop it, and few sizes cannot tell one from the other. So the
    largest floor that fits the points as well has to lie well below the error that the law predicts.

    Args:
        law: the one that the points support.
        saturating: the law with a floor through the same points, None where it was refused.
        n: training size.
    """
    if n <= REACH * law.n_max or law.name == "saturating":
        return ""
    start = times_the_largest(law, n)
    if not isinstance(saturating, CurvedLaw):
        return f"{start}, and too few sizes for evidence against a floor"
    floor, error = saturating.parameters()["floor"][2], float(law.predict(n)[0])
    if floor <= FLOOR_SHARE * error:
        return ""
    return f"{start}, and a floor of up to {100 * floor / error:,.0f} % of the error there fits as well as none"


def times_the_largest(law: Law, n: float) -> str:
    """Return how many times the largest measured size a training size is, in words."""
    factor = n / law.n_max
    return f"{factor:,.{1 if factor < 10 else 0}f} times the largest size"
