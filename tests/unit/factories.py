"""Small frames and tables for tests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from uprung.frames.schema import SCHEMA, Frame
from uprung.frames.table import Frames

DATA = Path(__file__).parents[2] / "data"


def make_frame(frame_id: str = "a", *, Z: Sequence[int] = (14, 14), bond: float = 2.3, **changes: Any) -> Frame:
    """Return atoms `bond` Å apart along x in a 15 Å cube; the outer two pull at each other."""
    n = len(Z)
    forces = np.zeros((n, 3))
    if n > 1:
        forces[[0, -1], 0] = 0.1, -0.1
    frac = np.zeros((n, 3))
    frac[:, 0] = 0.1 + bond / 15 * np.arange(n)
    values: dict[str, Any] = {
        "frame_id": frame_id,
        "material_id": "m",
        "source": "test",
        "functional": "PBE",
        "run_type": "PBE static",
        "label_scale": "scale A",
        "Z": np.array(Z, dtype=np.uint8),
        "lattice": 15.0 * np.eye(3),
        "frac": frac,
        "energy": -1.0 * n,
        "forces": forces,
    }
    return Frame(**{**values, **changes})


def table_of(frames: Sequence[Frame]) -> Frames:
    """Return a frames table in memory."""
    return Frames(
        pa.Table.from_pylist([frame.row() for frame in frames], schema=SCHEMA), {"label_scale": frames[0].label_scale}
    )
