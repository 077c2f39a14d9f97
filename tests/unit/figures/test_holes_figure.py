from __future__ import annotations

import numpy as np
import pandas as pd

from uprung.evaluation.hole_tables import arms_table, networks_table
from uprung.figures.holes import holes

LABELS = {"scratch": "from nothing", "joint": "two fidelities $in$ one_network"}


def starts() -> pd.DataFrame:
    rows = [
        ("", "chgnet-0.3.0", "", -1, 1),
        *(("b", arm, n, s, 3) for arm in LABELS for n in ("10", "20") for s in (0, 1)),
    ]
    return pd.concat(
        [
            pd.DataFrame(
                {
                    **{"budget": budget, "arm": arm, "size": size, "seed": seed, "lost": False},
                    "start": [f"s{k}" for k in range(20)],
                    "energy": -np.linspace(0, 40 if arm == "joint" else 0.02, 20),
                    "hole": ["energy"] * found + [""] * (20 - found),
                }
            )
            for budget, arm, size, seed, found in rows
        ]
    )


def test_every_arm_and_the_checkpoint_have_a_row() -> None:
    figure = holes(arms_table(starts()), networks_table(starts()), arm_labels=LABELS)
    share, deep = figure.axes
    assert [text.get_text() for text in share.get_yticklabels()] == ["chgnet-0.3.0, untouched", *LABELS.values()]
    drawn = sorted(round(float(bar[0].get_xdata()[0]), 6) for bar in share.containers)
    assert drawn == [5.0, 15.0, 15.0, 15.0, 15.0]
    assert len(deep.lines) == 1 + 9  # zero, and one mark for every network
    figure.draw_without_rendering()


def test_an_arm_that_was_not_tested_has_an_empty_row() -> None:
    here = starts()
    here = here[here["arm"] != "joint"]
    figure = holes(arms_table(here), networks_table(here), arm_labels=LABELS)
    assert len(figure.axes[0].containers) == 3
