"""Formation and decomposition energies: a crystal against its elements, and against what else it could become."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from weakref import WeakKeyDictionary

import ase
import numpy as np
import pandas as pd
from ase.calculators.calculator import Calculator
from numpy.typing import NDArray

from uprung.frames.schema import Floats
from uprung.physics.relaxation import RelaxedCrystal, relax
from uprung.physics.results import Accuracy

FORMATION, DECOMPOSITION = "formation energy", "decomposition energy"
#: Calculator -> element and accuracy -> its relaxed crystal: most crystals share their elements with others.
_ELEMENTS: WeakKeyDictionary[Calculator, dict[tuple[bytes, Accuracy], RelaxedCrystal]] = WeakKeyDictionary()


def relaxed_element(structure: ase.Atoms, calculator: Calculator, accuracy: Accuracy) -> RelaxedCrystal:
    """Return the relaxed crystal of an element, computed once per calculator.

    Raises:
        NotComputedError: as `relax`.
        ValueError: the calculator refuses the structure.
    """
    known = _ELEMENTS.setdefault(calculator, {})
    key = structure.numbers.tobytes() + structure.cell.array.tobytes() + structure.positions.tobytes(), accuracy
    if key not in known:
        known[key] = relax(structure, calculator, accuracy, cell=True)
    return known[key]


def formation_energy(energy: float, numbers: Sequence[int] | NDArray[np.int64], elements: Mapping[int, float]) -> float:
    """Return how far a crystal lies above its elements, eV/atom; negative where it forms.

    Args:
        energy: of the cell, eV.
        numbers: atomic numbers of its atoms.
        elements: atomic number -> energy of the element, eV/atom.
    """
    return (energy - sum(elements[int(z)] for z in numbers)) / len(numbers)


def decomposition_energies(formulas: Sequence[str], formation: Floats) -> Floats:
    """Return how far each compound lies above the best mixture of the others and the elements, eV/atom.

    Positive: it decomposes. Negative: by so much it is more stable than what it could become. Other crystals of the
    same composition do not count as products. Bartel et al., npj Comput. Mater. 6, 97 (2020), as pymatgen computes it.

    Args:
        formulas: (n,) such as `Mg2Si` of compounds of two elements or more.
        formation: (n,) formation energies, eV/atom.

    Returns:
        (n,) eV/atom; NaN where no other compound is of the elements of this one: it would be the formation energy.
    """
    from pymatgen.analysis.phase_diagram import PDEntry, PhaseDiagram  # a second of imports that few jobs need
    from pymatgen.core import Composition, Element

    compounds = [
        PDEntry(Composition(f), e * Composition(f).num_atoms) for f, e in zip(formulas, formation, strict=True)
    ]
    found = np.full(len(compounds), np.nan)
    for k, entry in enumerate(compounds):
        elements, own = set(entry.composition.elements), entry.composition.reduced_composition
        inside = [other for other in compounds if set(other.composition.elements) <= elements]
        if all(other.composition.reduced_composition.almost_equals(own) for other in inside):
            continue
        pure = [PDEntry(Composition({Element(str(element)): 1}), 0.0) for element in elements]
        diagram = PhaseDiagram([*pure, *inside])
        found[k] = diagram.get_phase_separation_energy(entry, stable_only=False)
    return found


def with_decomposition(values: pd.DataFrame, network: Sequence[str]) -> pd.DataFrame:
    """Return a table of values with rows of decomposition energies after it, where sets have formation energies.

    Both sides are of the same compounds: those that the network gives a formation energy.

    Args:
        values: of `uprung.physics.networks.network_tables`; `key` of a formation energy is the formula.
        network: columns that name a network.
    """
    rows = []
    known = values[(values["quantity"] == FORMATION) & values["predicted"].notna() & values["reference"].notna()]
    for _, own in known.groupby([*network, "set"], sort=False, dropna=False):
        formulas = own["key"].tolist()
        sides = {
            side: decomposition_energies(formulas, own[side].to_numpy(np.float64))
            for side in ("reference", "predicted")
        }
        table = own.assign(quantity=DECOMPOSITION, reason="", **sides)
        rows.append(table[table["predicted"].notna()])
    return pd.concat([values, *rows], ignore_index=True) if rows else values
