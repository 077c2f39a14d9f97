"""Relaxed energies, elastic constants, equations of state and phonons are those of matcalc with the same calculator."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import ase
import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT

from uprung.config.physics import PhysicsSet
from uprung.physics.compute import outcome
from uprung.physics.elasticity import elasticity
from uprung.physics.equation_of_state import equation_of_state
from uprung.physics.phonons import computed
from uprung.physics.references import Material
from uprung.physics.relaxation import relax
from uprung.physics.results import Accuracy

ROOT = Path(__file__).parents[2]
MATCALC = ROOT / ".venv-service/matcalc"
FORMATION = PhysicsSet.model_validate({"test": "formation-energy", "functional": "EMT", "files": ["none"]})

pytestmark = pytest.mark.skipif(
    not MATCALC.is_dir() and importlib.util.find_spec("matcalc") is None,
    reason="matcalc is not installed: make service",
)


@pytest.fixture(scope="module")
def theirs() -> dict[str, dict[str, Any]]:
    paths = [str(MATCALC), os.environ.get("PYTHONPATH", "")]
    run = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("matcalc_physics.py"))],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths)), "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert run.returncode == 0, run.stderr
    found: dict[str, dict[str, Any]] = json.loads(run.stdout[run.stdout.index("{") :])
    return found


def crystal(found: dict[str, Any]) -> ase.Atoms:
    return ase.Atoms(found["numbers"], cell=found["cell"], scaled_positions=found["frac"], pbc=True)


@pytest.mark.parametrize("name", ["Cu", "CuAu"])
def test_energetics_elasticity_and_phonons_are_those_of_matcalc(theirs: dict[str, Any], name: str) -> None:
    found, own = theirs[name], crystal(theirs[name])
    start = bulk("Cu", "fcc", a=3.6) if name == "Cu" else bulk("Au", "fcc", a=3.9, cubic=True)
    if name == "CuAu":
        start.numbers[[0, 1]] = 29
    ours = relax(start, EMT(), Accuracy(force=0.002, stress=0.02, steps=1000), cell=True)
    assert ours.energy == pytest.approx(found["energy"], abs=1e-4)
    assert ours.atoms.get_volume() == pytest.approx(own.get_volume(), rel=2e-3)

    elastic = elasticity(own, EMT())
    assert elastic.tensor == pytest.approx(np.array(found["tensor"]), abs=1e-4 * abs(elastic.tensor).max())
    assert (elastic.bulk, elastic.shear) == pytest.approx((found["bulk"], found["shear"]), rel=1e-5)
    inner = elasticity(own, EMT(), Accuracy(force=0.002, steps=500))
    assert (inner.bulk, inner.shear) == pytest.approx((found["bulk_relaxed"], found["shear_relaxed"]), rel=5e-3)
    assert equation_of_state(own, EMT()).bulk == pytest.approx(found["bulk_eos"], rel=5e-3)

    if name == "CuAu":
        pure = [bulk(element, "fcc", a=a) for element, a in (("Cu", 3.6), ("Au", 4.1))]
        material = Material("1", [start, *pure], {"formation_energy_per_atom": 0.0}, ["CuAu"])
        (value,) = outcome(material, FORMATION, EMT(), Accuracy(force=0.002, stress=0.02, steps=1000)).values
        assert value.predicted == pytest.approx(found["formation"], abs=1e-4)

    phonon = computed(own, EMT(), [3, 3, 3] if name == "Cu" else [2, 2, 2])
    for point, frequencies in (([0, 0, 0], found["centre"]), ([0.5, 0.5, 0], found["edge"])):
        assert phonon.get_frequencies(point) == pytest.approx(frequencies, abs=2e-3)
