"""Formation and decomposition energies: a crystal against its elements, and against what else it could become."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from weakref import WeakKeyDictionary

import ase
import numpy as np
import pandas as pd
from ase.calculators.calculator import Calculator
from ase.formula import Formula
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
    same composition do not count as products (Bartel et al., npj Comput. Mater. 6, 97 (2020)).

    Args:
        formulas: (n,) such as `Mg2Si` of compounds of two elements or more.
        formation: (n,) formation energies, eV/atom.

    Returns:
        (n,) eV/atom; NaN where no other compound is of the elements of this one: it would be the formation energy.
    """
    from scipy.optimize import linprog  # a third of a second that few jobs need

    shares = [_shares(formula) for formula in formulas]
    found = np.full(len(shares), np.nan)
    for k, own in enumerate(shares):
        others = [m for m, other in enumerate(shares) if other.keys() <= own.keys() and not _same(other, own)]
        if not others:
            continue
        elements = sorted(own)
        pure = [{element: 1.0} for element in elements]
        products = np.array([[each.get(e, 0.0) for e in elements] for each in [*pure, *(shares[m] for m in others)]])
        energies = np.concatenate([np.zeros(len(pure)), formation[others]])
        best = linprog(energies, A_eq=products.T, b_eq=[own[element] for element in elements], method="highs")
        found[k] = formation[k] - best.fun
    return found


def _shares(formula: str) -> dict[str, float]:
    """Return which share of the atoms each element has."""
    count = Formula(formula).count()
    return {element: number / sum(count.values()) for element, number in count.items()}


def _same(first: Mapping[str, float], second: Mapping[str, float]) -> bool:
    return first.keys() == second.keys() and all(abs(first[each] - second[each]) < 1e-9 for each in first)


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
