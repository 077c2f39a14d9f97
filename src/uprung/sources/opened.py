"""One source of a fidelity while it is read: records with the work test, progress, hashes, facts for the manifest."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Any

from uprung.config.data import Source
from uprung.config.formats import FORMATS
from uprung.frames.schema import Frame, FramesError, Rejected
from uprung.job.files import sha256
from uprung.job.logs import LINES, progress
from uprung.sources.files import EndlessError, refuse_packed
from uprung.sources.label_keys import with_units
from uprung.sources.magnitudes import Magnitudes, plausible
from uprung.sources.registry import READERS, Reader, Records
from uprung.sources.settings import Settings
from uprung.sources.work_consistency import WorkTest, checked, tested


@dataclass
class OpenSource:
    """A source of the study file, where it lies, the functional that is wanted, and the settings of its fidelity."""

    source: Source
    path: Path
    functional: str
    settings: Settings = field(default_factory=Settings)
    work: WorkTest = field(default_factory=WorkTest)

    @property
    def reader(self) -> Reader:
        """The reader of the source's format."""
        return READERS[self.source.format]

    @property
    def unwanted(self) -> frozenset[int]:
        """Atomic numbers whose structures the study leaves out."""
        return frozenset(map(int, self.source.exclude_elements))

    def records(self) -> Records:
        """Yield the records of the source.

        Raises:
            FramesError: the file is unusable or a compressed database, or the work test contradicts its units or signs
                (not of computed labels).
        """
        name, reader = self.source.format, self.reader
        scale = () if FORMATS[name].label_scale == "own" else (self.source.label_scale,)
        present = [file for file in self.files() if file.is_file()]
        for file in present:
            refuse_packed(file)
        size = sum(file.stat().st_size for file in present)
        with progress(size, f"reading {self.path.name}", "B", every=LINES) as bar:
            told: dict[str, Any] = {"advance": bar.update} if reader.progress else {}
            if self.source.keys is not None:
                told["keys"] = self.source.keys
            if reader.settings:
                told["settings"] = self.settings.of(self.source.settings)
            found = reader.read(self.path, self.functional, *scale, **told)
            if reader.settings:
                found = self._with_known_settings(found, told["settings"], reader.settings)
            if FORMATS[name].keys:  # of the others, units are known
                found = plausible(found, Magnitudes(with_units(self.source.keys)), self.path)
            if reader.embedded:
                found = self._in_layout(found)
            found = self._named(self._to_the_end(found))
            yield from tested(found, self.work) if reader.computed else checked(found, self.work, self.path)

    def _with_known_settings(self, records: Records, settings: Settings, known: Callable[[str], bool]) -> Records:
        """Yield records; then refuse names under `settings` that no run has and nobody knows."""
        yield from records
        if strangers := settings.strangers(known):
            name, there = strangers[0], sorted(settings.met - set(strangers))
            spelt = {own.lower(): own for own in there}
            close = get_close_matches(name.lower(), spelt, n=1)
            hint = f"; did you mean {spelt[close[0]]!r}?" if close else ""
            known_here = f"{hint} (here: {', '.join(there) or 'none'})"
            raise FramesError(f"{self.path}: settings: no run or record has a setting {name!r}{known_here}")

    def _in_layout(self, records: Records) -> Records:
        try:
            yield from records
        except FramesError:
            raise
        except Exception as error:  # whatever the first wrong byte or key leads to
            what = f"{type(error).__name__}: {error}"
            raise FramesError(f"{self.path}: not in the layout of the format {self.source.format!r}: {what}") from error

    def _named(self, records: Records) -> Records:
        """Yield records under the name that the study gives the source."""
        name = self.source.name
        yield from (replace(r, source=name) if name and isinstance(r, Frame) else r for r in records)

    def _to_the_end(self, records: Records) -> Records:
        """Yield records until one does not end, which is listed."""
        try:
            yield from records
        except EndlessError as error:
            yield Rejected(self.path.name, str(error).removeprefix(f"{self.path}: "))

    def files(self) -> list[Path]:
        """Return the files that are read, in this order.

        Raises:
            FramesError: there is none in the folder.
        """
        return self.reader.files(self.path)

    @cached_property
    def hashes(self) -> dict[str, str]:
        """SHA-256 of every file, by its place below the folder, or by its name if it is the one file of the source."""
        found = {}
        with progress(len(self.files()), f"hashing {self.path.name}", "file", every=LINES) as bar:
            for file in self.files():
                name = file.relative_to(self.path).as_posix() if self.path.is_dir() else file.name
                found[name] = sha256(file)
                bar.update()
        return found

    @property
    def digest(self) -> str:
        """SHA-256 of the file; for a folder, of the lines `<SHA-256>  <file>` that sha256sum prints, sorted by file."""
        if not self.path.is_dir():
            return self.hashes[self.path.name]
        lines = "".join(f"{digest}  {name}\n" for name, digest in sorted(self.hashes.items()))
        return hashlib.sha256(lines.encode()).hexdigest()

    def facts(self) -> dict[str, Any]:
        """Return what the manifest says about the source, once it has been read."""
        return {
            "file": self.path.name,
            "format": self.source.format,
            "files": dict(sorted(self.hashes.items())),
            "work_test": self.work.result(),
        }


def digests(sources: Sequence[OpenSource]) -> dict[str, str]:
    """Return name -> digest of every source; the name has as many parts of the path as tell the sources apart."""
    paths, parts = {source.path.absolute() for source in sources}, 1
    while len({path.parts[-parts:] for path in paths}) < len(paths):
        parts += 1
    return {
        "/".join(source.path.absolute().parts[-parts:]) + "/" * source.path.is_dir(): source.digest
        for source in sources
    }


def open_source(format: str, path: Path, functional: str, label_scale: str | None = None) -> OpenSource:
    """Return a source that is ready to be read, without a study file.

    Args:
        format: a format of `uprung.config.formats.FORMATS`.
        path: its file or folder.
        functional: functional of the fidelity.
        label_scale: code, pseudopotentials, U rule and corrections of the labels, in words.

    Raises:
        ValueError: an unknown format, or a label scale that is missing or not allowed.
    """
    return OpenSource(Source(format=format, file=str(path), label_scale=label_scale), path, functional)
