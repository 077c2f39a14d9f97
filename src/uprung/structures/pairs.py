"""Pairs of frames of two fidelities: the same geometry, or the same material."""

from __future__ import annotations

from collections import defaultdict
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from uprung.frames.table import Frames

COLUMNS = ["row_low", "row_high", "frame_id_low", "frame_id_high", "material_id", "match", "rmsd"]


def match_frames(
    low: Frames, high: Frames, *, match: Literal["geometry", "material"] = "geometry", tolerance: float = 1e-3
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Pair the frames of two fidelities.

    Args:
        low: frames with the cheap labels.
        high: frames with the better labels.
        match: `geometry` pairs frames of one material whose cell and positions agree, each frame at most once and
            with its nearest partner; `material` pairs the lowest-energy frame of each material.
        tolerance: largest root-mean-square displacement over atoms and cell vectors of a geometry match, Å.

    Returns:
        Table with one row per pair, sorted by `row_low` (`rmsd` in Å, NaN for `material`), and the counts: frames
        on each side, pairs, frames without a partner and the first of their ids.
    """
    rows = _same_geometry(low, high, tolerance) if match == "geometry" else _same_material(low, high)
    rows.sort()
    left, right = [r[0] for r in rows], [r[1] for r in rows]
    ids_low, ids_high, materials = low.strings("frame_id"), high.strings("frame_id"), low.strings("material_id")
    table = pd.DataFrame(
        {
            "row_low": left,
            "row_high": right,
            "frame_id_low": [ids_low[i] for i in left],
            "frame_id_high": [ids_high[i] for i in right],
            "material_id": [materials[i] for i in left],
            "match": match,
            "rmsd": [r[2] for r in rows],
        },
        columns=COLUMNS,
    )
    counts = {
        "match": match,
        "tolerance_angstrom": tolerance,
        "pairs": len(rows),
        "frames_low": len(low),
        "frames_high": len(high),
        "unpaired_low": sorted(set(ids_low) - set(table["frame_id_low"])),
        "unpaired_high": sorted(set(ids_high) - set(table["frame_id_high"])),
    }
    return table, counts


def _same_geometry(low: Frames, high: Frames, tolerance: float) -> list[tuple[int, int, float]]:
    """Return mutual nearest neighbours within the tolerance, among frames with the same material and species."""
    points_low, points_high = _points(low), _points(high)
    rows: list[tuple[int, int, float]] = []
    for key, (i, x) in points_low.items():
        if key not in points_high:
            continue
        j, y = points_high[key]
        scale = np.sqrt(x.shape[1] / 3)  # Euclidean distance of the stacked vectors -> rms over atoms and cell vectors
        distance, nearest = (np.atleast_1d(found) for found in cKDTree(y).query(x))
        back = np.atleast_1d(cKDTree(x).query(y)[1])
        mutual = np.flatnonzero((distance <= tolerance * scale) & (back[nearest] == np.arange(len(x))))
        rows += [(int(i[k]), int(j[nearest[k]]), float(distance[k] / scale)) for k in mutual]
    return rows


def _points(frames: Frames) -> dict[tuple[str, bytes], tuple[NDArray[np.int64], NDArray[np.float64]]]:
    """Return per (material, species) the rows and stacked Cartesian positions and cell vectors, Å."""
    numbers, offsets = frames.numbers().astype(np.uint8), frames.offsets
    lattice = frames.flat("lattice").reshape(-1, 3, 3)
    frac = frames.flat("frac", 3).reshape(-1, 3)
    grouped: dict[tuple[str, bytes], list[tuple[int, NDArray[np.float64]]]] = defaultdict(list)
    for k, material in enumerate(frames.strings("material_id")):
        atoms = slice(offsets[k], offsets[k + 1])
        vector = np.concatenate([(frac[atoms] @ lattice[k]).ravel(), lattice[k].ravel()])
        grouped[material, numbers[atoms].tobytes()].append((k, vector))
    return {
        key: (np.array([k for k, _ in entries]), np.array([v for _, v in entries])) for key, entries in grouped.items()
    }


def _same_material(low: Frames, high: Frames) -> list[tuple[int, int, float]]:
    best_low, best_high = _lowest(low), _lowest(high)
    return [(best_low[m], best_high[m], np.nan) for m in sorted(best_low.keys() & best_high.keys())]


def _lowest(frames: Frames) -> dict[str, int]:
    energy = frames.label("energy") / frames.nsites
    table = pd.DataFrame({"material": frames.strings("material_id"), "energy": energy}).dropna()
    return {str(m): int(i) for m, i in table.groupby("material")["energy"].idxmin().items()}
