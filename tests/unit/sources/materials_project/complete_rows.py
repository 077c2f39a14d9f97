"""The calculation of `pulled_rows` with all that a validator looks at, by the Materials Project's own input sets."""

from __future__ import annotations

import copy
import json
from functools import cache
from importlib.resources import files
from typing import Any

from monty.serialization import loadfn
from pulled_rows import ENERGIES, FREE, SITES, task_row, trajectory_row
from pymatgen.core import Lattice, Structure
from pymatgen.io.vasp.sets import MP24RelaxSet, MPRelaxSet, VaspInputSet

Json = dict[str, Any]
SETS = {"GGA": MPRelaxSet, "r2SCAN": MP24RelaxSet}


@cache
def input_set(run_type: str) -> VaspInputSet:
    row = trajectory_row()
    names = [name for name, _ in SITES]
    structure = Structure(Lattice(row["lattice"][0]), names, row["cart_coords"][0], coords_are_cartesian=True)
    return SETS[run_type](structure, bandgap=2.0)


@cache
def potcar_spec(run_type: str) -> list[Json]:
    """Return titles and statistics of the set's potentials, from the list that pymatgen ships."""
    own = input_set(run_type)
    known = loadfn(files("pymatgen.io.vasp") / "potcar-summary-stats.json.bz2", cls=None)
    specs = []
    for name, _ in SITES:
        symbol = own._config_dict["POTCAR"][name]
        found = [(t, s) for t, many in known[own._config_dict["POTCAR_FUNCTIONAL"]].items() for s in many]
        title, stats = next((t, s) for t, s in found if s["symbol"] == symbol)
        date = title.removeprefix(f"PAW_PBE{symbol}")
        summary = {key: stats[key] for key in ("keywords", "stats")}
        specs.append({"titel": f"PAW_PBE {symbol} {date}", "hash": None, "summary_stats": summary})
    return specs


def complete_task(run_type: str = "GGA", **incar: Any) -> Json:
    """Return a task document that passes every check; `incar` changes tags, None takes one out."""
    own = input_set(run_type)
    tags = {key: value for key, value in own.incar.as_dict().items() if not key.startswith("@")}
    tags = {**tags, "ISIF": 3, "LORBIT": 11, **incar}
    kpoints = own.kpoints.as_dict() if own.kpoints else {
        "comment": "from KSPACING", "generation_style": "Gamma", "kpoints": [[5, 5, 5]], "usershift": [0.0, 0.0, 0.0],
        "nkpoints": 0, "kpts_weights": None, "coord_type": None, "labels": None, "tet_number": 0, "tet_weight": 0.0,
    }  # fmt: skip
    kpoints.pop("tet_connections", None)  # the table keeps it in two columns
    row = task_row(run_type=run_type)
    row["input"] = {
        "incar": json.dumps({key: value for key, value in tags.items() if value is not None}),
        "hubbards": [],
        "kpoints": {**kpoints, "sym_weight": None, "tet_vertices": None},
        "potcar_spec": copy.deepcopy(potcar_spec(run_type)),
        "parameters": json.dumps({"NELECT": 14.0, "NBANDS": 14, "ENMAX": 520.0, "NPAR": 1}),
        "structure": {"sites": [{"properties": {"selective_dynamics": None, "velocities": None}} for _ in SITES]},
    }
    row["output"] |= {"bandgap": 2.0}
    row["output"]["structure"]["charge"] = 0.0
    row["output"]["outcar"] = {"magnetization": [{"tot": 0.0}, {"tot": 0.1}], "drift": [[0.0, 0.0, 0.001]] * 3}
    return row


def complete_trajectory(run_type: str = "GGA", **changes: Any) -> Json:
    """Return its trajectory: ends with small forces and many electronic steps."""
    electronic = []
    for energy in ENERGIES:
        energies = [energy + 0.1 * 0.1**k for k in range(9)] + [energy]
        electronic.append(
            [{"e_fr_energy": e - FREE, "e_0_energy": e, "e_wo_entrp": e + FREE, "eentropy": 1e-5} for e in energies]
        )
    row = trajectory_row(run_type=run_type, electronic_steps=electronic, num_electronic_steps=[10] * 3)
    row["energy"] = row["e_fr_energy"] = None
    energies = [-8.0, -8.15 + 1e-5, -8.15]
    row["energy"], row["e_fr_energy"] = energies, [e - FREE for e in energies]
    row["forces"][-1] = [[0.001, 0.0, 0.0], [-0.001, 0.0, 0.0]]
    return {**row, **changes}
