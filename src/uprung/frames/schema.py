"""A frame and a row of the table: columns, units, and what a usable frame is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

Floats = NDArray[np.float64]
EV_PER_A3 = 160.21766208  # GPa

SCHEMA = pa.schema(
    [
        ("frame_id", pa.string()),
        ("material_id", pa.string()),
        ("source", pa.string()),
        ("functional", pa.string()),
        ("run_type", pa.string()),
        ("label_scale", pa.string()),
        ("nsites", pa.int32()),
        ("Z", pa.list_(pa.uint8())),
        ("lattice", pa.list_(pa.float64())),  # 9, rows are the cell vectors, Å
        ("frac", pa.list_(pa.float64())),  # 3N
        ("energy", pa.float64()),  # E0 (σ→0), eV per cell
        ("energy_free", pa.float64()),  # what the forces are gradients of, eV per cell
        ("correction", pa.float64()),  # eV per cell, never mixed into the energy
        ("forces", pa.list_(pa.float32())),  # 3N, eV/Å
        ("stress_gpa", pa.list_(pa.float32())),  # 9, tension positive
        ("magmom", pa.list_(pa.float32())),  # N, μB, as labelled (signed)
        ("provenance", pa.string()),
        ("trajectory", pa.string()),  # simulation or relaxation that frames share; null: the frame stands alone
        ("flags", pa.list_(pa.string())),  # a validator's remarks, which decide nothing; null: nobody looked
    ]
)
#: Columns that a table of another origin may lack.
OPTIONAL = {"trajectory", "flags"}

#: Labels beyond these are mistakes of a calculation or of a unit, not physics (dimers at 0.5 Å stay below).
LIMITS = {
    "energy per atom": (1e3, "eV/atom"),
    "free energy per atom": (1e3, "eV/atom"),
    "correction per atom": (1e3, "eV/atom"),
    "force": (1e4, "eV/Å"),
    "stress": (1e4, "GPa"),
    "magmom": (20.0, "μB"),
}
#: Volume per atom, Å³: below lies hydrogen under terapascals or a cell in nanometres, above no box of a calculation.
VOLUMES = (0.5, 1e7)


class FramesError(ValueError):
    """A data source contradicts what a frames table promises."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One labelled structure, in the units of the table; a label that does not exist is None."""

    frame_id: str
    material_id: str
    source: str
    functional: str
    run_type: str
    label_scale: str
    Z: NDArray[np.uint8]  # (N,)
    lattice: Floats  # (3, 3)
    frac: Floats  # (N, 3)
    energy: float | None = None
    energy_free: float | None = None
    correction: float | None = None
    forces: NDArray[np.floating[Any]] | None = None  # (N, 3)
    stress_gpa: NDArray[np.floating[Any]] | None = None  # (3, 3)
    magmom: NDArray[np.floating[Any]] | None = None  # (N,)
    provenance: str = ""
    trajectory: str | None = None
    flags: tuple[str, ...] | None = None
    bad: Mapping[str, str] = field(default_factory=dict)  # label that a record has -> why it cannot be used

    def row(self) -> dict[str, Any]:
        """Return the frame as a row of the table: flat lists."""
        values = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "bad"}
        flat = {key: value.ravel() for key, value in values.items() if isinstance(value, np.ndarray)}
        return {**values, **flat, "nsites": len(self.Z)}


@dataclass(frozen=True, slots=True)
class Rejected:
    """A record of a source that cannot become a frame; the manifest lists it."""

    frame_id: str
    reason: str


def problem(frame: Frame) -> str | None:
    """Return why a frame or a label of it cannot be used, or None."""
    return structure_problem(frame) or next(iter(label_problems(frame).values()), None)


def structure_problem(frame: Frame) -> str | None:
    """Return why the structure of a frame cannot be used, or None."""
    n = len(frame.Z)
    if n == 0 or frame.Z.min() < 1 or frame.Z.max() > 94:
        return "atomic numbers outside 1..94" if n else "no atoms"
    for name, shape in (("frac", (n, 3)), ("lattice", (3, 3))):
        if reason := _misshapen(name, getattr(frame, name), shape):
            return reason
    volume = float(abs(np.linalg.det(frame.lattice)))
    if volume < 1e-3:
        return "cell without volume"
    low, high = VOLUMES
    if not low <= volume / n <= high:
        return f"volume per atom {volume / n:.4g} Å³ is outside {low:g}..{high:g}"
    return None


def label_problems(frame: Frame) -> dict[str, str]:
    """Return column -> reason of every label that cannot be used. The structure is sound."""
    n = len(frame.Z)
    energies = {
        "energy": ("energy per atom", frame.energy),
        "energy_free": ("free energy per atom", frame.energy_free),
        "correction": ("correction per atom", frame.correction),
    }
    arrays = {
        "forces": ("force", frame.forces, (n, 3)),
        "stress_gpa": ("stress", frame.stress_gpa, (3, 3)),
        "magmom": ("magmom", frame.magmom, (n,)),
    }
    found = dict(frame.bad)
    for column, (name, energy) in energies.items():
        if energy is not None and (reason := _beyond(name, energy / n)):
            found[column] = reason
    for column, (name, values, shape) in arrays.items():
        if values is not None:
            reason = _misshapen(column, values, shape) or _beyond(name, float(np.abs(values).max()))
            found.update({column: reason} if reason else {})
    return found


def _misshapen(name: str, values: NDArray[np.floating[Any]], shape: tuple[int, ...]) -> str | None:
    if values.shape != shape:
        return f"{name} has shape {values.shape}, not {shape}"
    return None if np.isfinite(values).all() else f"{name} is not finite"


def _beyond(name: str, size: float) -> str | None:
    limit, unit = LIMITS[name]
    return None if abs(size) <= limit else f"{name} {size:.4g} {unit} is beyond {limit:g}"  # NaN fails, too
