"""Small tables that stages hand over as CSV."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

#: What tells runs apart, as text; the seed is a number.
RUN_TEXT = ("budget", "arm", "size")


def read_table(path: str | Path, text: Sequence[str] = RUN_TEXT) -> pd.DataFrame:
    """Read a CSV file.

    Args:
        path: of the file.
        text: columns of names and sentences. There an empty cell is an empty text, and an arm or size named 'nan' stays
            a name; in all others it is a missing number.
    """
    columns = pd.read_csv(path, nrows=0).columns
    missing = {name: ["", "nan"] for name in columns if name not in text}
    table = pd.read_csv(path, keep_default_na=False, dtype=dict.fromkeys(text, str), na_values=missing)
    return table.assign(**{name: table[name].fillna("") for name in text if name in table})
