from __future__ import annotations

import numpy as np
import pytest
from compositions import DATA, fractions

from uprung.atomref import ElementEnergies, UnseenElementError, element_energies, require_same_scale
from uprung.atomref.fit import energies_of_elements
from uprung.atomref.references import complete
from uprung.frames.intake import write_frames
from uprung.sources import open_source

FILE = DATA / "elements" / "MatPES-r2SCAN-Element-Refs.json.gz"
SCALE = "VASP PBE_64 PAW, r2SCAN, no U, uncorrected"


def test_the_lowest_solid_and_the_atom_are_told_apart():
    X = fractions({26: 2}, {26: 1}, {26: 1}, {8: 1}, {26: 1, 8: 1})
    y, isolated = [-8.0, -8.5, -3.0, -4.0, -20.0], [False, False, True, False, False]
    solid = element_energies(X, y, isolated, "elemental-solid")
    assert solid[25] == -8.5
    assert solid[7] == -4.0
    assert np.isnan(np.delete(solid, [7, 25])).all()
    atom = element_energies(X, y, isolated, "isolated-atom")
    assert atom[25] == -3.0
    assert np.isnan(atom[7])
    with pytest.raises(ValueError, match="isolated-atom: none of 2 structures is an isolated atom"):
        element_energies(X[:2], y[:2], [False, False], "isolated-atom")


def test_values_are_predictions_and_gaps_are_filled_explicitly():
    values = np.full(94, np.nan)
    values[[7, 25, 28]] = [-5.0, -8.0, -4.0]
    fit = ElementEnergies(values, "elemental-solid").fit(fractions({8: 1}, {26: 1, 8: 1}), [0.0, 0.0])
    np.testing.assert_allclose(fit.predict(fractions({8: 1, 26: 3})), [-29 / 4])
    with pytest.raises(UnseenElementError, match="Li"):
        fit.predict(fractions({3: 1}))
    source = values + 2.0
    source[2] = -1.0
    reference = complete(fit, policy="prior", source=source, needed=np.isfinite(source))
    assert reference.values[2] == pytest.approx(-3.0)
    assert list(reference.origin[[7, 25, 2]]) == ["elements", "elements", "prior"]
    assert reference.estimator == "elemental-solid"


def test_another_label_scale_is_refused_with_both_named():
    require_same_scale(("elements", SCALE), ("r2scan", SCALE))
    with pytest.raises(ValueError, match=r"'elements' is on the label scale 'VASP.*but 'r2scan' on 'GPAW"):
        require_same_scale(("elements", SCALE), ("r2scan", "GPAW 26.7.0 PAW"))


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    from uprung.frames.table import read_frames

    found = {}
    for kind in ("elements", "atoms"):
        folder = tmp_path_factory.mktemp(kind)
        write_frames([(open_source(kind, FILE, "r2SCAN").records(), frozenset())], folder, functional="r2SCAN")
        found[kind] = read_frames(folder / "manifest.json")
    return found


def test_embedded_solids_and_atoms_differ_by_the_cohesive_energy(tables):
    import gzip
    import json

    wanted = ("r2scan", SCALE)
    solid = energies_of_elements(tables["elements"], "elemental-solid", label="energy", fidelity="e", wanted=wanted)
    atom = energies_of_elements(tables["atoms"], "isolated-atom", label="energy", fidelity="a", wanted=wanted)
    assert np.isfinite(solid).sum() == np.isfinite(atom).sum() == 89
    with gzip.open(FILE, "rt") as stream:
        entries = json.load(stream)
    for element, Z in (("Fe", 26), ("O", 8), ("Pu", 94)):
        assert (solid - atom)[Z - 1] == pytest.approx(entries[element]["cohesive_energy_per_atom"], abs=1e-6)
    with pytest.raises(ValueError, match="none of 89 structures is a solid"):
        energies_of_elements(tables["atoms"], "elemental-solid", label="energy", fidelity="a", wanted=wanted)
    with pytest.raises(ValueError, match="label scale"):
        energies_of_elements(
            tables["atoms"],
            "isolated-atom",
            label="energy",
            fidelity="a",
            wanted=("low", SCALE.replace("r2SCAN", "PBE")),
        )
