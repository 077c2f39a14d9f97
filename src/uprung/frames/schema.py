"""A frame and a row of the table: columns, units, and what a usable frame is."""

from __future__ import annotations

from dataclasses import dataclass, fields
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

    def row(self) -> dict[str, Any]:
        """Return the frame as a row of the table: flat lists."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        flat = {key: value.ravel() for key, value in values.items() if isinstance(value, np.ndarray)}
        return {**values, **flat, "nsites": len(self.Z)}


@dataclass(frozen=True, slots=True)
class Rejected:
    """A record of a source that cannot become a frame; the manifest lists it."""

    frame_id: str
    reason: str


def problem(frame: Frame) -> str | None:
    """Return why a frame's numbers cannot be used, or None. Such frames are listed in the manifest, never repaired."""
    n = len(frame.Z)
    if n > ATOMS:
        return f"{n:,} atoms are more than {ATOMS:,}"
    shapes = {"frac": (n, 3), "lattice": (3, 3), "forces": (n, 3), "stress_gpa": (3, 3), "magmom": (n,)}
    if n == 0 or frame.Z.min() < 1 or frame.Z.max() > 94:
        return "atomic numbers outside 1..94" if n else "no atoms"
    for name, shape in shapes.items():
        value = getattr(frame, name)
        if value is None:
            continue
        if value.shape != shape:
            return f"{name} has shape {value.shape}, not {shape}"
        if not np.isfinite(value).all():
            return f"{name} is not finite"
    volume = float(abs(np.linalg.det(frame.lattice)))
    if volume < 1e-3:
        return "cell without volume"
    low, high = VOLUMES
    if not low <= volume / n <= high:
        return f"volume per atom {volume / n:.4g} Å³ is outside {low:g}..{high:g}"
    sizes = {
        "energy per atom": frame.energy and frame.energy / n,
        "free energy per atom": frame.energy_free and frame.energy_free / n,
        "correction per atom": frame.correction and frame.correction / n,
        "force": _largest(frame.forces),
        "stress": _largest(frame.stress_gpa),
        "magmom": _largest(frame.magmom),
    }
    for name, size in sizes.items():
        limit, unit = LIMITS[name]
        if size is not None and not abs(size) <= limit:  # NaN fails the comparison, too
            return f"{name} {size:.4g} {unit} is beyond {limit:g}"
    return crowding(np.asarray(frame.frac), np.asarray(frame.lattice))


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


def _largest(values: NDArray[np.floating[Any]] | None) -> float | None:
    return float(np.abs(values).max()) if values is not None and values.size else None
