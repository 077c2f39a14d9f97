"""All materials of all sets held against one network, one after another; what is finished survives a kill."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from ase.calculators.calculator import Calculator

from uprung.config.physics import PhysicsSet
from uprung.job.files import write_whole
from uprung.job.logs import progress
from uprung.job.sealed import seal, unseal
from uprung.physics.compute import cost, outcome
from uprung.physics.references import Material
from uprung.physics.results import Accuracy, Curve, Outcome, Value, energies

#: Atoms of the largest structure that a rate is measured with.
USUAL = 60
LOG = logging.getLogger(__name__)
#: Columns of the tables of values and of curves.
VALUES = ["set", "material", "key", "quantity", "unit", "x", "reference", "predicted", "converged", "reason"]
CURVES = ["set", "material", "curve", "branch", "x", "reference", "predicted"]


def check_packages(sets: Iterable[PhysicsSet]) -> None:
    """Import what the tests of some sets need, before anything is computed.

    Raises:
        ModuleNotFoundError: a package is missing; the message says how it is installed.
    """
    if any(entry.test in ("phonons", "heat-capacity", "frozen-phonons") for entry in sets):
        import uprung.physics.phonons  # noqa: F401


class Kept:
    """Outcomes of materials in a folder, each under a digest of all that decides it."""

    def __init__(self, folder: Path, identity: Mapping[str, Any]) -> None:
        """Keep outcomes in a folder, which is made.

        Args:
            folder: a file for each material.
            identity: what decides an outcome beside set and material: network, accuracy, code, versions.
        """
        self.folder, self.identity = folder, identity
        folder.mkdir(parents=True, exist_ok=True)

    def file(self, name: str, entry: PhysicsSet, material: Material) -> Path:
        """Return the file of a material."""
        references = {key: np.asarray(value).tolist() for key, value in material.references.items()}
        cells = [[a.numbers.tolist(), a.cell.array.tolist(), a.positions.tolist()] for a in material.structures]
        decides = [dict(self.identity), entry.model_dump(mode="json"), material.name, material.unusable]
        content = json.dumps([*decides, references, cells, list(material.keys), name], sort_keys=True)
        return self.folder / f"{hashlib.sha256(content.encode()).hexdigest()[:24]}.json"

    def read(self, file: Path) -> Outcome | None:
        """Return what a file holds; None where there is none, or a damaged one."""
        if not file.exists():
            return None
        try:
            found = unseal(file.read_bytes())
        except ValueError as error:
            LOG.warning("%s is computed again: %s", file, error)
            return None
        curves = [
            Curve(each["name"], each["branch"], *(np.array(each[side]) for side in ("x", "reference", "predicted")))
            for each in found["curves"]
        ]
        return Outcome([Value(**value) for value in found["values"]], curves)

    def write(self, file: Path, found: Outcome) -> None:
        """Keep an outcome, durably."""
        plain = [
            {key: getattr(value, "tolist", lambda v=value: v)() for key, value in asdict(curve).items()}
            for curve in found.curves
        ]
        write_whole(file, seal({"values": [asdict(value) for value in found.values], "curves": plain}).encode())


def network_tables(
    sets: Mapping[str, tuple[PhysicsSet, Sequence[Material]]], calculator: Calculator, accuracy: Accuracy, kept: Kept
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the values and the curves of a network.

    Args:
        sets: name -> the set and its materials.
        calculator: of the network.
        accuracy: of relaxations and bands.
        kept: outcomes of a job that was killed.

    Returns:
        Tables with the columns `VALUES` and `CURVES`.
    """
    jobs = [(name, entry, material) for name, (entry, materials) in sets.items() for material in materials]
    costs = [cost(material, entry, accuracy) for _, entry, material in jobs]
    LOG.info("%s", cost_line(jobs, costs, calculator))
    values, curves = list[dict[str, Any]](), list[pd.DataFrame]()
    with progress(len(jobs), "materials", "material", every=60) as bar:
        for name, entry, material in jobs:
            file = kept.file(name, entry, material)
            found = kept.read(file)
            if found is None:
                found = outcome(material, entry, calculator, accuracy)
                kept.write(file, found)
            about = {"set": name, "material": material.name}
            values += [about | asdict(value) for value in found.values]
            curves += [
                pd.DataFrame({"x": c.x, "reference": c.reference, "predicted": c.predicted}).assign(
                    **about, curve=c.name, branch=c.branch
                )
                for c in found.curves
            ]
            bar.update()
    table = pd.DataFrame(values, columns=VALUES)
    return table, pd.concat(curves, ignore_index=True)[CURVES] if curves else pd.DataFrame(columns=CURVES)


def cost_line(jobs: Sequence[tuple[str, PhysicsSet, Material]], costs: Sequence[float], calculator: Calculator) -> str:
    """Return how long the materials will take, by the time of one evaluation of a structure of usual size.

    Args:
        jobs: set, its name and material.
        costs: atoms times evaluations of each, of `uprung.physics.compute.cost`.
        calculator: of the network.
    """
    plural = f"{len(jobs)} material{'s' if len(jobs) != 1 else ''}"
    evaluations = f"{plural}, about {sum(costs):,.0f} evaluations of an atom"
    usual = [atoms for _, _, m in jobs if not m.unusable for atoms in m.structures if len(atoms) <= USUAL]
    if not usual:
        return evaluations
    largest = max(usual, key=len)  # of a small one the time hardly depends on the atoms
    try:
        energies([largest], calculator)  # the first one is slow: memory, kernels
        start = time.monotonic()
        energies([largest], calculator)
    except ValueError:
        return evaluations
    rate = (time.monotonic() - start) / len(largest)
    return f"{evaluations}: some {sum(costs) * rate / 60:.1f} minutes at {1e3 * rate:.2g} ms each, measured"
