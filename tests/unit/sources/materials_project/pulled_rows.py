"""Rows of the tables as Arrow gives them, small and with known numbers: rock salt that relaxes in three steps."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from uprung.sources.materials_project.materials import MaterialData

TASK = 3_000_001
SITES = (("Na", 11), ("Cl", 17))
ENERGIES = (-8.0, -8.1, -8.15)
FREE = 3e-4  # E0 − F, eV


def trajectory_row(**changes: Any) -> dict[str, Any]:
    """Return a row of the trajectories table."""
    cells = [(5.7 - 0.05 * k) * np.eye(3) for k in range(3)]
    coordinates = [np.array([[0.0, 0, 0], [0.5, 0.5, 0.5 + 0.01 * (2 - k)]]) @ cell for k, cell in enumerate(cells)]
    row = {
        "identifier": "aaagorwr",
        "run_type": "GGA",
        "task_type": "Structure Optimization",
        "elements": [z for _, z in SITES],
        "num_ionic_steps": 3,
        "cart_coords": [x.tolist() for x in coordinates],
        "lattice": [cell.tolist() for cell in cells],
        "energy": list(ENERGIES),
        "e_fr_energy": [e - FREE for e in ENERGIES],
        "e_wo_entrp": [e + FREE for e in ENERGIES],
        "forces": [[[0.1 * (2 - k), 0.0, 0.01], [-0.1 * (2 - k), 0.0, -0.01]] for k in range(3)],
        "stress": [[[10.0 * (2 - k), 1.0, 2.0], [1.0, 5.0, 3.0], [2.0, 3.0, -4.0]] for k in range(3)],
        "num_electronic_steps": [20, 12, 9],
        "electronic_steps": [
            [{"e_fr_energy": -1.0, "e_0_energy": -1.0}, {"e_fr_energy": e - FREE, "e_0_energy": e}] for e in ENERGIES
        ],
    }
    return {**row, **changes}


def task_row(**changes: Any) -> dict[str, Any]:
    """Return a row of the tasks table for the same calculation."""
    last = trajectory_row()
    frac = np.array(last["cart_coords"][-1]) @ np.linalg.inv(np.array(last["lattice"][-1]))
    sites = [
        {"abc": x.tolist(), "species": [{"element": name}], "properties": {"magmom": 0.1 * k}}
        for k, (x, (name, _)) in enumerate(zip(frac, SITES, strict=True))
    ]
    row = {
        "task_id": "aaagorwr",
        "batch_id": None,
        "run_type": "GGA",
        "task_type": "Structure Optimization",
        "vasp_version": "6.4.2",
        "input": {"incar": json.dumps({"NELM": 100, "ISIF": 3}), "hubbards": []},
        "output": {
            "energy": ENERGIES[-1],
            "structure": {"lattice": {"matrix": last["lattice"][-1]}, "sites": sites},
            "outcar": {"magnetization": [{"tot": 0.5}, {"tot": 0.6}]},
        },
    }
    return {**row, **changes}


def material(**changes: Any) -> MaterialData:
    """Return the material with this one calculation."""
    values: dict[str, Any] = {
        "number": 3_000_000,
        "listed": {TASK: "GGA"},
        "entries": {"GGA": {"energy": ENERGIES[-1], "n_atoms": 2, "hubbards": {}}},
        "tasks": {TASK: task_row()},
        "trajectories": {TASK: [trajectory_row()]},
    }
    return MaterialData(**{**values, **changes})
