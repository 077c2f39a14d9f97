"""Mixing energies of solid solutions over many arrangements of the same atoms."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from uprung.frames.schema import Floats


@dataclass(frozen=True)
class Mixing:
    """Energies of mixing (n,) in eV/atom, relative to the line between the ends of a series, and the ends' x."""

    energy: Floats
    low: float
    high: float


def mixing_energies(x: Floats, energy: Floats) -> Mixing:
    """Return how far arrangements lie above the line between the ends of their series.

    At an end with several arrangements the line goes through their mean, which no single one decides.

    Args:
        x: (n,) share of the second element, 0 to 1.
        energy: (n,) eV/atom.

    Raises:
        ValueError: there are no two compositions.
    """
    low, high = float(x.min()), float(x.max())
    if low == high:
        raise ValueError("a series of mixtures needs two compositions at least")
    ends = [float(energy[np.isclose(x, end)].mean()) for end in (low, high)]
    share = (x - low) / (high - low)
    return Mixing(energy - (1 - share) * ends[0] - share * ends[1], low, high)


def distribution(values: pd.DataFrame) -> pd.DataFrame:
    """Return the distribution over arrangements at every composition, as published and as predicted.

    Args:
        values: rows of mixing energies with x, reference and predicted, of one network and system.

    Returns:
        Columns x, arrangements, and mean, lowest and spread (standard deviation) of both sides.
    """
    own = values.dropna(subset=["predicted"])
    rows = []
    for x, here in own.groupby("x"):
        row: dict[str, float] = {"x": float(str(x)), "arrangements": len(here)}
        for side in ("reference", "predicted"):
            row |= {f"{side}_mean": here[side].mean(), f"{side}_lowest": here[side].min()}
            row[f"{side}_spread"] = float(np.std(here[side]))
        rows.append(row)
    return pd.DataFrame(rows)
