"""A frames table in memory, and reading one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ase
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from uprung.frames.flat import composition_fractions
from uprung.frames.schema import SCHEMA, Floats, FramesError
from uprung.job.files import DamagedError, sha256


@dataclass(frozen=True)
class Frames:
    """A frames table in memory."""

    table: pa.Table
    manifest: dict[str, Any]

    def __len__(self) -> int:
        """Return the number of frames."""
        return int(self.table.num_rows)

    def strings(self, column: str) -> list[str]:
        """Return a text column."""
        return list(self.table[column].to_pylist())

    @property
    def nsites(self) -> NDArray[np.int64]:
        """Atoms per frame, (n,)."""
        return np.asarray(self.table["nsites"], dtype=np.int64)

    @property
    def offsets(self) -> NDArray[np.int64]:
        """Where each frame's atoms start in the flat per-atom arrays, (n + 1,)."""
        return np.concatenate([[0], np.cumsum(self.nsites)])

    def flat(self, column: str, per_atom: int = 0) -> Floats:
        """Return a list column as one flat float64 array; frames without the label hold NaN.

        Args:
            column: name of a list column.
            per_atom: values per atom (forces 3, magmom 1), or 0 for the nine values of a matrix.
        """
        lists = self.table[column].combine_chunks()
        lengths = self.nsites * per_atom if per_atom else np.full(len(self), 9)
        values = np.asarray(lists.flatten(), dtype=np.float64)
        missing = np.asarray(lists.is_null())
        if not missing.any():
            return values
        full = np.full(int(lengths.sum()), np.nan)
        full[np.repeat(~missing, lengths)] = values
        return full

    def numbers(self) -> NDArray[np.int64]:
        """Atomic numbers of all atoms, flat."""
        return np.asarray(self.table["Z"].combine_chunks().flatten(), dtype=np.int64)

    def composition(self) -> Floats:
        """Return composition fractions, (n, 94), column Z − 1."""
        return composition_fractions(self.numbers(), self.offsets)

    @property
    def own_label(self) -> str:
        """Kind of the energy label of the fidelity or set, as its manifest states it (see `label`)."""
        return str(self.manifest.get("energy_label", "energy"))

    def label(self, kind: str) -> Floats:
        """Return the energy label in eV per cell, (n,), NaN where a frame has none.

        Args:
            kind: `energy`, `energy_free` or `energy+correction`.
        """
        column = np.asarray(self.table[kind.split("+")[0]].to_numpy(), dtype=np.float64)
        if kind == "energy+correction":
            return column + np.asarray(self.table["correction"].to_numpy(), dtype=np.float64)
        return column

    def atoms(self, frame_ids: Sequence[str]) -> list[ase.Atoms]:
        """Return some structures by their names, without labels."""
        place = {name: row for row, name in enumerate(self.strings("frame_id"))}
        own = self.take(np.array([place[name] for name in frame_ids], dtype=np.int64)).table
        columns = (own[name].to_pylist() for name in ("Z", "lattice", "frac"))
        return [
            ase.Atoms(Z, cell=np.reshape(lattice, (3, 3)), scaled_positions=np.reshape(frac, (-1, 3)), pbc=True)
            for Z, lattice, frac in zip(*columns, strict=True)
        ]

    def take(self, rows: NDArray[np.int64]) -> Frames:
        """Return some of the frames, in the order given."""
        return Frames(self.table.take(pa.array(rows)), self.manifest)


def read_frames(manifest: str | Path, *, columns: list[str] | None = None) -> Frames:
    """Read the table that a manifest describes.

    Raises:
        FramesError: a part is missing.
        DamagedError: a part is not what it was when it was written.
    """
    manifest = Path(manifest)
    facts = json.loads(manifest.read_text(encoding="utf-8"))
    parts = []
    for part in facts["parts"]:
        path = manifest.parent / part["file"]
        if not path.exists():
            raise FramesError(f"{manifest}: part {part['file']} is missing; rerun the frames of this fidelity")
        if sha256(path) != part["sha256"]:
            remedy = f"Delete {manifest} and start the same command again: the frames are read anew"
            raise DamagedError(path, "is damaged", remedy)
        parts.append(pq.read_table(path, columns=columns, schema=SCHEMA if columns is None else None))
    return Frames(pa.concat_tables(parts), facts)
