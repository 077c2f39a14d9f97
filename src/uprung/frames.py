"""THE table: one row per labelled structure. Schema, validation, Parquet parts with a manifest.

Units: eV, Å, eV/Å, GPa (tension positive, as CHGNet and ASE), μB. Per-atom quantities are flat lists, which
Parquet stores as typed columns. A table is complete when its `manifest.json` exists: it is written last, by
rename, and names every part with its hash, every rejected record with its reason, and the counts between.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from ase.data import chemical_symbols
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

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
    ]
)

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
#: Target that a network learns -> column of its label.
LABEL_COLUMNS = {"energy": "energy", "force": "forces", "stress": "stress_gpa", "magmom": "magmom"}
#: Columns whose frames the manifest counts.
LABELS = ("energy", "energy_free", "forces", "stress_gpa", "magmom")
ROWS_PER_PART = 100_000
ROWS_PER_GROUP = 2_000
#: A source whose first so many records are all unusable is stopped: it is another layout, not a set with faults.
HOPELESS = 1_000


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
    """Return why a frame cannot be used, or None. Such frames are listed in the manifest, never repaired."""
    n = len(frame.Z)
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
    return None


def _largest(values: NDArray[np.floating[Any]] | None) -> float | None:
    return float(np.abs(values).max()) if values is not None and values.size else None


@dataclass
class Tally:
    """What happened to the records of a source on their way into the table."""

    read: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    rejected: list[dict[str, str]] = field(default_factory=list)
    written: int = 0
    labels: Counter[str] = field(default_factory=Counter)
    elements: Counter[int] = field(default_factory=Counter)

    def reject(self, frame_id: str, reason: str) -> None:
        """List a record that is not used."""
        self.rejected.append({"frame_id": frame_id, "reason": reason})

    def commonest(self, first: int = 0) -> str:
        """Return the most frequent reason of the rejections from number `first` on, as the end of a sentence."""
        reasons = Counter(entry["reason"] for entry in self.rejected[first:])
        return f", most often: {reasons.most_common(1)[0][0]}" if reasons else ""


class _Ids:
    """Names seen so far, as hashes of 8 bytes: recent ones in a set, the others in one sorted array.

    Two of n names share a hash by chance with a probability of n²/2⁶⁵ (4·10⁻⁸ for a million).
    """

    def __init__(self) -> None:
        self.recent, self.sorted = set[int](), np.zeros(0, dtype=np.uint64)

    @staticmethod
    def key(name: str) -> int:
        return int.from_bytes(hashlib.blake2b(name.encode(errors="surrogatepass"), digest_size=8).digest())

    def __contains__(self, key: int) -> bool:
        if key in self.recent:
            return True
        at = int(self.sorted.searchsorted(np.uint64(key)))
        return at < len(self.sorted) and int(self.sorted[at]) == key

    def add(self, key: int) -> bool:
        """Return whether the name is new."""
        if key in self:
            return False
        self.recent.add(key)
        if len(self.recent) > max(65_536, len(self.sorted) // 8):
            recent = np.fromiter(self.recent, dtype=np.uint64, count=len(self.recent))
            self.sorted = np.sort(np.concatenate([self.sorted, recent]))
            self.recent.clear()
        return True


def _records(
    sources: Sequence[tuple[Iterable[Frame | Rejected], frozenset[int]]], tally: Tally
) -> Iterator[tuple[int, frozenset[int], Frame | Rejected]]:
    """Yield (number of the source, unwanted elements, record); stop early at a source that is rejected throughout."""
    for own, (stream, unwanted) in enumerate(sources):
        before = len(tally.rejected)
        for n, record in enumerate(stream):
            if n == HOPELESS == len(tally.rejected) - before:
                raise FramesError(
                    f"source {own + 1}: its first {HOPELESS} records are all rejected{tally.commonest(before)}"
                )
            yield own, unwanted, record


def write_frames(
    sources: Sequence[tuple[Iterable[Frame | Rejected], frozenset[int]]],
    folder: Path,
    *,
    functional: str,
    needed: Sequence[str] = (),
    about: Callable[[], dict[str, Any]] | dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Stream frames into Parquet parts below `folder` and write its manifest last.

    Args:
        sources: streams of records, each with the elements whose structures are left out (counted by element);
            memory holds one row group at a time and 16 bytes per frame_id.
        folder: destination; earlier parts in it are replaced.
        functional: the one functional of this fidelity.
        needed: targets that are trained (`energy`, `force`, `stress`, `magmom`).
        about: further facts for the manifest, e.g. source files and their hashes; a function is called when the
            sources have been read.

    Returns:
        The manifest. A frame_id that a source gives twice is rejected the second time.

    Raises:
        FramesError: mixed functionals or label scales, a frame_id in two sources, a source of which nothing is
            usable, no usable frame at all, or no label of a needed target.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for stale in [*folder.glob("part-*.parquet"), folder / "manifest.json"]:
        stale.unlink(missing_ok=True)
    tally, scales, seen = Tally(), set[str](), [_Ids() for _ in sources]

    def usable() -> Iterator[Frame]:
        for own, unwanted, frame in _records(sources, tally):
            tally.read += 1
            if isinstance(frame, Rejected):
                tally.reject(frame.frame_id, frame.reason)
                continue
            excluded = unwanted.intersection(frame.Z.tolist())
            if excluded:
                tally.left_out[f"element {chemical_symbols[min(excluded)]}"] += 1
                continue
            if frame.functional != functional:
                raise FramesError(
                    f"{frame.source}: frame {frame.frame_id} has functional {frame.functional!r}, but this fidelity is "
                    f"{functional!r}; one fidelity holds one functional"
                )
            reason = problem(frame)
            if reason is not None:
                tally.reject(frame.frame_id, reason)
                continue
            scales.add(frame.label_scale)
            if len(scales) > 1:
                raise FramesError(
                    f"{frame.source}: frame {frame.frame_id} has label scale {frame.label_scale!r} beside "
                    f"{sorted(scales - {frame.label_scale})[0]!r}; energies of two scales never share one fidelity"
                )
            key = _Ids.key(frame.frame_id)
            if any(key in ids for ids in seen[:own]):
                raise FramesError(
                    f"{frame.source}: frame_id {frame.frame_id!r} occurs twice: an earlier source of this fidelity has "
                    "it, too; list every source once, or give the frames names of their own"
                )
            if not seen[own].add(key):
                tally.reject(frame.frame_id, "frame_id occurs twice; the first frame of this name is kept")
                continue
            _count(tally, frame)
            yield frame

    parts = list(_write_parts(usable(), folder))
    if not tally.written:
        raise FramesError(
            f"no usable frame of functional {functional!r} in {folder.name}: {tally.read} read, "
            f"{sum(tally.left_out.values())} left out, {len(tally.rejected)} rejected{tally.commonest()}"
        )
    for target in needed:
        if not tally.labels[LABEL_COLUMNS[target]]:
            raise FramesError(
                f"fidelity {folder.name!r} has no {target} labels, but transfer.targets asks for {target}; "
                f"take it out of transfer.targets (labels here: {', '.join(_targets(tally))})"
            )
    manifest = {
        "functional": functional,
        "label_scale": scales.pop(),
        "read": tally.read,
        "left_out": dict(sorted(tally.left_out.items())),
        "rejected": tally.rejected,
        "written": tally.written,
        "labels": {key: tally.labels[key] for key in LABELS},
        "elements": {str(z): tally.elements[z] for z in sorted(tally.elements)},
        "parts": parts,
        **((about() if callable(about) else about) or {}),
    }
    write_json(folder / "manifest.json", manifest)
    return manifest


def _targets(tally: Tally) -> list[str]:
    return [target for target, column in LABEL_COLUMNS.items() if tally.labels[column]]


def _count(tally: Tally, frame: Frame) -> None:
    tally.written += 1
    tally.labels.update(name for name in LABELS if getattr(frame, name) is not None)
    tally.elements.update(set(frame.Z.tolist()))


def _write_parts(frames: Iterator[Frame], folder: Path) -> Iterator[dict[str, Any]]:
    part, rows, buffer = 0, 0, list[Frame]()
    writer: pq.ParquetWriter | None = None
    target = folder / f"part-{part:05d}.parquet"
    for frame in frames:
        buffer.append(frame)
        if len(buffer) == ROWS_PER_GROUP:
            writer = writer or _open(target)
            rows += _flush(writer, buffer)
            if rows >= ROWS_PER_PART:
                yield _close(writer, target, rows)
                part, rows, writer = part + 1, 0, None
                target = folder / f"part-{part:05d}.parquet"
    if buffer:
        writer = writer or _open(target)
        rows += _flush(writer, buffer)
    if writer is not None:
        yield _close(writer, target, rows)


def _open(target: Path) -> pq.ParquetWriter:
    floats = [f"{f.name}.list.element" for f in SCHEMA if pa.types.is_list(f.type) and f.name != "Z"]
    plain = [f.name for f in SCHEMA if not pa.types.is_list(f.type)] + ["Z.list.element"]
    return pq.ParquetWriter(
        target.with_suffix(".tmp"), SCHEMA, compression="zstd", use_dictionary=plain, use_byte_stream_split=floats
    )


def _flush(writer: pq.ParquetWriter, buffer: list[Frame]) -> int:
    writer.write_table(pa.Table.from_arrays([_column(buffer, column) for column in SCHEMA], schema=SCHEMA))
    rows = len(buffer)
    buffer.clear()
    return rows


def _column(frames: list[Frame], column: pa.Field) -> pa.Array:
    """Return one column of some frames; building lists from flat arrays is four times as fast as from rows."""
    if column.name == "nsites":
        return pa.array([len(frame.Z) for frame in frames], type=column.type)
    values = [getattr(frame, column.name) for frame in frames]
    if not pa.types.is_list(column.type):
        return pa.array(values, type=column.type)
    missing = np.array([value is None for value in values])
    lengths = [0 if value is None else value.size for value in values]
    flat = [value.ravel() for value in values if value is not None]
    numbers = np.concatenate(flat) if flat else np.zeros(0)
    return pa.ListArray.from_arrays(
        pa.array(np.concatenate([[0], np.cumsum(lengths)]), type=pa.int32()),
        pa.array(numbers.astype(column.type.value_type.to_pandas_dtype()), type=column.type.value_type),
        mask=pa.array(missing) if missing.any() else None,
    ).cast(column.type)


def _close(writer: pq.ParquetWriter, target: Path, rows: int) -> dict[str, Any]:
    writer.close()
    aside = target.with_suffix(".tmp")
    aside.rename(target)
    return {"file": target.name, "rows": rows, "sha256": sha256(target)}


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

    def label(self, kind: str) -> Floats:
        """Return the energy label in eV per cell, (n,), NaN where a frame has none.

        Args:
            kind: `energy`, `energy_free` or `energy+correction`.
        """
        column = np.asarray(self.table[kind.split("+")[0]].to_numpy(), dtype=np.float64)
        if kind == "energy+correction":
            return column + np.asarray(self.table["correction"].to_numpy(), dtype=np.float64)
        return column

    def take(self, rows: NDArray[np.int64]) -> Frames:
        """Return some of the frames, in the order given."""
        return Frames(self.table.take(pa.array(rows)), self.manifest)


def read_frames(manifest: str | Path, *, columns: list[str] | None = None) -> Frames:
    """Read the table that a manifest describes.

    Raises:
        FramesError: a part is missing, is no complete Parquet file, or has another number of rows than the manifest
            says.
    """
    manifest = Path(manifest)
    facts = json.loads(manifest.read_text())
    parts = []
    for part in facts["parts"]:
        path = manifest.parent / part["file"]
        if not path.exists():
            raise FramesError(f"{manifest}: part {part['file']} is missing; rerun the frames of this fidelity")
        try:
            table = pq.read_table(path, columns=columns, schema=SCHEMA if columns is None else None)
        except (pa.ArrowInvalid, OSError) as error:
            raise FramesError(
                f"{path}: not a complete Parquet file ({error}); rerun the frames of this fidelity"
            ) from None
        if table.num_rows != part["rows"]:
            raise FramesError(f"{path}: {table.num_rows} rows, the manifest says {part['rows']}")
        parts.append(table)
    return Frames(pa.concat_tables(parts), facts)


def write_json(path: str | Path, content: object) -> None:
    """Write JSON aside and rename, so that a file that exists is complete."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(path.name + ".tmp")
    aside.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    aside.replace(path)


