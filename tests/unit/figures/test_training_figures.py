from __future__ import annotations

import numpy as np
import pandas as pd

from uprung.figures.training import dynamics, forgetting

ARMS = {"a": "first arm", "b": "second arm"}


def forgotten() -> pd.DataFrame:
    rows = []
    for arm, level in (("a", 0.1), ("b", 0.2)):
        for n in (100, 200, 400):
            for seed in (0, 1):
                for target in ("energy", "force"):
                    row = {"arm": arm, "size": str(n), "seed": seed, "n_frames": n, "target": target}
                    row |= {"mae": level * n**-0.3, "source_mae": 3.0, "source_rereferenced": level + n / 1e4}
                    rows.append(row)
    return pd.DataFrame(rows)


def test_each_arm_is_a_line_through_its_means_by_increasing_size() -> None:
    figure = forgetting(forgotten().iloc[::-1], {"energy": 0.05, "force": 0.2}, arm_labels=ARMS)
    energy, force = figure.axes
    lines = [line for line in energy.lines if line.get_linestyle() == "-" and len(line.get_xdata()) == 3]
    assert len(lines) == 2
    np.testing.assert_allclose(lines[0].get_xdata(), [110, 120, 140])  # meV/atom, re-referenced
    np.testing.assert_allclose(lines[0].get_ydata(), [100 * n**-0.3 for n in (100, 200, 400)])
    assert "re-referenced" in energy.get_xlabel()
    assert "re-referenced" not in force.get_xlabel()
    dashed = [line for line in energy.lines if line.get_linestyle() == "--"]
    assert [line.get_xdata()[0] for line in dashed] == [50.0]
    assert [text.get_text() for text in figure.legends[0].get_texts()][:2] == list(ARMS.values())


def test_nothing_tested_is_said() -> None:
    figure = forgetting(forgotten().iloc[:0], {}, arm_labels=ARMS)
    assert "no source frames" in figure.axes[0].texts[0].get_text()


def test_layers_that_an_arm_does_not_train_have_no_line() -> None:
    steps = np.arange(0, 50, 10)
    own = pd.DataFrame({"arm": "a", "seed": 0, "step": steps, "grad_readout": 0.1, "grad_block1": 0.2})
    other = own.assign(arm="b", grad_block1=np.nan)
    figure = dynamics(pd.concat([own, other, own.assign(seed=1, grad_readout=0.3)]), arm_labels=ARMS)
    block, readout = (axis for axis in figure.axes if axis.get_visible())
    assert (block.get_title(), readout.get_title()) == ("block 1", "readout")
    assert (len(block.lines), len(readout.lines)) == (1, 2)
    np.testing.assert_allclose(readout.lines[0].get_ydata(), 0.2)  # mean over seeds
    empty = dynamics(own[["arm", "seed", "step"]], arm_labels=ARMS)
    assert "no gradient" in empty.axes[0].texts[0].get_text()
