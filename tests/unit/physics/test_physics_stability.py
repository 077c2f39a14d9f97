"""Formation and decomposition energies: against ASE alone, by hand, and as rows of a table."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import ase
import numpy as np
import pandas as pd
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.filters import FrechetCellFilter
from ase.optimize import BFGS
from pymatgen.analysis.phase_diagram import PDEntry, PhaseDiagram
from pymatgen.core import Composition

from uprung.config.physics import PhysicsSet
from uprung.config.short import presets
from uprung.physics import stability
from uprung.physics.compute import outcome
from uprung.physics.references import Material, read_set
from uprung.physics.results import Accuracy
from uprung.physics.stability import decomposition_energies, formation_energy, with_decomposition
from uprung.softening.models import MODEL

SET = PhysicsSet.model_validate({"test": "formation-energy", "functional": "EMT", "files": ["none"]})
TIGHT = Accuracy(force=1e-3, stress=1e-2, steps=1000)


def energy(atoms: ase.Atoms) -> float:
    relaxed = atoms.copy()
    relaxed.calc = EMT()
    BFGS(FrechetCellFilter(relaxed), logfile=None).run(fmax=1e-4)
    return float(relaxed.get_potential_energy())


def copper_gold() -> ase.Atoms:
    crystal = bulk("Au", "fcc", a=3.9, cubic=True)
    crystal.numbers[[0, 1]] = 29
    return crystal


def test_formation_energies_are_those_of_ase(monkeypatch: pytest.MonkeyPatch) -> None:
    crystal, copper, gold = copper_gold(), bulk("Cu", "fcc", a=3.7), bulk("Au", "fcc", a=4.0, cubic=True)
    expected = (energy(crystal) - 2 * energy(copper) - 2 * energy(gold) / 4) / 4
    material = Material("1", [crystal, copper, gold], {"formation_energy_per_atom": -0.1}, ["CuAu"])
    calculator = EMT()
    (value,) = outcome(material, SET, calculator, TIGHT).values
    assert value.predicted == pytest.approx(expected, abs=1e-4)
    assert (value.reference, value.key, value.converged) == (-0.1, "CuAu", True)
    # elements are relaxed once for a calculator
    relaxed = list[int]()
    honest = stability.relax
    monkeypatch.setattr(stability, "relax", lambda atoms, *a, **k: relaxed.append(1) or honest(atoms, *a, **k))
    outcome(material, SET, calculator, TIGHT)
    assert relaxed == []
    outcome(material, SET, EMT(), TIGHT)
    assert len(relaxed) == 2


def test_an_element_that_has_not_converged_marks_the_value() -> None:
    material = Material("1", [copper_gold(), bulk("Cu", "fcc", a=3.9), bulk("Au", "fcc", a=4.3)])
    material.references["formation_energy_per_atom"] = 0.0
    found = outcome(Material("1", material.structures, material.references, ["CuAu"]), SET, EMT(), Accuracy(steps=2))
    assert [value.converged for value in found.values] == [False]


def test_formation_energy_by_hand() -> None:
    assert formation_energy(-10.0, [12, 8, 8], {12: -1.0, 8: -2.0}) == pytest.approx(-5 / 3)


def test_decomposition_energies_by_hand() -> None:
    names = ["MgO", "CaO", "CaMgO2", "MgO", "CaMg2", "Mg3O"]
    formation = np.array([-3.0, -3.2, -3.05, -2.9, -0.1, -1.0])
    found = decomposition_energies(names, formation)
    assert found[2] == pytest.approx(-3.05 + 3.1)  # MgO + CaO
    assert found[0] == pytest.approx(-3.0 + 2 / 3 * 1.0)  # Mg3O + 2 O, four atoms of six; not the other MgO
    assert found[5] == pytest.approx(-1.0 + 0.5 * 3.0)  # 2 Mg + MgO: half of the atoms are in MgO
    assert np.isnan(found[4])  # nothing else of Ca and Mg: the formation energy says it


def test_decomposition_energies_are_those_of_pymatgen() -> None:
    rng = np.random.default_rng(0)
    names = ["Mg2Si", "CaSi", "Ca(MgSi)2", "CaMg2", "Ca2Si", "CaMgSi", "Ca5Si3", "Mg3Ca2Si5", "CaSi2"]
    formation = -rng.random(len(names))
    entries = [PDEntry(name, Composition(name).num_atoms * e) for name, e in zip(names, formation, strict=True)]
    diagram = PhaseDiagram([*entries, *(PDEntry(element, 0.0) for element in ("Mg", "Ca", "Si"))])
    expected = [diagram.get_phase_separation_energy(entry, stable_only=False) for entry in entries]
    found = decomposition_energies(names, formation)
    alone = np.isnan(found)  # of these two elements nothing else is there
    assert [name for name, one in zip(names, alone, strict=True) if one] == ["Mg2Si", "CaMg2"]
    assert found[~alone] == pytest.approx(np.array(expected)[~alone], abs=1e-6)


def test_rows_of_decomposition_energies_are_of_compounds_that_have_both() -> None:
    rows = [("MgO", -3.0, -2.8), ("CaO", -3.2, -3.0), ("CaMgO2", -3.05, -2.95), ("Ca2MgO3", -3.1, np.nan)]
    values = pd.DataFrame(rows, columns=["key", "reference", "predicted"]).assign(
        set="f", quantity="formation energy", unit="eV/atom", material=list("abcd"), converged=True, reason="", x=np.nan
    )
    values = values.assign(model="a", budget="", arm="", size="", seed=-1)
    found = with_decomposition(pd.concat([values, values.assign(model="b", predicted=values["reference"])]), MODEL)
    added = found[found["quantity"] == "decomposition energy"]
    (first,) = added[(added["model"] == "a") & (added["key"] == "CaMgO2")].to_dict("records")
    assert (first["reference"], first["predicted"]) == (pytest.approx(0.05), pytest.approx(-0.05))
    assert set(added[added["model"] == "a"]["key"]) == {"CaMgO2"}
    other = added[added["model"] == "b"]
    assert {"CaMgO2", "Ca2MgO3"} == set(other["key"])
    assert other["predicted"].to_numpy() == pytest.approx(other["reference"].to_numpy())
    alone = values[values["key"] == "MgO"]
    assert with_decomposition(alone, MODEL).equals(alone)


def test_a_crystal_whose_element_is_not_in_the_files_is_unusable(tmp_path: Path) -> None:
    entry = PhysicsSet.model_validate(presets()["physics"]["formation-energy"]["formation-energy"])
    crystals, elements = (Path(file) for file in entry.files)
    content = json.loads(gzip.decompress(elements.read_bytes()))
    few = tmp_path / "few.json"
    few.write_text(json.dumps({name: record for name, record in content.items() if name != "Ga"}))
    found = {material.keys[0]: material for material in read_set(entry, [crystals, few])}
    assert found["LiGa"].unusable == "the files have no crystal of Ga"
    assert [len(atoms) for atoms in found["FeNi"].structures] == [2, 2, 1]
    assert {material.atoms for material in read_set(entry.model_copy(update={"most": 3}), [crystals, elements])} == {2}
    with pytest.raises(ValueError, match="none of the files maps elements"):
        read_set(entry, [crystals])
