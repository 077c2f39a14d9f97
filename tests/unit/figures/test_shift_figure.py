from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure

from uprung.figures.atomref import reference_values
from uprung.figures.elements import by_element, element_axis
from uprung.figures.shift import (
    energy_parity,
    importance,
    label_parity,
    shift_by_element,
)
from uprung.figures.style import new_figure, save


def texts(figure: Figure) -> str:
    """All text drawn, one line per item."""
    figure.canvas.draw()
    words = []
    for ax in [*figure.axes, *(child for parent in figure.axes for child in parent.child_axes)]:
        words += [ax.get_title(), ax.get_xlabel(), ax.get_ylabel(), *(text.get_text() for text in ax.texts)]
        words += [label.get_text() for label in ax.get_xticklabels()]
        if ax.get_legend():
            words += [text.get_text() for text in ax.get_legend().get_texts()]
    return "\n".join(words)


@pytest.fixture
def shifts() -> pd.DataFrame:
    Z = np.arange(1, 84)
    return pd.DataFrame(
        {
            "Z": Z,
            "shift": -0.6 * Z,
            "stderr": np.where(Z % 2, 0.1, np.nan),
            "stderr_structures": 0.05,
        }
    )


def energies(n: int = 200) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    low = rng.normal(size=n)
    Z = rng.integers(1, 84, n)
    return low, low - 0.6 * Z, Z


class TestEnergyParity:
    def test_prints_both_correlations_and_units(self):
        low, high, Z = energies()
        figure = energy_parity((low, high), (low, 1.01 * low), Z)
        words = texts(figure)
        assert f"r = {np.corrcoef(low, high)[0, 1]:.4f}" in words
        assert "r = 1.00000" in words
        assert "r²SCAN total energy (eV/atom)" in words
        assert "atomic number" in words
        assert "r2SCAN" not in words

    def test_right_panel_has_equal_axes(self):
        low, high, Z = energies()
        ax = energy_parity((low, high), (low, low), Z).axes[1]
        assert ax.get_xlim() == ax.get_ylim()

    def test_energies_without_a_residual_have_one_panel(self):
        low, high, Z = energies()
        figure = energy_parity((low, high), (1e-9 * low, 1e-9 * high), Z)
        assert [ax.get_title() for ax in figure.axes if ax.get_title()] == ["total energy as labelled"]

    def test_nothing_to_draw(self):
        with pytest.raises(ValueError, match="no structures"):
            energy_parity(([], []), ([], []), [])


class TestShiftByElement:
    def test_error_bars_fall_back_to_independent_structures(self, shifts):
        (ax,) = shift_by_element(shifts).axes
        (bars,) = [item for item in ax.containers if isinstance(item, ErrorbarContainer)]
        lengths = [segment[1, 1] - segment[0, 1] for segment in bars.lines[2][0].get_segments()]
        assert lengths[:2] == pytest.approx([2 * 1.96 * 0.1, 2 * 1.96 * 0.05])

    def test_axis_names_a_few_elements(self, shifts):
        words = texts(shift_by_element(shifts, names=("PBE", "r2SCAN")))
        assert "26\nFe" in words
        assert "92\nU" not in words
        assert "r²SCAN − PBE (eV/atom)" in words

    def test_axis_of_a_short_range(self):
        _, (ax,) = new_figure()
        element_axis(ax, [13, 14, 15])
        assert [label.get_text() for label in ax.get_xticklabels()] == ["13\nAl", "14\nSi", "15\nP"]


class TestLabelParity:
    def test_statistics_are_printed(self):
        low = np.linspace(-1, 1, 101)
        words = texts(label_parity({"force": (low, 1.1 * low + 0.3), "stress": (low, low)}))
        assert "slope 1.100\nMAE 0.3 eV/Å" in words
        assert "MAE 0 GPa" in words
        assert "values per cell" in words

    def test_missing_labels_are_left_out_and_moments_are_magnitudes(self):
        figure = label_parity({"magmom": ([1.0, -2.0, np.nan, 0.5], [-1.0, 2.0, 3.0, 0.5])})
        words = texts(figure)
        assert "|moment|, n = 3" in words
        assert "MAE 0 μB" in words

    def test_labels_that_are_rounding_alone_have_no_panel(self):
        zero = 1e-9 * np.linspace(-1, 1, 101)
        figure = label_parity({"force": (zero, zero), "stress": (1e9 * zero, 1e9 * zero)})
        assert [ax.get_title() for ax in figure.axes if ax.get_title()] == ["stress, n = 101"]
        nothing = label_parity({"force": (zero, zero)})
        assert "no label differs" in texts(nothing)

    def test_refusals(self):
        with pytest.raises(ValueError, match="unknown label charge; allowed are force, stress, magmom"):
            label_parity({"charge": ([1.0], [1.0])})
        with pytest.raises(ValueError, match="no pair"):
            label_parity({"force": ([np.nan], [1.0])})


class TestByElement:
    def test_every_element_once_with_its_number(self, shifts):
        words = texts(by_element(shifts)).split("\n")
        assert words.count("Fe") == words.count("Pu") == 1
        assert "−15.6" in words
        assert "energy shift (eV/atom), PBE to r²SCAN" in words

    def test_cells_do_not_overlap(self, shifts):
        corners = [patch.get_xy() for patch in by_element(shifts).axes[0].patches]
        assert len(corners) == len({(round(x, 3), round(y, 3)) for x, y in corners}) == 94

    def test_refusals(self, shifts):
        with pytest.raises(ValueError, match="several rows"):
            by_element(pd.concat([shifts, shifts]))
        with pytest.raises(ValueError, match="no element"):
            by_element(shifts.assign(shift=np.nan))


class TestImportance:
    def test_sorted_and_says_what_it_is_relative_to(self):
        table = pd.DataFrame({"element": ["O", "Cl", "Fe"], "importance": [0.2, 0.5, 0.3], "reference": "elemental"})
        figure = importance(table, most=2)
        assert [bar.get_height() for bar in figure.axes[0].patches] == [0.5, 0.3]
        assert "elemental solids, 2 of 3 elements" in texts(figure)


class TestReferenceValues:
    @pytest.fixture
    def table(self) -> pd.DataFrame:
        return pd.DataFrame(
            {
                "Z": [1, 8, 26, 92],
                "value": [-3.0, -9.0, -14.0, -82.0],
                "stderr": [0.1, np.nan, 0.2, 2.0],
                "origin": ["fit", "fit", "fit", "prior"],
            }
        )

    def test_prior_elements_are_hollow(self, table):
        figure = reference_values({"train": table})
        (ax,) = figure.axes
        fitted, prior = (container.lines[0] for container in ax.containers)
        assert prior.get_markerfacecolor() == "white"
        assert fitted.get_markerfacecolor() != "white"
        assert list(prior.get_xdata()) == [92]
        assert "hollow: from the prior" in texts(figure)

    def test_second_table_is_drawn_as_a_difference(self, table):
        figure = reference_values({"all": table, "n = 100": table.assign(value=table["value"] + 1)})
        fitted = figure.axes[1].containers[0].lines[0]
        assert list(fitted.get_ydata()) == pytest.approx([1, 1, 1])
        assert "difference from\nall (eV/atom)" in texts(figure)

    def test_number_of_tables(self, table):
        with pytest.raises(ValueError, match="between 1 and 16"):
            reference_values({})
        with pytest.raises(ValueError, match="17 tables"):
            reference_values({str(i): table for i in range(17)})


def test_equal_figures_are_equal_files(tmp_path, shifts):
    for name in ("a", "b"):
        save(shift_by_element(shifts), tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
