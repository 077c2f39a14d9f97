"""Records of what the benchmarks measured: schema, files, and the tables made from them.

Units: seconds, MiB (2²⁰ bytes) of memory, KiB of disk. As a script, write the table of a record into a page:
`python benchmarks/record.py benchmarks/results/graphs-....json docs/performance.md`.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import importlib.metadata
import os
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from uprung.job import provenance

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
MORE_PACKAGES = ("pymatgen", "joblib", "triton")  # besides those of every run's card


# ------------------------------------------------------------------------------------------------------- the machine


def usable_cores() -> int:
    """Return the number of cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def hardware() -> dict[str, Any]:
    """Return processor, cores (all and usable), memory in GiB, system and GPUs; no host name."""
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return provenance.hardware() | {"cores_usable": usable_cores(), "memory_gib": round(memory_gib, 1), "gpus": _gpus()}


def _gpus() -> list[str]:
    query = ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    return answer.stdout.strip().splitlines()


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that decide numbers or speed, where installed."""
    found = provenance.versions("chgnet", "vesin")
    for package in MORE_PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[package] = importlib.metadata.version(package)
    return found


def commit() -> str | None:
    """Return the commit of the source tree, marked where files differ from it; None without git."""
    try:
        run = [
            subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True, timeout=20).stdout
            for arguments in (["rev-parse", "--short=12", "HEAD"], ["status", "--porcelain"])
        ]
    except (OSError, subprocess.SubprocessError):
        return None
    return run[0].strip() + (" with changes" if run[1].strip() else "")


# ------------------------------------------------------------------------------------------------------- the record


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Measurement(_Model):
    """What one side needed for the same work, in every repeat.

    `seconds` of each repeat in the order in which they ran; `per_second` structures at the median; `startup`
    imports, preparation and warm-up; `peak_mib` highest resident memory of any one process; `private_mib` growth of
    its private memory (RssAnon); `disk_kib` per structure.
    """

    seconds: list[float] = Field(min_length=1)
    median: float = Field(gt=0)
    quartiles: tuple[float, float]
    per_second: float = Field(gt=0)
    startup: float | None = None
    peak_mib: float | None = None
    private_mib: float | None = None
    disk_kib: float | None = None

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        low, median, high = np.percentile(self.seconds, [25, 50, 75])
        if not np.allclose([low, median, high], [self.quartiles[0], self.median, self.quartiles[1]], rtol=1e-9):
            raise ValueError("median and quartiles are not those of the seconds")
        return self


class Case(_Model):
    """Stock and uprung at the same work on one set.

    `work` counts it (structures, edges, ...); `ratio` is stock's median time over uprung's and `ratio_range` the
    lowest and the highest ratio of any one repeat. A side that is not quoted is null, and `note` has the reason.
    """

    set: str
    what: str
    work: dict[str, int]
    stock: Measurement | None
    uprung: Measurement | None
    ratio: float | None = None
    ratio_range: tuple[float, float] | None = None
    note: str = ""

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if self.stock is None or self.uprung is None:
            if not self.note or self.ratio is not None:
                raise ValueError("a side that is not quoted needs a note with the reason, and no ratio")
        elif self.ratio is None or not np.isclose(self.ratio, self.stock.median / self.uprung.median, rtol=1e-9):
            raise ValueError("the ratio is not that of the medians")
        return self


class Record(_Model):
    """One run of a benchmark. `load` is the machine's one-minute load average before it."""

    benchmark: str = Field(pattern=r"^[a-z][a-z0-9-]*$")
    date: str = Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
    commit: str | None
    load: float
    hardware: dict[str, Any]
    versions: dict[str, str]
    settings: dict[str, Any]
    cases: list[Case] = Field(min_length=1)


def measurement(seconds: Sequence[float], structures: int, **more: float | None) -> Measurement:
    """Summarise the repeats of one side; `more` are the other fields of `Measurement`."""
    low, median, high = (float(q) for q in np.percentile(seconds, [25, 50, 75]))
    rounded = {name: None if value is None else round(value, 3) for name, value in more.items()}
    return Measurement(
        seconds=list(seconds), median=median, quartiles=(low, high), per_second=structures / median, **rounded
    )


def case(
    set_name: str,
    what: str,
    work: dict[str, int],
    stock: Measurement | None,
    uprung: Measurement | None,
    note: str = "",
) -> Case:
    """Compare two sides; one that is None is not quoted, for the reason that the note gives."""
    ratio = ratio_range = None
    if stock is not None and uprung is not None:
        ratio = stock.median / uprung.median
        single = [a / b for a, b in zip(stock.seconds, uprung.seconds, strict=True)]
        ratio_range = (min(single), max(single))
    return Case(
        set=set_name, what=what, work=work, stock=stock, uprung=uprung, ratio=ratio, ratio_range=ratio_range, note=note
    )


def new_record(benchmark: str, settings: dict[str, Any], cases: list[Case], *, load: float) -> Record:
    """Return a record of this machine, of this moment and of the versions here."""
    return Record(
        benchmark=benchmark,
        date=datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        commit=commit(),
        load=round(load, 2),
        hardware=hardware(),
        versions=versions(),
        settings=settings,
        cases=cases,
    )


