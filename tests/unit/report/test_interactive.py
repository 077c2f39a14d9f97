"""Errors to point at in a study of a single size: as many arms as the figures tell apart."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

from uprung.figures.style import COLOURS
from uprung.report.interactive_arms import interactive_arms
from uprung.scaling import LAW_POPULATION


@pytest.mark.filterwarnings("error")
def test_sixteen_arms_of_a_single_size_are_all_on_the_page() -> None:
    arms = [f"a{k}" for k in range(len(COLOURS))]
    curves = pd.DataFrame(
        {"arm": arm, "size": "400", "n_frames": 400, "seed": 0, "target": "energy", "population": LAW_POPULATION}
        | {"mae": 0.1 + 0.01 * k, "baseline": 0.5, "converged": True, "reason": ""}
        for k, arm in enumerate(arms)
    )
    markup = str(interactive_arms(curves[::-1], {a: a for a in arms}, target="energy", name="explore"))
    places = re.findall(r'<path data-run[^>]*transform="translate\(([-.\d]+),([-.\d]+)\)"', markup)
    assert len(places) == len(arms)
    right, down = ([float(place[k]) for place in places] for k in (0, 1))
    assert right == sorted(right)
    assert np.diff(down) == pytest.approx([down[1] - down[0]] * (len(arms) - 1))
    assert re.findall(r'text-anchor="end">(\w+)<', markup) == arms  # the lowest error on top
    assert markup.count('class="before"') == 0
    curves["untouched"] = 0.3
    assert str(interactive_arms(curves, {a: a for a in arms}, target="energy", name="explore")).count("before") == 17
