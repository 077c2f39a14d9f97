"""What tests of interruptions share: the processes of a Snakemake, killing them, what its results are."""

from __future__ import annotations

import base64
import contextlib
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import yaml
from workplace import Workplace

# What no result hangs on: how long jobs took, what they said, the states of runs that are not finished.
ASIDE = ("logs", "benchmarks", "state", "tensorboard", "checksums")  # events have times in them, and so have cards
#: The fields of a run's card that count time or resumption, and may differ after an interruption.
COUNTED = ("wall_seconds", "resumed")


def contents(results: Path) -> dict[str, object]:
    """Return file -> content of all results; of a card all but the fields that count time or resumption."""
    found: dict[str, object] = {}
    for file in sorted(results.rglob("*")):
        name = str(file.relative_to(results))
        if name.split("/")[0] in ASIDE or not file.is_file():
            continue
        found[name] = file.read_bytes()
        if file.name == "card.yaml":
            card = yaml.safe_load(file.read_text())
            # half-written, it lacks them
            found[name] = {key: value for key, value in (card or {}).items() if key not in COUNTED}
    return found


def differing(found: dict[str, object], wanted: dict[str, object]) -> list[str]:
    """Return the files whose content differs or that are on one side only."""
    return sorted(name for name in {*found, *wanted} if found.get(name) != wanted.get(name))


def interrupted(place: Workplace) -> set[str]:
    """Return the outputs, below the results, that Snakemake began and has not seen finished."""
    markers = place.folder / ".snakemake/incomplete"
    names = set()
    for file in markers.rglob("*"):
        if file.is_file() and file.name != "migrated":
            encoded = "".join(part.lstrip("@") for part in file.relative_to(markers).parts)
            with contextlib.suppress(ValueError):
                names.add(base64.urlsafe_b64decode(encoded).decode())
    return {str(Path(name).relative_to("results/micro")) for name in names if name.startswith("results/micro/")}


def jobs_in(place: Workplace, script: str = "") -> list[int]:
    """Return the processes that run a script of the workflow in a folder, whoever started them."""
    needle, found = f"{place.folder}/.snakemake/scripts/", []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
                running = (entry / "stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
                if running and any(word.startswith(needle) and word.endswith(f"{script}.py") for word in words):
                    found.append(int(entry.name))
    return found


def script_of(pid: int) -> str:
    """Return which script a process of `jobs_in` runs; empty when it has ended."""
    with contextlib.suppress(OSError):
        for word in Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0"):
            if "/.snakemake/scripts/" in word:
                return Path(word).stem.partition(".")[2]
    return ""


def children(pid: int) -> list[int]:
    """Return the processes below a process, from /proc."""
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, task.read_text().split()):
            found += [child, *children(child)]
    return found


def kill(pid: int, number: int = signal.SIGKILL) -> None:
    """Send a signal to a process that may have ended."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def wait_for(condition: Callable[[], object], seconds: float, what: str) -> None:
    """Wait until something holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds} s in vain: {what}"
        time.sleep(0.05)
