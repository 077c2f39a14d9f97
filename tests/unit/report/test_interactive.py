"""Curves to point at: as many arms as the figures tell apart, and studies of a single size."""

from __future__ import annotations

import re

import pandas as pd
import pytest

from uprung.figures.style import COLOURS
from uprung.report.interactive import interactive_curves
from uprung.scaling import LAW_POPULATION


@pytest.mark.filterwarnings("error")
def test_sixteen_arms_of_a_single_size_are_all_on_the_page() -> None:
    arms = [f"a{k}" for k in range(len(COLOURS))]
    curves = pd.DataFrame(
        {"arm": arm, "size": "400", "n_frames": 400, "seed": 0, "target": "energy", "population": LAW_POPULATION}
        | {"mae": 0.1 + 0.01 * k, "baseline": 0.5, "converged": True, "reason": ""}
        for k, arm in enumerate(arms)
    )
    bands = pd.DataFrame(columns=["arm", "target", "law", "chosen", "n", "mae", "low", "high"])
    markup = str(interactive_curves(curves, bands, {a: a for a in arms}, target="energy", x_label="n", name="explore"))
    places = re.findall(r'<path data-run[^>]*transform="translate\(([-.\d]+),([-.\d]+)\)"', markup)
    assert len(places) == len(arms)
    assert len({across for across, _ in places}) == 1
    assert len({up for _, up in places}) == len(arms)