def sha256(path: Path) -> str:
    """Return the hash of a file's content."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def composition_fractions(Z: ArrayLike, offsets: ArrayLike) -> Floats:
    """Return composition fractions (n, 94), column Z − 1, of flat atomic numbers Z (N,).

    Raises ValueError on a structure without sites or an atomic number outside 1..94.
    """
    Z, offsets = np.asarray(Z, dtype=np.int64), check_offsets(offsets, len(np.asarray(Z)))
    if len(Z) and (Z.min() < 1 or Z.max() > 94):
        raise ValueError(f"atomic numbers from {Z.min()} to {Z.max()}; allowed are 1 to 94")
    n = len(offsets) - 1
    sites = np.diff(offsets)
    counts = np.bincount(owner_of(offsets) * 94 + Z - 1, minlength=n * 94)
    return np.asarray(counts.reshape(n, 94) / sites[:, None])


def check_offsets(offsets: ArrayLike, n_sites: int) -> NDArray[np.int64]:
    """Return where each structure starts among flat per-site values, (n + 1,); raises ValueError if they cannot be."""
    array = np.asarray(offsets, dtype=np.int64)
    if array.ndim != 1 or len(array) < 1 or array[0] != 0 or array[-1] != n_sites or (np.diff(array) < 1).any():
        raise ValueError(
            f"offsets must rise from 0 to the number of sites ({n_sites}), with at least one site per structure"
        )
    return array


def owner_of(offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the structure index (N,) of every site."""
    return np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
