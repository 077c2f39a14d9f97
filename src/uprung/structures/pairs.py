"""Pairs of frames of two fidelities: the same geometry, or the same material."""

from __future__ import annotations

from collections import defaultdict
from typing import Any, Literal

import numpy as np
import pandas as pd

from uprung.frames.table import Frames
from uprung.structures.identity import Crystals, unturned
from uprung.structures.lattices import Ints
from uprung.structures.twins import Twins, find_twins

COLUMNS = ["row_low", "row_high", "frame_id_low", "frame_id_high", "material_id", "match", "rmsd"]
#: Displacements that differ by less are alike, Å; names decide which of several equal frames are partners.
ALIKE = 1e-6
#: A smaller share of the smaller side in pairs is remarked.
FEW = 0.1
#: The nearest miss is looked for among so many frames of either side, and up to so many tolerances in every way.
SAMPLE, MISS = 200, 10


class PairsError(ValueError):
    """Two fidelities have nothing in common that could be compared."""


def match_frames(
    low: Frames,
    high: Frames,
    *,
    match: Literal["geometry", "material"] = "geometry",
    tolerance: float = 1e-3,
    labels: tuple[str, str] = ("energy", "energy"),
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Pair the frames of two fidelities.

    Args:
        low: frames with the cheap labels.
        high: frames with the better labels.
        match: `geometry` pairs frames that are the same crystal, however it is written and whatever they are called,
            each frame at most once and with its nearest partner; among equally near ones a partner of the same
            frame_id or material_id comes first. `material` pairs the lowest-energy frame of each material.
        tolerance: largest root-mean-square displacement over atoms and cell vectors of a geometry match, Å.
        labels: energy label of either side (see `Frames.label`), by which the lowest frame of a material is found.

    Returns:
        Table with one row per pair, sorted by `row_low` (`rmsd` in Å, NaN for `material`), and the counts: frames
        on each side, pairs, frames without a partner and their ids, and a warning where pairs are few.
    """
    rows = _same_geometry(low, high, tolerance) if match == "geometry" else _same_material(low, high, labels)
    rows.sort()
    left, right = (np.array([row[side] for row in rows], dtype=np.int64) for side in (0, 1))
    ids_low, ids_high, materials = low.strings("frame_id"), high.strings("frame_id"), low.strings("material_id")
    table = pd.DataFrame(
        {
            "row_low": left,
            "row_high": right,
            "frame_id_low": [ids_low[i] for i in left],
            "frame_id_high": [ids_high[i] for i in right],
            "material_id": [materials[i] for i in left],
            "match": match,
            "rmsd": np.array([row[2] for row in rows], dtype=np.float64),
        },
        columns=COLUMNS,
    )
    smaller = min(len(low), len(high))
    few = f"only {len(rows)} of {len(low)} and {len(high)} frames are pairs"
    counts = {
        "match": match,
        "tolerance_angstrom": tolerance,
        "pairs": len(rows),
        "frames_low": len(low),
        "frames_high": len(high),
        "warnings": [few] if len(rows) < FEW * smaller else [],
        "unpaired_low": sorted(set(ids_low) - set(table["frame_id_low"])),
        "unpaired_high": sorted(set(ids_high) - set(table["frame_id_high"])),
    }
    return table, counts


def require_pairs(name: str, low: Frames, high: Frames, counts: dict[str, Any]) -> None:
    """Raise PairsError where there is no pair, with the nearest miss.

    Args:
        name: of the pair in the study file.
        low: its frames with the cheap labels.
        high: those with the better labels.
        counts: from `match_frames`.
    """
    if counts["pairs"]:
        return
    none = f"pair {name}: 0 of {len(low)} and {len(high)} frames"
    if counts["match"] == "material":
        raise PairsError(f"{none} share a material_id; use `match: geometry`, or give the files the same material ids")
    tolerance = counts["tolerance_angstrom"]
    raise PairsError(
        f"{none} match within {tolerance:g} Å; {_nearest_miss(low, high, tolerance)}; use `match: material` or a "
        f"larger `pairs.{name}.tolerance`"
    )


def _nearest_miss(low: Frames, high: Frames, tolerance: float) -> str:
    """Return the smallest displacement between the two sides, in words; a larger one is compared site by site only."""
    both = Crystals(low, high)
    shared = [rows for rows in both.compositions() if rows[0] < len(low) <= rows[-1]]
    if not shared:
        return "no composition (atoms of each element in the cell) is on both sides"
    left = np.concatenate([rows[rows < len(low)] for rows in shared])[:SAMPLE]
    right = np.concatenate([rows[rows >= len(low)] - len(low) for rows in shared])[:SAMPLE]
    both, n = Crystals(low.take(left), high.take(right)), len(left)
    twins = find_twins(both, MISS * tolerance, n)
    found = list(zip(twins.rmsd, twins.first, twins.second, strict=True))
    for rows in both.compositions() if not found else ():
        geometries = both.geometries(rows)
        i, j = (side.ravel() for side in np.meshgrid(np.flatnonzero(rows < n), np.flatnonzero(rows >= n)))
        found += zip(unturned(geometries, i, j), rows[i], rows[j], strict=True)
    rmsd, first, second = min(found)
    names = f"{low.strings('frame_id')[left[first]]} and {high.strings('frame_id')[right[second - n]]}"
    return f"the nearest, {names}, are {rmsd:.2g} Å apart"


def _same_geometry(low: Frames, high: Frames, tolerance: float) -> list[tuple[int, int, float]]:
    """Return the pairs of mutual nearest neighbours within the tolerance."""
    twins = find_twins(Crystals(low, high), tolerance, len(low))
    left, right, rmsd = _edges(twins, len(low))
    nearest_low, nearest_high = np.full(len(low), np.inf), np.full(len(high), np.inf)
    np.minimum.at(nearest_low, left, rmsd)
    np.minimum.at(nearest_high, right, rmsd)
    mutual = (rmsd <= nearest_low[left] + ALIKE) & (rmsd <= nearest_high[right] + ALIKE)
    left, right, rmsd = left[mutual], right[mutual], rmsd[mutual]
    differ = [
        np.array([a[i] != b[j] for i, j in zip(left, right, strict=True)], dtype=np.bool_)
        for column in ("frame_id", "material_id")
        for a, b in [(low.strings(column), high.strings(column))]
    ]
    free_low, free_high = np.ones(len(low), dtype=np.bool_), np.ones(len(high), dtype=np.bool_)
    rows = []
    for k in np.lexsort((right, left, differ[1], differ[0])):
        i, j = int(left[k]), int(right[k])
        if free_low[i] and free_high[j]:
            free_low[i] = free_high[j] = False
            rows.append((i, j, float(rmsd[k])))
    return rows


def _edges(twins: Twins, n_low: int) -> tuple[Ints, Ints, np.ndarray[Any, np.dtype[np.float64]]]:
    """Return every pair of a low and a high frame of equal geometry: rows on either side, and the displacement."""
    low, high = defaultdict[int, list[int]](list), defaultdict[int, list[int]](list)
    for row, first in enumerate(twins.copy_of.tolist()):
        (low if row < n_low else high)[first].append(row)
    links = [(first, first, 0.0) for first in low.keys() & high.keys()]
    for a, b, rmsd in zip(twins.first.tolist(), twins.second.tolist(), twins.rmsd.tolist(), strict=True):
        links += [(a, b, rmsd), (b, a, rmsd)]
    found = [(i, j - n_low, rmsd) for a, b, rmsd in links for i in low.get(a, ()) for j in high.get(b, ())]
    left, right, rmsd = (np.array(values) for values in zip(*found, strict=True)) if found else (np.zeros(0),) * 3
    return left.astype(np.int64), right.astype(np.int64), rmsd.astype(np.float64)


def _same_material(low: Frames, high: Frames, labels: tuple[str, str]) -> list[tuple[int, int, float]]:
    best_low, best_high = _lowest(low, labels[0]), _lowest(high, labels[1])
    return [(best_low[m], best_high[m], np.nan) for m in sorted(best_low.keys() & best_high.keys())]


def _lowest(frames: Frames, label: str) -> dict[str, int]:
    energy = frames.label(label) / frames.nsites
    table = pd.DataFrame({"material": frames.strings("material_id"), "energy": energy}).dropna()
    return {str(m): int(i) for m, i in table.groupby("material")["energy"].idxmin().items()}
