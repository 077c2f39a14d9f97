"""The test structures with the largest errors."""

from __future__ import annotations

from collections.abc import Mapping

import ase
import pandas as pd

from uprung.frames.table import Frames

WORST = 10
COLUMNS = ("rank", "frame_id", "nsites", "target", "worst_of", "arm", "error")


def worst_structures(frames: Mapping[str, pd.DataFrame], target: str, *, best: str, count: int = WORST) -> pd.DataFrame:
    """Return the structures with the largest errors of the best arm, with the errors of all arms.

    Args:
        frames: arm -> tested frames with the columns of `uprung.evaluation.errors.frame_errors`.
        target: which error: mean absolute error of a structure in eV/atom, eV/Å, GPa or μB.
        best: the arm that decides which structures are listed.
        count: how many.

    Returns:
        A row per structure and arm, columns `COLUMNS`, the worst structure (rank 1) first.
    """
    errors = {
        arm: (table[f"{target}_abs"] / table[f"{target}_n"].where(table[f"{target}_n"] > 0)).set_axis(table["frame_id"])
        for arm, table in frames.items()
    }
    own = errors[best].dropna().sort_values(ascending=False, kind="stable").head(count)
    sizes = frames[best].set_index("frame_id")["nsites"]
    rows = [
        {"rank": rank, "frame_id": name, "nsites": int(sizes[name]), "target": target, "worst_of": best}
        | {"arm": arm, "error": each[name]}
        for rank, name in enumerate(own.index, start=1)
        for arm, each in errors.items()
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def with_formulas(table: pd.DataFrame, frames: Frames) -> tuple[pd.DataFrame, list[ase.Atoms]]:
    """Return the table with the column formula, and its structures, the worst first.

    Args:
        table: of `worst_structures`.
        frames: that were tested.
    """
    names = list(dict.fromkeys(table["frame_id"]))
    structures = frames.atoms(names)
    formulas = dict(zip(names, (each.get_chemical_formula() for each in structures), strict=True))
    return table.assign(formula=table["frame_id"].map(formulas)), structures
