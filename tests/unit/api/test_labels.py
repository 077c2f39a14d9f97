"""Shift, references and laws from Python are what the workflow computes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from structures import atoms, write

import uprung
from uprung.atomref.fit import Estimator, Labelled, fit_reference
from uprung.atomref.references import ReferenceEnergies
from uprung.labels.energy_shift import element_shift
from uprung.laws import LawRefused, power_law
from uprung.scaling.fits import fit_curves, laws_table
from uprung.scaling.points import read_points
from uprung.structures.pairs import PairsError


def labelled(functional: str) -> Labelled:
    found = uprung.read(atoms(functional)).frames
    return Labelled.of(found, "energy")


def test_the_shift_is_a_fit_of_the_differences() -> None:
    low, high = labelled("PBE"), labelled("r2SCAN")
    found = uprung.shift(atoms("PBE"), atoms("r2SCAN"), bootstrap=50)
    expected = element_shift(low.X, low.y, high.y, low.groups)
    assert found.counts["pairs"] == len(low.y)
    pd.testing.assert_frame_equal(found.elements, expected)
    line = next(line for line in repr(found).splitlines() if line.startswith("force components"))
    assert 0.99 < float(line.split()[3]) <= 1


def test_files_and_structures_give_the_same_shift(tmp_path: Path) -> None:
    files = [write(tmp_path / f"{name}.extxyz", name) for name in ("PBE", "r2SCAN")]
    one, two = uprung.shift(*files, bootstrap=20), uprung.shift(atoms("PBE"), atoms("r2SCAN"), bootstrap=20)
    pd.testing.assert_frame_equal(one.elements, two.elements, atol=1e-6)
    pd.testing.assert_frame_equal(one.correlation, two.correlation, atol=1e-5)


def test_one_functional_twice_is_no_pair() -> None:
    with pytest.raises(ValueError, match="one functional twice"):
        uprung.shift(atoms("PBE"), atoms("PBE"))
    assert uprung.shift(atoms("PBE"), atoms("PBE"), identical=True).elements["shift"].abs().max() < 1e-9


def test_nothing_in_common_is_told() -> None:
    other = atoms("r2SCAN")
    for one in other:
        one.set_cell(one.cell * 1.3, scale_atoms=True)
    with pytest.raises(PairsError, match="match within"):
        uprung.shift(atoms("PBE"), other)


def test_references_are_those_of_the_workflow() -> None:
    own, low = labelled("r2SCAN"), labelled("PBE")
    needed = (own.X > 0).any(axis=0)
    alone = uprung.references(atoms("r2SCAN"))
    expected, _ = fit_reference("source", target=own, source=own, needed=needed)
    np.testing.assert_array_equal(alone.values, expected.values)
    with_source = uprung.references(atoms("r2SCAN"), source=atoms("PBE"), estimator="prior-ridge", strength=0.1)
    expected, _ = fit_reference(
        "target", target=own, source=low, needed=needed, estimator=Estimator("prior-ridge", 0.1)
    )
    np.testing.assert_array_equal(with_source.values, expected.values)
    pd.testing.assert_frame_equal(ReferenceEnergies.from_frame(alone.to_frame()).to_frame(), alone.to_frame())
    assert "by least-squares (" in repr(alone)


def test_elements_that_only_the_source_has_get_a_prior() -> None:
    oxides = [one for one in atoms("r2SCAN") if 9 not in one.numbers]
    found = uprung.references(oxides, source=atoms("PBE"))
    assert found.origin[8] == "prior"
    assert np.isnan(uprung.references(oxides).values[8])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"estimator": "lasso"}, "no estimator 'lasso' \\(allowed: least-squares"),
        ({"estimator": "isolated-atom"}, "no energies of elements were given"),
        ({"estimator": "isolated-atom", "elements": {"Xx": 1.0}}, "'Xx' is no symbol"),
        ({"estimator": "prior-ridge"}, "leans on source references"),
    ],
)
def test_what_no_fit_can_do_is_told(options: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        uprung.references(atoms("PBE"), **options)


N = [100, 100, 300, 300, 1000, 1000, 3000, 3000]
MAE = [1.0, 1.1, 0.6, 0.55, 0.4, 0.37, 0.25, 0.27]


def test_a_law_is_that_of_a_table_of_points(tmp_path: Path) -> None:
    rows = [f"{n},curve,energy,{mae!r},{k % 2}" for k, (n, mae) in enumerate(zip(N, MAE, strict=True))]
    (tmp_path / "points.csv").write_text("\n".join(["n,arm,target,mae,seed", *rows]))
    (fit,) = fit_curves(read_points(tmp_path / "points.csv").curves)
    found = uprung.law(N, MAE)
    expected = laws_table([fit])
    assert found.exponent == pytest.approx(tuple(expected[["exponent", "exponent_low", "exponent_high"]].iloc[0]))
    assert found.exponent[0] == pytest.approx(power_law(N, MAE).exponent)
    assert found.predict(2000).low < found.predict(2000).value < found.predict(2000).high
    assert found.predict(found.size_for(0.5).n).value == pytest.approx(0.5)
    assert "times the largest size" in found.predict(100_000).reason
    assert repr(found).startswith("C·N⁻ᵃ: exponent")


def test_points_that_support_no_law_are_told() -> None:
    with pytest.raises(ValueError, match="3 sizes and 2 errors"):
        uprung.law([1, 2, 3], [1, 2])
    with pytest.raises(ValueError, match="no curve has 3 sizes"):
        uprung.law([100, 200], [1, 0.5])
    zigzag = uprung.law([100, 100, 200, 200, 400, 400, 800, 800], [1, 1.01, 0.2, 0.21, 1, 1.01, 0.1, 0.11])
    flat = uprung.law([100, 200, 400, 800], [1, 0.9, 1.1, 0.95])
    assert repr(flat).endswith("the points show no law: the exponent's interval holds zero")
    assert repr(zigzag).startswith("no law: ")
    with pytest.raises(LawRefused):
        zigzag.predict(100)


def test_a_shift_that_all_elements_share_names_none_of_them() -> None:
    found = uprung.shift(atoms("PBE"), atoms("r2SCAN"), bootstrap=20)
    assert "(all elements)" not in repr(found)
    # equal but for rounding, as of one compound, whose elements share the shift
    noise = 1e-12 * np.arange(len(found.elements))
    alike = replace(found, elements=found.elements.assign(shift=-1.735 + noise))
    assert "eV/atom: -1.735 (all elements), mean size 1.735" in repr(alike)