def default_path(benchmark: str) -> Path:
    """Return `benchmarks/results/<benchmark>-<machine>.json`: one file a machine, replaced by its next run."""
    machine = hardware()
    words = f"{(machine['gpus'] or [''])[0].split(',')[0]} {machine['processor']} {machine['cores_usable']} cores"
    return RESULTS / f"{benchmark}-{re.sub(r'[^a-z0-9]+', '-', words.lower()).strip('-')}.json"


def write(record: Record, path: Path) -> None:
    """Write a record as JSON, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_text(record.model_dump_json(indent=1) + "\n", encoding="utf-8")
    part.replace(path)


def read(path: Path) -> Record:
    """Read a record; ValueError says what in it is not as `Record` has it."""
    return Record.model_validate_json(path.read_text(encoding="utf-8"))


# -------------------------------------------------------------------------------------------------------- its tables

_PAIRS = {"peak, MiB": "peak_mib", "private, MiB": "private_mib", "disk, KiB": "disk_kib"}
_COLUMNS = {
    "/s": "structures per second at the median time",
    "ratio": "of the medians (lowest–highest of the repeats)",
    "peak": "highest memory of a process, stock / uprung",
    "private": "growth of private memory, stock / uprung",
    "disk": "per structure, stock / uprung",
}


def rows(record: Record) -> list[list[str]]:
    """Return a header and one row per case, without the columns that no case fills; pairs are stock / uprung."""
    table = [["set", "what", "stock, /s", "uprung, /s", "ratio", *_PAIRS, "note"]]
    for c in record.cases:
        sides = (c.stock, c.uprung)
        table.append(
            [
                c.set,
                c.what,
                *("" if side is None else _digits(side.per_second) for side in sides),
                _ratio(c),
                *(_pair([getattr(side, field, None) for side in sides]) for field in _PAIRS.values()),
                c.note,
            ]
        )
    filled = [k for k in range(len(table[0])) if any(row[k] for row in table[1:])]
    return [[row[k] for k in filled] for row in table]


def _digits(value: float) -> str:
    """Three significant digits, in full."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _ratio(c: Case) -> str:
    """Ratio of the medians, and the range over the repeats where there are several."""
    if c.ratio is None or c.ratio_range is None:
        return ""
    low, high = (f"{ratio:.1f}" for ratio in c.ratio_range)
    return f"{c.ratio:.1f}×" + (f" ({low}–{high})" if low != high else "")


def _pair(values: Sequence[float | None]) -> str:
    if all(value is None for value in values):
        return ""
    return " / ".join("–" if value is None else _digits(value) for value in values)


def aligned(table: Sequence[Sequence[str]]) -> str:
    """Return a table for a terminal: names to the left, figures to the right."""
    widths = [max(len(row[k]) for row in table) for k in range(len(table[0]))]
    lines = [
        "  ".join(
            cell.ljust(w) if k < 2 else cell.rjust(w) for k, (cell, w) in enumerate(zip(row, widths, strict=True))
        )
        for row in table
    ]
    return "\n".join([lines[0], "  ".join("─" * w for w in widths), *lines[1:]])


def conditions(record: Record) -> str:
    """Return what the columns are, and where, when and with which versions they were measured."""
    machine, packages, header = record.hardware, record.versions, " ".join(rows(record)[0])
    columns = "; ".join(f"{name}: {meaning}" for name, meaning in _COLUMNS.items() if name in header)
    cores = machine["cores_usable"]
    where = [machine["processor"], f"{cores} core{'s'[: cores != 1]}", f"{machine['memory_gib']:.0f} GiB"]
    named = [f"{name} {packages[name]}" for name in ("chgnet", "torch", "numpy", "vesin") if name in packages]
    return (
        f"{columns}.\n{', '.join([*where, *machine['gpus']])}; Python {packages['python']}, {', '.join(named)}; "
        f"{record.date[:10]}, commit {record.commit or 'unknown'}, load before the run {record.load:.1f}."
    )


def markdown(record: Record) -> str:
    """Return a record's table and conditions as Markdown; rates are structures per second at the median time."""
    header, *body = rows(record)
    lines = [header, ["---" if k < 2 else "--:" for k in range(len(header))], *body]
    table = "\n".join("| " + " | ".join(cell.replace("|", r"\|") for cell in line) + " |" for line in lines)
    return f"{table}\n\n{conditions(record)}"


def insert(page: str, name: str, text: str) -> str:
    """Replace what stands between `<!-- name -->` and `<!-- /name -->`; ValueError unless both are there once."""
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    if page.count(begin) != 1 or page.count(end) != 1 or page.index(end) < page.index(begin):
        raise ValueError(f"the page must have {begin} and, after it, {end} exactly once each")
    before, rest = page.split(begin)
    return f"{before}{begin}\n{text}\n{end}{rest.split(end)[1]}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the table of a record between its markers in a page."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("record", type=Path, help="benchmarks/results/….json")
    parser.add_argument("page", type=Path, help="a page with <!-- NAME --> and <!-- /NAME -->, NAME the benchmark")
    options = parser.parse_args(arguments)
    record = read(options.record)
    options.page.write_text(
        insert(options.page.read_text(encoding="utf-8"), record.benchmark, markdown(record)), encoding="utf-8"
    )


if __name__ == "__main__":
    main()
