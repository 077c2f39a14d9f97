"""Made-up compositions and the data of the repository that tests of reference estimators share."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pandas as pd

DATA = Path(__file__).parents[3] / "data"
ABSENT = np.array([70, 84, 85, 86, 87, 88]) - 1  # no structure of the released r²SCAN vector has them


def fractions(*structures: dict[int, float]) -> np.ndarray:
    X = np.zeros((len(structures), 94))
    for row, structure in zip(X, structures, strict=True):
        for Z, count in structure.items():
            row[Z - 1] = count / sum(structure.values())
    return X


def random_fractions(rng: np.random.Generator, n: int, Z: np.ndarray) -> np.ndarray:
    return fractions(*({int(z): int(rng.integers(1, 5)) for z in rng.choice(Z, 3)} for _ in range(n)))


def published() -> tuple[np.ndarray, np.ndarray]:
    """Return the released references (94,) of both sides, eV/atom, nan where the target has none."""
    table = pd.read_csv(DATA / "paper" / "atomref_released.csv", index_col="Z").loc[1:94]
    low, high = table["MPtrj_eV"].to_numpy().copy(), table["MPr2SCAN_eV"].to_numpy().copy()
    low[ABSENT], high[ABSENT] = np.nan, np.nan
    return low, high


def solids() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return compositions, r²SCAN energies (eV/atom) and materials of the embedded crystals."""
    with gzip.open(DATA / "solids" / "solids.jsonl.gz", "rt") as lines:
        records = [record for record in map(json.loads, lines) if record["xc"] == "r2SCAN"]
    X = np.array([np.bincount(r["numbers"], minlength=95)[1:] / len(r["numbers"]) for r in records])
    y = np.array([r["energy"] / len(r["numbers"]) for r in records])
    return X, y, np.array([r["material"] for r in records])
