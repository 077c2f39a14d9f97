"""Validation on import: records of sources become rows or are listed with a reason, and the manifest counts both."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from ase.data import chemical_symbols

from uprung.frames.limits import NAME, TEXT
from uprung.frames.not_computed import not_computed
from uprung.frames.parts import ROWS_PER_GROUP, rows_of, write_parts
from uprung.frames.schema import (
    Frame,
    FramesError,
    Rejected,
    label_problems,
    shortened,
    structure_problem,
    wrong_text,
)
from uprung.frames.table import Frames
from uprung.job.files import write_json

#: Target that a network learns -> column of its label.
LABEL_COLUMNS = {"energy": "energy", "force": "forces", "stress": "stress_gpa", "magmom": "magmom"}
#: Columns whose frames the manifest counts.
LABELS = ("energy", "energy_free", "forces", "stress_gpa", "magmom")
#: Energy label of a fidelity -> columns that every frame needs for it.
ENERGIES = {
    "energy": ("energy",),
    "energy_free": ("energy_free",),
    "energy+correction": ("energy", "correction"),
}
#: A source whose first so many records are all unusable is stopped: it is another layout, not a set with faults.
HOPELESS = 1_000

Records = Iterable[Frame | Rejected]


@dataclass
class Tally:
    """What happened to the records of a source on their way into the table."""

    read: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    rejected: list[dict[str, str]] = field(default_factory=list)
    emptied: dict[tuple[str, str], list[str]] = field(default_factory=dict)  # (column, reason) -> frames
    written: int = 0
    labels: Counter[str] = field(default_factory=Counter)
    elements: Counter[int] = field(default_factory=Counter)

    def reject(self, frame_id: str, reason: str) -> None:
        """List a record that is not used."""
        self.rejected.append({"frame_id": shortened(frame_id, NAME), "reason": shortened(reason, TEXT)})

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


class _Intake:
    """Lets usable records through: one functional, one label scale, no name twice; counts all of them."""

    def __init__(self, functional: str, n_sources: int, energy: str | None, needed: Sequence[str]) -> None:
        self.functional, self.energy = functional, energy
        trained = {LABEL_COLUMNS[target] for target in needed} - {"energy"}
        self.energies = set(ENERGIES[energy] if energy else ())
        self.required = trained | (self.energies or {"energy", "energy_free", "correction"})
        self.tally, self.scales = Tally(), set[str]()
        self.seen = [_Ids() for _ in range(n_sources)]

    def frames(self, sources: Sequence[tuple[Records, frozenset[int]]]) -> Iterator[Frame]:
        """Yield the usable frames of all sources; stop early at a source that is rejected throughout."""
        for own, (stream, unwanted) in enumerate(sources):
            before = len(self.tally.rejected)
            for n, record in enumerate(stream):
                if n == HOPELESS == len(self.tally.rejected) - before:
                    raise FramesError(
                        f"source {own + 1}: its first {HOPELESS} records are all rejected{self.tally.commonest(before)}"
                    )
                frame = self._usable(record, unwanted)
                if frame is not None and self._new(frame, own):
                    self._count(frame)
                    yield frame

    def facts(self) -> dict[str, Any]:
        """Return what the manifest says, once there is a frame."""
        tally, (scale,) = self.tally, self.scales
        return {
            "functional": self.functional,
            "label_scale": scale,
            "read": tally.read,
            "left_out": dict(sorted(tally.left_out.items())),
            "rejected": tally.rejected,
            "emptied": [
                {"label": column, "reason": reason, "frame_ids": names}
                for (column, reason), names in tally.emptied.items()
            ],
            "written": tally.written,
            "labels": {key: tally.labels[key] for key in LABELS},
            "elements": {str(z): tally.elements[z] for z in sorted(tally.elements)},
        }

    def _usable(self, record: Frame | Rejected, unwanted: frozenset[int]) -> Frame | None:
        """Return a record as a frame of this table, or None; one of another functional or scale raises FramesError."""
        self.tally.read += 1
        if isinstance(record, Rejected):
            self.tally.reject(record.frame_id, record.reason)
            return None
        excluded = unwanted.intersection(record.Z.tolist())
        if excluded:
            self.tally.left_out[f"element {chemical_symbols[min(excluded)]}"] += 1
            return None
        reason = wrong_text(record)
        if reason is not None:
            self.tally.reject(record.frame_id, reason)
            return None
        if record.functional != self.functional:
            raise FramesError(
                f"{record.source}: frame {record.frame_id} has functional {record.functional!r}, but this fidelity is "
                f"{self.functional!r}; one fidelity holds one functional"
            )
        frame, reason = self._with_sound_labels(record)
        if reason is not None:
            self.tally.reject(record.frame_id, reason)
            return None
        self.scales.add(record.label_scale)
        if len(self.scales) > 1:
            raise FramesError(
                f"{record.source}: frame {record.frame_id} has label scale {record.label_scale!r} beside "
                f"{sorted(self.scales - {record.label_scale})[0]!r}; energies of two scales never share one fidelity"
            )
        return frame

    def _with_sound_labels(self, frame: Frame) -> tuple[Frame, str | None]:
        """Return a frame without the labels that cannot be used, and why it cannot be used without them, if so."""
        if reason := structure_problem(frame):
            return frame, reason
        bad = label_problems(frame)
        sound = replace(frame, bad=bad, **_nothing(bad)) if bad else frame
        if zeros := not_computed(sound):
            sound = replace(sound, bad={**bad, **zeros}, **_nothing(zeros))
        if reason := next((bad[column] for column in sorted(self.required) if column in bad), None):
            return frame, reason
        for column in sorted(self.energies):
            if getattr(sound, column) is None:
                return frame, f"no {column}, which `energy: {self.energy}` of this fidelity asks for"
        return sound, None

    def _new(self, frame: Frame, own: int) -> bool:
        """Return whether no frame of this source has this name; one of another source raises FramesError."""
        key = _Ids.key(frame.frame_id)
        if any(key in ids for ids in self.seen[:own]):
            raise FramesError(
                f"{frame.source}: frame_id {frame.frame_id!r} occurs twice: an earlier source of this fidelity has "
                "it, too; list every source once, or give the frames names of their own"
            )
        if not self.seen[own].add(key):
            self.tally.reject(frame.frame_id, "frame_id occurs twice; the first frame of this name is kept")
            return False
        return True

    def _count(self, frame: Frame) -> None:
        self.tally.written += 1
        for column, reason in {**frame.missing, **frame.bad}.items():
            self.tally.emptied.setdefault((column, reason), []).append(frame.frame_id)
        self.tally.labels.update(name for name in LABELS if getattr(frame, name) is not None)
        self.tally.elements.update(set(frame.Z.tolist()))


def _nothing(columns: Iterable[str]) -> dict[str, Any]:
    return dict.fromkeys(columns)


def write_frames(
    sources: Sequence[tuple[Records, frozenset[int]]],
    folder: Path,
    *,
    functional: str,
    energy: str | None = None,
    needed: Sequence[str] = (),
    about: Callable[[], dict[str, Any]] | dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Stream frames into Parquet parts below `folder` and write its manifest last.

    Args:
        sources: streams of records, each with the elements whose structures are left out (counted by element);
            memory holds one row group at a time and 16 bytes per frame_id.
        folder: destination; earlier parts in it are replaced.
        functional: the one functional of this fidelity.
        energy: energy label (see `Frames.label`) that every frame needs; None asks for none.
        needed: targets that are trained (`energy`, `force`, `stress`, `magmom`). A frame whose label of another kind
            cannot be used is written without it, and the manifest says so under `emptied`.
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
    intake = _Intake(functional, len(sources), energy, needed)
    parts = list(write_parts(intake.frames(sources), folder))
    _refuse_without_labels(intake.tally, folder.name, functional, needed, energy)
    manifest = {**intake.facts(), "parts": parts, **((about() if callable(about) else about) or {})}
    write_json(folder / "manifest.json", manifest)
    return manifest


def frames_in_memory(
    sources: Sequence[tuple[Records, frozenset[int]]],
    name: str,
    *,
    functional: str,
    energy: str | None = None,
    needed: Sequence[str] = (),
) -> Frames:
    """Return frames as a table in memory; its manifest is that of `write_frames` without parts.

    Args:
        sources: see `write_frames`.
        name: of the table, for messages.
        functional: the one functional of the frames.
        energy: energy label that every frame needs; None asks for none.
        needed: targets that are trained; see `write_frames`.

    Raises:
        FramesError: see `write_frames`.
    """
    intake = _Intake(functional, len(sources), energy, needed)
    frames, tables = intake.frames(sources), list[pa.Table]()
    while rows := list(islice(frames, ROWS_PER_GROUP)):
        tables.append(rows_of(rows))
    _refuse_without_labels(intake.tally, name, functional, needed, energy)
    return Frames(pa.concat_tables(tables), intake.facts())


def _refuse_without_labels(tally: Tally, name: str, functional: str, needed: Sequence[str], energy: str | None) -> None:
    """Raise FramesError where there is no frame, or no label of a target that is trained."""
    if not tally.written:
        raise FramesError(
            f"no usable frame of functional {functional!r} in {name}: {tally.read} read, "
            f"{sum(tally.left_out.values())} left out, {len(tally.rejected)} rejected{tally.commonest()}"
        )
    columns = LABEL_COLUMNS | {"energy": ENERGIES[energy or "energy"][0]}
    for target in needed:
        column = columns[target]
        if not tally.labels[column]:
            there = [target for target, column in columns.items() if tally.labels[column]]
            why = next((reason for emptied, reason in tally.emptied if emptied == column), None)
            raise FramesError(
                f"fidelity {name!r} has no {target} labels{f' ({why})' if why else ''}, but transfer.targets asks for "
                f"{target}; take it out of transfer.targets (labels here: {', '.join(there)}), or name its key under "
                "the source's `keys`"
            )
