"""Structures that occur twice in a fidelity: copies are left out, one geometry with two energies is reported."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from uprung.frames.intake import LABELS
from uprung.frames.parts import without_rows
from uprung.frames.table import Frames, read_frames
from uprung.job.files import write_json
from uprung.structures.identity import COLUMNS, Crystals
from uprung.structures.twins import find_twins

#: What rounding in files leaves of a copy: Å, root mean square over sites and cell vectors, and eV/atom.
COPY, SAME_ENERGY = 1e-4, 1e-6
#: Energies of one geometry that are farther apart are no matter of convergence, eV/atom.
DISAGREEMENT = 1e-3
LISTED = 20  # geometries with different energies that a manifest names


@dataclass(frozen=True)
class Duplicates:
    """Rows that are copies, with the row of the first one; and the rows of geometries with different energies."""

    copies: dict[int, int]
    disagreements: list[list[int]]


def find_duplicates(frames: Frames, labelled: NDArray[np.bool_]) -> Duplicates:
    """Find copies: the same geometry and energy to rounding as an earlier frame, and no label that this one lacks.

    A rotated or mirrored crystal is no copy: whoever computed it a second time had a reason.

    Args:
        frames: a table with geometries and energies.
        labelled: (n, labels) which labels each frame has.
    """
    energy = frames.label("energy")
    energy = np.where(np.isnan(energy), frames.label("energy_free"), energy) / frames.nsites
    twins, copies = find_twins(Crystals(frames), COPY), dict[int, int]()
    for members in _shared(twins.classes(turned=False)):
        kept = list[int]()
        for row in members:
            same = np.abs(energy[kept] - energy[row]) <= SAME_ENERGY
            same &= (labelled[kept] >= labelled[row]).all(axis=1)
            if same.any():
                copies[row] = kept[int(same.argmax())]
            else:
                kept.append(row)
    known = [
        [row for row in rows if row not in copies and np.isfinite(energy[row])] for rows in _shared(twins.classes())
    ]
    return Duplicates(copies, [rows for rows in known if rows and np.ptp(energy[rows]) > DISAGREEMENT])


def _shared(classes: NDArray[np.int64]) -> Iterator[list[int]]:
    """Yield the rows of every class that has several, rising."""
    order = np.argsort(classes, kind="stable")
    for members in np.split(order, np.flatnonzero(np.diff(classes[order])) + 1):
        if len(members) > 1:
            yield members.tolist()


def leave_out_duplicates(manifest: Path) -> dict[str, Any]:
    """Take copies out of a frames table; its manifest lists them as rejected, and says where energies disagree.

    Returns:
        The manifest.
    """
    facts = json.loads(manifest.read_text(encoding="utf-8"))
    frames = read_frames(manifest, columns=["frame_id", *COLUMNS, "energy", "energy_free"])
    labelled = np.concatenate([_labelled(manifest.parent / part["file"]) for part in facts["parts"]])
    found, names = find_duplicates(frames, labelled), frames.strings("frame_id")
    facts["same_geometry_other_energy"] = {
        "geometries": len(found.disagreements),
        "frames": sum(map(len, found.disagreements)),
        "more_than_ev_per_atom": DISAGREEMENT,
        "frame_ids": [[names[row] for row in rows] for rows in found.disagreements[:LISTED]],
    }
    if found.disagreements:
        logging.warning("%s geometries have energies that disagree; see the manifest", len(found.disagreements))
    if found.copies:
        logging.warning("%s frames are copies of earlier ones and are left out", len(found.copies))
        manifest.unlink()  # no table while its parts are rewritten
        facts["parts"] = list(without_rows(manifest.parent, facts["parts"], found.copies.keys()))
        facts["rejected"] += [
            {"frame_id": names[row], "reason": "same structure and energy as an earlier frame", "kept": names[first]}
            for row, first in sorted(found.copies.items())
        ]
        left = np.ones(len(frames), dtype=np.bool_)
        left[list(found.copies)] = False
        facts["written"] = int(left.sum())
        facts["labels"] = dict(zip(LABELS, labelled[left].sum(axis=0).tolist(), strict=True))
        numbers = np.split(frames.numbers(), frames.offsets[1:-1])
        elements = Counter(z for row in np.flatnonzero(left) for z in set(numbers[row].tolist()))
        facts["elements"] = {str(z): elements[z] for z in sorted(elements)}
    write_json(manifest, facts)
    return dict(facts)


def _labelled(part: Path) -> NDArray[np.bool_]:
    """Return which labels the rows of a part have, (n, labels)."""
    batches = pq.ParquetFile(part).iter_batches(columns=list(LABELS))
    return np.concatenate(
        [np.column_stack([np.asarray(batch[name].is_valid()) for name in LABELS]) for batch in batches]
    )
