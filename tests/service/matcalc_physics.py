"""What matcalc itself says of EMT crystals, as JSON: relaxed energy and volume, moduli, highest frequency."""

import json
import sys
import tempfile
from pathlib import Path

import numpy as np
from ase.build import bulk
from ase.calculators.emt import EMT
from matcalc import ElasticityCalc, EnergeticsCalc, EOSCalc, PhononCalc, RelaxCalc
from pymatgen.io.ase import AseAtomsAdaptor

#: Lattice constants of the elements, before relaxation.
ELEMENTS = {"Cu": 3.6, "Au": 4.1}
crystals = {"Cu": bulk("Cu", "fcc", a=3.6), "CuAu": bulk("Au", "fcc", a=3.9, cubic=True)}
crystals["CuAu"].numbers[[0, 1]] = 29
found = {}
for name, crystal in crystals.items():
    relaxed = RelaxCalc(EMT(), fmax=0.002, max_steps=1000).calc(crystal)
    structure = relaxed["final_structure"]
    elastic = ElasticityCalc(EMT(), relax_structure=False, units_GPa=True).calc(structure)
    inner = ElasticityCalc(
        EMT(), fmax=0.002, relax_structure=False, relax_deformed_structures=True, units_GPa=True
    ).calc(structure)
    state = EOSCalc(
        EMT(), relax_structure=False, allow_shape_change=False, max_abs_strain=0.02, n_points=7, fmax=0.002
    ).calc(structure)
    with tempfile.TemporaryDirectory() as folder:
        phonon = PhononCalc(
            EMT(),
            atom_disp=0.01,
            supercell_matrix=np.diag([3, 3, 3] if len(crystal) == 1 else [2, 2, 2]),
            relax_structure=False,
            write_phonon=str(Path(folder, "phonon.yaml")),
        ).calc(structure)["phonon"]
    found[name] = {
        "cell": structure.lattice.matrix.tolist(),
        "frac": structure.frac_coords.tolist(),
        "numbers": list(structure.atomic_numbers),
        "energy": relaxed["energy"],
        "tensor": np.asarray(elastic["elastic_tensor"].voigt).tolist(),
        "bulk": elastic["bulk_modulus_vrh"],
        "shear": elastic["shear_modulus_vrh"],
        "bulk_relaxed": inner["bulk_modulus_vrh"],
        "shear_relaxed": inner["shear_modulus_vrh"],
        "bulk_eos": state["bulk_modulus_bm"],
        "centre": phonon.get_frequencies([0, 0, 0]).tolist(),
        "edge": phonon.get_frequencies([0.5, 0.5, 0]).tolist(),
    }
elements = {name: {"structure": AseAtomsAdaptor.get_structure(bulk(name, "fcc", a=a))} for name, a in ELEMENTS.items()}
energetics = EnergeticsCalc(EMT(), elemental_refs=elements, fmax=0.002).calc(crystals["CuAu"])
found["CuAu"]["formation"] = energetics["formation_energy_per_atom"]
json.dump(found, sys.stdout)
