"""A frame and a row of the table: columns, units, and what a usable frame is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from uprung.frames.crowding import crowding
from uprung.frames.limits import ATOMS, LIMITS, NAME, TEXT, VOLUMES

Floats = NDArray[np.float64]
#: Texts that tell frames apart, and others.
NAMES = ("frame_id", "material_id", "trajectory", "source", "functional", "run_type")
TEXTS = (*NAMES, "label_scale", "provenance")
NEEDED_TEXTS = ("frame_id", "material_id", "label_scale")
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
    missing: Mapping[str, str] = field(default_factory=dict)  # label that was not computed -> why

    def row(self) -> dict[str, Any]:
        """Return the frame as a row of the table: flat lists."""
        values = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("bad", "missing")}
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
    if n > ATOMS:
        return f"{n:,} atoms are more than {ATOMS:,}"
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
    return crowding(np.asarray(frame.frac), np.asarray(frame.lattice))


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


def wrong_text(frame: Frame) -> str | None:
    """Return why a name or another text of a frame cannot stand in a table, or None."""
    texts = [(name, getattr(frame, name)) for name in TEXTS]
    for name, text in [*texts, *(("flags", flag) for flag in frame.flags or ())]:
        if not text:
            if name == "frame_id" or (text is None and name in NEEDED_TEXTS):
                return f"{name} is {'null' if text is None else 'empty'}"
            continue
        most = NAME if name in NAMES else TEXT
        if len(text) > most:
            return f"{name} has {len(text):,} characters (at most {most}): {text[:40]}..."
        control = name == "frame_id" and any(mark < " " for mark in text)  # NumPy drops a NUL at the end of a name
        if control or text != text.encode(errors="replace").decode():
            return f"{name} has characters that no file can hold, or no name: {text[:40]!a}"
    if len(frame.flags or ()) > NAME:
        return f"{len(frame.flags or ())} flags (at most {NAME})"
    return None


def shortened(text: str, most: int) -> str:
    """Return a text of a stranger as it can stand in a manifest: printable, and no longer than `most` characters."""
    text = text.encode(errors="replace").decode()
    return text if len(text) <= most else f"{text[: most - 3]}..."
