"""Corrections that put GGA and GGA+U energies of the Materials Project on one scale (MP2020).

Wang et al., Sci. Rep. 11, 15496 (2021): anions, and transition metals with U in oxides and fluorides. The energy of a
frame stays as calculated; the correction is a column of its own.
"""

from __future__ import annotations

import warnings
from functools import cache

from pymatgen.core import Lattice, Structure
from pymatgen.entries.compatibility import MaterialsProject2020Compatibility
from pymatgen.entries.computed_entries import ComputedStructureEntry

from uprung.sources.materials_project.records import Task


@cache
def _scheme() -> MaterialsProject2020Compatibility:
    return MaterialsProject2020Compatibility(check_potcar=False)


def mp2020(task: Task) -> float | None:
    """Return the correction of a GGA or GGA+U calculation, eV per cell; None where the scheme does not cover it.

    It depends on composition, U and the kind of anion in the final structure, so all steps of a calculation share it.
    """
    structure = Structure(Lattice(task.lattice), task.Z.astype(int), task.frac)
    parameters = {"run_type": "GGA+U" if task.hubbards else "GGA", "hubbards": task.hubbards, "software": "vasp"}
    entry = ComputedStructureEntry(structure, task.energy, parameters=parameters)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about oxidation states that cannot be guessed: the anion rules then apply
        processed = _scheme().process_entry(entry, inplace=False)
    return None if processed is None else float(processed.correction)
