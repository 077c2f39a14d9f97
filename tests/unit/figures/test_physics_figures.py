from __future__ import annotations

import numpy as np
import pandas as pd

from uprung.figures import physics
from uprung.physics.tables import summary

ABOUT = {"budget": "", "arm": "", "size": "", "seed": -1}


def values() -> pd.DataFrame:
    rows = []
    for model, scale in (("soft", 0.8), ("stiff", 1.2)):
        for quantity, test in (
            ("bulk modulus", "elasticity"),
            ("mixing energy", "mixing"),
            ("mean frequency", "phonons"),
        ):
            for k in range(5 if quantity != "mean frequency" else 1):
                rows.append(
                    {
                        **{"model": model, "name": model, "set": test, "quantity": quantity, "unit": "GPa"},
                        **{
                            "material": "Mo-Ta" if test == "mixing" else f"m{k}",
                            "key": f"k{k}",
                            "x": 0.25 * (k + 1) / 2,
                        },
                        **{"reference": 10.0 + k, "predicted": scale * (10.0 + k), "converged": k != 1, "reason": ""},
                    }
                )
    rows[0]["predicted"] = np.nan
    return pd.DataFrame(rows).assign(**ABOUT)


def test_every_comparable_property_has_a_panel_and_what_has_not_converged_is_hollow() -> None:
    figure = physics.parity(values())
    titles = [axis.get_title() for axis in figure.axes if axis.get_visible()]
    assert titles == ["bulk modulus\n(elasticity, GPa)", "mixing energy\n(mixing, GPa)"]
    drawn = [(len(line.get_xdata()), line.get_markerfacecolor()) for line in figure.axes[0].lines[:4]]
    assert [n for n, _ in drawn] == [3, 1, 4, 1]
    assert drawn[1][1] == "none" != drawn[0][1]
    figure.draw_without_rendering()


def test_ratios_have_bars_where_there_are_intervals() -> None:
    table = summary(values(), resamples=100, seed=0)
    table["name"] = table["model"]
    figure = physics.ratios(table)
    (axis,) = figure.axes
    labels = [text.get_text() for text in axis.get_yticklabels()]
    assert labels == ["bulk modulus (elasticity)", "mixing energy (mixing)", "mean frequency (phonons)"]
    places = sorted(round(float(bar[0].get_xdata()[0]), 2) for bar in axis.containers)
    assert places == [0.8, 0.8, 0.8, 1.2, 1.2, 1.2]
    assert sum(len(bar[2]) for bar in axis.containers) == 2  # four materials or more have an interval
    figure.draw_without_rendering()


def test_mixing_energies_are_drawn_with_their_distribution() -> None:
    figure = physics.mixing(values())
    (axis, *_) = figure.axes
    assert len(axis.lines) == 3 + 1
    assert axis.get_xlabel() == "share of Ta"
    figure.draw_without_rendering()


def curves() -> pd.DataFrame:
    x = np.concatenate([np.linspace(0, 1, 5), np.linspace(1, 1.5, 5)])
    parts = []
    for name, scale in (("soft", 0.8), ("stiff", 1.2)):
        for branch in range(3):
            band = pd.DataFrame({"x": x, "reference": x * branch, "predicted": scale * x * branch})
            parts.append(band.assign(curve="bands GXM", branch=branch, name=name))
        states = pd.DataFrame({"x": np.linspace(-1, 4, 20), "reference": 1.0, "predicted": scale})
        parts.append(states.assign(curve="density of states", branch=0, name=name))
    return pd.concat(parts).assign(set="phonons", material="BaZrO3")


def test_phonons_are_drawn_along_their_path() -> None:
    figure = physics.phonons(curves())
    bands, _ = figure.axes
    assert [tick.get_text() for tick in bands.get_xticklabels()] == ["Γ", "X", "M"]
    assert bands.get_xticks().tolist() == [0, 1, 1.5]
    figure.draw_without_rendering()


def test_nothing_to_draw_is_said() -> None:
    for figure in (
        physics.parity(values().assign(predicted=np.nan)),
        physics.ratios(summary(values().assign(predicted=np.nan), resamples=100, seed=0).assign(name="soft")),
        physics.mixing(values().assign(predicted=np.nan)),
        physics.phonons(curves().iloc[:0]),
    ):
        (text,) = figure.axes[0].texts
        assert text.get_text().startswith("no ")
